"""The share log in ``shares.db`` as windows are cut from it: newest chunks first, summed into slices.

Chunks are aligned ranges of log ids.  One writer appends at a time and ids only grow, so a chunk that lies
wholly below the newest id never changes, and its slices are kept; a block then costs two chunks of reading,
whatever the length of the window.  Each pot has chunks of its own: those of the main one are read as the log
lies, those of a small one by an index that only its shares are in.  Summing a chunk takes a third of a
second, so the sums of the main pot are also kept on disk (pool.store.chunk_sums).

Windows end above what is archived.  One that does not is cut from the archive too: slowly, and the same.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from pool.rewards.pps import PaidKind
from pool.shares import Chunk, Slice, network_work
from pool.store.blocks import FoundBlock
from pool.store.chunk_sums import ChunkSums
from pool.store.log_reader import LogReader
from pool.store.pot_chunks import PotChunks, target_of
from stratum.options import POOL
from stratum.units import Work

CHUNK_ROWS: Final = 1 << 18
"""Ids in a chunk: large enough that a window is few chunks, small enough to read one row by row."""
KEPT_CHUNKS: Final = 48
"""How many summed chunks stay in memory: 12 million shares, some 100 bytes for each account and worth."""
_NOT_INDEXED: Final = (POOL, "solo")
"""Pots whose shares are in no index: the main one is most of the log, and solo has no windows."""


class ShareWindows:
    """Reads ``shares.db``; writes nothing there.

    Args:
        connection: opened for reading, used by one thread at a time.
        sums: where ``prepare`` keeps what it has summed, and it is found again after a restart.
        chunk_rows: ids in a chunk.
        kept_chunks: bound of the cache, for each pot.

    Attributes:
        archives: what is in the log no more.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        sums: ChunkSums | None = None,
        *,
        chunk_rows: int = CHUNK_ROWS,
        kept_chunks: int = KEPT_CHUNKS,
    ) -> None:
        self._connection = connection
        self._log = LogReader(connection)
        self._sums = sums
        self._chunk_rows = chunk_rows
        self._kept_chunks = kept_chunks
        self._pots: dict[str, PotWindows] = {}
        self.archives = self._log.archives

    def pot(self, name: str) -> PotWindows:
        """The shares of one pot."""
        if name not in self._pots:
            self._pots[name] = PotWindows(self._log, name, self._sums, self._chunk_rows, self._kept_chunks)
        return self._pots[name]

    def found_since(self, found_id: int) -> Sequence[FoundBlock]:
        """Blocks that fronts solved behind a row number, oldest first."""
        rows = self._connection.execute(
            "SELECT id, hash, share_id, height, account, found_ms, pot FROM found WHERE id > ? ORDER BY id",
            (found_id,),
        )
        return [FoundBlock(*row) for row in rows]

    def share_at(self, time_ms: int) -> int:
        """Log id of the newest share that was judged at this moment or before, 0 when there is none."""
        found = self._number("SELECT id FROM share WHERE time_ms <= ? ORDER BY id DESC LIMIT 1", time_ms)
        return found or self.archives.at(time_ms)

    def newest(self) -> int:
        """Log id of the newest share, 0 when there is none."""
        return self._number("SELECT max(id) FROM share")

    def prepare(self) -> None:
        """Sum the newest finished chunk that is not yet: called now and then, it makes blocks quick.

        At most one chunk a call (a third of a second), and no further back than PREPARED_CHUNKS.  Not to be
        called within a transaction of the books.
        """
        self.pot(POOL).prepare(self.newest())

    def _number(self, statement: str, *values: str | int) -> int:
        row = self._connection.execute(statement, values).fetchone()
        return 0 if row is None or row[0] is None else int(row[0])


