"""The reward benchmark runs, says what it did, and would notice a wrong reward."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pool.bench import rewards
from pool.bench.rewards import RUNNING, STARTED, UNSUMMED, Plan, matches_recount, settle, write_log
from tests.pool.cli_tools import run


def test_twenty_thousand_shares_are_settled_as_a_walk_over_them_says(tmp_path: Path) -> None:
    done = run(
        tmp_path,
        *("bench", "rewards", "--json", "--shares", "20000", "--accounts", "100", "--directory", "."),
        status=0,
    )
    figures = json.loads(done.stdout)
    assert (figures["shares"], figures["accounts"]) == (20_000, 100)
    assert figures["matches_brute_force"] is True
    assert figures["seconds"] > 0
    assert min(figures["seconds_running"], figures["seconds_cold"], figures["cpu_seconds"]) > 0
    assert figures["peak_rss_mb"] > 0
    assert "of 20,000 shares are written" in done.stderr
    assert list(tmp_path.glob("sluice-bench-*")) == []


def test_the_window_reaches_over_a_retarget_and_almost_to_the_oldest_share(tmp_path: Path) -> None:
    size = write_log(Plan(2_000, 10), tmp_path, lambda _: None)
    settle(tmp_path, size, RUNNING)
    assert matches_recount(tmp_path, size, RUNNING)
    assert not matches_recount(tmp_path, size * 999 / 1000, RUNNING)


def test_another_value_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    size = write_log(Plan(2_000, 10), tmp_path, lambda _: None)
    settle(tmp_path, size, RUNNING)
    monkeypatch.setattr(rewards, "_VALUE_MSAT", rewards._VALUE_MSAT + 1)
    assert not matches_recount(tmp_path, size, RUNNING)


def test_without_preparation_the_answer_is_the_same(tmp_path: Path) -> None:
    size = write_log(Plan(2_000, 10), tmp_path, lambda _: None)
    settle(tmp_path, size, RUNNING)
    for books in (STARTED, UNSUMMED):
        settled = settle(tmp_path, size, books)
        assert settled.prepare_seconds < settled.seconds
    assert matches_recount(tmp_path, size, STARTED, UNSUMMED)
