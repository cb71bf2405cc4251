"""What blocks fix is written beside all else: in small steps, on after a restart, waiting for nobody."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest
from twisted.logger import capturedLogs

from payouts.money import Msat
from pool import ledger
from pool.committing import EVERY_MS, KEEP_MS, SLICE, Committing
from pool.logtree import TILE, Subtrees, root_at
from pool.proof.commitment import Adopted, output_data
from pool.proof.merkle import VOID, root_of
from pool.store.database import connect, connect_to_read
from pool.store.ledger import LedgerStore
from pool.store.log_tree import LeafReader, LogTable, fixed_until, newest_output
from pool.store.shares import ShareStore
from pool.verify_proofs import Fixed, LogAudit
from tests.pool.test_settle import NOW_MS, POLICY, share


@attrs.define
class Files:
    """Both files, and the book's work on the tree."""

    directory: Path
    shares: sqlite3.Connection
    books: sqlite3.Connection

    @property
    def table(self) -> LogTable:
        return LogTable(self.books)

    def start(self) -> Committing:
        return Committing(self.table, LeafReader(self.shares))

    def mine(self, count: int) -> None:
        ShareStore(self.shares, 3).write([share(f"miner{n % 5}") for n in range(count)], {})

    def lose(self, where: str) -> None:
        """Shares are gone, as no part of the pool could bring about."""
        self.shares.execute("DROP TRIGGER IF EXISTS share_stays")
        self.shares.execute(f"DELETE FROM share WHERE {where}")  # noqa: S608


@pytest.fixture
def files(tmp_path: Path) -> Iterator[Files]:
    made = Files(tmp_path, connect(tmp_path, "shares"), connect(tmp_path, "ledger"))
    yield made
    made.shares.close()
    made.books.close()


def caught_up(committing: Committing, now_ms: int = NOW_MS) -> int:
    steps = 1
    while committing.grow(now_ms):
        steps += 1
    return steps


