"""Commands for trying things out: demo and miner."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from threading import Event
from typing import Final

import click

from pool.miner import Happened, Kind, MinerError, mine


@click.command()
@click.option(
    "--once",
    is_flag=True,
    help="End after a Lightning withdrawal and an on-chain batch; exit 0 if all is right.",
)
@click.option(
    "--json",
    "json_path",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the report to this file.",
)
@click.option(
    "--directory",
    type=click.Path(path_type=Path, file_okay=False),
    help="Keep everything here instead of in a temporary directory; it must be empty.",
)
def demo(once: bool, json_path: Path | None, directory: Path | None) -> None:  # noqa: FBT001 -- click's way
    """Run the whole pool on a private regtest network.

    Real bitcoind, real Lightning nodes, the pool, its site and CPU miners: a miner's share becomes a block, a
    reward, and a Lightning payment by LNURL-withdraw.  Everything listens on 127.0.0.1 and is gone after
    Ctrl-C.  The first run fetches bitcoind and Electrum into ~/.cache/sluice.
    """
    from pool.demo.show import run  # noqa: PLC0415 -- needs the demo's own dependencies

    raise click.exceptions.Exit(0 if run(once=once, json_path=json_path, directory=directory) else 1)


@click.command()
@click.option("--url", required=True, help="The pool: stratum+tcp://host:port.")
@click.option("--user", required=True, help="Your username: account.worker.")
@click.option("--password", default="x", show_default=True, help="May hold d=… or md=….")
@click.option("--shares-per-second", type=click.FloatRange(min=0, min_open=True), help="At most so many.")
@click.option("--count", type=click.IntRange(min=1), help="End after so many accepted shares.")
def miner(url: str, user: str, password: str, shares_per_second: float | None, count: int | None) -> None:
    """Mine with this machine's processor: for trying out.

    Exit status 1 when the pool refuses the username.
    """
    stop = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    refused = False

    def report(event: Happened) -> None:
        nonlocal refused
        refused = refused or event.kind is Kind.REFUSED
        totals = event.totals
        words = f": {event.detail}" if event.detail else ""
        click.echo(f"{event.kind.value}{words} (accepted {totals.accepted}, rejected {totals.rejected})")

    try:
        mine(
            url,
            user,
            password,
            clock=time.monotonic,  # noqa: TID251 -- the command's entry takes the real one
            stop=stop,
            report=report,
            pace=shares_per_second,
            count=count,
        )
    except MinerError as error:
        raise click.BadParameter(str(error), param_hint="--url") from None
    if refused:
        raise click.exceptions.Exit(1)


COMMANDS: Final = (demo, miner)
