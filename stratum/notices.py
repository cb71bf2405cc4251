"""What the log says of connections: each kind of event at once, then counted, so that nobody fills a disk."""

from __future__ import annotations

from typing import Final

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

QUIET_S: Final = 10.0
"""So long after an event was logged, those like it are only counted."""


class Notices:
    """Logs what happens to connections, each kind of event at most once in QUIET_S.

    Args:
        clock: tells the time.
        log: where it goes.
    """

    def __init__(self, clock: IReactorTime, log: Logger) -> None:
        self._clock = clock
        self._log = log
        self._told_at: dict[str, float] = {}
        self._untold: dict[str, int] = {}

    def tell(self, event: str, peer: str) -> None:
        """Log an event, or count it.

        Args:
            event: a sentence of ours, one of few: nothing that a peer has sent is in it.
            peer: whose connection it is; of those that are only counted it is not kept.
        """
        now = self._clock.seconds()
        told_at = self._told_at.get(event)
        if told_at is not None and now - told_at < QUIET_S:
            self._untold[event] = self._untold.get(event, 0) + 1
            return
        self._told_at[event] = now
        more = self._untold.pop(event, 0)
        text = "{event} ({peer})" + (", and {more} more since that was last said" if more else "")
        self._log.info(text, event=event, peer=peer or "no address", more=more)
