"""How difficult a connection's next job should be, from how many shares it sent and for how long."""

from __future__ import annotations

from fractions import Fraction
from typing import Final

from stratum.units import Difficulty

FULL_WINDOW_SHARES: Final = 72
FULL_WINDOW_S: Final = 240.0
DEAD_BAND: Final = (0.6, 1.6)
"""A rate between these multiples of the aim is left alone."""
URGENT_RATIO: Final = 8.0
"""So many times too fast is too fast to wait for."""
URGENT_AFTER_S: Final = 1.0
"""A shorter window says more about the network than about the miner."""
_RISE_SHARES, _RISE_RATIO, _RISE_MOST = 12, 3.0, 64.0
_EASE_EXPECTED, _EASE_RATIO, _EASE_MOST = 8.0, 0.25, 1 / 32


def clamp(difficulty: Difficulty, minimum: Difficulty, network: Difficulty) -> Difficulty:
    """Keep a difficulty within [minimum, network]; the network's wins when it is below the minimum.

    Above the network's difficulty a block would be refused as a share.
    """
    return min(max(difficulty, minimum), network)


def neat(difficulty: Difficulty) -> Difficulty:
    """Round down to three significant bits (1, 1.25, 1.5, 1.75 times a power of two).

    So that there are few distinct targets to store, and each is told to the miner without rounding.
    """
    exponent = difficulty.numerator.bit_length() - difficulty.denominator.bit_length() - 3
    scale = Fraction(2) ** exponent
    steps = difficulty // scale
    while steps >= 8:
        scale, steps = scale * 2, steps // 2
    return Difficulty(steps * scale)


def retarget(
    difficulty: Difficulty, shares: int, elapsed_s: float, shares_per_minute: float
) -> Difficulty | None:
    """Judge the window since the last change.

    A miner far too fast is raised after a few shares; one far too slow, or silent, is eased as soon as the
    silence is no accident (fewer than a quarter of at least eight expected shares: about 1 in 70 by chance);
    all others wait for a full window of 72 shares or 240 s.

    Args:
        difficulty: that of the window.
        shares: accepted in the window.
        elapsed_s: length of the window.
        shares_per_minute: what to aim at.

    Returns:
        The next difficulty, not clamped; the same one when the rate is right and a new window begins; None
        while there is too little to judge by.
    """
    expected = max(shares_per_minute * elapsed_s / 60, 1e-9)
    ratio = (shares or 0.5) / expected
    if shares >= _RISE_SHARES and ratio >= _RISE_RATIO:
        return _scaled(difficulty, min(ratio, _RISE_MOST))
    if expected >= _EASE_EXPECTED and ratio < _EASE_RATIO:
        return _scaled(difficulty, max(ratio, _EASE_MOST))
    if shares < FULL_WINDOW_SHARES and elapsed_s < FULL_WINDOW_S:
        return None
    if DEAD_BAND[0] <= ratio <= DEAD_BAND[1]:
        return difficulty
    return _scaled(difficulty, ratio)


def urgent(
    difficulty: Difficulty, shares: int, elapsed_s: float, shares_per_minute: float
) -> Difficulty | None:
    """The next difficulty for a miner that floods the pool; None when the next periodic job is soon enough.

    Args: as of ``retarget``; at least ``URGENT_AFTER_S`` have passed.
    """
    ratio = shares / max(shares_per_minute * elapsed_s / 60, 1e-9)
    return _scaled(difficulty, min(ratio, _RISE_MOST)) if ratio >= URGENT_RATIO else None


def _scaled(difficulty: Difficulty, ratio: float) -> Difficulty:
    return neat(Difficulty(difficulty * Fraction(ratio)))
