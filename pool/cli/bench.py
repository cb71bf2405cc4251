"""Commands that measure: bench stratum, bench rewards, bench claims, bench pushes, bench blocks."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import click

from pool.bench import blocks as bench_blocks
from pool.bench import claims as bench_claims
from pool.bench import pushes as bench_pushes
from pool.bench import rewards as bench_rewards
from pool.bench.stratum import QUICK, Plan, measure
from pool.cli.common import Function

_quick_option: Final = click.option(
    "--quick", is_flag=True, help="A smoke test of a few seconds: the figures mean nothing."
)


@click.group()
def bench() -> None:
    """Measure this machine with this release."""


def _measures(what: str, written: str) -> Callable[[Function], click.Command]:
    """A command below ``bench``, with the options that all of them have.

    Args:
        what: one line for the list of commands.
        written: what goes to the directory.
    """

    def made(function: Function) -> click.Command:
        place = click.Path(path_type=Path, file_okay=False, exists=True)
        for option in (
            click.option(
                "--directory",
                type=place,
                help=f"Where {written} written: a directory on the disk that is to be measured.",
            ),
            click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a list."),
        ):
            function = option(function)
        return bench.command(short_help=what)(function)

    return made


def _progress(text: str) -> None:
    click.echo(text, err=True)


def _print(figures: Mapping[str, float | bool], *, as_json: bool, proof: str | None = None) -> None:
    """The figures; without what one of them is to prove, status 1."""
    if as_json:
        click.echo(json.dumps(figures))
    else:
        width = max(map(len, figures))
        for name, value in figures.items():
            text = str(value) if isinstance(value, bool) else f"{value:,}"
            click.echo(f"{name.ljust(width)}  {text:>12}")
    if proof is not None and not figures[proof]:
        raise SystemExit(1)


@_measures("Measure the miners' port.", "the share log is")
@_quick_option
@click.option(
    "--seconds",
    type=click.FloatRange(min=1),
    default=Plan().seconds,
    show_default=True,
    help="How long each load lasts.",
)
def stratum(as_json: bool, quick: bool, seconds: float, directory: Path | None) -> None:  # noqa: FBT001 -- click's way
    """Measure the miners' port: shares per CPU second, reply times, memory, new blocks.

    Starts a front with a share log of its own, a stand-in for the node, and up to 10,000 miners in another
    process, all on this machine; every accepted share is on disk before its reply, as in a real pool.
    Takes about two minutes.  Nothing of a running pool is touched, but the figures suffer from
    whatever else the machine does.
    """
    _print(measure(QUICK if quick else Plan(seconds=seconds), _progress, directory), as_json=as_json)


@_measures("Measure a block's rewards over a large share log.", "the databases are")
@click.option(
    "--shares",
    type=click.IntRange(min=1_000),
    default=bench_rewards.Plan().shares,
    show_default=True,
    help="How many shares the log has.",
)
@click.option(
    "--accounts",
    type=click.IntRange(min=1),
    default=bench_rewards.Plan().accounts,
    show_default=True,
    help="How many accounts they are of.",
)
def rewards(as_json: bool, shares: int, accounts: int, directory: Path | None) -> None:  # noqa: FBT001 -- click's way
    """Measure how long a block's reward takes over a large share log, and check it share by share.

    Writes a log of its own, settles a block over nearly all of it three times: in a book that has just been
    started and reads everything from the databases (seconds), in one that goes on running (seconds_running),
    and in one that finds nothing summed beforehand (seconds_cold).  Then the window is counted again by the
    audit's walk over single shares.  Ends with status 1 when they differ by a millisatoshi.
    Takes about four minutes and 1 GB of disk.
    """
    figures = bench_rewards.measure(bench_rewards.Plan(shares, accounts), _progress, directory)
    _print(figures, as_json=as_json, proof="matches_brute_force")


@_measures("Measure withdrawals and their answers.", "the books are")
@_quick_option
def claims(as_json: bool, quick: bool, directory: Path | None) -> None:  # noqa: FBT001 -- click's way
    """Measure withdrawals: claims per second, time to the answer and to the payment, paid exactly once.

    Starts a web and a payer with books of their own, a stand-in for the Lightning node that pays whenever it
    is asked, and wallets in another process that scan, call back, repeat themselves and present rival
    invoices.  Ends with status 1 when anything was not paid exactly once.  Takes about a minute.  Nothing of
    a running pool is touched.
    """
    plan = bench_claims.QUICK if quick else bench_claims.Plan()
    figures = bench_claims.measure(plan, _progress, directory)
    _print(figures, as_json=as_json, proof="paid_exactly_once")


@_measures("Measure payouts to Lightning Addresses.", "the books are")
@_quick_option
def pushes(as_json: bool, quick: bool, directory: Path | None) -> None:  # noqa: FBT001 -- click's way
    """Measure payouts to Lightning Addresses: a thousand that are due at once, and claims among them.

    Starts a payer with books of its own, a stand-in for the Lightning node that pays whenever it is asked,
    and services of Lightning Addresses that answer within 50 ms.  Ends with status 1 when anything was not
    paid exactly once.  Takes about a minute.  Nothing of a running pool is touched.
    """
    plan = bench_pushes.QUICK if quick else bench_pushes.Plan()
    figures = bench_pushes.measure(plan, _progress, directory)
    _print(figures, as_json=as_json, proof="pushed_exactly_once")


@_measures("Measure how soon miners hear of a tip.", "node and blocks are")
@_quick_option
def blocks(as_json: bool, quick: bool, directory: Path | None) -> None:  # noqa: FBT001 -- click's way
    """Measure how soon every miner hears of a new tip, and how soon a solved block leaves.

    Starts a real node on regtest (as `sluice demo` gets one) with 4,000 transactions in its mempool, and a
    front with 1,000 connections.  Takes about a minute and a half.  Nothing of a running pool is touched.
    """
    plan = bench_blocks.QUICK if quick else bench_blocks.Plan()
    _print(bench_blocks.measure(plan, _progress, directory), as_json=as_json)


COMMANDS: Final = (bench,)
