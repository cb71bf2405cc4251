"""Small machines start low, and nobody starts above what the operator set."""

from __future__ import annotations

from fractions import Fraction

import pytest

from stratum.firmware import start_difficulty
from stratum.units import Difficulty


@pytest.mark.parametrize(
    ("agent", "usual", "start"),
    [
        ("NerdMinerV2/1.7", 10_000, Fraction(1, 256)),
        ("bitaxe/BM1366/v2.1", 10_000, 580),
        ("bitaxe/BM1366/v2.1", 16, 16),
        ("cgminer/4.12", 10_000, 10_000),
        ("", 10_000, 10_000),
    ],
)
def test_the_user_agent_can_only_lower_the_start(agent: str, usual: int, start: Fraction) -> None:
    assert start_difficulty(agent, Difficulty(Fraction(usual))) == start
