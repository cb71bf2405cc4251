"""What the fronts of a pool know together of seats: a port, plain data, and a front that knows nobody."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import attrs

from stratum.options import POOL


@attrs.frozen
class KeptSeat:
    """A seat in plain data, for another process; whoever reads it could take the seat.

    Attributes:
        session_id: 16 bytes, kept out of repr.
        extranonce1: 4 bytes.
        difficulty: a fraction as text, or None.
        left_s: for how long the seat is still kept.
        pot: of the port where it was taken.
    """

    session_id: bytes = attrs.field(repr=False)
    extranonce1: bytes
    difficulty: str | None
    left_s: float
    pot: str = POOL


class Elsewhere(Protocol):
    """Seats that outlive their connection in a place that other processes share.

    Nothing here raises: a place that cannot be used has no seats, and miners begin anew.

    Attributes:
        siblings: whether other fronts work on the same ports; then each seat is kept here when it is left.
    """

    siblings: bool

    def lent(self) -> Sequence[bytes]:
        """At the start of a front, the extranonce1 of its own that others may have: 4 bytes each."""
        ...

    def keep(self, seats: Sequence[KeptSeat]) -> None:
        """Whoever comes back to any front shall find these; written on return."""
        ...

    def keep_soon(self, seat: KeptSeat) -> None:
        """The same, written together with others in a moment."""
        ...

    def claim(self, session_id: bytes, pot: str) -> KeptSeat | None:
        """Take a kept seat of this pot, so that nobody can take it again; None when there is none."""
        ...

    def let_go(self, session_id: bytes) -> None:
        """A seat that was claimed, of another front's extranonces, is left for good."""
        ...

    def returned(self) -> Sequence[bytes]:
        """The extranonce1 of this front that nobody can come back to any more, each told once."""
        ...


class Alone:
    """No other process, neither beside this one nor after it."""

    siblings = False

    def lent(self) -> Sequence[bytes]:
        """None."""
        return ()

    def keep(self, seats: Sequence[KeptSeat]) -> None:
        """Nobody will ask."""

    def keep_soon(self, seat: KeptSeat) -> None:
        """Nobody will ask."""

    def claim(self, session_id: bytes, pot: str) -> KeptSeat | None:
        """There is none."""

    def let_go(self, session_id: bytes) -> None:
        """It was nobody else's."""

    def returned(self) -> Sequence[bytes]:
        """None."""
        return ()
