"""The password field carries difficulty wishes and nothing else."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stratum.units import Difficulty
from stratum.wishes import Wishes, from_password


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
