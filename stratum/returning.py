"""Who sits at which extranonce1, and who may come back to it: for ten minutes, by a random session id."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Final, Protocol

import attrs

from stratum.extranonce import Extranonces
from stratum.memory import Memory
from stratum.options import POOL, Options
from stratum.steering import Steering
from stratum.units import Difficulty

RESUME_S: Final = 600.0
MOST_AWAY: Final = 50_000
SESSION_ID_BYTES: Final = 16


class Occupant(Protocol):
    """A connection's session.

    Attributes:
        broken: why its connection must be closed, or None.
        options: of its port.
    """

    broken: str | None
    options: Options

    @property
    def extranonce1(self) -> bytes:
        """4 bytes."""
        ...

    @property
    def steering(self) -> Steering:
        """Its difficulty."""
        ...

    def displaced(self) -> None:
        """Another connection has the seat from now on: take another one, or be broken."""
        ...


@attrs.frozen
class Seat:
    """What a miner finds again.

    Attributes:
        extranonce1: 4 bytes.
        steering: its difficulty, with what its older jobs are judged at; None after a restart of the front.
        difficulty: that it was told last; None before the first.
        pot: of the port where it was taken.
    """

    extranonce1: bytes
    steering: Steering | None
    difficulty: Difficulty | None
    pot: str


@attrs.frozen
class KeptSeat:
    """A seat in plain data, to be written down over a planned restart; whoever reads it can take the seat.

    Attributes:
        session_id: 32 hex digits, kept out of repr.
        extranonce1: 8 hex digits.
        difficulty: a fraction as text, or None.
        left_s: for how long the seat is still kept.
        pot: of the port where it was taken.
    """

    session_id: str = attrs.field(repr=False)
    extranonce1: str
    difficulty: str | None
    left_s: float
    pot: str = POOL


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
        """Give a newcomer the seat of this session; a connection that still sits there gives way.

        The seat that the newcomer has so far is given back.  A seat stays in its pot: whoever could take it
        along would mine in one and bring the blocks to the other.
        """
        self._clear(now)
        away = self._away.get(session_id)
        if away is not None:
            seat = away[0]
            if seat.pot != occupant.options.pot:
                return None
            del self._away[session_id]
        else:
            before = self._here.get(session_id)
            if before is None or before is occupant or before.broken is not None:
                return None
            if before.options.pot != occupant.options.pot:
                return None
            seat = _seat_of(before)
            before.displaced()
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
        self._away[session_id] = (_seat_of(occupant), now + RESUME_S)
        if len(self._away) > MOST_AWAY:
            self._free(next(iter(self._away)))

    def kept(self, now: float) -> list[KeptSeat]:
        """The seats of those who are away, for ``restore`` in the next process of this front."""
        self._clear(now)
        return [
            KeptSeat(
                session_id.hex(),
                seat.extranonce1.hex(),
                None if seat.difficulty is None else str(seat.difficulty),
                until - now,
                seat.pot,
            )
            for session_id, (seat, until) in self._away.items()
        ]

    def restore(self, seats: Sequence[KeptSeat], now: float) -> None:
        """Keep the seats of an earlier process; before the first connection.

        Jobs of that process are unknown here: a share on its way is answered 21.  Those that are another
        front's, or taken, are passed over.

        Raises:
            ValueError: what is no hex or no number.
        """
        for kept in sorted(seats, key=lambda each: each.left_s):
            extranonce1, session_id = bytes.fromhex(kept.extranonce1), bytes.fromhex(kept.session_id)
            difficulty = None if kept.difficulty is None else Difficulty(Fraction(kept.difficulty))
            if len(self._away) < MOST_AWAY and self._extranonces.reserve(extranonce1):
                self._away[session_id] = (
                    Seat(extranonce1, None, difficulty, kept.pot),
                    now + min(kept.left_s, RESUME_S),
                )

    def _clear(self, now: float) -> None:
        while self._away:
            session_id, (_, until) = next(iter(self._away.items()))
            if now < until:
                return
            self._free(session_id)

    def _free(self, session_id: bytes) -> None:
        seat, _ = self._away.pop(session_id)
        self._extranonces.give_back(seat.extranonce1)


def _seat_of(occupant: Occupant) -> Seat:
    return Seat(occupant.extranonce1, occupant.steering, occupant.steering.told, occupant.options.pot)
