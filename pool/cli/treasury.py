"""Commands about the treasury: a descriptor from the offline machine, its addresses, and coins that moved."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import IO, Any, Final, Literal

import click

from payouts.money import Msat, floor_sat
from pool import treasury as offline
from pool.cli.books import Amount
from pool.cli.common import (
    config_option,
    json_option,
    load,
    now_ms,
    open_file,
    print_json,
    print_table,
    short,
)
from pool.config import Config
from pool.errors import LedgerError, PoolError
from pool.store import database
from pool.store.ledger import LedgerStore
from pool.store.treasury import Imported, TreasuryAddress, TreasuryTable, missing, paid_by
from pool.treasury import checked, derive

SHOWN: Final = 3
"""Addresses that are compared by eye with the offline machine's."""


@click.group()
def treasury() -> None:
    """Let blocks pay to keys that are on no machine of the pool."""


@treasury.command("import", short_help="Take a public descriptor into use.")
@click.argument("file", type=click.File("r", encoding="utf-8"))
@config_option
@json_option
def treasury_import(file: IO[str], config_path: Path, as_json: bool) -> None:  # noqa: FBT001
    """Take a public descriptor into use: FILE holds it, or - reads it from standard input.

    Compare the addresses that are printed with those that the offline machine shows for the same indexes,
    before any block pays to them.  An older descriptor's addresses stay the pool's.
    """
    config = load(config_path)
    descriptor = checked(file.read(offline.MOST_CHARACTERS + 2), config.node.network)
    with closing(database.connect(config.store.directory, "ledger")) as connection:
        new = TreasuryTable(connection).add(descriptor, now_ms())
    first = [(each.number, each.address) for each in derive(descriptor, 0, SHOWN, config.node.network)]
    if as_json:
        print_json({"imported": new, "descriptor": descriptor, "first": [address for _, address in first]})
        return
    click.echo(
        "Imported; compare with the offline machine:" if new else "It was imported before; it begins with:"
    )
    print_table(("index", "address"), first, empty="")
    if not config.onchain.treasury_bps:
        click.echo("No block pays it yet: set treasury_bps in [onchain], and restart fronts and book.")


@treasury.command("addresses", short_help="List the descriptor's addresses, and what paid them.")
@config_option
@json_option
def treasury_addresses(config_path: Path, as_json: bool) -> None:  # noqa: FBT001
    """List the addresses of the descriptor in use, and the block that pays each."""
    config = load(config_path)
    with closing(open_file(config.store.directory, "ledger")) as ledger:
        table = TreasuryTable(ledger)
        known, states = table.addresses(_in_use(table).treasury_id), table.states()
    paid = _paid(config)
    rows = [
        {
            "index": each.number,
            "address": each.address,
            "block": paid.get(each.address, (None, None))[0],
            "height": paid.get(each.address, (None, None))[1],
            "state": states.get(paid.get(each.address, ("", 0))[0]),
        }
        for each in known
    ]
    if as_json:
        print_json(rows)
        return
    print_table(
        ("index", "address", "height", "block"),
        [(r["index"], r["address"], r["height"] or "-", r["state"] or "-") for r in rows],
        empty="No addresses yet: the running book derives them.",
    )


@treasury.command("check", short_help="Derive every address again, and look for gaps.")
@config_option
@json_option
def treasury_check(config_path: Path, as_json: bool) -> None:  # noqa: FBT001
    """Derive every address again, and look for gaps; status 1 when something is wrong."""
    config = load(config_path)
    with closing(open_file(config.store.directory, "ledger")) as ledger:
        table = TreasuryTable(ledger)
        in_use = _in_use(table)
        known = table.addresses(in_use.treasury_id)
        left = missing(known, _paid(config), table.states(), config.onchain.treasury_gap)
    wrong = list(_differences(config, in_use, known))
    unused = sum(each.address not in _paid(config) for each in known)
    if as_json:
        print_json({"ok": not wrong, "addresses": len(known), "unused": unused, "differences": wrong})
    else:
        click.echo(f"descriptor {in_use.treasury_id}: {short(in_use.descriptor, 60)}")
        click.echo(f"{len(known)} addresses, {unused} unused, {len(left)} to be derived by the book")
        click.echo(f"treasury_bps is {config.onchain.treasury_bps} of 10000")
        for line in wrong:
            click.echo(f"WRONG: {line}")
    if wrong:
        raise click.exceptions.Exit(1)


def _differences(config: Config, in_use: Imported, known: list[TreasuryAddress]) -> Iterator[str]:
    """What is in the database beside what the descriptor says: an address put there by someone else."""
    again = derive(in_use.descriptor, 0, len(known), config.node.network)
    for there, right in zip(known, again, strict=True):
        if (there.number, there.address, there.script) != (right.number, right.address, right.script):
            yield f"index {right.number} is {right.address}; the database has {there.address} there"


@treasury.command("move", short_help="Book coins that were moved out of the treasury, or in.")
@click.option("--from", "source", type=click.Choice(("treasury", "hot")), required=True, help="Where it was.")
@click.option("--reference", required=True, help="The transaction's id: the same one is booked once.")
@click.option("--fee-sat", type=click.IntRange(min=0), default=0, show_default=True, help="What it cost.")
@click.argument("amount_sat", type=Amount())
@config_option
@json_option
def treasury_move(
    source: Literal["hot", "treasury"],
    reference: str,
    fee_sat: int,
    amount_sat: Msat,
    config_path: Path,
    as_json: bool,  # noqa: FBT001
) -> None:
    """Book coins that were moved between the treasury and the node's wallet (hot).

    AMOUNT_SAT is what arrived.  From the treasury it can be paid out only once it is hot: sign on the offline
    machine, send, and book it here when it is confirmed.
    """
    directory = load(config_path).store.directory
    open_file(directory, "ledger").close()  # a slip in --config shall not make an empty pool
    with closing(database.connect(directory, "ledger")) as connection:
        try:
            made = offline.transfer(reference, source, amount_sat, offline.fee(fee_sat))
            booked = LedgerStore(connection).post(made, now_ms())
        except LedgerError as error:
            raise PoolError(f"this move cannot be booked: {error}") from error
    if as_json:
        print_json({"booked": booked, "from": source, "amount_msat": str(amount_sat), "reference": reference})
    elif booked:
        click.echo(f"Booked {floor_sat(amount_sat)} sat, moved out of {source}.")
    else:
        click.echo(f"This move, {reference!r}, is booked already; nothing was written.")


def _in_use(table: TreasuryTable) -> Imported:
    found = table.in_use()
    if found is None:
        raise PoolError("there is no treasury yet: `sluice treasury import` takes its descriptor")
    return found


def _paid(config: Config) -> dict[str, Any]:
    with closing(open_file(config.store.directory, "shares")) as shares:
        return dict(paid_by(shares))


COMMANDS: Final = (treasury,)
