"""Exact division of an amount by weights: nobody is rounded up, and what rounding leaves over is named."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import attrs

from payouts.money import Msat

BPS: Final = 10_000
"""Basis points in the whole."""
_NOTHING: Final = Msat(0)


@attrs.frozen
class Division:
    """A block's value and where all of it went.

    ``sum(credits) + fee + reserve + residual_out == value + residual_in``, always.

    Attributes:
        value: G, what the block pays to the pool.
        fee: the pool's, floor(G * bps / 10^4).
        residual_in: left over by earlier blocks, divided with this one.
        residual_out: left over by this one: less than one msat for each account.
        credits: by account; accounts whose part is less than 1 msat are not in it.
        reserve: what goes to the reserve that shares were paid from before.
    """

    value: Msat
    fee: Msat
    residual_in: Msat
    residual_out: Msat
    credits: Mapping[str, Msat]
    reserve: Msat = _NOTHING

    @property
    def divided(self) -> Msat:
        """A, the amount that was divided among the miners: value - fee - reserve + residual_in."""
        return Msat(self.value - self.fee - self.reserve + self.residual_in)


def divide(value: Msat, fee_bps: int, weights: Mapping[str, int], residual_in: Msat) -> Division:
    """Divide a block's value: fee first, then floor(A * w / W) for each account.

    Args:
        value: G in msat, not negative.
        fee_bps: the pool's fee in basis points, 0 … 10,000, taken of G alone.
        weights: not negative; when all are zero, everything but the fee becomes the residual.
        residual_in: in msat, not negative.

    Raises:
        ValueError: an argument outside its range.
    """
    if value < 0 or residual_in < 0 or not 0 <= fee_bps <= BPS or any(w < 0 for w in weights.values()):
        raise ValueError("amounts and weights are not negative, a fee is 0 to 10,000 basis points")
    fee = value * fee_bps // BPS
    amount = value - fee + residual_in
    whole = sum(weights.values())
    parts = {account: Msat(amount * weight // whole) for account, weight in weights.items() if weight}
    paid = {account: part for account, part in sorted(parts.items()) if part}
    division = Division(value, Msat(fee), residual_in, Msat(amount - sum(paid.values())), paid)
    check(division, len(weights))
    return division


def check(division: Division, accounts: int) -> None:
    """Refuse a division that does not add up, whatever made it.

    Raises:
        AssertionError: money was lost or made, or more is left over than flooring can leave.
    """
    parts = sum(division.credits.values()) + division.fee + division.reserve + division.residual_out
    if parts != division.value + division.residual_in:
        raise AssertionError("a division lost or made money")
    if division.credits and not 0 <= division.residual_out < accounts:
        raise AssertionError("a residual is smaller than the number of accounts")
