"""Settings that cannot work are refused when they are made."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from stratum.options import Options


def test_difficulties_may_be_decimals_and_become_what_the_miner_is_told() -> None:
    made: Any = Decimal("0.1")
    assert Options(start_difficulty=made).start_difficulty == Fraction(0.1)


@pytest.mark.parametrize("key", ["start_difficulty", "minimum_difficulty"])
def test_a_difficulty_of_zero_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match=key):
        Options(**{key: 0})  # type: ignore[arg-type]


@pytest.mark.parametrize("front_id", [-1, 256])
def test_a_front_id_is_a_byte(front_id: int) -> None:
    with pytest.raises(ValueError, match="front_id"):
        Options(front_id=front_id)
