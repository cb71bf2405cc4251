"""Wherever archiving was cut off, every reader sees the log that there was, and nothing of it can be lost."""

from __future__ import annotations

import lzma
import resource
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from fractions import Fraction
from itertools import count, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pool.archiver import (
    BUSY_S,
    HELD_S,
    IDS_PER_FILE,
    LEAST_PAUSE_S,
    Archiver,
    Deleted,
    Noted,
    Pace,
    Placed,
    due,
)
from pool.errors import ArchiveError, StoreBusy
from pool.rewards.recount import recount
from pool.shares import cut, weights
from pool.store import schema, schema_archive
from pool.store.archives import FOLDER, Archives
from pool.store.archiving import ArchivingStore, newest_before
from pool.store.audit import Audit
from pool.store.database import connect, connect_to_read
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
WON_BY_POOL = "SELECT id, share_id FROM found WHERE pot = 'pool'"


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


def everything(
    directory: Path, last_id: int, meanwhile: Callable[[str], object] | None = None
) -> dict[str, Any]:
    """All that anybody asks of the share log; before each statement something else may happen."""
    files = [connect_to_read(directory, name) for name in ("shares", "shares", "ledger")]
    shares, others, books = files
    with closing(shares), closing(others), closing(books):
        for each in (shares, others):
            each.set_trace_callback(meanwhile)
        log = ShareWindows(shares, chunk_rows=5, kept_chunks=2)
        log.prepare()
        audit = Audit(others, books)
        efforts = Efforts(lambda sql, *values: shares.execute(sql, values).fetchall())
        ends = range(1, last_id + 1, 4)
        return {
            "pots": [of_pot(log, audit, pot, end) for pot in POTS for end in ends],
            "records": list(Archives(shares).records(0, last_id)),
            "part": [record.id for record in Archives(shares).records(3, last_id - 2)],
            "efforts": [efforts.block(*found) for found in shares.execute(WON_BY_POOL).fetchall()],
            "round": efforts.round(),
            "moments": [log.share_at(1000 + n) for n in range(last_id + 2)],
            "newest": log.newest(),
        }


