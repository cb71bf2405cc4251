"""Commands with which an operator decides on single payments, and on where accounts are paid unasked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

import click

from payouts import lnaddress
from payouts.values import Ruling
from pool.accounts import payable_address
from pool.cli.common import (
    config_option,
    desk_to_write,
    json_option,
    load,
    now_ms,
    open_file,
    print_json,
    print_table,
    time_text,
    why_option,
)
from pool.config import Config
from pool.errors import PoolError
from pool.store import database
from pool.store.claims import ClaimReader
from pool.store.destinations import Destination, DestinationDesk, Rail

T = TypeVar("T")
HOUR_MS: Final = 3_600_000
RAILS: Final[tuple[Rail, ...]] = ("lightning", "onchain")


def _desk_says(ask: Callable[[str], T], number: str) -> T:
    try:
        return ask(number)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="NUMBER") from None


def _rule(config_path: Path, number: str, ruling: Ruling, why: str, *, as_json: bool, said: str) -> None:
    desk = desk_to_write(config_path)
    _desk_says(lambda text: desk.rule(text, ruling, why, now_ms()), number)
    if as_json:
        print_json({"number": number.upper(), "ruling": ruling.value})
        return
    click.echo(said)


@click.command()
@click.argument("number")
@why_option("What was looked into; it is kept.")
@config_option
@json_option
def approve(number: str, why: str, config_path: Path, as_json: bool) -> None:  # noqa: FBT001
    """Let a payment go that was held back for its size.

    NUMBER is L12, as `sluice payouts list` has it; the payer sends it within seconds, if its invoice is still
    valid.
    """
    said = f"{number.upper()} may be sent."
    _rule(config_path, number, Ruling.APPROVED, why, as_json=as_json, said=said)


@click.command(short_help="Give a payment that waits back to its account.")
@click.argument("number")
@why_option("What is wrong with it; it is kept.")
@config_option
@json_option
def refuse(number: str, why: str, config_path: Path, as_json: bool) -> None:  # noqa: FBT001
    """Give a payment back to the account that was held back for its size."""
    said = f"{number.upper()} goes back to its account."
    _rule(config_path, number, Ruling.REFUSED, why, as_json=as_json, said=said)


@click.command("give-up")
@click.argument("number")
@why_option("How you know that it was not paid; it is kept.")
@click.option("--although-proved", is_flag=True, help="Also when the payee's service has shown the preimage.")
@config_option
@json_option
def give_up(
    number: str,
    why: str,
    although_proved: bool,  # noqa: FBT001
    config_path: Path,
    as_json: bool,  # noqa: FBT001
) -> None:
    """Count a payment as failed that the node tells no outcome of.

    Only when you know from elsewhere that it never can be paid: what is held goes back to the account, which
    can claim it again.  The payer waits until the invoice is long expired and asks the node one last time.
    """
    if not although_proved and _desk_says(desk_to_write(config_path).proved, number):
        raise PoolError(
            f"the payee's service has shown the preimage of {number.upper()}: it was likely paid, and what is"
            " given back is paid twice then. If you know better than `sluice payouts show`, add"
            " --although-proved"
        )
    said = f"{number.upper()} is given up, unless the node says that it was paid."
    _rule(config_path, number, Ruling.GIVEN_UP, why, as_json=as_json, said=said)


@click.command()
@click.argument("account")
@click.option("--lightning", metavar="USER@DOMAIN", help="A Lightning Address; `none` for no more pushes.")
@click.option("--onchain", metavar="ADDRESS", help="An address for large payouts; `none` for none.")
@click.option(
    "--now", "at_once", is_flag=True, help="At once, without the wait in which it can be objected to."
)
@config_option
@json_option
def address(
    account: str,
    lightning: str | None,
    onchain: str | None,
    at_once: bool,  # noqa: FBT001
    config_path: Path,
    as_json: bool,  # noqa: FBT001
) -> None:
    """Show or set where an account is paid unasked.

    A change holds after `web.change_wait_hours`, so that the owner can object to one that somebody else made.
    """
    config = load(config_path)
    reader = ClaimReader(open_file(config.store.directory, "ledger"))
    if not reader.account_exists(account) and payable_address(account, config.node.network) is None:
        raise PoolError(f"there is no account {account}: `sluice account list` has their names")
    desk = DestinationDesk(database.connect(config.store.directory, "ledger"))
    wait_ms = 0 if at_once else config.web.change_wait_hours * HOUR_MS
    for rail, given in zip(RAILS, (lightning, onchain), strict=True):
        if given is not None:
            target = None if given == "none" else _target(rail, given, config)
            desk.ask(account, rail, target, by="the operator", now_ms=now_ms(), wait_ms=wait_ms)
    _show(desk, account, as_json=as_json)


def _target(rail: Rail, given: str, config: Config) -> str:
    if rail == "lightning":
        target = lnaddress.normal(given)
        if target is None:
            raise click.BadParameter("a Lightning Address is user@domain", param_hint="--lightning")
        return target
    found = payable_address(given, config.node.network)
    if found is None:
        raise click.BadParameter(f"it is no {config.node.network} address", param_hint="--onchain")
    return found


def _show(desk: DestinationDesk, account: str, *, as_json: bool) -> None:
    now = now_ms()
    found: list[tuple[str, Destination]] = []
    for rail in RAILS:
        for state, wish in (
            ("valid", desk.valid(account, rail, now)),
            ("waiting", desk.waiting(account, rail, now)),
        ):
            if wish is not None:
                found.append((state, wish))
    if as_json:
        print_json(
            [
                {"rail": w.rail, "target": w.target, "state": state, "valid_from_ms": w.valid_from_ms}
                for state, w in found
            ]
        )
        return
    print_table(
        ("rail", "state", "from (UTC)", "target"),
        [(w.rail, state, time_text(w.valid_from_ms), w.target or "none") for state, w in found],
        empty="It is paid when it asks, and nowhere unasked.",
    )


COMMANDS: Final = (approve, refuse, give_up, address)
