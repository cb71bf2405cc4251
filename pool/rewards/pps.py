"""PPS, PPS+ and FPPS: what shares are paid at once, whatever is found: their part of a block, less the fee.

A share that scores u, at a height where a block may pay the subsidy S, is paid (1 - f) u S.  All of that is
fixed when it is submitted, so the rate is frozen on it.  The operator bears the luck; what blocks bring in
fees stays in the reserve (PPS), or is divided as they are found (PPS+), or is paid for at once too, by a rate
that is fixed for each height (FPPS, see pool.rewards.fpps).
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from types import MappingProxyType
from typing import Final, NamedTuple

from payouts.money import Msat, Sat, to_msat
from pool.rewards.policy import Policy, Scheme
from pool.rewards.split import BPS
from pool.shares import score
from stratum.units import Target

FIRST_SUBSIDY: Final = Sat(50 * 100_000_000)
_NO_FEES: Final[Mapping[int, Msat]] = MappingProxyType({})


def subsidy_at(height: int, halving_blocks: int) -> Msat:
    """What a block at this height may pay beyond its fees, in msat."""
    return to_msat(Sat(FIRST_SUBSIDY >> (height // halving_blocks)))


class PaidKind(NamedTuple):
    """What makes shares cost the same; ``height`` is the lowest of those that pay as much, see ``span``."""

    account: str
    nbits: int
    target: Target
    height: int


def span(policy: Policy) -> int:
    """Of how many heights, counted from a multiple of it, the shares are paid by the same rate."""
    return 1 if policy.scheme is Scheme.FPPS else policy.halving_blocks


def pay(
    counts: Mapping[PaidKind, int], policy: Policy, fees: Mapping[int, Msat] = _NO_FEES
) -> dict[str, Msat]:
    """What some shares are paid, each account floored once: less than one msat of it stays in the reserve.

    Args:
        counts: how many shares of each kind.
        policy: that they were mined under.
        fees: what a whole block's work is paid for fees, by height, in msat: FPPS wants one for each.

    Returns:
        By account; accounts that come to less than 1 msat are left out.

    Raises:
        KeyError: FPPS has no rate for a height: nothing is paid by a guess.
    """
    worth: dict[tuple[str, int], Fraction] = {}
    for kind, count in counts.items():
        key = (kind.account, kind.height)
        worth[key] = worth.get(key, Fraction(0)) + count * score(kind.nbits, kind.target)
    exact: dict[str, Fraction] = {}
    for (account, height), units in worth.items():
        block = subsidy_at(height, policy.halving_blocks)
        if policy.scheme is Scheme.FPPS:
            block = Msat(block + fees[height])
        exact[account] = exact.get(account, Fraction(0)) + units * Fraction(
            block * (BPS - policy.fee_bps), BPS
        )
    return {account: Msat(int(amount)) for account, amount in sorted(exact.items()) if amount >= 1}
