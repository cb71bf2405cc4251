"""Who sits at which extranonce1, and who may come back to it: for ten minutes, by a random session id."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Final, Protocol

import attrs

from stratum.elsewhere import Alone, Elsewhere, KeptSeat
from stratum.extranonce import Extranonces
from stratum.memory import Memory
from stratum.options import Options
from stratum.steering import Steering
from stratum.units import Difficulty

RESUME_S: Final = 600.0
MOST_AWAY: Final = 50_000
SESSION_ID_BYTES: Final = 16
SWEEP_S: Final = 30.0
"""Between looks at which lent seats have come back."""


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

    @property
    def authorized(self) -> bool:
        """Whether it works for somebody."""
        ...

    def displaced(self) -> None:
        """Another connection has the seat from now on: take another one, or be broken."""
        ...


@attrs.frozen
class Seat:
    """What a miner finds again.

    Attributes:
        extranonce1: 4 bytes.
        steering: its difficulty, with what its older jobs are judged at; None at another front or process.
        difficulty: that it was told last; None before the first.
        pot: of the port where it was taken.
    """

    extranonce1: bytes
    steering: Steering | None
    difficulty: Difficulty | None
    pot: str


class Returning:
    """All seats of one front.

    A session id is 128 random bits, so that nobody can guess another's.  While its miner is away the seat is
    kept here, with its steering, and if there are siblings also where they can take it: then whoever takes it
    there first has it.  Two miners with the same extranonce1 at different fronts would still never hash the
    same header (coinbases differ by front), but no value is given to somebody new while it is lent.

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
        self._elsewhere: Elsewhere = Alone()
        self._here: dict[bytes, Occupant] = {}
        # in the order of leaving, with the moment up to which the seat is kept
        self._away: dict[bytes, tuple[Seat, float]] = {}
        self._handed_over = False
        self._swept_at = 0.0

    def share(self, elsewhere: Elsewhere) -> None:
        """Keep seats where other processes find them, and take theirs; before the first connection."""
        self._elsewhere = elsewhere
        for extranonce1 in elsewhere.lent():
            self._extranonces.reserve(extranonce1)

    def take(self) -> bytes:
        """An extranonce1 (4 bytes) for a new connection; the one longest away goes without, if it must be.

        Raises:
            StratumError: all are in use by live connections.
        """
        while self._extranonces.exhausted and self._away:
            self._make_room()
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
        pot = occupant.options.pot
        away, before = self._away.get(session_id), self._here.get(session_id)
        if away is not None:
            seat = self._come_back(session_id, away[0], pot)
        elif before is None:
            seat = self._claim(session_id, pot)
        elif before is occupant or before.broken is not None or before.options.pot != pot:
            return None
        else:
            seat = _seat_of(before)
            before.displaced()
        if seat is not None:
            self._extranonces.give_back(occupant.extranonce1)
            self._here[session_id] = occupant
        return seat

    def _come_back(self, session_id: bytes, seat: Seat, pot: str) -> Seat | None:
        if seat.pot != pot:
            return None
        del self._away[session_id]
        if self._elsewhere.siblings and self._elsewhere.claim(session_id, pot) is None:
            return None  # a sibling has lent it meanwhile; ``returned`` tells when it is ours again
        return seat

    def _claim(self, session_id: bytes, pot: str) -> Seat | None:
        """A seat of another process: its jobs are unknown here, a share on its way is answered 21."""
        kept = self._elsewhere.claim(session_id, pot)
        if kept is None:
            return None
        difficulty = None if kept.difficulty is None else Difficulty(Fraction(kept.difficulty))
        self._extranonces.reserve(kept.extranonce1)
        return Seat(kept.extranonce1, None, difficulty, kept.pot)

    def leave(self, session_id: bytes | None, occupant: Occupant, now: float, *, keep: bool) -> None:
        """The connection is gone; its seat is kept for it, or free."""
        self._clear(now)
        if session_id is None:
            self._extranonces.give_back(occupant.extranonce1)
            return
        if self._here.get(session_id) is not occupant:
            return  # another connection sits there now
        del self._here[session_id]
        if self._handed_over and keep:
            return
        seat = _seat_of(occupant)
        if not keep:
            self._free(session_id, seat)
            return
        self._away[session_id] = (seat, now + RESUME_S)
        if self._elsewhere.siblings:
            self._elsewhere.keep_soon(_kept(session_id, seat, RESUME_S))
        if len(self._away) > MOST_AWAY:
            self._make_room()

    def hand_over(self, now: float) -> None:
        """The front is about to say that it stops: its seats go where other fronts and the next one look."""
        self._clear(now)
        self._handed_over = True
        sitting = [
            _kept(session_id, _seat_of(occupant), RESUME_S)
            for session_id, occupant in self._here.items()
            if occupant.authorized and occupant.broken is None
        ]
        # with siblings, those who are away are there already, or have been claimed
        away = [] if self._elsewhere.siblings else self._away.items()
        self._elsewhere.keep([_kept(session_id, seat, until - now) for session_id, (seat, until) in away])
        self._elsewhere.keep(sitting)

    def _clear(self, now: float) -> None:
        while self._away:
            session_id, (seat, until) = next(iter(self._away.items()))
            if now < until:
                break
            del self._away[session_id]
            if not self._elsewhere.siblings:  # else ``returned`` says it when nobody has lent it
                self._free(session_id, seat)
        if not 0 <= now - self._swept_at < SWEEP_S:
            self._swept_at = now
            for extranonce1 in self._elsewhere.returned():
                self._extranonces.give_back(extranonce1)

    def _make_room(self) -> None:
        """Whoever has been away for longest cannot come back any more."""
        session_id, (seat, _) = next(iter(self._away.items()))
        del self._away[session_id]
        if not self._elsewhere.siblings or self._elsewhere.claim(session_id, seat.pot) is not None:
            self._free(session_id, seat)

    def _free(self, session_id: bytes, seat: Seat) -> None:
        if self._extranonces.owns(seat.extranonce1):
            self._extranonces.give_back(seat.extranonce1)
        else:
            self._elsewhere.let_go(session_id)


def _seat_of(occupant: Occupant) -> Seat:
    return Seat(occupant.extranonce1, occupant.steering, occupant.steering.told, occupant.options.pot)


def _kept(session_id: bytes, seat: Seat, left_s: float) -> KeptSeat:
    difficulty = None if seat.difficulty is None else str(seat.difficulty)
    return KeptSeat(session_id, seat.extranonce1, difficulty, left_s, seat.pot)
