"""What the book has summed of the share log, kept in ``ledger.db``: a restarted book need not sum it again.

Nothing here is believed for good: a sum whose bytes have changed, or at whose end the log has another share
than it had (an older copy of the log was put back), is as if it were not there.
"""

from __future__ import annotations

import sqlite3
from typing import Final
from zlib import crc32

import msgspec

from pool.shares import Chunk
from pool.store.database import begin_now, transaction
from stratum.units import Target

_Body = tuple[int, list[tuple[int, str, dict[str, int]]]]
"""Log id of the oldest share, and by nBits and share target (hex) how many shares each account has."""
_DECODER: Final = msgspec.json.Decoder(_Body)
_ENCODER: Final = msgspec.json.Encoder()


class ChunkSums:
    """Table ``chunk_sum``.

    Args:
        connection: to ledger.db, to write; the book's own.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def load(self, pot: str, first_id: int, last_id: int, mark: str) -> Chunk | None:
        """A chunk that was saved, if it still holds.

        Args:
            pot: whose.
            first_id: log id that it begins with.
            last_id: log id that it ends with.
            mark: tells the newest share in it from all others.
        """
        row = self._connection.execute(
            "SELECT CAST(body AS BLOB), crc FROM chunk_sum"
            " WHERE pot = ? AND first_id = ? AND last_id = ? AND mark = ?",
            (pot, first_id, last_id, mark),
        ).fetchone()
        if row is None or crc32(row[0]) != row[1]:
            return None
        oldest_id, parts = _DECODER.decode(row[0])
        counts = {(nbits, Target(int(target, 16))): by_account for nbits, target, by_account in parts}
        return Chunk(first_id, last_id, counts, oldest_id)

    def save(self, pot: str, chunk: Chunk, mark: str, forget_to: int) -> bool:
        """Keep a chunk, unless another role is writing just now: no block is to wait for it.

        Args:
            pot: whose.
            chunk: nothing will be added to it.
            mark: as for ``load``.
            forget_to: chunks of this pot that end at this log id or before are wanted no more.

        Returns:
            Whether it was kept.
        """
        parts = [(nbits, f"{target:x}", by_account) for (nbits, target), by_account in chunk.counts.items()]
        body = _ENCODER.encode((chunk.oldest_id, parts))
        if not begin_now(self._connection):
            return False
        with transaction(self._connection, begun=True) as tx:
            tx.execute("DELETE FROM chunk_sum WHERE pot = ? AND last_id <= ?", (pot, forget_to))
            tx.execute(
                "INSERT OR REPLACE INTO chunk_sum (pot, first_id, last_id, mark, body, crc)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (pot, chunk.first_id, chunk.last_id, mark, body, crc32(body)),
            )
        return True
