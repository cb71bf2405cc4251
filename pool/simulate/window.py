"""What a window of X units does to one share: how often it is never paid, its variance, how long it waits.

Blocks are found with p = 1/D a share, so the X D shares that follow a share hold Poisson(X) many, and each
pays it 1/X of its value (Rosenfeld 2011, section 5): variance p B²/N and mean wait p N/2 blocks with N = X/p,
whose product is ½ (p B)² whatever the window.
"""

from __future__ import annotations

from math import exp, hypot, log, sqrt
from random import Random
from typing import Final

from pool.simulate.figures import Figure, proportion_error, simulated

NEVER: Final = "2. A share that is never paid: e^-X"
PRODUCT: Final = "3. Variance x maturity of a share, in (pB)^2: always 1/2"


def never_paid(rng: Random, trials: int) -> list[Figure]:
    """Odds that no block is found while a share is in the window.

    Args:
        rng: draws the waits for the next block.
        trials: shares looked at for each X; more for X = 8, where few are unlucky.
    """
    result: list[Figure] = []
    for size, published, digits in ((1, 36.79, 0.005), (2, 13.53, 0.005), (8, 0.0335, 0.00005)):
        odds = exp(-size)
        count = trials if size < 8 else 5 * trials
        unlucky = sum(-log(1.0 - rng.random()) > size for _ in range(count))
        result += [
            Figure(NEVER, f"X = {size}, %", published, 100 * odds, digits, "exact"),
            simulated(
                NEVER,
                f"X = {size}, %",
                100 * odds,
                100 * unlucky / count,
                100 * proportion_error(odds, count),
            ),
        ]
    return result


def variance_times_maturity(rng: Random, trials: int) -> list[Figure]:
    """The product for three windows, each from so many shares followed through their window."""
    result: list[Figure] = []
    for size in (1, 2, 8):
        variance, wait = _follow(rng, trials, size)
        # relative errors of a Poisson variance and of a mean of trials * size uniform waits
        error = 0.5 * hypot(sqrt((2 + 1 / size) / trials), sqrt(1 / (3 * trials * size)))
        result.append(simulated(PRODUCT, f"X = {size}", 0.5, variance * wait, error))
    return result


def _follow(rng: Random, trials: int, size: int) -> tuple[float, float]:
    """Variance of a share's pay in (pB)², and the mean wait for a payment in blocks' worth of work."""
    payments, squares, waited = 0, 0, 0.0
    for _ in range(trials):
        count, at = 0, rng.expovariate(1.0)
        while at <= size:
            count += 1
            waited += at
            at += rng.expovariate(1.0)
        payments += count
        squares += count * count
    mean = payments / trials
    return (squares / trials - mean * mean) / size**2, waited / payments
