"""Commands for whoever checks the books: an account's statement, the journal in other formats, assertions."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

import attrs
import click

from payouts.money import Msat
from pool import beancount
from pool.cli import adjust
from pool.cli.accounts import known_account
from pool.cli.books import ledger_group
from pool.cli.common import (
    config_option,
    json_option,
    limit_option,
    load,
    open_file,
    open_queries,
    print_json,
    print_table,
    sat_text,
    short,
    time_text,
)
from pool.cli.moments import AT, Moment
from pool.ledger import Part
from pool.store.assertions import AssertionTable
from pool.store.audit import JournalRow
from pool.store.journal import JournalReader, StatementLine

ENTRY_COLUMNS: Final = ("entry", "time_ms", "kind", "key", "account", "amount_msat", "hash")


@ledger_group.command("statement")
@click.argument("name")
@click.option("--from", "since_ms", type=Moment(end=False), help="The first day, or a time (UTC).")
@click.option("--to", "until_ms", type=Moment(end=True), help="The last day, or a time (UTC).")
@AT
@click.option("--csv", "as_csv", is_flag=True, help="Print comma-separated values, all of them in msat.")
@config_option
@json_option
@limit_option(100)
def ledger_statement(
    name: str,
    since_ms: int | None,
    until_ms: int | None,
    at_ms: int | None,
    as_csv: bool,  # noqa: FBT001
    config_path: Path,
    as_json: bool,  # noqa: FBT001
    limit: int,
) -> None:
    """Print the movements of one account's balances, oldest first.

    NAME is a pool account or a Bitcoin address.  Each line says which block (its height), payment (L…) or
    batch (B…) it was, and what the pool owed the account afterwards.  Positive: the pool owes it more.  --csv
    prints every line of the span, the others the newest of them.
    """
    if as_csv and (as_json or at_ms is not None):
        raise click.UsageError("--csv goes with neither --json nor --at")
    config = load(config_path)
    with open_queries(config_path) as queries:
        name = known_account(name, config, queries)
    with closing(open_file(config.store.directory, "ledger")) as connection:
        reader = JournalReader(connection)
        if at_ms is not None:
            _print_owed(name, reader.owed(name, at_ms), at_ms, as_json=as_json)
            return
        lines = reader.statement(name, since_ms, until_ms, None if as_csv else limit)
    if as_csv:
        _print_csv(lines)
    elif as_json:
        print_json([attrs.asdict(line) for line in lines])
    else:
        _print_statement(name, lines)


def _print_owed(name: str, owed: Mapping[Part, Msat], at_ms: int, *, as_json: bool) -> None:
    total = Msat(sum(owed.values()))
    if as_json:
        print_json({"account": name, "at_ms": at_ms, **{f"{part}_msat": str(v) for part, v in owed.items()}})
        return
    rows = [(str(part), sat_text(amount)) for part, amount in owed.items()]
    print_table((f"at {time_text(at_ms)} UTC", "sat"), [*rows, ("together", sat_text(total))], empty="")


def _print_statement(name: str, lines: Sequence[StatementLine]) -> None:
    print_table(
        ("time (UTC)", "what", "about", "balance", "sat", "owed then"),
        [
            (
                time_text(line.time_ms),
                line.kind,
                line.about,
                line.part,
                sat_text(line.amount_msat),
                sat_text(line.owed_msat),
            )
            for line in lines
        ],
        empty=f"Nothing has moved for {name} in this time.",
    )


def _print_csv(lines: Sequence[StatementLine]) -> None:
    out = csv.writer(sys.stdout)
    out.writerow(["time_utc", *(field.name for field in attrs.fields(StatementLine))])
    for line in lines:
        out.writerow([time_text(line.time_ms), *attrs.astuple(line)])


def _beancount(reader: JournalReader) -> None:
    balances = reader.balances()
    first_ms = reader.first_ms() or 0
    for piece in beancount.exported("Sluice", first_ms, balances, reader.entries(), balances):
        sys.stdout.write(piece)


def _csv(reader: JournalReader) -> None:
    out = csv.writer(sys.stdout)
    out.writerow(ENTRY_COLUMNS)
    for row in reader.entries():
        for posting in row.postings:
            out.writerow(
                (row.id, row.time_ms, row.kind, row.key, posting.account, int(posting.amount), row.hash)
            )


def _jsonl(reader: JournalReader) -> None:
    for row in reader.entries():
        sys.stdout.write(_line(row))


def _line(row: JournalRow) -> str:
    document = {
        "entry": row.id,
        "key": row.key,
        "kind": row.kind,
        "time_ms": row.time_ms,
        "memo": row.memo,
        "previous": row.previous,
        "hash": row.hash,
        "postings": [[posting.account, str(posting.amount)] for posting in row.postings],
    }
    return json.dumps(document, ensure_ascii=False) + "\n"


FORMATS: Final[dict[str, Callable[[JournalReader], None]]] = {
    "beancount": _beancount,
    "csv": _csv,
    "jsonl": _jsonl,
}


@ledger_group.command("export", short_help="Print the whole journal for other programs.")
@click.option(
    "--format", "format_", type=click.Choice(list(FORMATS)), required=True, help="For which reader."
)
@config_option
def ledger_export(format_: str, config_path: Path) -> None:
    """Print the whole journal, an entry at a time, for other programs.

    beancount: for Beancount (commodity MSAT; ends in the balances, for bean-check to confirm).  csv: a line
    for each posting.  jsonl: a JSON document for each entry, with all that its hash is computed from.
    """
    with closing(open_file(load(config_path).store.directory, "ledger")) as connection:
        reader = JournalReader(connection)
        with reader.snapshot():
            FORMATS[format_](reader)


@ledger_group.command("assertions", short_help="Print how the books stood as each day began.")
@config_option
@json_option
@limit_option(31)
def ledger_assertions(config_path: Path, as_json: bool, limit: int) -> None:  # noqa: FBT001
    """Print how each day began: the last entry before it, its hash, and what the books came to.

    Note a hash elsewhere, and nobody can rewrite what was before it without your knowing.
    """
    with closing(open_file(load(config_path).store.directory, "ledger")) as connection:
        found = AssertionTable(connection).all()[::-1][:limit]
    if as_json:
        print_json(
            [
                {
                    "day": each.day,
                    "journal_id": each.journal_id,
                    "journal_hash": each.journal_hash,
                    **{f"{kind}_msat": str(amount) for kind, amount in each.sums.items()},
                }
                for each in found
            ]
        )
        return
    print_table(
        ("day (UTC)", "entry", "assets, sat", "owed, sat", "hash"),
        [
            (
                each.day,
                each.journal_id,
                sat_text(Msat(each.sums["assets"])),
                sat_text(Msat(-each.sums["liabilities"])),
                short(each.journal_hash),
            )
            for each in found
        ],
        empty="No day has begun yet since there are books.",
    )


for command in adjust.COMMANDS:
    ledger_group.add_command(command)
COMMANDS: Final = (ledger_group,)
