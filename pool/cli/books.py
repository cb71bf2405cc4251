"""Commands that read the books, and the few that write to them: account, blocks, ledger, payouts, status."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Final, Literal

import attrs
import click

from payouts.money import Msat, Sat, to_msat
from pool import config as configuration
from pool import ledger
from pool.claims import Registry
from pool.cli.common import (
    config_option,
    json_option,
    now_ms,
    open_queries,
    print_json,
    print_table,
    sat_text,
    time_text,
)
from pool.errors import PoolError
from pool.store import database
from pool.store.claims import ClaimReader
from pool.store.inbox import InboxStore
from pool.store.ledger import LedgerStore
from pool.verify import verify as verify_books


class Amount(click.ParamType[Decimal]):
    """A positive decimal number, exactly as it was written."""

    name = "sat"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Decimal:
        """See click."""
        try:
            amount = Decimal(str(value))
        except ArithmeticError:
            self.fail(f"{value!r} is not a number", param, ctx)
        if not amount.is_finite() or amount <= 0:
            self.fail(f"{value!r} is not a positive amount", param, ctx)
        return amount


@click.group()
def account() -> None:
    """Make and look at pool accounts."""


@account.command("create")
@click.argument("name", required=False)
@config_option
@json_option
def account_create(name: str | None, config_path: Path, as_json: bool) -> None:  # noqa: FBT001
    """Make a pool account and print its username and claim link.

    The link is shown this once: whoever has it can withdraw the account's balance.  NAME is made up when it
    is left out.
    """
    config = configuration.load(config_path)
    directory = config.store.directory
    database.connect(directory, "ledger").close()  # makes the file when the pool never ran
    registry = Registry(
        ClaimReader(database.connect_to_read(directory, "ledger")),
        InboxStore(database.connect(directory, "inbox")),
        now_ms,
    )
    username, secret = registry.create(name)
    link = f"{config.web.public_url.rstrip('/')}/a/{secret}"
    if as_json:
        print_json({"username": username, "claim_link": link})
        return
    click.echo(f"Username:   {username}      (workers: {username}.anything)")
    click.echo(f"Claim link: {link}")
    click.echo("Keep the link: it is not shown again, and whoever has it can withdraw the balance.")


@account.command("list")
@config_option
@json_option
def account_list(config_path: Path, as_json: bool) -> None:  # noqa: FBT001
    """List every account that has or had a balance, with what it is owed in sat."""
    with open_queries(config_path) as queries:
        names = sorted(
            {
                name.split(":")[2]
                for name in queries.ledger_balances()
                if name.startswith("liabilities:miners:")
            }
        )
        rows = [(name, queries.balances(name)) for name in names]
    if as_json:
        print_json({name: {k: str(v) for k, v in attrs.asdict(b).items()} for name, b in rows})
        return
    print_table(
        ("account", "immature", "available", "held"),
        [(name, sat_text(b.immature), sat_text(b.available), sat_text(b.held)) for name, b in rows],
    )


@account.command("show")
@click.argument("name")
@config_option
@json_option
def account_show(name: str, config_path: Path, as_json: bool) -> None:  # noqa: FBT001
    """Show an account's balances, rewards and payments."""
    with open_queries(config_path) as queries:
        balances, payments = queries.balances(name), queries.payments(name, 50)
        rewards = queries.rewards(name, 20)
    if as_json:
        print_json(
            {
                "balances_msat": {k: str(v) for k, v in attrs.asdict(balances).items()},
                "rewards": [attrs.asdict(row) for row in rewards],
                "payments": [attrs.asdict(row) for row in payments],
            }
        )
        return
    click.echo(
        f"{name}: immature {sat_text(balances.immature)} sat, available {sat_text(balances.available)} "
        f"sat, held {sat_text(balances.held)} sat"
    )
    print_table(
        ("time (UTC)", "block", "reward sat"),
        [(time_text(r.time_ms), r.block_hash, sat_text(r.amount_msat)) for r in rewards],
    )
    print_table(
        ("time (UTC)", "way", "state", "sat", "reference"),
        [(time_text(p.created_ms), p.way, p.state, sat_text(p.amount_msat), p.reference) for p in payments],
    )


