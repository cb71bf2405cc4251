"""PPS and PPS+: what shares are paid at once, whatever is found: their part of the subsidy, less the fee.

A share that scores u, at a height where a block may pay the subsidy S, is paid (1 - f) u S.  All of that is
fixed when it is submitted, so the rate is frozen on it.  The operator bears the luck; what blocks bring in
fees stays in the reserve (PPS), or is divided as they are found (PPS+).
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Final, NamedTuple

from payouts.money import Msat, Sat, to_msat
from pool.rewards.policy import Policy
from pool.rewards.split import BPS
from pool.shares import score
from stratum.units import Target

FIRST_SUBSIDY: Final = Sat(50 * 100_000_000)


def subsidy_at(height: int, halving_blocks: int) -> Msat:
    """What a block at this height may pay beyond its fees, in msat."""
    return to_msat(Sat(FIRST_SUBSIDY >> (height // halving_blocks)))


class PaidKind(NamedTuple):
    """What makes shares cost the same; ``era`` counts the halvings of the subsidy before them."""

    account: str
    nbits: int
    target: Target
    era: int


def pay(counts: Mapping[PaidKind, int], policy: Policy) -> dict[str, Msat]:
    """What some shares are paid, each account floored once: less than one msat of it stays in the reserve.

    Args:
        counts: how many shares of each kind.
        policy: that they were mined under.

    Returns:
        By account; accounts that come to less than 1 msat are left out.
    """
    worth: dict[tuple[str, int], Fraction] = {}
    for kind, count in counts.items():
        key = (kind.account, kind.era)
        worth[key] = worth.get(key, Fraction(0)) + count * score(kind.nbits, kind.target)
    exact: dict[str, Fraction] = {}
    for (account, era), units in worth.items():
        subsidy = to_msat(Sat(FIRST_SUBSIDY >> era)) * (BPS - policy.fee_bps)
        exact[account] = exact.get(account, Fraction(0)) + units * Fraction(subsidy, BPS)
    return {account: Msat(int(amount)) for account, amount in sorted(exact.items()) if amount >= 1}