class PotWindows:
    """The shares of one pot; a pool.rewards.stakes.PotLog."""

    def __init__(
        self, log: LogReader, pot: str, sums: ChunkSums | None, chunk_rows: int, kept_chunks: int
    ) -> None:
        self._log = log
        self._pot = pot
        self._chunk_rows = chunk_rows
        # the other conditions are what SQLite asks for before it uses the index
        self._indexed = pot not in _NOT_INDEXED
        self._where = "pot = ? AND pot <> 'pool' AND pot <> 'solo'" if self._indexed else "pot = ?"
        self._chunks = PotChunks(log, pot, self._where, sums, chunk_rows, kept_chunks)

    def prepare(self, newest_id: int) -> None:
        """See ShareWindows."""
        self._chunks.prepare(newest_id)

    def chunks(self, last_id: int, after_id: int = 0) -> Iterator[Chunk]:
        """All shares with ``after_id < id <= last_id``, newest chunk first; without those that are empty.

        ``last_id`` is a share that was read from this log: what lies below it is final.
        """
        last_id = self._newest_of(last_id)
        while last_id > after_id:
            number = last_id // self._chunk_rows
            start = number * self._chunk_rows
            if last_id == start + self._chunk_rows - 1 and max(start, 1) > after_id:
                chunk = self._chunks.finished(number)
            else:
                chunk = self._chunks.sum(max(start, after_id + 1), last_id)
            if chunk.counts:
                yield chunk
            last_id = self._newest_of(start - 1)

    def _newest_of(self, last_id: int) -> int:
        """Where to go on reading: in a small pot, at the end of the chunk of its next older share."""
        if not self._indexed or last_id <= 0:
            return last_id
        row: tuple[int] = self._log.read(
            f"SELECT coalesce(max(id), 0) FROM share WHERE {self._where} AND id <= ?",  # noqa: S608 -- a constant
            self._pot,
            last_id,
        ).fetchone()
        oldest = row[0] or min(last_id, self._log.archives.until())
        if oldest == 0:
            return 0
        return min(last_id, (oldest // self._chunk_rows + 1) * self._chunk_rows - 1)

    def rows(self, first_id: int, last_id: int) -> Iterator[Slice]:
        """Single shares of an id range, newest first."""
        archives = self._log.archives
        until: int | None = None
        for share_id, account, nbits, target_id, until in self._log.read(
            "SELECT id, account, nbits, target_id, (SELECT coalesce(max(last_id), 0) FROM archive)"  # noqa: S608 -- a constant of this class
            f" FROM share WHERE {self._where} AND id BETWEEN ? AND ? ORDER BY id DESC",
            self._pot,
            first_id,
            last_id,
        ):
            if share_id <= until:
                break
            yield Slice(account, nbits, self._log.target(target_id), 1, share_id, share_id)
        # of the same moment as the rows, or, when there are none, of a later one, which is as good
        until = min(last_id, archives.until() if until is None else until)
        for each in archives.archived(first_id - 1, until, self._pot, newest_first=True):
            yield Slice(each.account, each.nbits, target_of(each), 1, each.id, each.id)

    def network(self, last_id: int) -> Work:
        """See pool.rewards.stakes.PotLog."""
        row = self._log.read(
            "SELECT nbits FROM share WHERE id <= ? ORDER BY id DESC LIMIT 1", last_id
        ).fetchone()
        nbits = self._log.archives.nbits(last_id) if row is None else row[0]
        return Work(1) if nbits is None else network_work(nbits)

    def paid_kinds(self, after_id: int, last_id: int, span: int) -> dict[PaidKind, int]:
        """See pool.crediting.PaidLog."""
        log = self._log
        begin, rows = log.rows(
            after_id,
            "SELECT account, nbits, target_id, height / ?3 * ?3, count(*) FROM share"  # noqa: S608 -- see above
            f" WHERE id > ?1 AND id <= ?2 AND {self._where.replace('?', '?4')} GROUP BY 1, 2, 3, 4",
            last_id,
            span,
            self._pot,
        )
        found = Counter(
            {PaidKind(name, nbits, log.target(number), height): n for name, nbits, number, height, n in rows}
        )
        for each in log.archives.archived(after_id, min(begin, last_id), self._pot):
            found[PaidKind(each.account, each.nbits, target_of(each), each.height // span * span)] += 1
        return found

    def heights(self, after_id: int, last_id: int) -> dict[int, int]:
        """See pool.crediting.PaidLog."""
        begin, rows = self._log.rows(
            after_id,
            f"SELECT height, min(id) FROM share WHERE id > ? AND id <= ? AND {self._where} GROUP BY height",  # noqa: S608 -- see above
            last_id,
            self._pot,
        )
        found = dict(rows)
        for each in self._log.archives.archived(after_id, min(begin, last_id), self._pot):
            found[each.height] = min(each.id, found.get(each.height, each.id))
        return found

    def round_start(self, last_id: int) -> int:
        """Log id of the newest winning share of the pot before this one, 0 when there is none."""
        row: tuple[int] = self._log.read(
            "SELECT coalesce(max(share_id), 0) FROM found WHERE pot = ? AND share_id < ?", self._pot, last_id
        ).fetchone()
        return row[0]