def of_pot(log: ShareWindows, audit: Audit, pot: str, end: int) -> list[Any]:
    reader = log.pot(pot)
    windows = [cut(reader.chunks(end), reader.rows, size, end) for size in (Fraction(7, 2), Fraction(10**6))]
    counted = [
        [(weights(w), w.first_id, w.border, w.full, w.counts) for w in windows],
        reader.network(end),
        reader.round_start(end),
        reader.paid_kinds(end // 3, end, 2),
        reader.heights(end // 3, end),
        list(reader.rows(end // 2, end)),
        [(c.first_id, c.last_id, dict(c.counts), c.oldest_id) for c in reader.chunks(end, end // 5)],
    ]
    with audit.snapshot():
        raw = audit.pot(pot)
        again = recount(raw.shares(end), Fraction(7, 2))
        counted += [list(raw.shares(end, end // 3)), sorted(raw.paid(end, end // 4)), raw.nbits(end)]
        counted += [sorted(raw.heights(end, end // 4)), raw.round_start(end)]
    by_account, denominator = weights(windows[0])
    assert {name: Fraction(each, denominator) for name, each in by_account.items()} == dict(again.scores)
    return counted


LOGS = st.lists(st.sampled_from(POTS), min_size=10, max_size=33)


@settings(max_examples=10, deadline=None)
@given(pots=LOGS, winners=st.sets(st.integers(1, 33), max_size=4), data=st.data())
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


@settings(max_examples=15, deadline=None)
@given(
    pots=LOGS,
    winners=st.sets(st.integers(1, 33), max_size=4),
    begin=st.integers(0, 200),
    at_once=st.integers(1, 9),
)
def test_every_reader_sees_the_same_log_while_it_is_archived_under_its_hands(
    pots: list[str], winners: set[int], begin: int, at_once: int
) -> None:
    with TemporaryDirectory() as name:
        directory, newest = Path(name), len(pots)
        fill(directory, pots, winners)
        before = everything(directory, newest)
        with closing(connect(directory, "shares")) as connection:
            steps = archiver(connection, directory).run(newest - 1)
            statements = count(-begin)

            def step(_: str) -> None:
                if next(statements) >= 0:  # a file may come, and its rows go, between any two statements
                    list(islice(steps, at_once))

            assert everything(directory, newest, step) == before


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


def wrong(directory: Path) -> list[str]:
    """What the audit of the archive names."""
    named: list[str] = []
    with (
        closing(connect_to_read(directory, "shares")) as shares,
        closing(connect(directory, "ledger")) as books,
    ):
        check_archive(Audit(shares, books), named.append)
    return named


def rows(directory: Path) -> int:
    with closing(connect_to_read(directory, "shares")) as shares:
        return int(shares.execute("SELECT count(*) FROM share").fetchone()[0])


@pytest.fixture
def log(tmp_path: Path) -> Path:
    fill(tmp_path, ["pool"] * 20, set())
    return tmp_path


def test_files_hold_whole_tiles_of_the_merkle_tree_and_only_what_may_go() -> None:
    assert IDS_PER_FILE % 4096 == 0
    assert due(0, 7, 8) == []
    assert due(0, 8, 8) == [(1, 8)]
    assert due(8, 31, 8) == [(9, 16), (17, 24)]
    assert due(5, 16, 8) == [(6, 8), (9, 16)], "a log whose files were shorter once"


def test_a_share_that_no_file_has_cannot_be_deleted_by_a_slip_of_ours(log: Path) -> None:
    archive(log, 8)
    with closing(connect(log, "shares")) as connection:
        with pytest.raises(sqlite3.IntegrityError, match="only archived shares"):
            connection.execute("DELETE FROM share WHERE id = 9")
        for statement in ("DELETE FROM archive", "UPDATE archive SET file_sha256 = ''"):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                connection.execute(statement)
        with pytest.raises(sqlite3.IntegrityError, match="one after the other"):
            connection.execute("INSERT INTO archive SELECT 18, 20, 'x', 3, '{}', 0, 0, 0, '', '', 0")


def test_a_file_in_the_way_is_taken_if_it_holds_just_these_shares_however_they_are_packed(log: Path) -> None:
    (placed,) = archive(log, 8, 1)
    assert isinstance(placed, Placed)
    path = log / FOLDER / placed.file
    path.write_bytes(lzma.compress(lzma.decompress(path.read_bytes()), preset=6 | lzma.PRESET_EXTREME))
    before = path.stat()
    assert archive(log, 8)[0] == placed
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert wrong(log) == []


@pytest.mark.parametrize("content", [b"", b"no archive", lzma.compress(b"sluice-shares 1\n{}\n")])
def test_any_other_file_in_the_way_is_named_and_no_share_goes(log: Path, content: bytes) -> None:
    (placed,) = archive(log, 8, 1)
    assert isinstance(placed, Placed)
    (log / FOLDER / placed.file).write_bytes(content)
    with pytest.raises(ArchiveError, match=r"shares-000000000001-000000000008.xz is there, but"):
        archive(log, 16)
    assert rows(log) == 20
    assert wrong(log) == []


@contextmanager
def full_disk() -> Iterator[None]:
    """No file can grow by a byte."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_on_a_full_disk_it_fails_loudly_and_deletes_nothing(log: Path) -> None:
    with closing(connect(log, "shares")) as connection:
        steps = archiver(connection, log).run(16)
        with full_disk(), pytest.raises(ArchiveError, match=r"could not be written \(File too large\)"):
            next(steps)
    assert list((log / FOLDER).iterdir()) == []
    assert rows(log) == 20
    archive(log, 16)
    assert_tidy(log, 16, 20)


def test_a_share_that_no_record_can_hold_stays_and_so_does_all_behind_it(log: Path) -> None:
    with closing(connect(log, "shares")) as connection:
        connection.execute("UPDATE share SET worker = ? WHERE id = 12", ("w" * 256,))
    with pytest.raises(ArchiveError, match=r"share 12 has a value that no share has"):
        archive(log, 16)
    assert_tidy(log, 8, 20)


def test_a_front_that_writes_goes_first_and_one_that_has_stalled_is_named(log: Path) -> None:
    with closing(connect(log, "shares")) as connection, closing(connect(log, "shares")) as front:
        pauses: list[float] = []

        def sleep(seconds: float) -> None:
            pauses.append(seconds)
            if len(pauses) == 3:
                front.execute("COMMIT")

        store, pace = ArchivingStore(connection), Pace(sleep, lambda: 0.0)
        steps = Archiver(store, log / FOLDER, lambda: 0, pace, PER_FILE).run(16)
        assert isinstance([next(steps), next(steps)][1], Noted)
        front.execute("BEGIN IMMEDIATE")
        assert next(steps) == Deleted(8)
        assert pauses == [LEAST_PAUSE_S] * 4
        assert isinstance([next(steps), next(steps)][1], Noted)
        front.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreBusy, match="stalled"):
            next(steps)
        assert sum(pauses) > BUSY_S
        front.execute("ROLLBACK")


def test_deleting_learns_how_much_it_may_do_at_a_time_and_mostly_pauses() -> None:
    pauses: list[float] = []
    pace = Pace(pauses.append, lambda: 0.0, rows=64)
    pace.deleted(HELD_S / 4)
    assert pace.rows == 128
    pace.deleted(HELD_S * 3)
    assert pace.rows == 64
    pace.deleted(HELD_S * 0.7)
    assert pace.rows == 64
    assert pauses == [
        pytest.approx(max(LEAST_PAUSE_S, 9 * took)) for took in (HELD_S / 4, HELD_S * 3, HELD_S * 0.7)
    ]
    for _ in range(20):
        pace.deleted(0.0)
    assert pace.rows == 4_096
    for _ in range(20):
        pace.deleted(1.0)
    assert pace.rows == 16


def test_a_damaged_a_missing_and_an_exchanged_file_are_each_named_with_their_shares(log: Path) -> None:
    archive(log, 16)
    first, second = sorted((log / FOLDER).iterdir())
    kept = first.read_bytes()
    named = "shares 1 to 8 (archive/shares-000000000001-000000000008.xz)"
    for at in range(0, len(kept), 29):
        first.write_bytes(kept[:at] + bytes([kept[at] ^ 1 << at % 8]) + kept[at + 1 :])
        (line,) = wrong(log)
        assert line.startswith(f"{named} was changed: its SHA-256 is ")
    first.write_bytes(second.read_bytes())
    assert wrong(log)[0].startswith(f"{named} was changed")
    first.unlink()
    assert wrong(log) == [f"{named} cannot be read: No such file or directory"]
    with (
        closing(connect_to_read(log, "shares")) as shares,
        pytest.raises(ArchiveError, match="shares 1 to 8 "),
    ):
        list(Archives(shares).records(0, 20))
    first.write_bytes(kept)
    assert wrong(log) == []


def test_shares_that_are_lost_behind_the_archive_are_named(log: Path) -> None:
    archive(log, 16)
    with closing(connect(log, "shares")) as connection:
        connection.execute("DROP TRIGGER share_stays")
        connection.execute("DELETE FROM share WHERE id < 19")
    assert wrong(log) == ["shares 17 to 18: they are neither archived nor in the log"]


def test_the_newest_share_before_a_moment_is_found_in_what_is_left_of_the_log(log: Path) -> None:
    archive(log, 8)
    with closing(connect_to_read(log, "shares")) as shares:
        assert [newest_before(shares, 1000 + n) for n in (1, 9, 10, 15, 21, 99)] == [8, 8, 9, 14, 20, 20]
    with closing(connect(log / "other", "shares")) as empty:
        assert newest_before(empty, 5) == 0


def test_a_log_of_an_older_release_keeps_its_blocks_and_their_numbers(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "shares.db", isolation_level=None)) as old:
        for script in schema.SHARES[: schema.SHARES.index(schema_archive.STEP)]:
            old.executescript(script)
        old.execute(f"PRAGMA user_version = {schema.SHARES.index(schema_archive.STEP)}")
        target = (MAX_TARGET).to_bytes(32, "big")
        old.execute("INSERT INTO target (id, target) VALUES (1, ?)", (target,))
        for number in range(1, 10):
            old.execute(
                "INSERT INTO share VALUES (?, 'ann', 'w', 1, ?, 9, 5, 0, '1', 'pool')", (number, NBITS[0])
            )
        values = "('ab', 'cd', 9, 3, 'ann', 'w', 'bcrt1q', 5, 'file', 'prop')"
        columns = "hash, prev_hash, height, share_id, account, worker, address, found_ms, file, pot"
        old.execute(f"INSERT INTO found ({columns}) VALUES {values}")  # noqa: S608
        before = old.execute(f"SELECT id, {columns} FROM found").fetchall()  # noqa: S608
    with closing(connect(tmp_path, "shares")) as connection:
        assert connection.execute(f"SELECT id, {columns} FROM found").fetchall() == before  # noqa: S608
        list(archiver(connection, tmp_path).run(8))
        assert connection.execute("SELECT min(id) FROM share").fetchone() == (9,)
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        ShareStore(connection, 0).write_without_share(block(5, "pool"))
        assert connection.execute("SELECT max(id) FROM found").fetchone() == (2,)


def test_shares_that_are_archived_in_the_moment_before_they_are_read_are_not_missed(log: Path) -> None:
    with closing(connect(log, "shares")) as connection, closing(connect_to_read(log, "shares")) as shares:
        steps = archiver(connection, log).run(16)

        def step(statement: str) -> None:
            if "JOIN target" in statement:
                list(steps)

        shares.set_trace_callback(step)
        assert [record.id for record in Archives(shares).records(2, 20)] == list(range(3, 21))
        assert shares.execute("SELECT min(id) FROM share").fetchone() == (17,)


def test_the_work_of_a_round_is_right_when_it_was_last_asked_for_before_its_shares_were_archived(
    tmp_path: Path,
) -> None:
    fill(tmp_path, ["pool"] * 5, {3})
    with closing(connect(tmp_path, "shares")) as shares:
        efforts, fresh = (Efforts(lambda sql, *v: shares.execute(sql, v).fetchall()) for _ in range(2))
        before = efforts.round()
        ShareStore(shares, 7).write([share(number) for number in range(6, 21)], {})
        archive(tmp_path, 16)
        assert efforts.round() == fresh.round()
        assert efforts.round().hashes > before.hashes
