"""What is known of machines by their user agent: where the small ones have to start."""

from __future__ import annotations

from fractions import Fraction
from typing import Final

from stratum.units import Difficulty

_SMALL: Final[tuple[tuple[str, Difficulty], ...]] = (
    ("nerdminer", Difficulty(Fraction(1, 256))),  # some 70 kH/s
    ("bitaxe", Difficulty(Fraction(580))),  # some 500 GH/s
    ("esp-miner", Difficulty(Fraction(580))),
)
"""Part of the user agent, lower case → about 12 shares a minute on such a machine."""


def start_difficulty(user_agent: str, usual: Difficulty) -> Difficulty:
    """Where to start: the usual difficulty, or less for a machine that would be silent for minutes at it."""
    name = user_agent.lower()
    for part, difficulty in _SMALL:
        if part in name:
            return min(difficulty, usual)
    return usual
