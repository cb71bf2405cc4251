"""Commands about money that leaves, payouts, and the pool's state at a glance, status."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import attrs
import click

from payouts.money import Msat
from payouts.values import BatchState, PaymentState
from pool import fronts
from pool.advances import exposure, standing
from pool.cli import rulings
from pool.cli.common import (
    best_json,
    best_text,
    config_option,
    desk_to_write,
    json_option,
    limit_option,
    load,
    now_ms,
    open_file,
    open_queries,
    print_json,
    print_table,
    rate_json,
    rate_lines,
    sat_text,
    short,
    time_text,
    why_option,
)
from pool.cli.next_step import next_step
from pool.cli.payment_text import LONG, shown
from pool.config import Config
from pool.errors import PoolError
from pool.reserve import reserve_of
from pool.store.operator import OperatorDesk, is_running
from pool.store.queries import Queries
from pool.web import words

STATES: Final = [*{state.value: None for kind in (PaymentState, BatchState) for state in kind}]


@click.group()
def payouts() -> None:
    """Look at payments; stop them, and let them go on."""


@payouts.command("list")
@config_option
@json_option
@click.option("--state", type=click.Choice(STATES), help="Only payments in this state.")
@click.option("--unknown", is_flag=True, help="Only Lightning payments without an outcome, oldest first.")
@limit_option(50)
def payouts_list(
    config_path: Path,
    as_json: bool,  # noqa: FBT001
    state: str | None,
    unknown: bool,  # noqa: FBT001
    limit: int,
) -> None:
    """List payments over Lightning (L…) and on-chain batches (B…).

    When sending is stopped, the reason comes first.
    """
    desk = OperatorDesk(open_file(load(config_path).store.directory, "ledger"))
    rows = desk.without_outcome(limit) if unknown else desk.payments(state, limit)
    if as_json:
        print_json([attrs.asdict(row) for row in rows])
        return
    for reason, since_ms in desk.stops():
        click.echo(f"SENDING IS STOPPED since {time_text(since_ms)} UTC: {reason}")
    print_table(
        ("number", "time (UTC)", "state", "sat", "account", "reference"),
        [
            (
                r.number,
                time_text(r.created_ms),
                r.state,
                sat_text(Msat(r.amount_msat)),
                short(r.account),
                short(r.reference),
            )
            for r in rows
        ],
        empty=_none_of("unknown" if unknown else state),
    )


def _none_of(state: str | None) -> str:
    return "No payments yet." if state is None else f"No payment is {state}."


@payouts.command("show", short_help="Show all that is known of one payment.")
@click.argument("number")
@config_option
@json_option
def payouts_show(number: str, config_path: Path, as_json: bool) -> None:  # noqa: FBT001
    """Show all that is known of one payment, and what can be done about it.

    NUMBER is L12 (Lightning) or B3 (an on-chain batch), as `sluice payouts list` has them.
    """
    config = load(config_path)
    desk = OperatorDesk(open_file(config.store.directory, "ledger"))
    try:
        known = desk.show(number)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="NUMBER") from None
    if known is None:
        raise PoolError(f"there is no payment {number}: `sluice payouts list` has their numbers")
    kind = None if config.lightning is None else config.lightning.kind
    known["next"] = next_step(number.upper(), known, now_ms() // 1000, kind, stopped=bool(desk.stops()))
    if as_json:
        print_json(known)
        return
    for key, value in known.items():
        if value is not None:
            click.echo(f"{key:18} {shown(key, value)}")


@payouts.command("pause")
@why_option("What for; it is kept, and shown by `sluice payouts list`.")
@config_option
@json_option
def payouts_pause(why: str, config_path: Path, as_json: bool) -> None:  # noqa: FBT001
    """Stop sending until `sluice payouts resume`.

    Payments that are under way are still followed to their end; no new one is begun.
    """
    desk_to_write(config_path).pause(why, now_ms())
    if as_json:
        print_json({"sending_stopped": True})
        return
    click.echo("Sending is stopped: `sluice payouts resume` lets it go on.")


@payouts.command("resume")
@why_option("What was found and mended; it is kept.")
@config_option
@json_option
def payouts_resume(why: str, config_path: Path, as_json: bool) -> None:  # noqa: FBT001
    """Let sending go on after a stop.

    Look into the reason first: `sluice payouts list` shows it, docs/operations.md says what to do.
    """
    ended = desk_to_write(config_path).resume(why, now_ms())
    if as_json:
        print_json({"sending_stopped": False, "stops_ended": ended})
        return
    click.echo(f"Sending goes on; {ended} stop(s) ended." if ended else "Sending was not stopped.")


@click.command()
@config_option
@json_option
def status(config_path: Path, as_json: bool) -> None:  # noqa: FBT001
    """Print the pool at a glance.

    Which roles run, hashrate, blocks, what is owed and covered, payments.
    """
    config = load(config_path)
    with open_queries(config_path) as queries:
        known = _glance(config, queries)
    if as_json:
        print_json(known)
        return
    for line in _lines(known):
        click.echo(line)


def _glance(config: Config, queries: Queries) -> dict[str, Any]:
    """The document of ``status --json``: whole numbers of msat are strings, as everywhere in JSON here."""
    now = now_ms()
    pool, balances = queries.pool(now), queries.ledger_balances()
    directory, early = config.store.directory, standing(config, balances)
    roles = {**fronts.locks(config), "book": "book", "payer": "payer", "web": "web"}
    return {
        "running": [role for role, lock in roles.items() if is_running(directory, lock)],
        "hashrate_hps": pool.hashrate.hps,
        "hashrate_low_hps": pool.hashrate.low_hps,
        "hashrate_high_hps": pool.hashrate.high_hps,
        "round_effort": pool.round_effort,
        "best_share": best_json(pool.best.ever),
        "best_share_of_round": best_json(pool.best.round),
        "best_share_of_round_odds": pool.best_odds,
        "accounts": pool.accounts,
        "workers": pool.workers,
        "newest_share_ms": pool.newest_share_ms,
        "newest_share_ago": None if pool.newest_share_ms is None else words.ago(pool.newest_share_ms, now),
        "share_log": attrs.asdict(pool.log),
        "blocks": queries.blocks_by_state(),
        "payments": {f"{way} {state}": n for (way, state), n in queries.payments_by_state().items()},
        "assets_msat": str(sum(v for k, v in balances.items() if k.startswith("assets:"))),
        "owed_msat": str(-sum(v for k, v in balances.items() if k.startswith("liabilities:miners:"))),
        "reserve": _reserve(config, queries, balances),
        "fee_rate": rate_json(queries.newest_rate()),
        "early_credit": early and early.words(),
        "early_credit_exposure_msat": str(exposure(balances)),
        "sending_stopped": queries.sending_stopped(),
        **_waiting(directory),
    }


def _waiting(directory: Path) -> dict[str, Any]:
    """What waits for the operator: approvals, payments that nobody knows the outcome of, stops."""
    try:
        desk = OperatorDesk(open_file(directory, "ledger"))
    except PoolError:
        return {"awaiting_approval": 0, "without_outcome": 0, "stops": []}
    return {
        "awaiting_approval": desk.awaiting_approval(),
        "without_outcome": len(desk.without_outcome(LONG)),
        "stops": [reason for reason, _ in desk.stops()],
    }


def _reserve(config: Config, queries: Queries, balances: dict[str, int]) -> str | None:
    """What is left of the reserve that shares are paid from; None without one, or before the first share."""
    height = queries.newest_height()
    reserve = None if height is None else reserve_of(config, balances, height, queries.newest_rate())
    return None if reserve is None else reserve.words()


def _lines(known: dict[str, Any]) -> list[str]:
    newest = "never"
    if known["newest_share_ms"] is not None:
        newest = f"{time_text(known['newest_share_ms'])} UTC, {known['newest_share_ago']}"
    lines = [
        f"running     {', '.join(known['running']) or 'nothing: `sluice run` starts the pool'}",
        f"hashrate    {words.rate(known['hashrate_hps'])} ({words.rate(known['hashrate_low_hps'])} to"
        f" {words.rate(known['hashrate_high_hps'])}), workers: {known['workers']}, "
        f"accounts: {known['accounts']} (last 10 minutes)",
        f"last share  {newest}",
        f"share log   {_log_text(known['share_log'])}",
        f"this round  {words.percent(known['round_effort'])} of the work that a block takes",
        *_best_lines(known),
    ]
    lines.append(f"blocks      {_counts(known['blocks'])}")
    for way in ("lightning", "onchain"):
        counts = {key.split()[1]: n for key, n in known["payments"].items() if key.startswith(way)}
        lines.append(f"{way:11} {_counts(counts)}")
    lines += [
        f"assets      {sat_text(Msat(int(known['assets_msat'])))} sat",
        f"owed        {sat_text(Msat(int(known['owed_msat'])))} sat to miners",
    ]
    if known["reserve"] is not None:
        lines.append(f"reserve     {known['reserve']}")
    lines += rate_lines(known["fee_rate"])
    if known["early_credit"] is not None:
        lines.append(f"early       {known['early_credit']}")
    if known["awaiting_approval"]:
        lines.append(f"approval    {known['awaiting_approval']} payments wait for `sluice payouts approve`")
    if known["without_outcome"]:
        lines.append(
            f"outcome     {known['without_outcome']} payments have none: `sluice payouts list --unknown`"
        )
    if known["sending_stopped"]:
        lines.append("SENDING IS STOPPED: `sluice payouts list` says why, `sluice payouts resume` ends it")
        lines += [f"            {short(reason, LONG - 15)}" for reason in known["stops"]]
    return lines


def _log_text(extent: dict[str, Any]) -> str:
    archived = "none is archived"
    if extent["archived"]:
        archived = f"{extent['archived']:,} are archived, up to {time_text(extent['archived_ms'])} UTC"
    return f"{extent['kept']:,} shares; {archived}"


def _best_lines(known: dict[str, Any]) -> list[str]:
    if known["best_share"] is None:
        return []
    lines = [f"best share  {best_text(known['best_share'])}"]
    if known["best_share_of_round"] is not None:
        lines.append(f"  in round  {best_text(known['best_share_of_round'])}")
        odds = words.often(known["best_share_of_round_odds"])
        lines.append(f"            {odds} rounds as long as this one have so good a share")
    return lines


def _counts(by_state: dict[str, int]) -> str:
    return ", ".join(f"{n} {state}" for state, n in by_state.items() if n) or "none yet"


for command in rulings.COMMANDS:
    payouts.add_command(command)
COMMANDS: Final = (status, payouts)
