"""A block's reward: its value divided among the stakes, each by its own policy, to the millisatoshi."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from payouts.money import Msat
from pool.rewards.exact import fraction_text
from pool.rewards.policy import RESERVED, Scheme
from pool.rewards.pps import subsidy_at
from pool.rewards.split import Division, check, divide
from pool.rewards.stakes import Stake


@attrs.frozen
class Reward:
    """A block's division.

    Attributes:
        stakes: whom it was divided among, oldest policy first.
        parts: what each stake got, in the same order; only the last one takes in the residual.
        division: of the whole block.
    """

    stakes: Sequence[Stake]
    parts: Sequence[Division]
    division: Division


def reward(stakes: Sequence[Stake], value: Msat, residual_in: Msat, height: int = 0) -> Reward:
    """Divide what a block pays among its stakes.

    Args:
        stakes: oldest policy first, at least one.
        value: what the coinbase pays to the pool, in msat.
        residual_in: what earlier divisions in this pot left over, in msat.
        height: of the block, which tells subsidy from fees where shares were paid by the subsidy.
    """
    halving_blocks = max(stake.term.policy.halving_blocks for stake in stakes)
    subsidy = min(value, subsidy_at(height, halving_blocks)) if halving_blocks else 0
    parts: list[Division] = []
    left = int(value)
    for stake in stakes[:-1]:
        own = int(subsidy * stake.of_subsidy + (value - subsidy) * stake.part)
        parts.append(divide(Msat(own), stake.term.policy.fee_bps, stake.weights, Msat(0)))
        left -= own
    parts.append(_last(stakes[-1], Msat(left), Msat(subsidy), residual_in))
    return Reward(stakes, parts, _whole(parts, value, residual_in))


def _last(stake: Stake, left: Msat, subsidy: Msat, residual_in: Msat) -> Division:
    """What the policy in force makes of the rest; what shares were paid before goes to where it came from."""
    policy = stake.term.policy
    if policy.scheme in RESERVED:
        return Division(left, Msat(0), residual_in, residual_in, {}, left)
    reserve = Msat(int(subsidy * stake.of_subsidy)) if policy.scheme is Scheme.PPS_PLUS else Msat(0)
    division = divide(Msat(left - reserve), policy.fee_bps, stake.weights, residual_in)
    return attrs.evolve(division, value=left, reserve=reserve)


def _whole(parts: Sequence[Division], value: Msat, residual_in: Msat) -> Division:
    credits_: dict[str, Msat] = {}
    for part in parts:
        for account, amount in part.credits.items():
            credits_[account] = Msat(credits_.get(account, 0) + amount)
    whole = Division(
        value=value,
        fee=Msat(sum(part.fee for part in parts)),
        residual_in=residual_in,
        residual_out=Msat(sum(part.residual_out for part in parts)),
        credits=dict(sorted(credits_.items())),
        reserve=parts[-1].reserve,
    )
    # what each part may leave over was checked with it; together they are only to lose nothing
    check(whole, value + residual_in + 1)
    return whole


def memo(pot: str, result: Reward) -> dict[str, object]:
    """What a journal entry keeps so that anyone can do the sum again; amounts and fractions are strings.

    The accounts' credits are the entry's own postings and are not repeated.
    """
    division = result.division
    return {
        "pot": pot,
        "value_msat": str(division.value),
        "fee_msat": str(division.fee),
        "residual_in_msat": str(division.residual_in),
        "residual_out_msat": str(division.residual_out),
        "parts": [_part(stake, part) for stake, part in zip(result.stakes, result.parts, strict=True)],
    }


def _part(stake: Stake, part: Division) -> dict[str, object]:
    window = stake.window
    border = window and window.border
    return {
        "policy": stake.term.policy.terms,
        "policy_hash": stake.term.policy.hash,
        "after_share": stake.term.after_share,
        "value_msat": str(part.value),
        "fee_msat": str(part.fee),
        "reserve_msat": str(part.reserve),
        "divided_msat": str(part.divided),
        "window": window
        and {
            "last_id": window.last_id,
            "first_id": window.first_id,
            "full": window.full,
            "score": fraction_text(stake.score),
            "border": border and {"share_id": border.share_id, "part": fraction_text(border.part)},
        },
    }