def test_old_shares_are_caught_up_in_small_steps_and_a_restart_goes_on_from_the_last_tile(
    files: Files,
) -> None:
    files.mine(2 * TILE + 100)
    LedgerStore(files.books).adopt({"pool": POLICY}, 0, NOW_MS)
    committing = files.start()
    assert caught_up(committing) == -(-(2 * TILE + 100) // SLICE)
    first = committing.commit(NOW_MS)

    reader = LeafReader(files.shares)
    expected = reader.leaves(1, reader.newest())
    assert first is not None
    assert (first.size, first.root) == (2 * TILE + 100, root_of(expected))
    assert first.policies == {"pool": (Adopted(0, POLICY.hash),)}
    assert first.journal == LedgerStore(files.books).head()
    assert (files.table.tiles(), files.table.roots(0, 2)) == (
        2,
        [root_of(expected[:TILE]), root_of(expected[TILE : 2 * TILE])],
    )

    files.mine(50)
    again = files.start()
    assert caught_up(again) == 1  # only what the last tile lacks is read again
    second = again.commit(NOW_MS)
    assert second is not None
    assert root_at(first.size, Subtrees(files.table, reader)) == first.root
    assert root_at(second.size, Subtrees(files.table, reader)) == second.root


def test_a_commitment_is_written_when_something_has_changed_and_not_too_often(files: Files) -> None:
    committing = files.start()
    assert committing.commit(NOW_MS) is not None  # an empty log is something to begin with
    assert committing.commit(NOW_MS + EVERY_MS) is None
    files.mine(1)
    caught_up(committing)
    assert committing.commit(NOW_MS + EVERY_MS - 1) is None
    assert committing.commit(NOW_MS + EVERY_MS) is not None
    again = files.start()
    assert again.commit(NOW_MS) is None  # after a restart: not before it has caught up, and not twice
    caught_up(again)
    assert again.commit(NOW_MS) is None
    LedgerStore(files.books).post(ledger.deposit("a", "hot", Msat(1)), NOW_MS)
    assert committing.commit(NOW_MS + 2 * EVERY_MS) is not None


def test_while_the_payer_writes_the_book_waits_for_nothing_and_writes_the_next_time(files: Files) -> None:
    committing = files.start()
    files.mine(TILE)
    caught_up(committing)
    payer = connect(files.directory, "ledger")
    payer.execute("BEGIN IMMEDIATE")
    assert committing.commit(NOW_MS) is None
    payer.execute("ROLLBACK")
    payer.close()
    assert committing.commit(NOW_MS) is not None
    assert files.table.tiles() == 1


def test_a_commitment_goes_when_its_time_is_over_unless_a_block_has_used_it(files: Files) -> None:
    committing = files.start()
    for step in range(4):
        files.mine(1)
        caught_up(committing)
        assert committing.commit(NOW_MS + step * EVERY_MS) is not None
    files.books.execute(
        "INSERT INTO block (hash, found_id, height, account, state, found_ms, updated_ms)"
        " VALUES ('ab', 1, 1, 'ann', 'submitted', 0, 0)"
    )
    files.books.execute("INSERT INTO block_proof VALUES ('ab', zeroblob(80), '', '', 2)")
    files.mine(1)
    caught_up(committing)
    # the last of the four took the third's place just before it would have been too long ago
    committing.commit(NOW_MS + 2 * EVERY_MS + KEEP_MS + 1)
    assert [row[0] for row in files.books.execute("SELECT id FROM commitment ORDER BY id")] == [2, 3, 4, 5]
    with pytest.raises(sqlite3.IntegrityError):
        files.books.execute("DELETE FROM commitment WHERE id = 2")


def test_tiles_and_commitments_are_not_changed(files: Files) -> None:
    committing = files.start()
    files.mine(TILE)
    caught_up(committing)
    committing.commit(NOW_MS)
    for statement in (
        "UPDATE log_tile SET root = zeroblob(32)",
        "DELETE FROM log_tile",
        "INSERT INTO log_tile VALUES (2, zeroblob(32), zeroblob(2048))",
        "UPDATE commitment SET size = 1",
    ):
        with pytest.raises(sqlite3.IntegrityError):
            files.books.execute(statement)


def test_an_id_that_no_share_has_is_the_void_leaf(files: Files) -> None:
    files.mine(3)
    reader = LeafReader(files.shares)
    whole = reader.leaves(1, 3)
    files.lose("id = 2")
    assert reader.leaves(1, 4) == [whole[0], VOID, whole[2], VOID]


def test_the_next_coinbase_fixes_the_newest_commitment_and_a_busy_file_changes_nothing(files: Files) -> None:
    fixes = newest_output(connect_to_read(files.directory, "ledger"))
    assert fixes() == b""
    committing = files.start()
    first = committing.commit(NOW_MS)
    assert first is not None
    assert fixes() == output_data(first)
    writer = connect(files.directory, "ledger")
    writer.execute("BEGIN EXCLUSIVE")
    assert fixes() == output_data(first)
    writer.execute("ROLLBACK")
    writer.close()


def test_a_log_that_is_shorter_than_its_tree_is_named_and_not_taken_in_again(files: Files) -> None:
    files.mine(TILE)
    committing = files.start()
    caught_up(committing)
    committing.commit(NOW_MS)
    files.lose("id > 100")
    with capturedLogs() as events:
        again = files.start()
        assert again.grow(NOW_MS) is False
    assert [event["newest"] for event in events if "newest" in event] == [100]


def test_ids_that_a_block_may_have_fixed_are_never_given_again_though_their_shares_are_lost(
    files: Files,
) -> None:
    files.mine(TILE + 10)
    committing = files.start()
    caught_up(committing)
    first = committing.commit(NOW_MS)
    files.lose("id > 100")
    files.shares.execute("UPDATE sqlite_sequence SET seq = 100 WHERE name = 'share'")

    store = ShareStore(files.shares, 3)
    store.boot(NOW_MS, fixed_until(files.books))
    files.mine(1)
    assert LeafReader(files.shares).newest() == TILE + 11
    again = files.start()
    caught_up(again)
    second = again.commit(NOW_MS + EVERY_MS)
    assert first is not None
    assert second is not None
    assert (second.size, files.table.tiles()) == (TILE + 11, 1)  # what is fixed stays fixed
    found: list[str] = []
    LogAudit(files.shares, files.books, found.append).compare(
        [Fixed(first.size, first.root, "a block"), Fixed(second.size, second.root, "the newest")]
    )
    assert f"shares 101 to {TILE}: not in the log, and ids have no gaps" in found
    assert f"shares 1 to {first.size}: no longer what a block has fixed" in found
    assert not any("the newest" in text for text in found)
    store.boot(NOW_MS, 5)
    files.mine(1)
    assert LeafReader(files.shares).newest() == TILE + 12
