"""What leaving a proportional pool at the right moment gains: the exact answer, and rounds played out.

In a proportional pool each share of a round gets B / (shares of the round).  With x the round's shares so far
in units of D, another share is expected to be paid e^x E1(x) times its fair value pB: more than 1 only early
in the round (Rosenfeld, "Analysis of Bitcoin Pooled Mining Reward Systems", 2011, section 3.2).
"""

from __future__ import annotations

from math import exp, expm1, floor, log, log1p, sqrt
from random import Random
from typing import Final

from pool.simulate.figures import Figure, simulated

EULER: Final = 0.5772156649015329
GROUP: Final = "1. Hopping a proportional pool"
_SHARES_A_BLOCK: Final = 1_000_000


def e1(x: float) -> float:
    """The exponential integral E1(x) = ∫ e^-t / t dt from x on, by its series; x in (0, 2]."""
    total, term, n = -EULER - log(x), 1.0, 0
    while abs(term) > 1e-18:
        n += 1
        term *= -x / n
        total -= term / n
    return total


def leaving_point() -> float:
    """The x where e^x E1(x) = 1: from there on the pool pays less than the work is worth."""
    low, high = 0.1, 1.0  # worth is 2.01 … 0.60 there and falls all the way
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if exp(middle) * e1(middle) > 1 else (low, middle)
    return (low + high) / 2


def figures(rng: Random, rounds: int) -> list[Figure]:
    """The leaving point and both gains, exact, and the gains over so many played rounds."""
    x = leaving_point()
    inside = x / expm1(x)  # mean gain of the shares before x: x E1(x) / (1 - e^-x)
    overall = x * exp(-x)  # mined fairly elsewhere while a round is older than x
    played, error = _play(rng, rounds, x)
    time_inside = -expm1(-x)
    return [
        Figure(GROUP, "leave at x", 0.434818, x, 5e-7, "exact"),
        Figure(GROUP, "gain in the pool, %", 79.83, 100 * inside, 0.01, "exact"),
        Figure(GROUP, "gain overall, %", 28.14, 100 * overall, 0.01, "exact"),
        simulated(GROUP, "gain in the pool, %", 100 * inside, 100 * played, 100 * error),
        simulated(
            GROUP, "gain overall, %", 100 * overall, 100 * played * time_inside, 100 * error * time_inside
        ),
    ]


def _play(rng: Random, rounds: int, x: float) -> tuple[float, float]:
    """Mean gain of the shares that a hopper has in so many rounds, and its standard error.

    A round's length is drawn share for share (geometric with p = 1/D); the hopper has those of its shares
    that come before x D.
    """
    until, scale = floor(x * _SHARES_A_BLOCK), 1 / log1p(-1 / _SHARES_A_BLOCK)
    worth: list[float] = []
    work: list[float] = []
    for _ in range(rounds):
        length = 1 + floor(log(1.0 - rng.random()) * scale)
        mine = min(length, until)
        worth.append(mine / length)
        work.append(mine / _SHARES_A_BLOCK)
    ratio = sum(worth) / sum(work)
    spread = sum((paid - ratio * done) ** 2 for paid, done in zip(worth, work, strict=True))
    return ratio - 1, sqrt(spread) / sum(work)
