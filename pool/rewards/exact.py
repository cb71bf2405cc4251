"""Exact fractions as text.

Every difficulty that a window goes through is a factor of the denominator of its score: in a small pool whose
window never fills, the numbers outgrow in some years what Python reads and writes in decimal.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Final

DECIMAL_BITS: Final = 12_000
"""Larger numbers are written in hexadecimal; these have 3,613 digits at most, and Python takes 4,300."""


def fraction_text(value: Fraction) -> str:
    """A fraction in its lowest terms: ``n``, ``n/d``, or ``0xn/0xd`` when one of the two is large.

    Args:
        value: not negative.
    """
    if max(value.numerator.bit_length(), value.denominator.bit_length()) <= DECIMAL_BITS:
        return str(value)
    return f"{value.numerator:#x}/{value.denominator:#x}"


def read_fraction(text: str) -> Fraction:
    """The fraction that a text from ``fraction_text`` stands for.

    Raises:
        ValueError: it is none, or not the one text that it would be written as.
    """
    numerator, _, denominator = text.partition("/")
    base = 16 if numerator.startswith("0x") else 10
    try:
        value = Fraction(int(numerator, base), int(denominator or "1", base))
    except ZeroDivisionError as error:
        raise ValueError("a fraction has no denominator of zero") from error
    if fraction_text(value) != text:
        raise ValueError("a fraction is written in its lowest terms")
    return value
