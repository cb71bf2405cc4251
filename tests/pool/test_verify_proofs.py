"""What blocks have fixed holds the pool: a changed share, tile, policy or proof is found and named."""

# ruff: noqa: S608 - the statements are this file's own constants
from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from itertools import cycle, islice
from pathlib import Path

import pytest

from pool.logtree import TILE
from pool.proof.check import check_text
from pool.proof.commitment import output_data
from pool.proof.findings import Kind
from pool.recheck import counted_again
from pool.roles.proving import GROW_EVERY_S
from pool.statements import Made, receipt_of
from pool.store.database import connect
from pool.store.ledger import LedgerStore
from pool.store.reward_checks import RewardChecks
from pool.verify import verify
from pool.verify_proofs import ProofAudit, oldest_share, shares_changed
from tests.pool.test_archiver import archiver
from tests.pool.test_block_proofs import find_block, keeper, run
from tests.pool.test_committing import Files, caught_up
from tests.pool.test_recheck import step
from tests.pool.test_settle import HASH, NOW_MS, POLICY, Pool
from tests.pool.test_verify import pool, tamper

__all__ = ["pool"]  # a fixture

AFTER = TILE + 100
"""Shares that the first of the two blocks fixes; the second one fixes those of two tiles and 70 more."""


def audited(files: Files) -> list[str]:
    found: list[str] = []
    ProofAudit(files.shares, files.books, found.append).run()
    return found


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """Two blocks that fix a log of two tiles and a part, and a share behind what they fix."""
    directory = tmp_path_factory.mktemp("mined")
    with (
        closing(connect(directory, "shares")) as shares,
        closing(connect(directory, "ledger")) as books,
    ):
        made = Files(directory, shares, books)
        LedgerStore(books).adopt({"pool": POLICY}, 0, NOW_MS)
        committing, hashes = made.start(), []
        for number, count in ((1, AFTER), (2, 2 * TILE + 70 - AFTER - 1)):
            made.mine(count)
            caught_up(committing)
            commitment = committing.commit(NOW_MS + number * 60_000)
            assert commitment is not None
            data = output_data(commitment)
            hashes.append(find_block(made, lambda data=data: data, number).hash)  # type: ignore[misc]
            run(keeper(made).step())
    return directory, hashes[0], hashes[1]


@pytest.fixture
def mined(original: tuple[Path, str, str], tmp_path: Path) -> Iterator[tuple[Files, str, str]]:
    """A copy of it, and the hashes of the two blocks."""
    for name in ("shares.db", "ledger.db"):
        shutil.copy(original[0] / name, tmp_path / name)
    with (
        closing(connect(tmp_path, "shares")) as shares,
        closing(connect(tmp_path, "ledger")) as books,
    ):
        yield Files(tmp_path, shares, books), *original[1:]


