"""What the commands share: where the configuration is, output for people and for programs, the wall clock."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from payouts.money import MSAT_PER_SAT, Msat
from pool import config as configuration
from pool.store.queries import Queries

Function = TypeVar("Function", bound=Callable[..., Any])

DEFAULT_CONFIG: Final = Path("sluice.toml")


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


@contextmanager
def open_queries(config_path: Path) -> Iterator[Queries]:
    """Read the store that a configuration names.

    Raises:
        ConfigError: the configuration cannot be used.
    """
    queries = Queries(configuration.load(config_path).store.directory)
    try:
        yield queries
    finally:
        queries.close()


def print_json(value: object) -> None:
    """One JSON document."""
    click.echo(json.dumps(value, indent=2, sort_keys=True))


def print_table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A plain table with aligned columns; numbers to the right."""
    texts = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(line[column]) for line in [list(heads), *texts]) for column in range(len(heads))]
    for line in [list(heads), *texts]:
        cells = [
            text.rjust(width) if text.replace(".", "").replace("-", "").isdigit() else text.ljust(width)
            for text, width in zip(line, widths, strict=True)
        ]
        click.echo("  ".join(cells).rstrip())


def sat_text(amount: Msat) -> str:
    """An amount in satoshi with its three decimals, exactly."""
    sign = "-" if amount < 0 else ""
    whole, rest = divmod(abs(amount), MSAT_PER_SAT)
    return f"{sign}{whole}.{rest:03d}"
