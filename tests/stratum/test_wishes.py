"""The password field carries difficulty wishes and nothing else."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stratum.units import Difficulty
from stratum.wishes import Wishes, difficulty, difficulty_of_target, from_password


def d(value: float | str) -> Difficulty:
    return Difficulty(Fraction(float(value)))


@pytest.mark.parametrize(
    ("password", "wishes"),
    [
        ("", Wishes()),
        ("x", Wishes()),
        ("d=500000", Wishes(fixed=d(500_000))),
        ("x,d=0.0001;md=0.00005", Wishes(d("0.0001"), d("0.00005"))),
        ("x md=16", Wishes(minimum=d(16))),
        ("d=", Wishes()),
        ("d=-1", Wishes()),
        ("D=5,dd=7,d", Wishes()),
    ],
)
def test_wishes_are_found_among_other_text(password: str, wishes: Wishes) -> None:
    assert from_password(password) == wishes


@given(st.text(max_size=400))
def test_any_password_is_fine(password: str) -> None:
    assert isinstance(from_password(password), Wishes)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.004, Fraction(0.004)),
        ("0.0001", Fraction(0.0001)),
        (500_000, Fraction(500_000)),
        ("1e3", Fraction(1000)),
        (0, None),
        (-1, None),
        ("x", None),
        (True, None),
        (None, None),
        (math.inf, None),
        ("nan", None),
        (10**400, None),
        ("9" * 40, None),
    ],
)
def test_a_difficulty_is_what_the_miner_wrote_or_nothing(value: object, expected: Fraction | None) -> None:
    assert difficulty(value) == expected


def test_a_target_beyond_all_difficulties_is_no_wish() -> None:
    assert difficulty_of_target("1") is None
    assert difficulty_of_target("f" * 64) == Fraction(0xFFFF << 208, 2**256 - 1)
