"""A simulated figure beside the one that theory gives, and how far apart the two may be."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import sqrt
from typing import Final

import attrs

SIGMAS: Final = 5.0
"""Tolerance of a random figure in its standard errors: right code fails once in some two million figures."""


@attrs.frozen
class Figure:
    """One line of the comparison.

    Attributes:
        group: which of the promises it belongs to.
        name: what it is.
        expected: the published number, or the exact one where a simulation is compared with it.
        ours: what was computed here.
        tolerance: greatest difference that is not an error.
        how: how ours was come by: ``exact``, ``simulated``, ``product``.
    """

    group: str
    name: str
    expected: float
    ours: float
    tolerance: float
    how: str

    @property
    def deviation(self) -> float:
        """Ours less the expected one."""
        return self.ours - self.expected

    @property
    def ok(self) -> bool:
        """Whether the deviation is within the tolerance."""
        return abs(self.deviation) <= self.tolerance


def simulated(group: str, name: str, expected: float, ours: float, error: float) -> Figure:
    """A figure by random numbers.

    Args:
        group: see Figure.
        name: see Figure.
        expected: the exact value.
        ours: the estimate.
        error: the estimate's standard error.
    """
    return Figure(group, name, expected, ours, SIGMAS * error, "simulated")


def proportion_error(probability: float, trials: int) -> float:
    """Standard error of a share of independent trials."""
    return sqrt(probability * (1 - probability) / trials)


def as_json(figures: Sequence[Figure], seed: int) -> dict[str, object]:
    """A JSON-able document of all figures."""
    rows = [{**attrs.asdict(each), "deviation": each.deviation, "ok": each.ok} for each in figures]
    return {"ok": all(each.ok for each in figures), "seed": seed, "figures": rows}


def lines(figures: Iterable[Figure]) -> list[str]:
    """The comparison as a table, one line for each figure, a heading for each group."""
    result = [f"{'':46}{'expected':>12}{'ours':>12}{'deviation':>12}{'allowed':>11}"]
    group = ""
    for each in figures:
        if each.group != group:
            group = each.group
            result.append(group)
        result.append(
            f"  {each.name:<34}{each.how:<10}{each.expected:>12.6f}{each.ours:>12.6f}"
            f"{each.deviation:>+12.6f}{each.tolerance:>11.6f}{'' if each.ok else '  <-- OUTSIDE'}"
        )
    return result
