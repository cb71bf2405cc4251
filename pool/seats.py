"""Miners' seats shared by the fronts of a machine: a stratum.elsewhere.Elsewhere on ``seats.db``.

A seat is worth a moment of mining and no more, so whatever goes wrong here is logged, and the miner concerned
begins anew.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import attrs
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from pool.store.seats import SeatStore
from stratum.elsewhere import KeptSeat
from stratum.returning import RESUME_S

log = Logger()

SOON_S: Final = 0.02
"""Seats of connections that are lost together are written together."""
PART: Final = 1_000
"""So many seats in one transaction, which takes less than 10 ms."""


def shared(
    directory: Path, front_id: int, reactor: IReactorTime, wall: Callable[[], float], *, siblings: bool
) -> SharedSeats | None:
    """The seats of a store as one of its fronts sees them; None when they cannot be had.

    Args:
        directory: of the store.
        front_id: of this front.
        reactor: for writing soon.
        wall: Unix seconds.
        siblings: whether other fronts work on the same ports.
    """
    try:
        store = SeatStore(directory, front_id)
    except (sqlite3.Error, OSError) as error:
        log.warn("Miners' seats cannot be kept: {why}", why=str(error))
        return None
    return SharedSeats(store, reactor, wall, siblings=siblings)


class SharedSeats:
    """See the module.  Attributes: whether other fronts work on the same ports."""

    def __init__(
        self, store: SeatStore, reactor: IReactorTime, wall: Callable[[], float], *, siblings: bool
    ) -> None:
        """Wire it; the arguments are those of ``shared``."""
        self.siblings = siblings
        self._store = store
        self._reactor = reactor
        self._wall = wall
        self._waiting: dict[bytes, KeptSeat] = {}
        self._timer: IDelayedCall | None = None

    def lent(self) -> Sequence[bytes]:
        """See stratum.elsewhere.Elsewhere."""
        try:
            return self._store.lent(self._wall() + RESUME_S)
        except sqlite3.Error as error:
            self._failed(error)
            return ()

    def keep(self, seats: Sequence[KeptSeat]) -> None:
        """See stratum.elsewhere.Elsewhere."""
        seats, self._waiting = [*self._waiting.values(), *seats], {}
        if not seats:
            return
        try:
            # siblings wait for no more than one part
            for part in range(0, len(seats), PART):
                self._store.keep(seats[part : part + PART], self._wall())
        except sqlite3.Error as error:
            self._failed(error)

    def keep_soon(self, seat: KeptSeat) -> None:
        """See stratum.elsewhere.Elsewhere."""
        self._waiting[seat.session_id] = seat
        if self._timer is None:
            self._timer = self._reactor.callLater(SOON_S, self._write)

    def _write(self) -> None:
        self._timer = None
        self.keep(())

    def claim(self, session_id: bytes, pot: str) -> KeptSeat | None:
        """See stratum.elsewhere.Elsewhere."""
        waiting = self._waiting.get(session_id)
        if waiting is not None:
            return self._waiting.pop(session_id) if waiting.pot == pot else None
        try:
            kept = self._store.claim(session_id, pot, self._wall())
        except sqlite3.Error as error:
            self._failed(error)
            return None
        # a clock that was set back gives nobody more time
        return None if kept is None else attrs.evolve(kept, left_s=min(kept.left_s, RESUME_S))

    def let_go(self, session_id: bytes) -> None:
        """See stratum.elsewhere.Elsewhere."""
        try:
            self._store.let_go(session_id)
        except sqlite3.Error as error:
            self._failed(error)

    def returned(self) -> Sequence[bytes]:
        """See stratum.elsewhere.Elsewhere."""
        try:
            return self._store.returned(self._wall())
        except sqlite3.Error as error:
            self._failed(error)
            return ()

    def close(self) -> None:
        """Write what waits, and let the file go."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.keep(())
        self._store.close()

    def _failed(self, error: sqlite3.Error) -> None:
        log.warn("Miners' seats could not be kept or found: {why}", why=str(error))
