"""Target, difficulty and work turn into each other exactly."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stratum.units import (
    DIFFICULTY_1_TARGET,
    MAX_TARGET,
    Difficulty,
    Target,
    difficulty_from_target,
    target_from_difficulty,
    target_from_nbits,
    work_from_target,
)


@given(st.integers(1, MAX_TARGET))
def test_a_targets_difficulty_gives_the_target_back(target: int) -> None:
    assert target_from_difficulty(difficulty_from_target(Target(target))) == target


def test_difficulty_one_is_the_networks_first_target_and_two_to_the_thirty_two_hashes() -> None:
    assert target_from_nbits(0x1D00FFFF) == DIFFICULTY_1_TARGET
    assert work_from_target(DIFFICULTY_1_TARGET) == 0x100010001
    assert work_from_target(MAX_TARGET) == 1


@pytest.mark.parametrize("difficulty", [0, -1])
def test_a_difficulty_that_is_not_positive_is_refused(difficulty: int) -> None:
    with pytest.raises(ValueError, match="positive"):
        target_from_difficulty(Difficulty(Fraction(difficulty)))


def test_small_sizes_of_nbits_shift_right() -> None:
    assert target_from_nbits(0x02123456) == 0x1234


@pytest.mark.parametrize("nbits", [0, 0x01003456, 0x1D80FFFF, 0xFF123456])
def test_nbits_that_encode_no_target_are_refused(nbits: int) -> None:
    with pytest.raises(ValueError, match="no target"):
        target_from_nbits(nbits)
