"""Whatever has been archived, and wherever archiving was cut off, every reader sees the log that there was."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from fractions import Fraction
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pool.archiver import Archiver, Deleted, Noted, Pace, Placed
from pool.errors import ArchiveError, StoreBusy
from pool.proof.record import ShareRecord
from pool.rewards.recount import recount
from pool.shares import cut, weights
from pool.store.archives import FOLDER, Archives
from pool.store.archiving import ArchivingStore, newest_before
from pool.store.audit import Audit
from pool.store.database import connect, connect_to_read, transaction
from pool.store.efforts import Efforts
from pool.store.shares import Found, ShareStore
from pool.store.windows import ShareWindows
from pool.verify_archive import check_archive
from stratum.ports import Share
from stratum.units import MAX_TARGET, Height, Target

NBITS = (0x207FFFFF, 0x1F7FFFFF)
TARGETS = (MAX_TARGET, Target(0x7FFFFF << 232), Target(0x7FFFFF << 230))
POTS = ("pool", "prop", "solo")
PER_FILE = 8


def share(number: int, pot: str = "pool", block_hash: str | None = None) -> Share:
    account, target = f"m{number % 3}", TARGETS[number % 7 % 3]
    height, nbits = Height(number // 9), NBITS[number % 31 > 15]
    return Share(account, f"rig{number % 5}", target, nbits, height, 1000 + number, "1a", block_hash, pot)


def block(number: int, pot: str) -> Found:
    name = f"{number:064x}"
    return Found(
        name, "00" * 32, number // 9, f"m{number % 3}", "w", "bcrt1q", 1000 + number, f"{name}.json", pot
    )


def fill(directory: Path, pots: list[str], winners: set[int]) -> None:
    """One share for each pot in the list; those with these numbers, from 1, are blocks."""
    shares = [share(n, pot, f"{n:064x}" if n in winners else None) for n, pot in enumerate(pots, start=1)]
    found = {f"{n:064x}": block(n, pots[n - 1]) for n in winners if n <= len(pots)}
    with closing(connect(directory, "shares")) as connection:
        ShareStore(connection, 7).write(shares, found)
    connect(directory, "ledger").close()


def archiver(connection: sqlite3.Connection, directory: Path, per_file: int = PER_FILE) -> Archiver:
    pace = Pace(lambda _: None, lambda: 0.0, rows=3)
    return Archiver(ArchivingStore(connection), directory / FOLDER, lambda: 5_000, pace, per_file)


def archive(directory: Path, last_id: int, steps: int | None = None) -> list[Placed | Noted | Deleted]:
    """Archive up to a share, or up to so many steps, as if the process were gone after the last of them."""
    with closing(connect(directory, "shares")) as connection:
        return list(islice(archiver(connection, directory).run(last_id), steps))


def everything(directory: Path, last_id: int) -> dict[str, Any]:
    """All that anybody asks of the share log."""
    with (
        closing(connect_to_read(directory, "shares")) as shares,
        closing(connect(directory, "ledger")) as books,
    ):
        log = ShareWindows(shares, chunk_rows=5, kept_chunks=2)
        log.prepare()
        audit = Audit(shares, books)
        efforts = Efforts(lambda sql, *values: shares.execute(sql, values).fetchall())
        ends = range(1, last_id + 1, 4)
        return {
            "newest": log.newest(),
            "moments": [log.share_at(1000 + n) for n in range(last_id + 2)],
            "records": list(Archives(shares).records(0, last_id)),
            "part": [record.id for record in Archives(shares).records(3, last_id - 2)],
            "efforts": [efforts.block(n, sid) for n, sid in shares.execute("SELECT id, share_id FROM found")],
            "round": efforts.round(),
            "pots": [of_pot(log, audit, pot, end) for pot in POTS for end in ends],
        }


def of_pot(log: ShareWindows, audit: Audit, pot: str, end: int) -> list[Any]:
    reader, raw = log.pot(pot), audit.pot(pot)
    windows = [cut(reader.chunks(end), reader.rows, size, end) for size in (Fraction(7, 2), Fraction(10**6))]
    again = recount(raw.shares(end), Fraction(7, 2))
    by_account, denominator = weights(windows[0])
    assert {name: Fraction(each, denominator) for name, each in by_account.items()} == dict(again.scores)
    return [
        [(weights(w), w.first_id, w.border, w.full, w.counts) for w in windows],
        reader.network(end),
        reader.round_start(end),
        reader.paid_kinds(end // 3, end, 2),
        reader.heights(end // 3, end),
        list(raw.shares(end, end // 3)),
        sorted(raw.paid(end, end // 4)),
        raw.nbits(end),
        list(reader.rows(end // 2, end)),
        [(c.first_id, c.last_id, dict(c.counts), c.oldest_id) for c in reader.chunks(end, end // 5)],
    ]


LOGS = st.lists(st.sampled_from(POTS), min_size=10, max_size=45)


@settings(max_examples=12, deadline=None)
@given(pots=LOGS, winners=st.sets(st.integers(1, 45), max_size=4), data=st.data())
def test_every_reader_sees_the_same_log_wherever_archiving_was_cut_off(
    pots: list[str], winners: set[int], data: st.DataObject
) -> None:
    with TemporaryDirectory() as name:
        directory, newest = Path(name), len(pots)
        fill(directory, pots, winners)
        before = everything(directory, newest)
        upto = data.draw(st.integers(0, newest - 1), "archived up to")
        for steps in data.draw(st.lists(st.integers(0, 6), max_size=3), "cut off after"):
            archive(directory, upto, steps)
            assert everything(directory, newest) == before
        archive(directory, upto)
        assert everything(directory, newest) == before
        assert_tidy(directory, upto, newest)


def assert_tidy(directory: Path, upto: int, newest: int) -> None:
    """Whole files up to the share and no further, no row of theirs left, nothing twice, nothing half."""
    with closing(connect_to_read(directory, "shares")) as shares:
        files = Archives(shares).all()
        until = upto // PER_FILE * PER_FILE
        assert [(f.first_id, f.last_id) for f in files] == [
            (first, first + PER_FILE - 1) for first in range(1, until, PER_FILE)
        ]
        rows = [row[0] for row in shares.execute("SELECT id FROM share ORDER BY id")]
        assert rows == list(range(until + 1, newest + 1))
    there = {path.name for path in (directory / FOLDER).glob("*")}
    assert there == {each.file for each in files}
