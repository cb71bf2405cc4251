"""The table of machines: who starts where, and who is given what."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import attrs
import pytest

from pool.chain import coinbase
from stratum import firmware
from stratum.options import EXTRANONCE2_BYTES
from stratum.units import Difficulty


@pytest.mark.parametrize(
    ("agent", "usual", "start"),
    [
        ("NerdMinerV2/1.7", 10_000, Fraction(1, 256)),
        ("bitaxe/BM1366/v2.1", 10_000, 580),
        ("bitaxe/BM1366/v2.1", 16, 16),
        ("cgminer/4.12", 10_000, 10_000),
        ("cpuminer/2.5.1", 10_000, Fraction(1, 64)),
        ("NiceHash/1.0.0", 10_000, 524_288),
        ("NiceHash/1.0.0", 1_000_000, 1_000_000),
        ("", 10_000, 10_000),
    ],
)
def test_small_machines_start_lower_and_markets_higher_than_usual(
    agent: str, usual: int, start: Fraction
) -> None:
    assert firmware.of(agent).start_difficulty(Difficulty(Fraction(usual))) == start


@pytest.mark.parametrize(
    ("agent", "name"),
    [
        ("Antminer S21/Thu Oct  9 17:56:18 CST 2025", "Antminer S21"),
        ("Antminer S19j Pro/Mon Jan  1", "Antminer"),
        ("bmminer/1.0.0", "Antminer"),
        ("whatsminer/v1.1", "Whatsminer"),
        ("2026-05-27-0-26.06-plus;bosminer-plus-tuner 0.9.0", "Braiins OS"),
        ("HAN_SOLOminer", "NerdMiner"),
        ("NerdQAxe++/BM1370/v1.0.35", "NerdQAxe"),
        ("ckproxy/0.9.9", "ckproxy"),
        ("something new", "unknown"),
        ("", "unknown"),
    ],
)
def test_a_user_agent_tells_the_family(agent: str, name: str) -> None:
    assert firmware.of(agent).name == name


def test_every_entry_can_be_told_apart_and_asks_for_what_can_be_given() -> None:
    parts = [part for each in firmware.TABLE for part in each.agents]
    assert len(parts) == len(set(parts))
    for each in firmware.TABLE:
        assert firmware.of(each.agents[0]) is each
        assert all(part == part.lower() for part in each.agents)
        assert 3 <= each.extranonce2_bytes <= EXTRANONCE2_BYTES


def test_the_document_lists_every_machine_that_is_treated_otherwise() -> None:
    text = (Path(__file__).parents[2] / "docs" / "stratum.md").read_text(encoding="utf-8")
    rows = [row for row in text[text.index("## Machines") :].splitlines() if row.startswith("| ")]
    usual = firmware.Firmware(name="")
    for each in firmware.TABLE:
        plain = attrs.evolve(each, name="", agents=(), coinbase_bytes=None, shows_messages=False)
        if plain != usual:
            (row,) = [row for row in rows if all(f"`{part}`" in row for part in each.agents)]
            start = each.most_start or each.least_start
            assert start is None or str(start) in row.replace("\xa0", "").replace(" ", "")


def test_the_pools_longest_coinbase_fits_every_machine() -> None:
    version, inputs, outpoint, sequence, outputs, locktime = 4, 1, 36, 4, 1, 4
    script_sig = 1 + coinbase.MAX_SCRIPT_SIG
    paid, commitment = 8 + 1 + 34, 8 + 1 + 38
    longest = version + inputs + outpoint + script_sig + sequence + outputs + paid + commitment + locktime
    assert longest <= firmware.least_coinbase_bytes()
