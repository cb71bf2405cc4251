"""How much work went into each block, and into the round that goes on; every share is summed once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import attrs

from stratum.units import Target, target_from_nbits, work_from_target


@attrs.frozen
class Work:
    """The work of some shares.

    Attributes:
        effort: of the main pot's shares, in parts of a block's expected work.
        hashes: of the shares of all pots.
    """

    effort: float = 0.0
    hashes: int = 0


class Efforts:
    """Sums over ``shares.db``; not safe for two threads at once, ``Queries`` holds a lock."""

    def __init__(self, rows: Callable[..., Sequence[Any]]) -> None:
        """Args: rows: answers an SQL statement and its values on shares.db; nothing without the file."""
        self._rows = rows
        self._blocks: dict[int, float] = {}
        self._round: tuple[int, int, Work] = (0, 0, Work())

    def block(self, found_id: int, share_id: int) -> float:
        """A found block's effort: fixed once its share is in the log."""
        if found_id not in self._blocks:
            before = self._rows(
                "SELECT COALESCE(MAX(share_id), 0) FROM found WHERE pot = 'pool' AND share_id < ?", share_id
            )
            self._blocks[found_id] = self._sum(before[0][0], share_id).effort
        return self._blocks[found_id]

    def round(self) -> Work:
        """The work since the newest found block; only shares that came since the last call are read."""
        rows = self._rows(
            "SELECT (SELECT COALESCE(MAX(share_id), 0) FROM found WHERE pot = 'pool'),"
            " (SELECT COALESCE(MAX(id), 0) FROM share),"
            " (SELECT COALESCE(MAX(last_id), 0) FROM archive)"
        )
        if not rows:
            return Work()
        start, newest, archived = rows[0]
        known_start, cursor, known = self._round
        # sums of what is archived begin at a block, and nowhere else
        if known_start != start or cursor < max(start, archived):
            cursor, known = start, Work()
        more = self._sum(cursor, newest)
        work = Work(known.effort + more.effort, known.hashes + more.hashes)
        self._round = (start, newest, work)
        return work

    def _sum(self, after_id: int, to_id: int) -> Work:
        """Of the shares with after_id < id <= to_id, each by the network's work at its time.

        Of archived ones there are sums; of rows that are archived and not gone yet, too.
        """
        rows = self._rows(
            "SELECT t.target, s.nbits, s.main, s.n FROM"
            " (SELECT target_id, nbits, pot = 'pool' AS main, COUNT(*) AS n FROM share"
            " WHERE id > max(?1, (SELECT COALESCE(MAX(last_id), 0) FROM archive)) AND id <= ?2"
            " GROUP BY 1, 2, 3"
            " UNION ALL SELECT target_id, nbits, main, count FROM archived_work"
            " WHERE last_id > ?1 AND last_id <= ?2) s"
            " JOIN target t ON t.id = s.target_id",
            after_id,
            to_id,
        )
        effort, hashes = 0.0, 0
        for target, nbits, main, count in rows:
            work: int = count * work_from_target(Target(int.from_bytes(target, "big")))
            hashes += work
            if main:
                effort += work / work_from_target(target_from_nbits(nbits))
        return Work(effort, hashes)