@click.command()
@config_option
@json_option
@click.option("--limit", default=20, show_default=True, help="How many, newest first.")
def blocks(config_path: Path, as_json: bool, limit: int) -> None:  # noqa: FBT001
    """List the blocks that the pool found."""
    with open_queries(config_path) as queries:
        rows = queries.blocks(limit)
    if as_json:
        print_json([attrs.asdict(row) for row in rows])
        return
    print_table(
        ("height", "state", "confirmations", "sat", "found (UTC)", "by", "hash"),
        [
            (
                r.height,
                r.state,
                r.confirmations,
                "?" if r.value_msat is None else sat_text(r.value_msat),
                time_text(r.found_ms),
                r.account,
                r.hash,
            )
            for r in rows
        ],
    )


@click.group("ledger")
def ledger_group() -> None:
    """The double-entry books: balances, statements, and the proof that they are right."""


@ledger_group.command("verify")
@config_option
@json_option
def ledger_verify(config_path: Path, as_json: bool) -> None:  # noqa: FBT001
    """Re-compute everything from the share log, and say what was checked; exit 1 on any difference."""
    directory = configuration.load(config_path).store.directory
    report = verify_books(
        database.connect_to_read(directory, "shares"), database.connect_to_read(directory, "ledger")
    )
    if as_json:
        print_json(report.as_json())
    else:
        for line in report.lines():
            click.echo(line)
    if not report.ok:
        raise click.exceptions.Exit(1)


@ledger_group.command("balances")
@config_option
@json_option
def ledger_balances(config_path: Path, as_json: bool) -> None:  # noqa: FBT001
    """Print every ledger account's balance: debit positive, credit negative, in msat for --json."""
    with open_queries(config_path) as queries:
        balances = queries.ledger_balances()
    if as_json:
        print_json({name: str(amount) for name, amount in balances.items()})
        return
    print_table(("ledger account", "sat"), [(n, sat_text(Msat(a))) for n, a in sorted(balances.items())])


@ledger_group.command("statement")
@click.argument("name")
@config_option
@json_option
@click.option("--limit", default=100, show_default=True, help="How many lines, newest first.")
def ledger_statement(name: str, config_path: Path, as_json: bool, limit: int) -> None:  # noqa: FBT001
    """Print the movements of one account's balances."""
    with open_queries(config_path) as queries:
        rows = queries.statement(name, limit)
    if as_json:
        print_json([attrs.asdict(row) for row in rows])
        return
    print_table(
        ("time (UTC)", "what", "balance", "sat", "key"),
        [(time_text(r.time_ms), r.kind, r.part, sat_text(r.amount_msat), r.key) for r in rows],
    )


@ledger_group.command("deposit")
@click.option("--asset", type=click.Choice(("lightning", "hot")), required=True, help="Where the money is.")
@click.option(
    "--reference", required=True, help="What it was, unique: a txid, a date. The same one books once."
)
@click.argument("amount_sat", type=Amount())
@config_option
def ledger_deposit(
    asset: Literal["hot", "lightning"], reference: str, amount_sat: Decimal, config_path: Path
) -> None:
    """Book money that the operator brought in (AMOUNT_SAT, up to three decimals) as the pool's equity."""
    config = configuration.load(config_path)
    amount_msat = amount_sat * to_msat(Sat(1))
    if amount_msat != int(amount_msat):
        raise PoolError(f"{amount_sat} sat is no whole number of millisatoshi")
    store = LedgerStore(database.connect(config.store.directory, "ledger"))
    entry = ledger.deposit(reference, asset, Msat(int(amount_msat)))
    if store.post(entry, now_ms()):
        click.echo(f"Booked {amount_sat} sat of {asset} as a deposit.")
    else:
        click.echo(f"A deposit with reference {reference!r} is booked already; nothing was written.")


COMMANDS: Final = (account, blocks, ledger_group)
