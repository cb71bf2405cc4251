"""Commands about the share log: moving old shares into files, and looking after those files."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

import click

from pool.archiver import Archiver, Deleted, Noted, Pace, Placed, due
from pool.cli.common import (
    config_option,
    json_option,
    load,
    now_ms,
    open_file,
    print_json,
    print_table,
    time_text,
)
from pool.errors import ArchiveError, ConfigError, StoreBusy
from pool.retention import DAY_MS, Plan, open_blocks, plan
from pool.store import database
from pool.store.archives import FOLDER, Archive, Archives
from pool.store.archiving import ArchivingStore, newest_before
from pool.store.chunk_sums import ChunkSums
from pool.store.ledger import LedgerStore
from pool.store.windows import ShareWindows

LOCK: Final = "archive"
NICE: Final = 15


@click.group("shares")
def shares_group() -> None:
    """The share log, and the files that its old shares are in."""


@shares_group.command("archive", short_help="Move old shares that nothing can need into files.")
@click.option("--older-than", "days", type=click.IntRange(min=1), help="Days, instead of archive_after_days.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@click.option(
    "--background", is_flag=True, hidden=True, help="Leave the processors to others; log to stderr."
)
@config_option
@json_option
def shares_archive(
    days: int | None,
    dry_run: bool,  # noqa: FBT001
    background: bool,  # noqa: FBT001
    config_path: Path,
    as_json: bool,  # noqa: FBT001
) -> None:
    """Move old shares that nothing can need into compressed files with checksums.

    Whole files of 65,536 shares go, older than [store] archive_after_days, when no window, no block that may
    still be divided and no payment needs one of them.  Run it as the fronts' user, while the pool runs: it
    lets them go first.  It may be stopped at any moment.
    """
    config = load(config_path)
    days = days or config.store.archive_after_days
    if days is None:
        raise ConfigError(
            f"{config_path}: store.archive_after_days is missing: say there, or by --older-than, after how"
            " many days shares may leave the log"
        )
    if background:
        _step_back()
    directory = config.store.directory
    try:
        with _reading(directory) as (shares, books), database.sole_role(directory, LOCK):
            planned, files = _plan(shares, books, days)
            done = (
                [] if dry_run else _archive(directory, planned.last_id, quiet=as_json, to_stderr=background)
            )
    except StoreBusy:
        if not database.anybody_shares(directory, LOCK):
            raise
        if as_json:
            print_json({"due": [], "archived": [], "busy": True})
        else:
            click.echo("Another process is archiving: it is left to that one.", err=background)
        return
    if as_json:
        print_json(_document(planned, files, done))
    elif not background:
        _say(planned, files if dry_run else [], days)


def _step_back() -> None:
    """Be no trouble to whatever else runs here."""
    if os.getpgrp() != os.getpid():  # a service of systemd's leads its group already, and may not ask
        os.setpgrp()  # Ctrl-C is the supervisor's, which ends us
    os.nice(NICE)


@contextmanager
def _reading(directory: Path) -> Iterator[tuple[sqlite3.Connection, sqlite3.Connection]]:
    """The share log and the books; the log as this release has it."""
    open_file(directory, "shares").close()
    database.connect(directory, "shares").close()
    with closing(open_file(directory, "shares")) as shares, closing(open_file(directory, "ledger")) as books:
        yield shares, books


def _plan(
    shares: sqlite3.Connection, books: sqlite3.Connection, days: int
) -> tuple[Plan, list[tuple[int, int]]]:
    """What may go, and which files that makes."""
    # the sums that the book keeps save reading twice the window again; what is wrong here costs time only
    ledger, log, now = LedgerStore(books), ShareWindows(shares, ChunkSums(books)), now_ms()
    until, old_id = log.archives.until(), newest_before(shares, now - days * DAY_MS)
    if not due(until, old_id):
        return Plan(old_id, None), []  # windows need not be looked at
    planned = plan(log, ledger, open_blocks(ledger.blocks, log, now), until, old_id)
    return planned, due(until, planned.last_id)


def _archive(directory: Path, last_id: int, *, quiet: bool, to_stderr: bool) -> list[Archive]:
    done: list[Archive] = []
    pace = Pace(time.sleep, time.perf_counter)
    with closing(database.connect(directory, "shares")) as connection:
        archiver = Archiver(ArchivingStore(connection), directory / FOLDER, now_ms, pace)
        for step in archiver.run(last_id):
            match step:
                case Noted(archive):
                    done.append(archive)
                    if not quiet:
                        click.echo(f"archived {archive.name}, {archive.size // 1000} kB", err=to_stderr)
                case Placed() | Deleted():
                    pass
    return done


def _document(planned: Plan, files: list[tuple[int, int]], done: list[Archive]) -> dict[str, Any]:
    return {
        "due": [{"first_id": first, "last_id": last} for first, last in files],
        "archived": [_as_json(each) for each in done],
        "kept_from": planned.last_id + 1,
        "kept_for": planned.limit and planned.limit.what,
    }


def _say(planned: Plan, files: list[tuple[int, int]], days: int) -> None:
    for first, last in files:
        click.echo(f"due: shares {first} to {last}")
    why = f"younger than {days} days" if planned.limit is None else planned.limit.what
    click.echo(f"Kept: shares from {planned.last_id + 1} on ({why}), and what does not fill a file yet.")


@shares_group.command("list")
@config_option
@json_option
def shares_list(config_path: Path, as_json: bool) -> None:  # noqa: FBT001
    """List the files of archived shares."""
    with closing(open_file(load(config_path).store.directory, "shares")) as shares:
        archives = Archives(shares).all()
    if as_json:
        print_json([_as_json(each) for each in archives])
        return
    print_table(
        ("from share", "to", "oldest (UTC)", "newest (UTC)", "kB", "file"),
        [
            (
                each.first_id,
                each.last_id,
                time_text(each.oldest_ms)[:10],
                time_text(each.newest_ms)[:10],
                each.size // 1000,
                each.file,
            )
            for each in archives
        ],
        empty="No share has been archived.",
    )


def _as_json(archive: Archive) -> dict[str, Any]:
    return {
        "first_id": archive.first_id,
        "last_id": archive.last_id,
        "file": archive.file,
        "shares": archive.shares,
        "pots": archive.pots,
        "oldest_ms": archive.oldest_ms,
        "newest_ms": archive.newest_ms,
        "bytes": archive.size,
        "file_sha256": archive.file_sha256,
        "content_sha256": archive.content_sha256,
        "archived_ms": archive.archived_ms,
    }


@shares_group.command("verify")
@config_option
@json_option
def shares_verify(config_path: Path, as_json: bool) -> None:  # noqa: FBT001
    """Unpack every file of archived shares, and compare it with its checksums.

    Exit status 1 when one is missing or was changed.
    """
    wrong: list[str] = []
    with closing(open_file(load(config_path).store.directory, "shares")) as shares:
        archives = Archives(shares)
        files = archives.all()
        for archive in files:
            try:
                archives.read(archive)
            except ArchiveError as error:
                wrong.append(str(error))
    if as_json:
        print_json({"ok": not wrong, "files": len(files), "differences": wrong})
    else:
        for each in wrong:
            click.echo(f"DIFFERENCE: {each}")
        click.echo(f"files checked: {len(files)}, wrong: {len(wrong)}")
    if wrong:
        raise click.exceptions.Exit(1)


COMMANDS: Final = (shares_group,)
