"""One reading of a long list for all who asked before it began: Electrum tells fees in its history only.

There is no call for one payment's fee, and the history grows for ever, so readings are what costs.  A reading
that began before somebody asked may lack that payment, so whoever asks waits for the next one, together with
all who came meanwhile: however many payments settle, one reading is under way at most, and one more is due.
Rows are not kept from one reading to the next: of a payment in parts, a row is wrong until all have settled.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Generic, TypeVar

from twisted.internet.defer import Deferred

Row = TypeVar("Row")


class SharedReading(Generic[Row]):
    """Reads a list for several at a time.

    Args:
        read: the list as it is now.
    """

    def __init__(self, read: Callable[[], Awaitable[Sequence[Row]]]) -> None:
        self._read = read
        self._waiting: list[Deferred[Sequence[Row]]] = []
        self._busy = False

    async def rows(self) -> Sequence[Row]:
        """The list, read after this call.

        Raises:
            NodeUnavailable: from reading.
        """
        turn: Deferred[Sequence[Row]] = Deferred()
        self._waiting.append(turn)
        if not self._busy:
            self._busy = True
            Deferred.fromCoroutine(self._serve())
        return await turn

    async def _serve(self) -> None:
        while self._waiting:
            served, self._waiting = self._waiting, []
            found: Any
            try:
                found = await self._read()
            except Exception as error:  # noqa: BLE001 - it is theirs who wait
                for turn in served:
                    turn.errback(error)
            else:
                for turn in served:
                    turn.callback(found)
        self._busy = False
