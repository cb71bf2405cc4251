"""A place where fronts of a test keep seats for one another, held to tests/contracts/seats.py."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from stratum.elsewhere import KeptSeat


@attrs.define
class _Row:
    seat: KeptSeat
    until: float
    holder: int | None = None


@attrs.define
class Place:
    """What is shared.  Attributes: now, seconds of its own clock; rows by session id."""

    now: float = 0.0
    rows: dict[bytes, _Row] = attrs.Factory(dict)


class FakeElsewhere:
    """A stratum.elsewhere.Elsewhere of one front."""

    def __init__(self, place: Place, front_id: int, *, siblings: bool = True) -> None:
        self.siblings = siblings
        self._place = place
        self._front_id = front_id

    def lent(self) -> Sequence[bytes]:
        for row in self._place.rows.values():
            if row.holder == self._front_id:
                row.holder, row.until = None, self._place.now + 600
        return [row.seat.extranonce1 for row in self._place.rows.values() if self._owns(row)]

    def _owns(self, row: _Row) -> bool:
        return row.seat.extranonce1[0] == self._front_id

    def keep(self, seats: Sequence[KeptSeat]) -> None:
        for seat in seats:
            self._place.rows[seat.session_id] = _Row(seat, self._place.now + seat.left_s)

    def keep_soon(self, seat: KeptSeat) -> None:
        self.keep([seat])

    def claim(self, session_id: bytes, pot: str) -> KeptSeat | None:
        row = self._place.rows.get(session_id)
        if row is None or row.holder is not None or row.seat.pot != pot or row.until <= self._place.now:
            return None
        row.holder = self._front_id
        if self._owns(row):
            del self._place.rows[session_id]
        return attrs.evolve(row.seat, left_s=row.until - self._place.now)

    def let_go(self, session_id: bytes) -> None:
        row = self._place.rows.get(session_id)
        if row is not None and row.holder == self._front_id:
            row.holder, row.until = None, 0

    def returned(self) -> Sequence[bytes]:
        over = {
            session_id: row
            for session_id, row in self._place.rows.items()
            if row.holder is None and self._owns(row) and row.until <= self._place.now
        }
        for session_id in over:
            del self._place.rows[session_id]
        return [row.seat.extranonce1 for row in over.values()]
