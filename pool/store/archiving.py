"""Taking old shares out of ``shares.db``: noted first, then deleted, and nobody is kept waiting for it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import Final

from pool.proof.record import ShareRecord
from pool.store.archives import Archive, Archives
from pool.store.database import begin_now, transaction

Work = tuple[int, int, int, int, int]
"""A row of ``archived_work``."""
_WORK: Final = (
    "SELECT ?, target_id, nbits, pot = 'pool', count(*) FROM share WHERE id > ? AND id <= ? GROUP BY 2, 3, 4"
)


class ArchivingStore:
    """Writes ``shares.db``, beside the fronts; one connection, used by one thread."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Args: connection: from ``connect``, for this alone."""
        self._connection = connection
        self._archives = Archives(connection)
        # a power cut may undo the last transactions, never an earlier one of them and not a later one: rows
        # come back that are in a file as well.  So nobody waits for the disk while we hold the lock
        connection.execute("PRAGMA synchronous = NORMAL")

    def until(self) -> int:
        """Log id of the newest share that is in a file."""
        return self._archives.until()

    def records(self, first_id: int, last_id: int) -> list[ShareRecord]:
        """The rows of a range behind ``until``, oldest first."""
        return list(self._archives.records(first_id - 1, last_id))

    def work(self, first_id: int, last_id: int) -> list[Work]:
        """What ``archived_work`` is to have of a range."""
        winners = self._connection.execute(
            "SELECT DISTINCT share_id FROM found WHERE pot = 'pool' AND share_id >= ? AND share_id < ?"
            " ORDER BY share_id",
            (first_id, last_id),
        )
        rows: list[Work] = []
        after = first_id - 1
        for end in [*(row[0] for row in winners), last_id]:
            rows += self._connection.execute(_WORK, (end, after, end))
            after = end
        return rows

    def note(self, archive: Archive, work: Sequence[Work]) -> None:
        """A file has these shares now: from here on they are read from it."""
        row = (
            archive.first_id,
            archive.last_id,
            archive.file,
            archive.shares,
            json.dumps(archive.pots),
            archive.oldest_ms,
            archive.newest_ms,
            archive.size,
            archive.file_sha256,
            archive.content_sha256,
            archive.archived_ms,
        )
        with transaction(self._connection) as tx:
            tx.execute(
                "INSERT INTO archive (first_id, last_id, file, shares, pots, oldest_ms, newest_ms, bytes,"
                " file_sha256, content_sha256, archived_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                row,
            )
            tx.executemany(
                "INSERT INTO archived_work (last_id, target_id, nbits, main, count) VALUES (?, ?, ?, ?, ?)",
                work,
            )

    def left_over(self) -> bool:
        """Whether rows are there that a file has."""
        row = self._connection.execute(
            "SELECT 1 FROM share WHERE id <= ? LIMIT 1", (self.until(),)
        ).fetchone()
        return row is not None

    def delete(self, most: int) -> int | None:
        """Delete the oldest rows that a file has, in one transaction.

        Args:
            most: log ids that it may go over.

        Returns:
            How many rows went; None when a front is writing, which is not waited for.
        """
        if not begin_now(self._connection):
            return None
        with transaction(self._connection, begun=True) as tx:
            cursor = tx.execute(
                "DELETE FROM share WHERE id < (SELECT min(id) FROM share) + ? AND id <= ?",
                (most, self.until()),
            )
        return cursor.rowcount


def newest_before(connection: sqlite3.Connection, time_ms: int) -> int:
    """About the newest log id whose share was judged before a moment, 0 when none was.

    Ids rise with time but for the shares that several fronts write in the same moment.
    """
    row: tuple[int, int] = connection.execute(
        "SELECT coalesce(min(id), 1) - 1, coalesce(max(id), 0) FROM share"
    ).fetchone()
    low, high = row
    while low < high:
        middle = (low + high + 1) // 2
        found = connection.execute(
            "SELECT time_ms FROM share WHERE id >= ? ORDER BY id LIMIT 1", (middle,)
        ).fetchone()
        if found is not None and found[0] < time_ms:
            low = middle
        else:
            high = middle - 1
    return low
