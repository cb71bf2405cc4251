"""The share log in ``shares.db`` as windows are cut from it: newest chunks first, summed into slices.

Chunks are aligned ranges of log ids.  One writer appends at a time and ids only grow, so a chunk that lies
wholly below the newest id never changes, and its slices are kept; a block then costs two chunks of reading,
whatever the length of the window.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Final

from pool.shares import Chunk, Slice
from pool.store.blocks import FoundBlock
from stratum.units import Target

CHUNK_ROWS: Final = 1 << 18
"""Ids in a chunk: large enough that a window is few chunks, small enough to read one row by row."""
KEPT_CHUNKS: Final = 48
"""How many summed chunks stay in memory: 12 million shares, some 350 bytes for each slice."""
PREPARED_CHUNKS: Final = 40
"""How far back chunks are summed ahead of need: 10 million shares."""


class ShareWindows:
    """Reads ``shares.db``; writes nothing.

    Args:
        connection: opened for reading, used by one thread at a time.
        chunk_rows: ids in a chunk.
        kept_chunks: bound of the cache.
    """

    def __init__(
        self, connection: sqlite3.Connection, *, chunk_rows: int = CHUNK_ROWS, kept_chunks: int = KEPT_CHUNKS
    ) -> None:
        self._connection = connection
        self._chunk_rows = chunk_rows
        self._kept_chunks = kept_chunks
        self._kept: dict[int, Chunk] = {}
        self._targets: dict[int, Target] = {}
        self._names: dict[str, str] = {}

    def found_since(self, found_id: int) -> Sequence[FoundBlock]:
        """Blocks that fronts solved behind a row number, oldest first."""
        rows = self._connection.execute(
            "SELECT id, hash, share_id, height, account, found_ms FROM found WHERE id > ? ORDER BY id",
            (found_id,),
        )
        return [FoundBlock(*row) for row in rows]

    def share_at(self, time_ms: int) -> int:
        """Log id of the newest share that was judged at this moment or before, 0 when there is none."""
        row = self._connection.execute(
            "SELECT id FROM share WHERE time_ms <= ? ORDER BY id DESC LIMIT 1", (time_ms,)
        ).fetchone()
        return 0 if row is None else int(row[0])

    def prepare(self) -> None:
        """Sum the newest finished chunk that is not yet: called now and then, it makes blocks quick.

        At most one chunk a call (a third of a second), and no further back than PREPARED_CHUNKS.
        """
        row: tuple[int] = self._connection.execute("SELECT coalesce(max(id), 0) FROM share").fetchone()
        newest = (row[0] + 1) // self._chunk_rows - 1
        for number in range(newest, max(-1, newest - PREPARED_CHUNKS), -1):
            if number not in self._kept:
                chunk = self._finished(number)
                # both are kept once computed, with the counts by kind that worth is summed from
                _ = chunk.worth, chunk.oldest_id
                return

    def chunks(self, last_id: int) -> Iterator[Chunk]:
        """All shares up to a log id, newest chunk first; ranges without any share are left out.

        ``last_id`` is a share that was read from this log: what lies below it is final.
        """
        number = last_id // self._chunk_rows
        start = number * self._chunk_rows
        if last_id == start + self._chunk_rows - 1:
            chunk = self._finished(number)
        else:
            chunk = self._sum(start, last_id)
        while True:
            if chunk.slices:
                yield chunk
            if number == 0:
                return
            number -= 1
            chunk = self._finished(number)

    def rows(self, first_id: int, last_id: int) -> Iterator[Slice]:
        """Single shares of an id range, newest first."""
        cursor = self._connection.execute(
            "SELECT id, account, nbits, target_id FROM share WHERE id BETWEEN ? AND ? ORDER BY id DESC",
            (first_id, last_id),
        )
        for share_id, account, nbits, target_id in cursor:
            target = self._targets.get(target_id) or self._target(target_id)
            yield Slice(account, nbits, target, 1, share_id, share_id)

    def _finished(self, number: int) -> Chunk:
        """A chunk that nothing will be added to, from the cache when it is there."""
        chunk = self._kept.get(number)
        if chunk is None:
            start = number * self._chunk_rows
            chunk = self._kept[number] = self._sum(start, start + self._chunk_rows - 1)
            if len(self._kept) > self._kept_chunks:
                # windows move forward: the oldest is the one that will be wanted least
                del self._kept[min(self._kept)]
        return chunk

    def _sum(self, first_id: int, last_id: int) -> Chunk:
        rows = self._connection.execute(
            "SELECT account, nbits, target_id, count(*), min(id), max(id) FROM share"
            " WHERE id BETWEEN ? AND ? GROUP BY account, nbits, target_id",
            (first_id, last_id),
        )
        slices = tuple(
            Slice(
                self._names.setdefault(account, account),
                nbits,
                self._target(target_id),
                count,
                oldest,
                newest,
            )
            for account, nbits, target_id, count, oldest, newest in rows
        )
        return Chunk(first_id, last_id, slices)

    def _target(self, target_id: int) -> Target:
        target = self._targets.get(target_id)
        if target is None:
            row: tuple[bytes] = self._connection.execute(
                "SELECT target FROM target WHERE id = ?", (target_id,)
            ).fetchone()
            target = self._targets[target_id] = Target(int.from_bytes(row[0], "big"))
        return target
