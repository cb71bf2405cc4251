"""Commands that read the books, and the one that writes to them: ledger."""

from __future__ import annotations

from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Final, Literal

import click

from payouts.money import SAT_PER_BTC, Msat, Sat, to_msat
from pool import ledger
from pool.cli.common import (
    config_option,
    json_option,
    load,
    now_ms,
    open_file,
    open_queries,
    print_json,
    print_table,
    sat_text,
    short,
)
from pool.cli.moments import AT
from pool.errors import LedgerError, PoolError
from pool.store import database
from pool.store.journal import JournalReader
from pool.store.ledger import LedgerStore
from pool.verify import verify as verify_books

ALL_SAT: Final = 21_000_000 * SAT_PER_BTC
LEDGER_NAME: Final = 76
"""Columns for a ledger account's name, so that a line of balances fits 100."""


class Amount(click.ParamType[Msat]):
    """A positive number of sat with up to three decimals, exactly as it was written, in msat."""

    name = "sat"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Msat:
        """See click."""
        try:
            amount = Decimal(str(value))
        except ArithmeticError:
            self.fail(f"{value!r} is not a number of sat", param, ctx)
        if not amount.is_finite() or not 0 < amount <= ALL_SAT:
            self.fail(f"{value!r} is not an amount of sat above 0 and below all there is", param, ctx)
        amount_msat = amount * to_msat(Sat(1))
        if amount_msat != int(amount_msat):
            self.fail(f"{value!r} has more than three decimals", param, ctx)
        return Msat(int(amount_msat))


@click.group("ledger")
def ledger_group() -> None:
    """Balances, statements, and the proof that they are right."""


@ledger_group.command("verify")
@config_option
@json_option
def ledger_verify(config_path: Path, as_json: bool) -> None:  # noqa: FBT001
    """Re-compute everything from the share log.

    Says what was checked; exit status 1 on any difference.
    """
    directory = load(config_path).store.directory
    report = verify_books(open_file(directory, "shares"), open_file(directory, "ledger"))
    if as_json:
        print_json(report.as_json())
    else:
        for line in report.lines():
            click.echo(line)
    if not report.ok:
        raise click.exceptions.Exit(1)


@ledger_group.command("balances")
@AT
@config_option
@json_option
def ledger_balances(at_ms: int | None, config_path: Path, as_json: bool) -> None:  # noqa: FBT001
    """Print every ledger account's balance.

    Debit is positive, credit negative: assets are positive, what is owed is negative.  In sat; --json has
    msat.
    """
    if at_ms is None:
        with open_queries(config_path) as queries:
            balances = queries.ledger_balances()
    else:
        with closing(open_file(load(config_path).store.directory, "ledger")) as connection:
            balances = JournalReader(connection).balances(at_ms)
    if as_json:
        print_json({name: str(amount) for name, amount in balances.items()})
        return
    print_table(
        ("ledger account", "sat"),
        [(short(name, LEDGER_NAME), sat_text(Msat(amount))) for name, amount in sorted(balances.items())],
        empty="The books are empty.",
    )


@ledger_group.command("deposit")
@click.option("--asset", type=click.Choice(("lightning", "hot")), required=True, help="Where the money is.")
@click.option(
    "--reference", required=True, help="What it was, unique: a txid, a date. The same one books once."
)
@click.argument("amount_sat", type=Amount())
@config_option
@json_option
def ledger_deposit(
    asset: Literal["hot", "lightning"],
    reference: str,
    amount_sat: Msat,
    config_path: Path,
    as_json: bool,  # noqa: FBT001
) -> None:
    """Book money that the operator brought in.

    AMOUNT_SAT may have three decimals.  It becomes the pool's own equity: an opening balance of the Lightning
    node (--asset lightning) or of the node's wallet (--asset hot).
    """
    store = LedgerStore(database.connect(load(config_path).store.directory, "ledger"))
    try:
        booked = store.post(ledger.deposit(reference, asset, amount_sat), now_ms())
    except LedgerError as error:
        raise PoolError(
            f"a deposit {reference!r} of another amount or asset is booked already: give this one another"
            " --reference"
        ) from error
    if as_json:
        print_json({"booked": booked, "asset": asset, "amount_msat": str(amount_sat), "reference": reference})
    elif booked:
        click.echo(f"Booked {sat_text(amount_sat)} sat of {asset} as a deposit.")
    else:
        click.echo(f"This deposit, {reference!r}, is booked already; nothing was written.")
