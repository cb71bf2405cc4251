"""The Merkle tree over the share log in the files: its leaves, the tiles that are kept, and commitments."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Final, cast

import attrs

from pool.errors import ProofError
from pool.ledger import GENESIS
from pool.logtree import Tile, leaves
from pool.proof.commitment import MAGIC, Adopted, Commitment, policies_of, read
from pool.proof.merkle import HASH_BYTES
from pool.proof.record import ShareRecord
from pool.store import policies
from pool.store.archives import Archives
from pool.store.database import begin_now, transaction

PRUNED_AT_ONCE: Final = 200
"""Commitments that are dropped with a new one: after a long stop there are many."""


class LeafReader:
    """Reads shares as the tree has them.

    Args:
        connection: to ``shares.db``, for reading.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._archives = Archives(connection)

    def newest(self) -> int:
        """Log id of the newest share, 0 when there is none."""
        row: tuple[int] = self._connection.execute("SELECT coalesce(max(id), 0) FROM share").fetchone()
        return row[0]

    def records(self, first_id: int, last_id: int) -> Iterator[ShareRecord]:
        """The shares of an id range, oldest first; ids that no share has are left out.

        Raises:
            ArchiveError: some of them are archived, and their file cannot be read.
        """
        return self._archives.records(first_id - 1, last_id)

    def leaves(self, first_id: int, last_id: int) -> list[bytes]:
        """The leaf hashes of an id range, with the void leaf for each id that no share has.

        Raises:
            ArchiveError: see ``records``.
        """
        # rows as they come: this goes over every share there is, and records of them would cost a tenth more
        rows = self._archives.rows(first_id - 1, last_id)
        return leaves(cast(Iterator[ShareRecord], rows), first_id, last_id)


@attrs.frozen
class Kept:
    """A commitment as the books keep it.  Attributes: its number, and when it was made, Unix milliseconds."""

    id: int
    commitment: Commitment
    made_ms: int


class LogTable:
    """Reads ``log_tile`` and ``commitment``; writes them, where the connection may."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def tiles(self) -> int:
        """How many tiles there are."""
        row: tuple[int] = self._connection.execute("SELECT coalesce(max(n) + 1, 0) FROM log_tile").fetchone()
        return row[0]

    def count(self) -> int:
        """The same, counted one by one."""
        row: tuple[int] = self._connection.execute("SELECT count(*) FROM log_tile").fetchone()
        return row[0]

    def roots(self, begin: int, end: int) -> list[bytes]:
        """Roots of the tiles ``begin … end - 1``."""
        rows = self._connection.execute(
            "SELECT root FROM log_tile WHERE n >= ? AND n < ? ORDER BY n", (begin, end)
        )
        return [row[0] for row in rows]

    def nodes(self, n: int) -> list[bytes] | None:
        """The 64 nodes of a tile, each of 64 leaves; None while there is no such tile."""
        row = self._connection.execute("SELECT nodes FROM log_tile WHERE n = ?", (n,)).fetchone()
        if row is None:
            return None
        return [row[0][at : at + HASH_BYTES] for at in range(0, len(row[0]), HASH_BYTES)]

    def newest(self) -> Kept | None:
        """The newest commitment.

        Raises:
            ProofError: it, or the one that is asked for below, was changed.
        """
        return self._kept("ORDER BY id DESC LIMIT 1")

    def with_digest(self, digest: bytes) -> Kept | None:
        """The commitment with this digest."""
        return self._kept("WHERE digest = ?", digest)

    def numbered(self, number: int) -> Kept | None:
        """The commitment with this number."""
        return self._kept("WHERE id = ?", number)

    def _kept(self, clause: str, *values: bytes | int) -> Kept | None:
        # the clauses are this class's own constants
        row = self._connection.execute(
            f"SELECT id, made_ms, document, size, root, digest FROM commitment {clause}",  # noqa: S608
            values,
        ).fetchone()
        if row is None:
            return None
        number, made_ms, document, *columns = row
        commitment = read(document)
        if columns != [commitment.size, commitment.root, commitment.digest]:
            raise ProofError(f"the row of commitment {number} is not that of its document")
        return Kept(number, commitment, made_ms)

    def journal(self) -> str:
        """Hash of the newest entry of the journal."""
        row = self._connection.execute("SELECT hash FROM journal ORDER BY id DESC LIMIT 1").fetchone()
        return GENESIS if row is None else str(row[0])

    def policies(self) -> dict[str, tuple[Adopted, ...]]:
        """All policies of all pots, as a commitment has them."""
        return policies_of((change.pot, change.term) for change in policies.read(self._connection))

    def policies_at(self, journal: str) -> dict[str, tuple[Adopted, ...]] | None:
        """The policies in the journal up to the entry with this hash; None: there is no such one."""
        row = self._connection.execute("SELECT id FROM journal WHERE hash = ?", (journal,)).fetchone()
        if row is None:
            return {} if journal == GENESIS else None
        known = policies.read(self._connection, row[0])
        return policies_of((change.pot, change.term) for change in known)

    def write(self, tiles: Sequence[Tile], commitment: Commitment | None, now_ms: int, keep_ms: int) -> bool:
        """Write finished tiles and a new commitment in one transaction, and drop commitments of no more use.

        A commitment is dropped when another one took its place more than ``keep_ms`` ago and no block has
        used it.

        Returns:
            False: another process is writing, and nothing was written.
        """
        if not begin_now(self._connection):
            return False
        with transaction(self._connection, begun=True) as tx:
            tx.executemany("INSERT INTO log_tile (n, root, nodes) VALUES (?, ?, ?)", tiles)
            if commitment is not None:
                tx.execute(
                    "INSERT OR IGNORE INTO commitment (size, root, document, digest, made_ms)"
                    " VALUES (?, ?, ?, ?, ?)",
                    (commitment.size, commitment.root, commitment.document, commitment.digest, now_ms),
                )
                tx.execute(
                    "DELETE FROM commitment WHERE id IN (SELECT id FROM commitment WHERE id <"
                    " (SELECT max(id) FROM commitment WHERE made_ms < ?) AND id NOT IN"
                    " (SELECT commitment_id FROM block_proof WHERE commitment_id IS NOT NULL) LIMIT ?)",
                    (now_ms - keep_ms, PRUNED_AT_ONCE),
                )
        return True


def fixed_until(connection: sqlite3.Connection) -> int:
    """Greatest log id that a block may have fixed.  Args: connection: to ``ledger.db``."""
    row: tuple[int] = connection.execute("SELECT coalesce(max(size), 0) FROM commitment").fetchone()
    return row[0]


def newest_output(connection: sqlite3.Connection) -> Callable[[], bytes]:
    """What the next coinbase fixes: the data of its OP_RETURN output, empty while there is no commitment.

    Args:
        connection: to ``ledger.db``, for reading; of its own, since it shall not wait for a busy file.

    Returns:
        Answers from one read; when the file cannot be read at the moment, what it answered before.
    """
    connection.execute("PRAGMA busy_timeout = 0")
    last = b""

    def read_newest() -> bytes:
        nonlocal last
        with suppress(sqlite3.Error):
            row = connection.execute("SELECT digest FROM commitment ORDER BY id DESC LIMIT 1").fetchone()
            last = b"" if row is None else MAGIC + row[0]
        return last

    return read_newest
