"""Long work in a thread of its own that the end of the process does not wait for."""

from __future__ import annotations

from collections.abc import Callable
from threading import Thread
from typing import Any, ParamSpec, TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

Result = TypeVar("Result")
Arguments = ParamSpec("Arguments")


def aside(
    reactor: Any, function: Callable[Arguments, Result], *args: Arguments.args, **kwargs: Arguments.kwargs
) -> Deferred[Result]:
    """Run a function beside the reactor; what it answers or raises comes back in the reactor's thread.

    A pool's thread would hold up the reactor's stop until the work is done, a daemon does not: only for work
    that may be cut off anywhere.
    """
    done: Deferred[Result] = Deferred()

    def run() -> None:
        try:
            result = function(*args, **kwargs)
        except Exception:  # noqa: BLE001 -- it is the caller's to look at
            reactor.callFromThread(done.errback, Failure())  # type: ignore[no-untyped-call]
        else:
            reactor.callFromThread(done.callback, result)

    Thread(target=run, name=getattr(function, "__name__", "aside"), daemon=True).start()
    return done
