"""What the commands share: where the configuration is, output for people and for programs, the wall clock."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeVar

import attrs
import click

from payouts.money import MSAT_PER_SAT, Msat
from pool import config as configuration
from pool.config import Config
from pool.errors import StoreError
from pool.rewards.fpps import Rate
from pool.store import database
from pool.store.figures import BestShare
from pool.store.operator import OperatorDesk
from pool.store.queries import Queries
from pool.web import words

Function = TypeVar("Function", bound=Callable[..., Any])

DEFAULT_CONFIG: Final = Path("sluice.toml")
NO_SECRETS: Final[tuple[str, ...]] = ()
NARROW: Final = 17
"""Columns for a hash or an address in a table; ``--json`` and ``show`` have the whole of it."""


def config_option(function: Function) -> Function:
    """``--config FILE``, by default sluice.toml here, or $SLUICE_CONFIG."""
    return click.option(
        "--config",
        "-c",
        "config_path",
        type=click.Path(path_type=Path, dir_okay=False),
        default=DEFAULT_CONFIG,
        envvar="SLUICE_CONFIG",
        show_default=True,
        help="The configuration file.",
    )(function)


def json_option(function: Function) -> Function:
    """``--json``: the answer as one JSON document."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")(function)


def now_ms() -> int:
    """The wall clock, Unix milliseconds; commands have no other clock to be given."""
    return time.time_ns() // 1_000_000  # whole milliseconds from an integer: no rounding


def time_text(time_ms: int) -> str:
    """A moment as people write it, in UTC."""
    return datetime.fromtimestamp(time_ms // 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def limit_option(default: int) -> Callable[[Function], Function]:
    """``--limit N``: how many rows, newest first."""
    return click.option(
        "--limit",
        type=click.IntRange(min=1),
        default=default,
        show_default=True,
        help="How many, newest first.",
    )


def why_option(text: str) -> Callable[[Function], Function]:
    """``--why TEXT`` (or ``--reason``): a reason that is written down."""
    return click.option("--why", "--reason", "why", required=True, help=text)


def load(config_path: Path) -> Config:
    """The configuration without its secrets: what reads or writes the store only needs none of them.

    Raises:
        ConfigError: the configuration cannot be used.
    """
    return configuration.load(config_path, secrets=NO_SECRETS)


def open_file(directory: Path, name: str) -> sqlite3.Connection:
    """Open a file of the store for reading.

    Raises:
        StoreError: it is not there yet, cannot be read, or is of another release.
    """
    path = directory / f"{name}.db"
    if not path.exists():
        raise StoreError(f"{path} is not there yet: `sluice run` makes it")
    connection = database.connect_to_read(directory, name)
    has, known = database.schema_number(connection), len(database.FILES[name])
    if has < known:
        raise StoreError(f"{path} is of an older release: start the pool again, which brings it up to date")
    if has > known:
        raise StoreError(f"{path} is of a newer release: update this command")
    return connection


def desk_to_write(config_path: Path) -> OperatorDesk:
    """The operator's desk on the books, to write; a slip in --config shall not make empty books.

    Raises:
        ConfigError: the configuration cannot be used.
        StoreError: the books are not there yet.
    """
    directory = load(config_path).store.directory
    open_file(directory, "ledger").close()
    return OperatorDesk(database.connect(directory, "ledger"))


@contextmanager
def open_queries(config_path: Path) -> Iterator[Queries]:
    """Read the store that a configuration names.

    Raises:
        ConfigError: the configuration cannot be used.
    """
    queries = Queries(load(config_path).store.directory)
    try:
        yield queries
    finally:
        queries.close()


def print_json(value: object) -> None:
    """One JSON document."""
    click.echo(json.dumps(value, indent=2, sort_keys=True))


def print_table(heads: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str) -> None:
    """A plain table with aligned columns, numbers to the right; the words for "empty" when it has no rows."""
    texts = [[str(cell) for cell in row] for row in rows]
    if not texts:
        click.echo(empty)
        return
    lines = [list(heads), *texts]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
    numbers = [all(_is_number(text[column]) for text in texts) for column in range(len(heads))]
    for line in lines:
        cells = [
            text.rjust(width) if number else text.ljust(width)
            for text, width, number in zip(line, widths, numbers, strict=True)
        ]
        click.echo("  ".join(cells).rstrip())


def _is_number(text: str) -> bool:
    return text == "?" or text.replace(".", "", 1).lstrip("-").isdigit()


def short(text: str, width: int = NARROW) -> str:
    """A long name with its middle left out, so that both ends can be compared by eye."""
    if len(text) <= width:
        return text
    head = (width - 1) // 2
    return f"{text[:head]}…{text[head + 1 - width :]}"


def best_json(share: BestShare | None) -> dict[str, Any] | None:
    """A best share for programs."""
    return None if share is None else {**attrs.asdict(share), "difficulty": share.difficulty}


def best_text(share: dict[str, Any]) -> str:
    """The same for people: ``1.23 T of bob.garage, 2026-01-31 12:00:00 UTC``."""
    whose = ".".join(part for part in (short(share["account"]), share["worker"]) if part)
    return f"{words.thousands(share['difficulty'])} of {whose}, {time_text(share['time_ms'])} UTC"


def rate_json(rate: Rate | None) -> dict[str, Any] | None:
    """What shares are paid for fees, for programs; None where they are not."""
    if rate is None:
        return None
    return {"height": rate.height, "fees_msat": str(rate.part), "blocks": len(rate.fees)}


def rate_lines(rate: dict[str, Any] | None) -> list[str]:
    """The same for people, as a line of ``sluice status``."""
    if rate is None:
        return []
    paid = sat_text(Msat(int(rate["fees_msat"])))
    return [f"fees        {paid} sat a block, paid to shares of height {rate['height']}"]


def sat_text(amount: Msat) -> str:
    """An amount in satoshi with its three decimals, exactly."""
    sign = "-" if amount < 0 else ""
    whole, rest = divmod(abs(amount), MSAT_PER_SAT)
    return f"{sign}{whole}.{rest:03d}"
