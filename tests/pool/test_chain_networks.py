"""The networks' own rules: subsidies, what a difficulty may follow on, and which times keep it valid."""

from __future__ import annotations

import pytest

from pool.chain.networks import RULES, difficulty_fault, subsidy, times_for

MAIN, TEST4 = RULES["mainnet"], RULES["testnet4"]
HARD, HARDER, EASY = 0x17034219, 0x17030000, 0x1D00FFFF


@pytest.mark.parametrize(
    ("network", "height", "value"),
    [
        ("mainnet", 0, 5_000_000_000),
        ("mainnet", 209_999, 5_000_000_000),
        ("mainnet", 210_000, 2_500_000_000),
        ("mainnet", 6_929_999, 1),
        ("mainnet", 6_930_000, 0),
        ("mainnet", 2**31 - 1, 0),
        ("regtest", 149, 5_000_000_000),
        ("regtest", 150, 2_500_000_000),
    ],
)
def test_the_subsidy_halves_until_nothing_is_left(network: str, height: int, value: int) -> None:
    assert subsidy(height, RULES[network]) == value


def test_difficulty_changes_only_every_2016_blocks_and_by_four_at_most() -> None:
    assert difficulty_fault(HARD, 840_001, HARD, MAIN) is None
    assert "differs" in (difficulty_fault(HARDER, 840_001, HARD, MAIN) or "")
    assert difficulty_fault(HARDER, 2016 * 400, HARD, MAIN) is None
    assert "four times" in (difficulty_fault(EASY, 2016 * 400, HARD, MAIN) or "")
    assert "four times" in (difficulty_fault(HARD, 2016 * 400, EASY, MAIN) or "")
    assert difficulty_fault(EASY, 840_001, HARD, TEST4) is None
    assert difficulty_fault(HARD, 2017, EASY, RULES["regtest"]) is None


def test_on_testnet4_no_time_is_rolled_over_the_edge_where_the_difficulty_changes() -> None:
    assert times_for((900, 1000, 8000), 800, TEST4) == (900, 1000, 2000)
    assert times_for((900, 2000, 8000), 800, TEST4) == (900, 2000, 2000)
    assert times_for((900, 2001, 8000), 800, TEST4) == (2001, 2001, 8000)
    assert times_for((900, 1000, 8000), 800, MAIN) == (900, 1000, 8000)
    assert times_for((900, 1000, 8000), None, TEST4) == (900, 1000, 8000)
