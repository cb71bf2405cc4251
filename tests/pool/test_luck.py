"""Intervals, luck and silences against published tables and against dice."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pool.luck import (
    LARGE,
    SILENT_ODDS,
    gamma_cdf,
    gamma_quantile,
    luck,
    poisson_interval,
    silence_odds,
)

CHI_SQUARE = [  # degrees of freedom, probability, quantile: the tables of any textbook
    (1, 0.95, 3.841459),
    (2, 0.025, 0.050636),
    (2, 0.975, 7.377759),
    (5, 0.05, 1.145476),
    (10, 0.95, 18.307038),
    (10, 0.99, 23.209251),
    (30, 0.025, 16.790772),
    (100, 0.975, 129.561197),
    (100, 0.01, 70.064895),
]


@pytest.mark.parametrize(("degrees", "p", "quantile"), CHI_SQUARE)
def test_quantiles_are_those_of_the_chi_square_tables(degrees: int, p: float, quantile: float) -> None:
    assert 2 * gamma_quantile(degrees / 2, p) == pytest.approx(quantile, abs=2e-6)


GARWOOD = [(0, 0.0, 3.688879), (1, 0.025318, 5.571643), (2, 0.242209, 7.224688), (10, 4.795389, 18.390356)]


@pytest.mark.parametrize(("count", "low", "high"), GARWOOD)
def test_poisson_intervals_are_garwoods(count: int, low: float, high: float) -> None:
    assert poisson_interval(count) == pytest.approx((low, high), abs=1e-6)


@pytest.mark.parametrize(
    ("count", "low", "high"), [(30, -0.33, 0.43), (360, -0.10, 0.11), (8640, -0.021, 0.021)]
)
def test_so_many_shares_tell_a_hashrate_so_well(count: int, low: float, high: float) -> None:
    found = tuple(end / count - 1 for end in poisson_interval(count))
    assert found == pytest.approx((low, high), abs=0.006)


@given(st.floats(0.5, LARGE - 1), st.floats(0.001, 0.999))
def test_a_quantile_is_where_the_distribution_says(shape: float, p: float) -> None:
    assert gamma_cdf(shape, gamma_quantile(shape, p)) == pytest.approx(p, abs=1e-9)


@given(st.floats(0.01, 2000.0), st.floats(-10.0, 5000.0), st.floats(0.0, 100.0))
def test_a_distribution_rises_from_nothing_to_one(shape: float, x: float, more: float) -> None:
    below, above = gamma_cdf(shape, x), gamma_cdf(shape, x + more)
    assert 0 <= below <= above + 1e-12 <= 1 + 1e-12


def test_the_approximation_takes_over_without_a_step() -> None:
    for p in (0.025, 0.5, 0.975):
        exact, near = gamma_quantile(LARGE - 1e-9, p), gamma_quantile(LARGE, p)
        assert near == pytest.approx(exact, rel=1e-5)


def test_luck_is_blocks_over_work_and_not_a_mean_of_ratios() -> None:
    found = luck([0.1, None, 1.9])
    assert found is not None
    assert (found.blocks, found.ratio) == (2, 1.0)
    assert (luck([]), luck([None])) == (None, None)


def test_one_block_that_took_three_times_its_work_is_no_proof() -> None:
    found = luck([3.0])
    assert found is not None
    assert found.worse == pytest.approx(math.exp(-3))
    assert found.low < 1 < found.high


def test_the_interval_of_a_faultless_pool_holds_one_in_95_of_100_cases() -> None:
    dice = random.Random(21)  # noqa: S311
    found = [luck([dice.expovariate(1.0) for _ in range(7)]) for _ in range(600)]
    inside = sum(each is not None and each.low <= 1 <= each.high for each in found)
    assert inside / 600 == pytest.approx(0.95, abs=0.025)


def test_a_pool_that_loses_every_third_block_is_told_from_one_in_bad_luck() -> None:
    found = luck([1.5] * 100)
    assert found is not None
    assert found.high < 1
    assert found.worse < 1e-4


def test_a_silence_of_two_minutes_is_no_chance_after_a_share_every_ten_seconds() -> None:
    shares = 360  # of an hour
    assert silence_odds(shares, 3600, 120) > SILENT_ODDS
    assert silence_odds(shares, 3600, 138) == pytest.approx(1e-6, rel=0.3)
    assert silence_odds(shares, 3600, 150) < SILENT_ODDS
    assert silence_odds(6, 3600, 1800) > 0.01  # one share in ten minutes: half an hour happens


def test_who_was_never_heard_is_not_silent() -> None:
    assert silence_odds(0, 3600, 3600) == silence_odds(5, 0, 0) == 1.0
    assert silence_odds(3, 10, 11) == 0.0
