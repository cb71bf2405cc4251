"""Chance: the exact intervals of counted shares and blocks, luck, and silences too long to be chance.

Shares and blocks come as a Poisson process in the work that is done.  The work until the n-th one is then
gamma-distributed, and twice it, in units of the work that one takes, is chi-square with 2n degrees of
freedom.  These are floats: nothing here is money.  Source: Garwood, *Fiducial Limits for the Poisson
Distribution*, 1936; Abramowitz and Stegun, 6.5.29 and 6.5.31.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import lru_cache
from statistics import NormalDist
from typing import Final

import attrs

CONFIDENCE: Final = 0.95
LARGE: Final = 500.0
"""Shape from which on the cube-root approximation is right to a millionth; below, the series is summed."""
SILENT_ODDS: Final = 1e-6
"""A silence as unlikely as this is no chance any more."""
_ENOUGH: Final = 1e-15
_BISECTIONS: Final = 60


def gamma_cdf(shape: float, x: float) -> float:
    """Probability that a gamma variable of this shape (and scale 1) is at most x: P(shape, x).

    Args:
        shape: above 0.
        x: any; below 0 the answer is 0.
    """
    if x <= 0:
        return 0.0
    scale = math.exp(shape * math.log(x) - x - math.lgamma(shape))
    if x < shape + 1:
        term = total = 1 / shape
        above = shape
        while term > total * _ENOUGH:
            above += 1
            term *= x / above
            total += term
        return min(1.0, total * scale)
    return max(0.0, 1.0 - _upper_fraction(shape, x) * scale)


def _upper_fraction(shape: float, x: float) -> float:
    """The continued fraction of the upper incomplete gamma function, by Lentz's way."""
    tiny = 1e-300
    b = x + 1 - shape
    c, d = 1 / tiny, 1 / b
    found = d
    step = 0
    factor = 0.0
    while abs(factor - 1) > _ENOUGH and step < 10_000:
        step += 1
        a = -step * (step - shape)
        b += 2
        d = 1 / ((a * d + b) or tiny)
        c = (b + a / c) or tiny
        factor = c * d
        found *= factor
    return found


def gamma_quantile(shape: float, p: float) -> float:
    """The x that a gamma variable of this shape is below with probability p; by bisection.

    Args:
        shape: above 0.
        p: between 0 and 1.
    """
    near = _cube(shape, p)
    if shape >= LARGE:
        return near
    low, high = 0.0, max(2 * near, shape + 1)
    while gamma_cdf(shape, high) < p:
        low, high = high, 2 * high
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        if gamma_cdf(shape, middle) < p:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _cube(shape: float, p: float) -> float:
    """Wilson and Hilferty's approximation (1931)."""
    z = NormalDist().inv_cdf(p)
    return shape * max(0.0, 1 - 1 / (9 * shape) + z / (3 * math.sqrt(shape))) ** 3


@lru_cache(maxsize=4096)
def poisson_interval(count: float, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """What may have been expected where so many were counted: the exact interval of a Poisson mean.

    Args:
        count: at least 0; of shares of unlike work the effective number, which need not be whole.
        confidence: that the interval holds the mean.

    Returns:
        Its lower and upper end.
    """
    tail = (1 - confidence) / 2
    return (gamma_quantile(count, tail) if count else 0.0), gamma_quantile(count + 1, 1 - tail)


@attrs.frozen
class Luck:
    """How many blocks came for the work that was done, over how many were to be expected.

    Attributes:
        blocks: how many it is about.
        ratio: above 1 is good luck.
        low: lower end of the 95 % interval of what the ratio would be after endless work; a pool that loses
            no blocks has 1 inside of it, in 95 of 100 cases.
        high: upper end of it.
        worse: probability that a faultless pool has worse luck than this.
    """

    blocks: int
    ratio: float
    low: float
    high: float
    worse: float


def luck(efforts: Iterable[float | None]) -> Luck | None:
    """The luck over some blocks: their number over the sum of their efforts, never a mean of ratios.

    Args:
        efforts: of each block, the work that went into it over the work that one takes; None for an unknown
            one, which is left out.

    Returns:
        None without any block.
    """
    known = [effort for effort in efforts if effort is not None]
    total, blocks = math.fsum(known), len(known)
    if not total:
        return None
    tail = (1 - CONFIDENCE) / 2
    low, high = gamma_quantile(blocks, tail), gamma_quantile(blocks, 1 - tail)
    worse = max(0.0, 1 - gamma_cdf(blocks, total))
    return Luck(blocks, blocks / total, low / total, high / total, worse)


def best_odds(best_hashes: int, done_hashes: int) -> float:
    """Probability that so much work brings at least one share as good: 1 - e^(-w/d).

    Args:
        best_hashes: d, the work that such a share takes on average.
        done_hashes: w, the work that was done.
    """
    return -math.expm1(-done_hashes / best_hashes)


def silence_odds(shares: float, span_s: float, silence_s: float) -> float:
    """Probability that shares which may come at any time leave the end of a span as empty as this by chance.

    Given their number, each one is as likely at any moment of the span: all of them miss its end with
    probability ((span - silence) / span)^shares, whatever the hashrate is.

    Args:
        shares: how many there were in the span; of unlike work, how many of the heaviest they make.
        span_s: seconds; when the span begins with a share, that one is not to be counted.
        silence_s: seconds since the last one.
    """
    if span_s <= 0 or shares <= 0:
        return 1.0
    return math.pow(max(0.0, 1 - silence_s / span_s), shares)
