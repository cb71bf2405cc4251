"""The chunks of one pot: each summed once, when nothing will be added to it, and kept."""

from __future__ import annotations

from typing import Final

from pool.proof.record import ShareRecord
from pool.shares import Chunk, Pair
from pool.store.chunk_sums import ChunkSums
from pool.store.log_reader import LogReader
from stratum.units import Target

PREPARED_CHUNKS: Final = 40
"""How far back chunks are summed ahead of need: 10 million shares."""


class PotChunks:
    """Sums of aligned ranges of log ids, in memory and on disk.

    Args:
        log: the share log.
        pot: whose shares.
        where: the condition that picks them, with one parameter, the pot.
        sums: where they are kept on disk, if they are.
        chunk_rows: ids in a chunk.
        kept_chunks: bound of what is kept.
    """

    def __init__(
        self, log: LogReader, pot: str, where: str, sums: ChunkSums | None, chunk_rows: int, kept_chunks: int
    ) -> None:
        self._log = log
        self._pot = pot
        self._where = where
        self._sums = sums
        self._chunk_rows = chunk_rows
        self._kept_chunks = kept_chunks
        self._kept: dict[int, Chunk] = {}
        self._unsaved: set[int] = set()

    def prepare(self, newest_id: int) -> None:
        """Sum one finished chunk more, newest first, and keep on disk what was summed since the last call."""
        newest = (newest_id + 1) // self._chunk_rows - 1
        # an archived chunk is read on demand: it takes seconds, and windows rarely get there
        oldest = -(-self._log.archives.until() // self._chunk_rows)
        for number in range(newest, max(oldest - 1, newest - PREPARED_CHUNKS), -1):
            if number not in self._kept:
                _ = self.finished(number).worth  # kept once computed, like the totals it is summed from
                break
        self._save(newest)

    def finished(self, number: int) -> Chunk:
        """A chunk that nothing will be added to, from the cache when it is there."""
        chunk = self._kept.get(number)
        if chunk is None:
            start = number * self._chunk_rows
            chunk = self._load(number)
            if chunk is None:
                chunk = self.sum(start, start + self._chunk_rows - 1)
                self._unsaved.add(number)
            self._kept[number] = chunk
            if len(self._kept) > self._kept_chunks:
                # windows move forward: the oldest is the one that will be wanted least
                del self._kept[min(self._kept)]
        return chunk

    def sum(self, first_id: int, last_id: int) -> Chunk:
        """Any range, read now; nothing of it is kept."""
        log = self._log
        begin, rows = log.rows(
            first_id - 1,
            "SELECT account, nbits, target_id, count(*), min(id) FROM share"  # noqa: S608 -- see above
            f" WHERE id > ? AND id <= ? AND {self._where} GROUP BY account, nbits, target_id",
            last_id,
            self._pot,
        )
        counts: dict[Pair, dict[str, int]] = {}
        oldest = 0
        for account, nbits, target_id, count, first in rows:
            counts.setdefault((nbits, log.target(target_id)), {})[log.name(account)] = count
            oldest = min(oldest or first, first)
        if begin >= first_id:
            for each in log.archives.archived(first_id - 1, min(begin, last_id), self._pot):
                by_account = counts.setdefault((each.nbits, target_of(each)), {})
                by_account[each.account] = by_account.get(each.account, 0) + 1
                oldest = min(oldest or each.id, each.id)
        return Chunk(first_id, last_id, counts, oldest)

    def _load(self, number: int) -> Chunk | None:
        """What was summed before and kept on disk, if it is still right."""
        sums, first_id = self._sums, number * self._chunk_rows
        last_id = first_id + self._chunk_rows - 1
        mark = None if sums is None else self._log.mark(first_id, last_id)
        chunk = None if sums is None or mark is None else sums.load(self._pot, first_id, last_id, mark)
        if chunk is None:
            return None
        name = self._log.name
        counts = {
            pair: {name(account): count for account, count in by_account.items()}
            for pair, by_account in chunk.counts.items()
        }
        return Chunk(first_id, last_id, counts, chunk.oldest_id)

    def _save(self, newest: int) -> None:
        """Keep on disk what was summed since the last call."""
        sums, numbers = self._sums, sorted(self._unsaved)
        self._unsaved = set()
        for number in numbers:
            chunk = self._kept.get(number)
            mark = None if chunk is None else self._log.mark(chunk.first_id, chunk.last_id)
            if sums is None or chunk is None or mark is None:
                continue
            if not sums.save(self._pot, chunk, mark, (newest - self._kept_chunks) * self._chunk_rows):
                self._unsaved.add(number)


def target_of(record: ShareRecord) -> Target:
    """The share target of an archived share."""
    return Target(int.from_bytes(record.target, "big"))
