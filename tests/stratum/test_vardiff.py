"""Difficulty follows the machine: up fast, down after silence, and otherwise left alone."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stratum.units import Difficulty
from stratum.vardiff import clamp, neat, retarget


def d(value: float | Fraction) -> Difficulty:
    return Difficulty(Fraction(value))


positive = st.fractions(min_value=Fraction(1, 10**12), max_value=10**20)


@given(positive)
def test_neat_rounds_down_by_less_than_a_quarter_to_what_a_double_holds(value: Fraction) -> None:
    rounded = neat(Difficulty(value))
    assert value * Fraction(3, 4) < rounded <= value
    assert Fraction(float(rounded)) == rounded
    assert neat(rounded) == rounded


@given(positive, positive, positive)
def test_a_clamped_difficulty_is_never_above_the_networks(a: Fraction, low: Fraction, high: Fraction) -> None:
    clamped = clamp(d(a), d(low), d(high))
    assert clamped <= high
    assert clamped >= min(low, high)


def test_the_right_rate_keeps_the_difficulty_and_begins_a_new_window() -> None:
    assert retarget(d(1000), 48, 240, 12) == 1000
    assert retarget(d(1000), 72, 360, 12) == 1000


def test_too_little_is_known_after_a_few_ordinary_shares() -> None:
    assert retarget(d(1000), 5, 20, 12) is None
    assert retarget(d(1000), 0, 30, 12) is None
    assert retarget(d(1000), 11, 1, 12) is None


def test_a_machine_far_too_fast_is_raised_after_twelve_shares() -> None:
    assert retarget(d(1000), 12, 6, 12) == neat(d(10_000))


def test_one_rise_is_at_most_sixty_four_fold() -> None:
    assert retarget(d(1), 1000, 0.0, 12) == 64


def test_silence_eases_and_keeps_easing() -> None:
    eased = retarget(d(10_000), 0, 60, 12)
    assert eased is not None
    assert 300 <= eased < 450
    assert retarget(d(10_000), 0, 10_000, 12) == neat(d(10_000 / 32))


def test_a_tiny_miner_goes_below_one() -> None:
    eased = retarget(d(1), 0, 60, 12)
    assert eased is not None
    assert 0 < eased < 1


@pytest.mark.parametrize(("shares", "expected"), [(24, 500), (96, 1792)])
def test_a_full_window_outside_the_dead_band_is_scaled_by_its_rate(shares: int, expected: int) -> None:
    assert retarget(d(1000), shares, 240, 12) == neat(d(1000 * shares / 48)) <= expected


@given(st.floats(min_value=1e-3, max_value=1e6))
def test_a_steady_machine_ends_near_the_aim(rate_at_one: float) -> None:
    """Feed expected counts of a machine of constant speed; the rate must settle within the dead band."""
    difficulty = d(10_000)
    for _ in range(60):
        shares = min(int(rate_at_one / float(difficulty) * 4), 10**6)
        difficulty = retarget(difficulty, shares, 240, 12) or difficulty
    assert 0.5 <= rate_at_one / float(difficulty) / 12 <= 1.7
