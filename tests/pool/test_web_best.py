"""The best shares as people and programs are told of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from pool.luck import best_odds
from pool.metrics import exposition
from pool.store.queries import Queries
from pool.store.shares import Found, ShareStore
from pool.web import words
from stratum.ports import Share
from stratum.units import DIFFICULTY_1_TARGET, Height, Target, work_from_target
from tests.pool.cli_tools import configure, json_of, text_of
from tests.pool.test_store_queries import ADDRESS, NOW_MS
from tests.pool.test_web_site import fits, outline
from tests.pool.web_site import NAME, SECRET, Running

SHARE_TARGET = Target(DIFFICULTY_1_TARGET >> 20)


def share(account: str, worker: str, difficulty: int, won: str | None = None) -> Share:
    value = DIFFICULTY_1_TARGET // difficulty
    return Share(
        account, worker, SHARE_TARGET, 0x1A07FFF8, Height(9), NOW_MS - 60_000, "1", won, "pool", value
    )


@pytest.fixture
def running(tmp_path: Path) -> Running:
    found = Running(tmp_path)
    store = ShareStore(found.shares, 0)
    block = Found("a" * 64, "b" * 64, 9, ADDRESS, "garage", "bcrt1q", NOW_MS, "9-a.json")
    store.write(
        [share(ADDRESS, "garage", 3_210_000_000_000), share(ADDRESS, "garage", 2_000_000, block.hash)],
        {block.hash: block},
    )
    store.write(
        [
            share(ADDRESS, "garage", 5_000_000),
            share(ADDRESS, "cellar", 12_300_000),
            share(NAME, "bitaxe", 1_500_000),
        ],
        {},
    )
    return found


def test_pages_show_the_best_share_of_pool_account_and_worker(running: Running) -> None:
    front = outline(running.ask("/").text).text
    assert (
        "Best share 3.21 T 1 min ago ; since the last block 12.3 M; 23 in 100 rounds as long as this one"
        in front
    )
    assert (
        words.often(
            best_odds(
                work_from_target(Target(DIFFICULTY_1_TARGET // 12_300_000)),
                3 * work_from_target(SHARE_TARGET),
            )
        )
        == "23 in 100"
    )
    page = outline(running.ask(f"/u/{ADDRESS}").text).text
    assert "Best share 3.21 T 1 min ago ; since the last block 12.3 M" in page
    assert "1 min ago 3.21 T (5.00 M)" in page
    assert "1 min ago 12.3 M Rewards" not in page
    assert "1.50 M" in outline(running.ask(f"/a/{SECRET}").text).text


def test_programs_get_difficulty_hash_and_time(running: Running) -> None:
    pool = running.ask("/api/v1/pool").json
    assert pool["best_share"]["difficulty"] == pytest.approx(3.21e12)
    assert pool["best_share"]["hash"] == f"{DIFFICULTY_1_TARGET // 3_210_000_000_000:064x}"
    assert pool["best_share_of_round"]["time_ms"] == NOW_MS - 60_000
    assert pool["best_share_of_round_odds"] == pytest.approx(0.2256, abs=1e-3)
    account = running.ask(f"/api/v1/account/{ADDRESS}").json
    assert account["best_share_of_round"]["worker"] == "cellar"
    best = {each["name"]: each["best_share"]["difficulty"] for each in account["workers"]}
    assert best == {"cellar": pytest.approx(12.3e6), "garage": pytest.approx(3.21e12)}
    paths = running.ask("/api/v1/openapi.json").json["paths"]
    for path, document in (("/api/v1/pool", pool), ("/api/v1/account/{address}", account)):
        schema = paths[path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
        assert fits(document, schema)


def test_nothing_is_made_up_before_the_first_share(tmp_path: Path) -> None:
    running = Running(tmp_path)
    assert "Best share" not in outline(running.ask("/").text).text
    pool = running.ask("/api/v1/pool").json
    assert [pool[f"best_share{part}"] for part in ("", "_of_round", "_of_round_odds")] == [None] * 3
    assert b"sluice_best_share_difficulty{" not in exposition(Queries(tmp_path), lambda: NOW_MS)


def test_prometheus_sees_the_best_share(running: Running, tmp_path: Path) -> None:
    text = exposition(Queries(tmp_path), lambda: NOW_MS).decode()
    assert 'sluice_best_share_difficulty{since="ever"} 3.21e+12' in text
    assert 'sluice_best_share_difficulty{since="round"} 1.23' in text


@pytest.mark.parametrize(
    ("difficulty", "text"),
    [
        (4.656e-10, "4.7e-10"),
        (0.0123, "0.0123"),
        (5.0, "5"),
        (512.4, "512"),
        (1_234, "1.23 k"),
        (1.2e14, "120 T"),
    ],
)
def test_difficulties_are_told_in_few_digits(difficulty: float, text: str) -> None:
    assert words.thousands(difficulty) == text


@pytest.mark.parametrize(
    ("probability", "text"),
    [
        (0.999, "nearly all"),
        (0.43, "43 in 100"),
        (0.05, "1 in 20"),
        (4e-4, "1 in 2,500"),
        (1 / 661_902, "1 in 660,000"),
        (0, "hardly any"),
    ],
)
def test_odds_are_told_as_people_count(probability: float, text: str) -> None:
    assert words.often(probability) == text


def test_commands_show_it_to_the_operator(running: Running, tmp_path: Path) -> None:
    configure(tmp_path)
    status = text_of(tmp_path, "status")
    assert "best share  3.21 T of bcrt1qw5…7kygt080.garage, 2027-01-15 07:59:00 UTC" in status
    assert "  in round  12.3 M of bcrt1qw5…7kygt080.cellar, 2027-01-15 07:59:00 UTC" in status
    assert "23 in 100 rounds as long as this one" in status
    shown = text_of(tmp_path, "account", "show", ADDRESS)
    assert "garage  3.21 T      2027-01-15 07:59:00  5.00 M" in shown
    account = json_of(tmp_path, "account", "show", ADDRESS)
    assert account["workers"]["cellar"]["best_share"] == account["best_share_of_round"]
    assert account["best_share"]["worker"] == "garage"
    assert json_of(tmp_path, "status")["best_share"] == account["best_share"]
