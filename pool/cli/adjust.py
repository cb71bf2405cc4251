"""Commands by which an operator writes into the books what happened to the pool's own money."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from functools import wraps
from pathlib import Path
from typing import Final

import click

from payouts.money import Msat, to_msat
from pool.adjustments import ACCOUNTS, NOTHING, Adjustment, Kind
from pool.cli.books import Amount
from pool.cli.common import (
    config_option,
    json_option,
    load,
    now_ms,
    open_file,
    print_json,
    sat_text,
    why_option,
)
from pool.errors import LedgerError, PoolError
from pool.pots import declared_reserve
from pool.store import database
from pool.store.adjusting import AdjustmentDesk

_asset_option: Final = click.option(
    "--asset", type=click.Choice(list(ACCOUNTS)), required=True, help="Which money."
)
_amount: Final = click.argument("amount_sat", type=Amount())


def _books(what: str) -> Callable[[Callable[..., Adjustment]], click.Command]:
    """A command that books what its function makes of its own options, a reference and a reason.

    Args:
        what: one line for the list of commands.
    """

    def made(function: Callable[..., Adjustment]) -> click.Command:
        @wraps(function)
        def command(config_path: Path, as_json: bool, **said: object) -> None:  # noqa: FBT001 -- click's way
            _book(function(**said), config_path, as_json=as_json)

        for option in (
            json_option,
            config_option,
            why_option("The reason; it is kept in the books."),
            click.option(
                "--reference",
                required=True,
                help="What it was, unique: a txid, a date. The same one books once.",
            ),
        ):
            command = option(command)
        return click.command(short_help=what)(command)

    return made


@_books("Book money that the operator takes out, such as the fee.")
@_asset_option
@_amount
def withdraw(asset: str, amount_sat: Msat, reference: str, why: str) -> Adjustment:
    """Book money that the operator takes out, such as the fee.

    No more than is the pool's own and not needed for what miners can withdraw now.
    """
    return Adjustment(Kind.WITHDRAWAL, reference, asset, amount_sat, why)


@_books("Book money moved between wallet and Lightning.")
@click.option("--from", "asset", type=click.Choice(("hot", "lightning")), required=True, help="Out of this.")
@click.option("--to", type=click.Choice(("hot", "lightning")), required=True, help="Into this.")
@click.option(
    "--cost", type=Amount(), default=None, help="What it took beside, in sat: chain fees, a swap's price."
)
@_amount
def transfer(
    asset: str, to: str, cost: Msat | None, amount_sat: Msat, reference: str, why: str
) -> Adjustment:
    """Book money that was moved between wallet and Lightning: a channel opened or closed, a swap.

    AMOUNT_SAT is what arrived.  The cost left as well, and the pool bears it.
    """
    return Adjustment(Kind.MOVE, reference, asset, amount_sat, why, to, cost or NOTHING)


@_books("Book money that is gone.")
@_asset_option
@_amount
def loss(asset: str, amount_sat: Msat, reference: str, why: str) -> Adjustment:
    """Book money that is gone: stolen, burnt by a penalty, paid twice.  The pool bears it."""
    return Adjustment(Kind.LOSS, reference, asset, amount_sat, why)


@_books("Book the difference after a mistake in the books.")
@_asset_option
@click.option("--less", is_flag=True, help="There is less than the books say, not more.")
@_amount
def correct(
    asset: str,
    less: bool,  # noqa: FBT001
    amount_sat: Msat,
    reference: str,
    why: str,
) -> Adjustment:
    """Book the difference after a mistake in the books, such as a deposit of the wrong amount.

    Entries are never changed: this is a new one, that says what was wrong.
    """
    amount = Msat(-amount_sat) if less else amount_sat
    return Adjustment(Kind.CORRECTION, reference, asset, amount, why)


def _book(said: Adjustment, config_path: Path, *, as_json: bool) -> None:
    config = load(config_path)
    directory, declared = config.store.directory, declared_reserve(config)
    reserve = NOTHING if declared is None else to_msat(declared[1])
    open_file(directory, "ledger").close()  # a slip in --config shall not make empty books
    with closing(database.connect(directory, "ledger")) as connection:
        try:
            booked = AdjustmentDesk(connection, reserve).book(said, now_ms())
        except LedgerError as error:
            raise PoolError(f"nothing was booked: {error}") from error

    if as_json:
        print_json({"booked": booked, "key": f"{said.kind.value}:{said.reference}"})
    elif booked:
        click.echo(f"Booked a {said.kind.value} of {sat_text(said.amount)} sat of {said.asset}.")
    else:
        click.echo(f"This {said.kind.value}, {said.reference!r}, is booked already; nothing was written.")


COMMANDS: Final[tuple[click.Command, ...]] = (withdraw, transfer, loss, correct)
