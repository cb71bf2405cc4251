"""Commands that measure: bench stratum."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import click

from pool.bench.stratum import QUICK, Plan, measure


@click.group()
def bench() -> None:
    """Measure this machine with this release."""


@bench.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a list.")
@click.option("--quick", is_flag=True, help="A smoke test of a few seconds: the figures mean nothing.")
@click.option(
    "--seconds",
    type=click.FloatRange(min=1),
    default=Plan().seconds,
    show_default=True,
    help="How long each load lasts.",
)
@click.option(
    "--directory",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Where the share log is written: a directory on the disk that is to be measured.",
)
def stratum(as_json: bool, quick: bool, seconds: float, directory: Path | None) -> None:  # noqa: FBT001 -- click's way
    """Measure the miners' port: shares per CPU second, reply times, memory, new blocks.

    Starts a front with a share log of its own, a stand-in for the node, and up to 10,000 miners in another
    process, all on this machine; every accepted share is on disk before its reply, as in a real pool.
    Takes about a minute and a half.  Nothing of a running pool is touched, but the figures suffer from
    whatever else the machine does.
    """
    plan = QUICK if quick else Plan(seconds=seconds)
    figures = measure(plan, lambda text: click.echo(text, err=True), directory)
    if as_json:
        click.echo(json.dumps(figures))
        return
    width = max(map(len, figures))
    for name, value in figures.items():
        click.echo(f"{name.ljust(width)}  {value:>12,}")


COMMANDS: Final = (bench,)
