"""At which extranonce1 a connection sits, job by job: how it comes by its seat, moves, and leaves it."""

from __future__ import annotations

from stratum import announce
from stratum.errors import StratumError
from stratum.firmware import UNKNOWN, Firmware
from stratum.options import EXTRANONCE1_BYTES, EXTRANONCE2_BYTES
from stratum.returning import Occupant, Returning
from stratum.returning import Seat as Found
from stratum.shares import Seat

_MOST_OLDER = 8


class Seating:
    """One connection's.

    A miner that asked for it (``mining.extranonce.subscribe``) can be moved to another extranonce1: with its
    next job it is told, and what it sends for the jobs before is judged with the one that it had then.

    Args:
        extranonce1: 4 bytes, until the miner comes back to a session that it had.
        returning: where it can come back to; None when nobody is to.

    Attributes:
        seat: of the jobs from ``since_number`` on.
        since_number: see there; earlier jobs have the seats before.
        moves: whether the miner takes another extranonce1 while it is connected.
        moving: whether it is told of one with its next job.
    """

    __slots__ = (
        "_firmware",
        "_next",
        "_older",
        "_returning",
        "_session_id",
        "moves",
        "moving",
        "seat",
        "since_number",
    )

    def __init__(self, extranonce1: bytes, returning: Returning | None) -> None:
        self.seat = Seat(extranonce1)
        self.since_number = 0
        self.moves = self.moving = False
        self._returning = returning
        self._session_id: bytes | None = None
        self._firmware = UNKNOWN
        self._next = b""
        # (number of the first job that this seat no longer held for, seat), oldest first
        self._older: tuple[tuple[int, Seat], ...] = ()

    @property
    def extranonce1(self) -> bytes:
        """4 bytes, this connection's own: the coming one, when it is about to move."""
        return self._next if self.moving else self.seat.extranonce1[:EXTRANONCE1_BYTES]

    @property
    def session_id(self) -> bytes:
        """What subscribe's reply names the session; the extranonce1, if there is none to come back to."""
        return self._session_id or self.extranonce1

    def sit_down(
        self, session_id: bytes | None, occupant: Occupant, firmware: Firmware, now: float
    ) -> Found | None:
        """The miner subscribes, and may name a session that it had: what it comes back to, if it does."""
        extranonce1, found = self.extranonce1, None
        if self._returning is not None:
            self._session_id, found = self._returning.sit_down(session_id, occupant, now)
            if found is not None:
                extranonce1 = found.extranonce1
        self._firmware = firmware
        self.seat = self._padded(extranonce1)
        return found

    def _padded(self, extranonce1: bytes) -> Seat:
        # who is given less to vary has zeros in the rest
        rest = bytes(EXTRANONCE2_BYTES - self._firmware.extranonce2_bytes)
        return Seat(extranonce1 + rest, self.seat.version_mask)

    def give_way(self) -> bool:
        """Another connection has this seat from now on: False when the miner cannot be given another.

        Where it goes it has no session: there is no message that would tell it the id.
        """
        if not self.moves or self._returning is None:
            return False
        try:
            self._next = self._returning.take()
        except StratumError:  # all are in use
            return False
        self.moving, self._session_id = True, None
        return True

    def move(self, number: int) -> bytes:
        """Change seats with the job of this number; the line that says so goes out right before it.

        cgminer and ESP-Miner hash with the new extranonce1 at once, also on the job that they have: nothing
        may lie between the two lines, and the job must be clean.
        """
        self._older = (*self._older[1 - _MOST_OLDER :], (number, self.seat))
        self.seat, self.since_number, self.moving = self._padded(self._next), number, False
        return announce.set_extranonce(self.seat.extranonce1, self._firmware.extranonce2_bytes)

    def older(self, number: int) -> Seat:
        """The seat that a job from before the last move was told with."""
        return next((seat for until, seat in self._older if number < until), self.seat)

    def leave(self, occupant: Occupant, now: float, *, keep: bool) -> None:
        """The connection is gone; its seat is kept for it, or free."""
        if self._returning is not None:
            self._returning.leave(self._session_id, occupant, now, keep=keep)
