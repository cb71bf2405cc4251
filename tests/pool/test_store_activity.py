"""The hour of the share log that hashrates are estimated from."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pool.store.activity import Activity, estimate
from pool.store.database import connect
from pool.store.queries import Queries
from stratum.units import Target, Work, work_from_target
from tests.pool.test_store_queries import ADDRESS, EASY, NOW_MS, add_shares


def test_the_hashrate_is_the_work_of_the_window_over_its_seconds(tmp_path: Path) -> None:
    shares = connect(tmp_path, "shares")
    add_shares(shares, ADDRESS, 5, NOW_MS - 2 * 3600_000)
    add_shares(shares, ADDRESS, 40, NOW_MS - 1_800_000)
    add_shares(shares, ADDRESS, 60, NOW_MS - 60_000)
    stats = Queries(tmp_path).pool(NOW_MS)
    work = work_from_target(Target(EASY))
    assert stats.hashrate.shares == 60
    assert stats.hashrate.hps == pytest.approx(60 * work / stats.hashrate.span_s)
    assert 600 <= stats.hashrate.span_s < 660
    assert stats.hashrate_hour.shares == 100
    assert (stats.accounts, stats.workers) == (1, 1)


def test_a_young_pool_is_measured_over_its_own_age(tmp_path: Path) -> None:
    add_shares(connect(tmp_path, "shares"), ADDRESS, 10, NOW_MS - 90_000)
    assert Queries(tmp_path).pool(NOW_MS).hashrate.span_s == pytest.approx(90)


def test_later_looks_read_only_what_came_since(tmp_path: Path) -> None:
    shares = connect(tmp_path, "shares")
    queries = Queries(tmp_path)
    add_shares(shares, ADDRESS, 3, NOW_MS - 60_000)
    assert queries.account_hashrate(ADDRESS, NOW_MS)[0].shares == 3
    add_shares(shares, ADDRESS, 4, NOW_MS - 30_000, "other")
    assert queries.account_hashrate(ADDRESS, NOW_MS)[0].shares == 7
    assert [worker.name for worker in queries.workers(ADDRESS, NOW_MS)] == ["other", "w"]
    later = NOW_MS + 2 * 3600_000
    assert queries.account_hashrate(ADDRESS, later)[1].shares == 0
    assert queries.workers(ADDRESS, later) == []


def test_the_poisson_interval_agrees_with_the_published_figures() -> None:
    for shares, low, high in ((30, -0.33, 0.43), (360, -0.10, 0.11), (8640, -0.021, 0.021)):
        rate = estimate([(Work(1000), shares)], 100.0)
        assert rate.low_hps / rate.hps - 1 == pytest.approx(low, abs=0.006)
        assert rate.high_hps / rate.hps - 1 == pytest.approx(high, abs=0.006)


def test_mixed_work_widens_the_interval() -> None:
    even = estimate([(Work(100), 50)], 10.0)
    mixed = estimate([(Work(1), 2500), (Work(2500), 1)], 10.0)
    assert even.hps == mixed.hps
    assert mixed.high_hps > even.high_hps


def test_only_who_mined_within_the_window_is_counted(tmp_path: Path) -> None:
    shares = connect(tmp_path, "shares")
    add_shares(shares, "early", 5, NOW_MS - 1_800_000, "a")
    add_shares(shares, "late", 5, NOW_MS - 30_000, "a")
    add_shares(shares, "late", 5, NOW_MS - 20_000, "b")
    activity = Activity(shares)
    activity.follow(NOW_MS)
    assert activity.active(NOW_MS, 600) == (1, 2)
    assert activity.active(NOW_MS, 3600) == (2, 3)


@settings(max_examples=25)
@given(
    st.lists(st.integers(-4_000_000, 0), max_size=40).map(sorted),
    st.lists(st.integers(0, 40), max_size=4).map(sorted),
)
def test_however_the_log_is_read_the_counts_are_the_same(
    tmp_path_factory: pytest.TempPathFactory, ages_ms: list[int], cuts: list[int]
) -> None:
    shares = connect(tmp_path_factory.mktemp("store"), "shares")
    piecewise = Activity(shares)
    for start, end in zip([0, *cuts], [*cuts, 40], strict=True):
        for age_ms in ages_ms[start:end]:
            add_shares(shares, ADDRESS, 1, NOW_MS + age_ms)
        piecewise.follow(NOW_MS)
    at_once = Activity(shares)
    at_once.follow(NOW_MS)
    hour = at_once.account(ADDRESS, NOW_MS, 3600)
    assert piecewise.account(ADDRESS, NOW_MS, 3600) == hour == piecewise.pool(NOW_MS, 3600)
    assert hour.shares == sum(age_ms >= -3_600_000 for age_ms in ages_ms)


def test_a_machine_that_went_silent_is_told_from_a_slow_one(tmp_path: Path) -> None:
    shares = connect(tmp_path, "shares")
    for second in range(3000, 0, -10):
        if second > 200:
            add_shares(shares, "ann", 1, NOW_MS - second * 1000, "silent")
        add_shares(shares, "ann", 1, NOW_MS - second * 1000, "steady")
        if second % 600 == 0:
            add_shares(shares, "ann", 1, NOW_MS - second * 1000, "slow")
    add_shares(shares, "ann", 1, NOW_MS - 1_200_000, "one")
    add_shares(shares, "ann", 99, NOW_MS - 60_000, "new")
    activity = Activity(shares)
    activity.follow(NOW_MS)
    workers = activity.workers("ann", NOW_MS, 600)
    assert {worker.name: worker.silent for worker in workers} == {
        "silent": True,
        "new": False,
        "one": False,
        "slow": False,
        "steady": False,
    }
