"""Amounts of bitcoin: satoshi and millisatoshi as distinct integer types, and the only 1000 between them."""

from __future__ import annotations

from typing import NewType

Sat = NewType("Sat", int)
Msat = NewType("Msat", int)

MSAT_PER_SAT = 1000
NOTHING = Msat(0)
SAT_PER_BTC = 100_000_000


def to_msat(amount: Sat) -> Msat:
    """Satoshi as millisatoshi, exactly."""
    return Msat(amount * MSAT_PER_SAT)


def floor_sat(amount: Msat) -> Sat:
    """The whole satoshis in an amount; for a negative amount, towards minus infinity."""
    return Sat(amount // MSAT_PER_SAT)


def ceil_sat(amount: Msat) -> Sat:
    """The fewest whole satoshis that cover an amount."""
    return Sat(-(-amount // MSAT_PER_SAT))
