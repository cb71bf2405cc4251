"""How figures read to people."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pool.luck import luck
from pool.web import words


@pytest.mark.parametrize(
    ("amount_msat", "text"),
    [
        (0, "0"),
        (1, "0.001"),
        (999, "0.999"),
        (1_000, "1"),
        (12_345_678_900, "12,345,678.900"),
        (-1_500, "-1.500"),
    ],
)
def test_satoshi_are_shown_to_the_last_millisatoshi(amount_msat: int, text: str) -> None:
    assert words.sat(amount_msat) == text


@given(st.integers(-(2**63), 2**63))
def test_an_amount_can_be_read_back_exactly(amount_msat: int) -> None:
    whole, _, rest = words.sat(amount_msat).lstrip("-").replace(",", "").partition(".")
    assert int(whole) * 1000 + int(rest or 0) == abs(amount_msat)


@pytest.mark.parametrize(
    ("hps", "text"),
    [
        (0, "0 H/s"),
        (812, "812 H/s"),
        (999.6, "1.00 kH/s"),
        (1_234, "1.23 kH/s"),
        (12_340_000, "12.3 MH/s"),
        (1.2e12, "1.20 TH/s"),
        (742e18, "742 EH/s"),
        (5e24, "5000 ZH/s"),
    ],
)
def test_hashrates_have_a_prefix_and_three_digits(hps: float, text: str) -> None:
    assert words.rate(hps) == text


def test_ages_are_told_in_one_unit() -> None:
    ages = [0, 59_000, 60_000, 3_600_000, 86_400_000, -5_000]
    assert [words.ago(10**12 - age, 10**12) for age in ages] == [
        "0 s ago",
        "59 s ago",
        "1 min ago",
        "1 h ago",
        "1 d ago",
        "0 s ago",
    ]


def test_percentages_fees_names_and_waits_read_well() -> None:
    assert [words.percent(ratio) for ratio in (0.003, 0.37, 1.0, 35.0)] == [
        "0.3 %",
        "37 %",
        "100 %",
        "3,500 %",
    ]
    assert [words.fee(bps) for bps in (0, 100, 150, 75, 1)] == ["0 %", "1 %", "1.5 %", "0.75 %", "0.01 %"]
    assert words.short("short") == "short"
    assert words.short("bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080") == "bcrt1qw5…ygt080"
    assert [words.wait(blocks) for blocks in (1, 8, 60)] == [
        "about 10 minutes",
        "about 80 minutes",
        "about 10 hours",
    ]


def test_moments_are_utc() -> None:
    assert words.utc(1_800_000_000_000) == "2027-01-15 08:00 UTC"
    assert words.iso(1_800_000_000_000) == "2027-01-15T08:00:00+00:00"


def test_luck_is_told_with_its_interval_and_its_blocks() -> None:
    found = luck([1.0, 3.0])
    assert found is not None
    assert words.luck(found) == "50 % (6.1 % to 139 %) over 2 blocks"
    assert words.luck(attrs.evolve(found, blocks=1)).endswith("over 1 block")
