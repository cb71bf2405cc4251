"""The reactor's inner loop without a log context for each event: it would cost a tenth of a share."""

from __future__ import annotations

from typing import Any

from twisted.internet.epollreactor import EPollReactor


class _Quick:
    """EPollReactor.doPoll, but for ``callWithLogger``: its context only names log lines that we do not write.

    What an event's code raises is caught and logged below, by the reactor's own ``_doReadOrWrite``.
    """

    def __init__(self, reactor: Any) -> None:
        self._poll = reactor._poller.poll  # noqa: SLF001 -- Twisted has no other way in
        self._selectables: dict[int, object] = reactor._selectables  # noqa: SLF001
        self._act = reactor._doReadOrWrite  # noqa: SLF001

    def __call__(self, timeout_s: float | None) -> None:
        selectables, act = self._selectables, self._act
        # as many events as there are connections, or the last ones would wait for their turn
        for descriptor, event in self._poll(-1 if timeout_s is None else timeout_s, len(selectables) or 1):
            selectable = selectables.get(descriptor)
            if selectable is not None:  # an event before it may have closed it
                act(selectable, descriptor, event)


def poll_quickly(reactor: object) -> bool:
    """Let an epoll reactor poll that way from now on; whether it is one that has what that takes."""
    if not isinstance(reactor, EPollReactor):
        return False
    try:
        quick = _Quick(reactor)
    except AttributeError:  # a Twisted that is made otherwise inside: its own loop does as well
        return False
    reactor.doIteration = quick  # type: ignore[method-assign]
    return True
