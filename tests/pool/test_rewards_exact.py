"""Exact fractions as text, also those that Python would not write in decimal."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pool.rewards.exact import DECIMAL_BITS, fraction_text, read_fraction

NUMBERS = st.one_of(st.integers(1, 10**6), st.integers(1 << (DECIMAL_BITS - 2), 1 << (DECIMAL_BITS + 2)))


@given(NUMBERS, NUMBERS)
def test_a_fraction_is_read_back_as_it_was(numerator: int, denominator: int) -> None:
    value = Fraction(numerator, denominator)
    assert read_fraction(fraction_text(value)) == value


def test_usual_fractions_are_written_as_ever() -> None:
    assert [fraction_text(each) for each in (Fraction(0), Fraction(8), Fraction(3, 7))] == ["0", "8", "3/7"]


def test_a_score_over_four_hundred_difficulties_can_be_written() -> None:
    score = sum((Fraction(1, (1 << 78) + 2 * n + 1) for n in range(400)), Fraction(0))
    with pytest.raises(ValueError, match="4300"):
        str(score)
    assert read_fraction(fraction_text(score)) == score


@pytest.mark.parametrize("text", ["", "/", "2/4", "1/1", "0x1/0x2", "1/0", "+1", " 1", "1_0", "0x", "a/b"])
def test_what_would_be_written_otherwise_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        read_fraction(text)
