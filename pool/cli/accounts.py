"""Commands about accounts: make one, list them, show what one is owed and was paid."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Final

import attrs
import click

from payouts.money import Msat
from pool.accounts import NAME, hash_secret, new_secret, payable_address
from pool.claims import NAME_RULE, Registry
from pool.cli.common import (
    best_json,
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
    time_text,
)
from pool.config import Config
from pool.errors import PoolError
from pool.store import database
from pool.store.access import AccessBook
from pool.store.claims import ClaimReader
from pool.store.figures import Bests, PaymentRow, RewardRow
from pool.store.inbox import InboxReader, InboxStore
from pool.store.queries import MINERS, Queries
from pool.web import words


@click.group()
def account() -> None:
    """Make pool accounts, and look at any account."""


@account.command("create")
@click.argument("name", required=False)
@config_option
@json_option
def account_create(name: str | None, config_path: Path, as_json: bool) -> None:  # noqa: FBT001
    """Make a pool account and print its claim link.

    The link is shown this once: whoever has it can withdraw the account's balance.  NAME (4 to 32 of a-z, 0-9
    and -) is made up when it is left out.
    """
    if name is not None and not NAME.fullmatch(name):
        raise click.BadParameter(NAME_RULE, param_hint="NAME")
    config = load(config_path)
    directory = config.store.directory
    registry = Registry(
        ClaimReader(open_file(directory, "ledger")),  # its owner is another user's role: not made here
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


@account.command("renew", short_help="Give a pool account a new claim link.")
@click.argument("name")
@config_option
@json_option
def account_renew(name: str, config_path: Path, as_json: bool) -> None:  # noqa: FBT001
    """Give a pool account a new claim link, and take the old one away with its card and linked wallets.

    For an owner who has lost the link, or fears that somebody else has it.  Make sure that it is the owner
    who asks: the new link, printed this once, opens the balance.
    """
    config = load(config_path)
    directory = config.store.directory
    name = name.lower()
    if not ClaimReader(open_file(directory, "ledger")).account_exists(name):
        raise PoolError(f"there is no pool account {name}: `sluice account list` has their names")
    secret = new_secret(secrets.token_bytes(32))
    with database.transaction(database.connect(directory, "ledger")) as tx:
        AccessBook(tx).renew_link(name, hash_secret(secret), now_ms())
    link = f"{config.web.public_url.rstrip('/')}/a/{secret}"
    if as_json:
        print_json({"username": name, "claim_link": link})
        return
    click.echo(f"Claim link: {link}")
    click.echo("It is not shown again; the old link, the card and the linked wallets have stopped working.")


@account.command("list")
@config_option
@json_option
def account_list(config_path: Path, as_json: bool) -> None:  # noqa: FBT001
    """List the accounts, with what they are owed in sat.

    Pool accounts, and addresses that have or had a balance.
    """
    config = load(config_path)
    with open_queries(config_path) as queries:
        rows = [(name, queries.balances(name)) for name in sorted(account_names(config, queries))]
    if as_json:
        print_json({name: {k: str(v) for k, v in attrs.asdict(b).items()} for name, b in rows})
        return
    print_table(
        ("account", "immature", "available", "held"),
        [(name, sat_text(b.immature), sat_text(b.available), sat_text(b.held)) for name, b in rows],
        empty="No accounts yet: `sluice account create` makes one; an address needs none.",
    )


def account_names(config: Config, queries: Queries) -> set[str]:
    """Every pool account, also one that the book has not taken over yet, and whoever has or had a balance."""
    directory = config.store.directory
    names = {name.split(":")[2] for name in queries.ledger_balances() if name.startswith(MINERS)}
    if (directory / "ledger.db").exists():
        names |= ClaimReader(open_file(directory, "ledger")).accounts()
    if (directory / "inbox.db").exists():
        asked = InboxReader(open_file(directory, "inbox")).accounts_after(0)
        names |= {new.name for _, new in asked}
    return names


@account.command("show")
@click.argument("name")
@config_option
@json_option
def account_show(name: str, config_path: Path, as_json: bool) -> None:  # noqa: FBT001
    """Show an account's balances, best shares, rewards and payments.

    NAME is a pool account or a Bitcoin address.
    """
    config = load(config_path)
    with open_queries(config_path) as queries:
        name = known_account(name, config, queries)
        balances, payments = queries.balances(name), queries.payments(name, 50)
        rewards = queries.rewards(name, 20)
        best, bests = queries.bests.account(name), queries.bests.luckiest(name, 20)
    if as_json:
        print_json(
            {
                "account": name,
                "balances_msat": {k: str(v) for k, v in attrs.asdict(balances).items()},
                "best_share": best_json(best.ever),
                "best_share_of_round": best_json(best.round),
                "workers": {
                    worker: {"best_share": best_json(each.ever), "best_share_of_round": best_json(each.round)}
                    for worker, each in bests.items()
                },
                "rewards": [attrs.asdict(row) for row in rewards],
                "payments": [attrs.asdict(row) for row in payments],
            }
        )
        return
    click.echo(f"{name}, in sat:")
    for part, amount in attrs.asdict(balances).items():
        click.echo(f"  {part:9}  {sat_text(Msat(amount)):>20}")
    click.echo("")
    print_table(
        ("worker", "best share", "at (UTC)", "this round"),
        [_best_row(worker, each) for worker, each in bests.items()],
        empty="No share yet whose difficulty is known.",
    )
    click.echo("")
    _print_history(rewards, payments)


def _best_row(worker: str, bests: Bests) -> tuple[str, str, str, str]:
    ever, now = bests.ever, bests.round
    return (
        worker or "(no name)",
        "-" if ever is None else words.thousands(ever.difficulty),
        "-" if ever is None else time_text(ever.time_ms),
        "-" if now is None else words.thousands(now.difficulty),
    )


def known_account(name: str, config: Config, queries: Queries) -> str:
    """The account's name in its own spelling.

    Raises:
        PoolError: there is none.
    """
    address = payable_address(name, config.node.network)
    if address is not None:
        return address
    if name.lower() in account_names(config, queries):
        return name.lower()
    raise PoolError(
        f"{name} is no account here and no {config.node.network} address: `sluice account list` has all names"
    )


def _print_history(rewards: list[RewardRow], payments: list[PaymentRow]) -> None:
    print_table(
        ("rewarded (UTC)", "height", "block", "state", "sat"),
        [
            (
                time_text(r.time_ms),
                "?" if r.height is None else r.height,
                short(r.block_hash),
                r.state or "?",
                sat_text(r.amount_msat),
            )
            for r in rewards
        ],
        empty="No rewards yet.",
    )
    click.echo("")
    print_table(
        ("paid (UTC)", "way", "state", "sat", "reference"),
        [
            (time_text(p.created_ms), p.way, p.state, sat_text(p.amount_msat), short(p.reference))
            for p in payments
        ],
        empty="No payments yet.",
    )


COMMANDS: Final = (account,)
