"""Group commit: accepted shares of all connections go to disk together, and only then are they answered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from stratum import wire
from stratum.effects import Credit
from stratum.errors import Code
from stratum.ports import Observer, Share, ShareSink

MOST_WAITING: Final = 200_000
"""Shares that may wait for a disk that has stalled; further ones are refused."""
NOT_STORED = "Share could not be stored, please send it again"


class Peer(Protocol):
    """A connection whose replies may have to wait.  Attributes: how many of its replies are waiting."""

    waiting: int

    def release(self, data: bytes) -> None:
        """Write this; the connection may be gone."""
        ...


class GroupCommit:
    """Collects shares for ``flush_s``, one batch in the sink at a time.

    Replies keep their order on each connection: whatever a connection has to say while one of its shares
    waits goes through here too and waits behind it.
    """

    _log = Logger()

    def __init__(
        self,
        sink: ShareSink,
        clock: IReactorTime,
        flush_s: float,
        forget: Callable[[bytes], None],
        observer: Observer,
    ) -> None:
        self._sink = sink
        self._clock = clock
        self._flush_s = flush_s
        self._forget = forget
        self._observer = observer
        self._shares: list[Share] = []
        self._entries: list[tuple[Peer, Credit | bytes]] = []
        self._in_flight = False
        self._timer: IDelayedCall | None = None
        self._drained: list[Deferred[None]] = []

    def share(self, peer: Peer, credit: Credit) -> None:
        """An accepted share, to be answered once it is on disk."""
        if len(self._shares) >= MOST_WAITING:
            self.reply(peer, self._refuse(credit))
            return
        peer.waiting += 1
        self._shares.append(credit.share)
        self._entries.append((peer, credit))
        if self._timer is None and not self._in_flight:
            self._timer = self._clock.callLater(self._flush_s, self.flush)

    def reply(self, peer: Peer, line: bytes) -> None:
        """A reply of a connection that has shares waiting."""
        peer.waiting += 1
        self._entries.append((peer, line))

    def flush(self) -> None:
        """Write what has been collected, unless a batch is being written: then it goes next."""
        if self._timer is not None:
            if self._timer.active():
                self._timer.cancel()
            self._timer = None
        if self._in_flight:
            return
        shares, entries = self._shares, self._entries
        self._shares, self._entries = [], []
        if not shares:
            self._release(entries, stored=True)
            self._next()
            return
        self._in_flight = True
        written = maybeDeferred(self._sink.append, shares)
        written.addCallbacks(
            self._stored, self._failed, callbackArgs=(entries, len(shares)), errbackArgs=(entries,)
        )
        written.addErrback(self._broken)

    def drained(self) -> Deferred[None]:
        """Fires when nothing is waiting."""
        done: Deferred[None] = Deferred()
        self._drained.append(done)
        self.flush()
        return done

    def _stored(self, _: None, entries: list[tuple[Peer, Credit | bytes]], shares: int) -> None:
        self._in_flight = False
        self._observer.accepted(shares)
        self._release(entries, stored=True)
        self._next()

    def _failed(self, failure: Failure, entries: list[tuple[Peer, Credit | bytes]]) -> None:
        self._in_flight = False
        lost = sum(1 for _, item in entries if isinstance(item, Credit))
        self._log.failure("Share log refused a batch of {shares} shares", failure=failure, shares=lost)
        self._release(entries, stored=False)
        self._next()

    def _broken(self, failure: Failure) -> None:
        self._log.failure("Releasing replies failed", failure=failure)

    def _release(self, entries: list[tuple[Peer, Credit | bytes]], *, stored: bool) -> None:
        said: dict[Peer, bytes] = {}
        for peer, item in entries:
            peer.waiting -= 1
            if isinstance(item, bytes):
                line = item
            elif stored:
                line = wire.accepted(item.request_id)
            else:
                line = self._refuse(item)
            # most have one reply, and none has many: joining lists costs more
            said[peer] = said[peer] + line if peer in said else line
        for peer, lines in said.items():
            peer.release(lines)

    def _refuse(self, credit: Credit) -> bytes:
        self._forget(credit.digest)
        self._observer.rejected(Code.OTHER)
        return wire.error(credit.request_id, Code.OTHER, NOT_STORED)

    def _next(self) -> None:
        if self._entries:
            self.flush()
            return
        drained, self._drained = self._drained, []
        for done in drained:
            done.callback(None)
