"""The reactor's inner loop: no log context for each event, and a rest after each look at the sockets.

The context would cost a tenth of a share.  Without a rest a thousand miners wake a front a thousand times a
second, which costs more than their shares; and a reply waits some milliseconds for its commit anyway.
"""

from __future__ import annotations

from collections.abc import Callable
from select import select
from typing import Any

from twisted.internet.epollreactor import EPollReactor


class _Quick:
    """EPollReactor.doPoll, but for ``callWithLogger``: its context only names log lines that we do not write.

    What an event's code raises is caught and logged below, by the reactor's own ``_doReadOrWrite``.
    """

    def __init__(self, reactor: Any, rest_s: float) -> None:
        self._poll = reactor._poller.poll  # noqa: SLF001 -- Twisted has no other way in
        self._selectables: dict[int, object] = reactor._selectables  # noqa: SLF001
        self._act = reactor._doReadOrWrite  # noqa: SLF001
        self._now: Callable[[], float] = reactor.seconds
        self._waker: int = reactor.waker.fileno()
        self._rest_s = rest_s
        self._rested_at = 0.0

    def __call__(self, timeout_s: float | None) -> None:
        left_s = self._rested_at - self._now()
        # a clock that was set back does not make it a long one
        if 0 < left_s <= self._rest_s and not self._rest(left_s, timeout_s):
            return
        selectables, act = self._selectables, self._act
        # as many events as there are connections, or the last ones would wait for their turn
        events = self._poll(-1 if timeout_s is None else timeout_s, len(selectables) or 1)
        # what threads bring is no reason to leave the sockets alone
        if events and (len(events) > 1 or events[0][0] != self._waker):
            self._rested_at = self._now() + self._rest_s
        for descriptor, event in events:
            selectable = selectables.get(descriptor)
            if selectable is not None:  # an event before it may have closed it
                act(selectable, descriptor, event)

    def _rest(self, left_s: float, timeout_s: float | None) -> bool:
        """Leave the sockets alone; False when a timer is due before that has been long enough.

        Threads and signals wake us at once: what the node says comes from a thread.
        """
        if timeout_s is None or timeout_s >= left_s:
            select([self._waker], [], [], left_s)
            return True
        return timeout_s > 0 and bool(select([self._waker], [], [], timeout_s)[0])


def poll_quickly(reactor: object, rest_s: float = 0.0) -> bool:
    """Let an epoll reactor poll that way from now on; whether it is one that has what that takes.

    Args:
        reactor: any.
        rest_s: how long sockets are left alone after they had something to say; timers and threads are not.
    """
    if not isinstance(reactor, EPollReactor):
        return False
    try:
        quick = _Quick(reactor, rest_s)
    except AttributeError:  # a Twisted that is made otherwise inside: its own loop does as well
        return False
    reactor.doIteration = quick  # type: ignore[method-assign]
    return True
