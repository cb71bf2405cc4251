"""`python -m pool.simulate`: every promise beside its published number, status 1 when one is not kept."""

from __future__ import annotations

import json
from random import Random
from typing import Final

import attrs
import click

from pool.simulate import hopping, retarget, ruin, window
from pool.simulate.figures import Figure, as_json, lines


@attrs.frozen
class Sizes:
    """How much is simulated.  Attributes: rounds, shares, pools, and shares in a unit around the retarget."""

    rounds: int = 400_000
    shares: int = 400_000
    pools: int = 20_000
    per_unit: int = 200


FULL: Final = Sizes()
DEFAULT_SEED: Final = 20_111


def simulate(seed: int, sizes: Sizes = FULL) -> list[Figure]:
    """All figures; each group has a generator of its own, so that one does not depend on another's length."""
    generators = [Random(f"{seed}/{group}") for group in range(1, 5)]  # noqa: S311 -- statistics, no secrets
    return [
        *hopping.figures(generators[0], sizes.rounds),
        *window.never_paid(generators[1], sizes.shares),
        *window.variance_times_maturity(generators[2], sizes.shares // 2),
        *ruin.figures(generators[3], sizes.pools),
        *retarget.figures(sizes.per_unit),
    ]


@click.command()
@click.option("--seed", type=int, default=DEFAULT_SEED, show_default=True, help="Of the random numbers.")
@click.option("--json", "as_document", is_flag=True, help="Print one JSON object instead of a table.")
def main(seed: int, as_document: bool) -> None:  # noqa: FBT001 -- click's way
    """Reproduce what docs/accounting.md says of the reward schemes, by formula and by simulation."""
    figures = simulate(seed)
    if as_document:
        click.echo(json.dumps(as_json(figures, seed)))
    else:
        click.echo("\n".join(lines(figures)))
        outside = sum(not each.ok for each in figures)
        click.echo(f"seed {seed}: {outside or 'none'} of {len(figures)} figures outside the tolerance")
    if not all(each.ok for each in figures):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