SHARE = "UPDATE share SET account = 'eve' WHERE id = {}"
HARM: dict[str, tuple[str, str, str]] = {
    "a share in the first tile": ("shares", SHARE.format(1000), "shares 961 to 1024: no longer what the log"),
    "its worker alone": ("shares", "UPDATE share SET worker = 'x' WHERE id = 1", "shares 1 to 64: no longer"),
    "its time by a millisecond": (
        "shares",
        f"UPDATE share SET time_ms = time_ms + 1 WHERE id = {TILE}",
        f"shares {TILE - 63} to {TILE}: no longer",
    ),
    "a share that only a block has fixed": (
        "shares",
        SHARE.format(2 * TILE + 5),
        f"shares {AFTER + 1} to {2 * TILE + 70}: no longer what block {{second}} has fixed",
    ),
    "a share that is gone": (
        "shares",
        "DELETE FROM share WHERE id = 77",
        "shares 77 to 77: not in the log",
    ),
    "a target": ("shares", "UPDATE target SET target = zeroblob(32)", "shares 1 to 64: no longer"),
    "a tile's node": (
        "books",
        "UPDATE log_tile SET nodes = zeroblob(2048) WHERE n = 1",
        f"shares {TILE + 1} to {2 * TILE}: the log's tree has a root of them that is none",
    ),
    "a policy": (
        "books",
        "UPDATE journal SET memo = replace(memo, '\"fee_bps\":100', '\"fee_bps\":99')",
        "block {first}: fixes other policies of pot pool",
    ),
    "a policy that is none": (
        "books",
        "UPDATE journal SET memo = '[]'",
        "block {first}: the policies that it fixes cannot be read",
    ),
    "the journal": (
        "books",
        "UPDATE journal SET hash = substr(hash, 1, 63) || 'g'",
        "which the journal lacks",
    ),
    "a commitment": (
        "books",
        "UPDATE commitment SET document = replace(document, '\"size\":4196', '\"size\":4195')",
        "block {first}: the row of commitment 1 is not that of its document",
    ),
    "a commitment that is none": ("books", "UPDATE commitment SET document = '{{}}'", "block {first}: "),
    "a coinbase": (
        "books",
        "UPDATE block_proof SET coinbase = substr(coinbase, 1, 60) || 'x' || substr(coinbase, 62)",
        "block {first}: its proof is not that of its coinbase",
    ),
    "a coinbase that is none": (
        "books",
        "UPDATE block_proof SET coinbase = zeroblob(9)",
        "block {first}: its proof is none",
    ),
}


@pytest.mark.parametrize("what", list(HARM))
def test_whatever_was_changed_is_named_where_it_is(what: str, mined: tuple[Files, str, str]) -> None:
    files, first, second = mined
    place, statement, expected = HARM[what]
    tamper(files.shares if place == "shares" else files.books, statement.replace("{{}}", "{}"))
    found = audited(files)
    text = expected.format(first=first, second=second)
    assert any(text in each for each in found), found


def test_a_log_that_nobody_has_touched_is_right_and_old_blocks_without_proofs_are_counted(
    mined: tuple[Files, str, str],
) -> None:
    files, _, _ = mined
    found: list[str] = []
    find_block(files, None, 3)
    files.mine(10)
    counts = ProofAudit(files.shares, files.books, found.append).run()
    assert found == []
    assert counts == {
        "proofs of blocks": 2,
        "blocks that no proof was kept of": 1,
        "shares in the log's tree": 2 * TILE + 70,
    }


def forge(files: Files) -> None:
    """Whoever has both files in their hands changes a share, and makes the tree again to fit."""
    tamper(files.shares, SHARE.format(1000))
    tamper(files.books, "DELETE FROM log_tile")
    committing = files.start()
    caught_up(committing)
    committing.commit(NOW_MS * 2)


def test_who_makes_the_whole_tree_again_is_held_by_the_first_block_that_fixed_the_share(
    mined: tuple[Files, str, str],
) -> None:
    files, first, second = mined
    forge(files)
    found = audited(files)
    assert any(f"shares 1 to {AFTER}: no longer what block {first} has fixed" in each for each in found)
    assert any(f"no longer what block {second} has fixed" in each for each in found)


def test_only_what_matters_is_looked_at_when_a_reward_is_counted_again(
    mined: tuple[Files, str, str],
) -> None:
    files, _, _ = mined
    assert shares_changed(files.shares, files.books, TILE + 5) == []
    tamper(files.shares, SHARE.format(1000))
    assert shares_changed(files.shares, files.books, TILE + 5) == []  # before anything that is paid
    (text,) = shares_changed(files.shares, files.books, 5)
    assert text.startswith("shares 961 to 1024: ")
    assert oldest_share({"parts": [{"window": {"first_id": 9}}, {"window": None}]}) == 9
    assert oldest_share({"parts": [{"window": None}]}) is None
    assert oldest_share({"after_share": 7, "last_share": 9}) == 8


