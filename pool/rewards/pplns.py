"""Unit-PPLNS: who gets how much of a block, from the window of shares that ends with the winning one.

Each share scores its work over the network's work *at its submission* (Rosenfeld, "Analysis of Bitcoin Pooled
Mining Reward Systems", 2011, the unit variant).  So a share's expected pay does not move when the difficulty
does, and neither joining nor leaving at any moment is an advantage.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Final

import attrs

from payouts.money import Msat
from pool.rewards.split import Division, divide
from pool.shares import Window, weights

SCHEME: Final = "unit-pplns"


@attrs.frozen
class Policy:
    """How blocks are divided.

    Attributes:
        window: X, in units of network work; a decimal is taken exactly.
        fee_bps: pool fee in basis points.
    """

    window: Fraction = attrs.field(converter=Fraction)
    fee_bps: int


@attrs.frozen
class Reward:
    """A block's division and what it was computed from."""

    policy: Policy
    window: Window
    division: Division
    total: Fraction


def reward(window: Window, value: Msat, policy: Policy, residual_in: Msat) -> Reward:
    """Divide what a block pays among the accounts of its window.

    A window that is not full yet is divided by what is there.

    Args:
        window: cut with the policy's size.
        value: what the coinbase pays to the pool, in msat.
        policy: the one the window was cut with.
        residual_in: what earlier divisions left over, in msat.
    """
    by_account, denominator = weights(window)
    division = divide(value, policy.fee_bps, by_account, residual_in)
    return Reward(policy, window, division, Fraction(sum(by_account.values()), denominator))


def memo(result: Reward) -> dict[str, object]:
    """What a journal entry keeps so that anyone can do the sum again; amounts and fractions are strings.

    The accounts' credits are the entry's own postings and are not repeated.
    """
    window, division = result.window, result.division
    border = window.border
    return {
        "scheme": SCHEME,
        "policy": {"window": str(result.policy.window), "fee_bps": result.policy.fee_bps},
        "value_msat": str(division.value),
        "fee_msat": str(division.fee),
        "divided_msat": str(division.divided),
        "residual_in_msat": str(division.residual_in),
        "residual_out_msat": str(division.residual_out),
        "window": {
            "last_id": window.last_id,
            "first_id": window.first_id,
            "full": window.full,
            "score": str(result.total),
            "border": border and {"share_id": border.share_id, "part": str(border.part)},
        },
    }
