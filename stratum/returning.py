"""Who sits at which extranonce1, and who may come back to it: for ten minutes, by a random session id."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

import attrs

from stratum.extranonce import Extranonces
from stratum.memory import Memory
from stratum.steering import Steering

RESUME_S: Final = 600.0
MOST_AWAY: Final = 100_000
SESSION_ID_BYTES: Final = 16


class Occupant(Protocol):
    """A connection's session.

    Attributes:
        broken: why its connection must be closed, or None.
    """

    broken: str | None

    @property
    def extranonce1(self) -> bytes:
        """4 bytes."""
        ...

    @property
    def steering(self) -> Steering:
        """Its difficulty."""
        ...


@attrs.frozen
class Seat:
    """What a miner finds again.

    Attributes:
        extranonce1: 4 bytes.
        steering: its difficulty, with what its older jobs are judged at.
    """

    extranonce1: bytes
    steering: Steering


class Returning:
    """All seats of one front.

    A session id is 128 random bits, so that nobody can guess another's.  It is known to this front alone: no
    other owns the range of its extranonce1.

    Args:
        extranonces: where new seats come from.
        token: so many random bytes.

    Attributes:
        memory: the difficulties of those who come back as strangers.
    """

    def __init__(self, extranonces: Extranonces, token: Callable[[int], bytes]) -> None:
        self.memory = Memory()
        self._extranonces = extranonces
        self._token = token
        self._here: dict[bytes, Occupant] = {}
        # in the order of leaving, with the moment up to which the seat is kept
        self._away: dict[bytes, tuple[Seat, float]] = {}

    def take(self) -> bytes:
        """An extranonce1 (4 bytes) for a new connection; the one longest away goes without, if it must be.

        Raises:
            StratumError: all are in use by live connections.
        """
        if self._extranonces.exhausted and self._away:
            self._free(next(iter(self._away)))
        return self._extranonces.take()

    def admit(self, occupant: Occupant) -> bytes:
        """A session id for a miner that subscribes."""
        session_id = self._token(SESSION_ID_BYTES)
        self._here[session_id] = occupant
        return session_id

    def sit_down(self, session_id: bytes | None, occupant: Occupant, now: float) -> tuple[bytes, Seat | None]:
        """The session id that the occupant has from now on, and what it comes back to, if it does."""
        found = None if session_id is None else self.resume(session_id, occupant, now)
        if found is None or session_id is None:
            return self.admit(occupant), None
        return session_id, found

    def resume(self, session_id: bytes, occupant: Occupant, now: float) -> Seat | None:
        """Give a newcomer the seat of this session; a connection that still sits there is broken.

        The seat that the newcomer has so far is given back.
        """
        self._clear(now)
        away = self._away.pop(session_id, None)
        if away is not None:
            seat = away[0]
        else:
            before = self._here.get(session_id)
            if before is None or before is occupant or before.broken is not None:
                return None
            before.broken = "the session goes on over another connection"
            seat = Seat(before.extranonce1, before.steering)
        self._extranonces.give_back(occupant.extranonce1)
        self._here[session_id] = occupant
        return seat

    def leave(self, session_id: bytes | None, occupant: Occupant, now: float, *, keep: bool) -> None:
        """The connection is gone; its seat is kept for it, or free."""
        self._clear(now)
        if session_id is None:
            self._extranonces.give_back(occupant.extranonce1)
            return
        if self._here.get(session_id) is not occupant:
            return  # another connection sits there now
        del self._here[session_id]
        if not keep:
            self._extranonces.give_back(occupant.extranonce1)
            return
        self._away[session_id] = (Seat(occupant.extranonce1, occupant.steering), now + RESUME_S)
        if len(self._away) > MOST_AWAY:
            self._free(next(iter(self._away)))

    def _clear(self, now: float) -> None:
        while self._away:
            session_id, (_, until) = next(iter(self._away.items()))
            if now < until:
                return
            self._free(session_id)

    def _free(self, session_id: bytes) -> None:
        seat, _ = self._away.pop(session_id)
        self._extranonces.give_back(seat.extranonce1)