def test_a_share_that_was_changed_before_it_was_paid_stops_payments_though_the_sum_is_right(
    pool: Pool,
) -> None:
    committing = Files(pool.directory, pool.shares, pool.books).start()
    caught_up(committing)
    assert committing.commit(NOW_MS) is not None
    assert counted_again(pool.directory, f"reward:{HASH}:0") == []
    tamper(pool.shares, "UPDATE share SET worker = 'another' WHERE id = 2")  # no amount depends on it
    (text,) = counted_again(pool.directory, f"reward:{HASH}:0")
    assert "no longer what the newest commitment has fixed" in text
    assert any(text in each for each in verify(pool.shares, pool.books).differences)


def test_what_was_said_of_shares_stops_payments_once_and_not_for_each_block_that_they_count_for(
    pool: Pool,
) -> None:
    committing = Files(pool.directory, pool.shares, pool.books).start()
    caught_up(committing)
    committing.commit(NOW_MS)
    tamper(pool.shares, "UPDATE share SET worker = 'another'")
    assert "no longer what" in (step(pool) or "")
    pool.books.execute("UPDATE breaker SET resumed_ms = 1")
    assert step(pool) is None  # the other block: nothing else is wrong
    assert RewardChecks(pool.books).counts() == (2, 2)
    assert GROW_EVERY_S <= 1  # a share is fixed long before what it is paid can be spent


def test_shares_that_were_archived_are_made_leaves_again_and_a_spoilt_archive_is_named(
    mined: tuple[Files, str, str],
) -> None:
    files, first, _ = mined
    for _ in archiver(files.shares, files.directory, TILE).run(TILE):
        pass
    assert files.shares.execute("SELECT min(id) FROM share").fetchone() == (TILE + 1,)
    assert audited(files) == []
    files.books.execute("UPDATE block SET state = 'mature'")
    made = receipt_of(files.directory, "miner0", 6)
    assert isinstance(made, Made)
    assert check_text(made.text, first).ok is False  # this block has no work …
    assert [each.about for each in check_text(made.text, first).of(Kind.WRONG)] == ["block"]  # … that is all

    (path,) = (files.directory / "archive").iterdir()
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    (text,) = audited(files)
    assert f"shares 1 to {TILE} (archive/{path.name})" in text


BOOKS = {
    "log_tile": ["n", "root", "nodes"],
    "commitment": ["size", "root", "document", "digest"],
    "block_proof": ["header", "coinbase", "branch", "commitment_id"],
}
SHARES = ["account", "worker", "target_id", "nbits", "height", "time_ms", "front_id", "job", "pot"]
SPOILT = ("NULL", "'x'", "CAST(x'ff00' AS TEXT)", "x'00'", "-1", "9223372036854775807", "0.5")


def without_rules(connection: sqlite3.Connection, table: str) -> None:
    """NOT NULL would hold up a forger who uses SQLite, and no other."""
    tamper(connection)
    connection.execute("PRAGMA writable_schema = ON")
    connection.execute(
        "UPDATE sqlite_master SET sql = replace(sql, ' NOT NULL', '') WHERE name = ?", (table,)
    )
    connection.execute("PRAGMA writable_schema = RESET")


@pytest.mark.parametrize("table", ["share", *BOOKS])
def test_whatever_is_written_into_a_column_is_named_and_breaks_nothing(
    table: str, mined: tuple[Files, str, str]
) -> None:
    files, _, _ = mined
    connection = files.shares if table == "share" else files.books
    without_rules(connection, table)
    row = {"log_tile": "n = 1", "share": "id = 5000"}.get(table, "rowid = 1")
    values = cycle(SPOILT)
    for column in BOOKS.get(table, SHARES):
        for value in islice(values, 1 if table == "share" else 3):
            connection.execute("BEGIN")
            try:
                connection.execute(f"UPDATE {table} SET {column} = {value} WHERE {row}")
            except sqlite3.Error:  # an id is a whole number, whoever writes it
                connection.execute("ROLLBACK")
                continue
            found = audited(files)
            connection.execute("ROLLBACK")
            assert found, (column, value)
