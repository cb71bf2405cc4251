"""Commands about money that leaves: payouts, and the pool's state at a glance."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import attrs
import click

from payouts.money import Msat
from pool import config as configuration
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
from pool.store.operator import OperatorDesk


@click.group()
def payouts() -> None:
    """Look at payments, and let them go on after a stop."""


@payouts.command("list")
@config_option
@json_option
@click.option("--state", help="Only payments in this state: unknown, settled, failed, broadcast …")
@click.option("--limit", default=50, show_default=True, help="How many, newest first.")
def payouts_list(config_path: Path, as_json: bool, state: str | None, limit: int) -> None:  # noqa: FBT001
    """List payments over Lightning (L…) and on-chain batches (B…)."""
    desk = _desk(config_path)
    rows = desk.payments(state, limit)
    if as_json:
        print_json([attrs.asdict(row) for row in rows])
        return
    for reason, since_ms in desk.stops():
        click.echo(f"SENDING IS STOPPED since {time_text(since_ms)}: {reason}")
    print_table(
        ("number", "time (UTC)", "state", "sat", "account", "reference"),
        [
            (
                r.number,
                time_text(r.created_ms),
                r.state,
                sat_text(Msat(r.amount_msat)),
                r.account,
                r.reference,
            )
            for r in rows
        ],
    )


@payouts.command("show")
@click.argument("number")
@config_option
@json_option
def payouts_show(number: str, config_path: Path, as_json: bool) -> None:  # noqa: FBT001
    """Show all that is known of one payment: NUMBER is L12 (Lightning) or B3 (a batch)."""
    try:
        known = _desk(config_path).show(number)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="NUMBER") from None
    if known is None:
        raise PoolError(f"there is no payment {number}")
    if as_json:
        print_json(known)
        return
    for key, value in known.items():
        if value is not None:
            click.echo(
                f"{key:18} {time_text(value) if key.endswith('_ms') and isinstance(value, int) else value}"
            )


@payouts.command("resume")
@click.option("--why", required=True, help="What was found and mended; it is kept.")
@config_option
def payouts_resume(why: str, config_path: Path) -> None:
    """Let sending go on after a breaker has stopped it."""
    directory = configuration.load(config_path).store.directory
    ended = OperatorDesk(database.connect(directory, "ledger")).resume(why, now_ms())
    click.echo(f"Sending goes on; {ended} stop(s) ended." if ended else "Sending was not stopped.")


def _desk(config_path: Path) -> OperatorDesk:
    return OperatorDesk(database.connect_to_read(configuration.load(config_path).store.directory, "ledger"))


@click.command()
@config_option
@json_option
def status(config_path: Path, as_json: bool) -> None:  # noqa: FBT001
    """Print the pool at a glance: hashrate, blocks, what is owed, payments."""
    with open_queries(config_path) as queries:
        pool, balances = queries.pool(now_ms()), queries.ledger_balances()
        known = {
            "hashrate_hps": pool.hashrate.hps,
            "accounts": pool.accounts,
            "workers": pool.workers,
            "newest_share_ms": pool.newest_share_ms,
            "blocks": queries.blocks_by_state(),
            "payments": {f"{way} {state}": n for (way, state), n in queries.payments_by_state().items()},
            "assets_msat": str(sum(v for k, v in balances.items() if k.startswith("assets:"))),
            "owed_msat": str(-sum(v for k, v in balances.items() if k.startswith("liabilities:"))),
            "sending_stopped": queries.sending_stopped(),
        }
    if as_json:
        print_json(known)
        return
    newest = "never" if pool.newest_share_ms is None else time_text(pool.newest_share_ms)
    click.echo(
        f"hashrate    {pool.hashrate.hps:.3g} H/s from {pool.workers} workers of {pool.accounts} accounts"
    )
    click.echo(f"last share  {newest}")
    for what in ("blocks", "payments"):
        counts = known[what]
        text = ", ".join(f"{n} {state}" for state, n in counts.items()) if isinstance(counts, dict) else ""
        click.echo(f"{what:11} {text or 'none'}")
    click.echo(f"assets      {sat_text(Msat(int(str(known['assets_msat']))))} sat")
    click.echo(f"owed        {sat_text(Msat(int(str(known['owed_msat']))))} sat")
    if known["sending_stopped"]:
        click.echo("SENDING IS STOPPED: `sluice payouts list` says why")


COMMANDS: Final = (payouts, status)
