"""A reactor whose threads are the caller's own, so that blocking adapters answer before a call returns."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

from twisted.internet.defer import execute
from twisted.internet.interfaces import IReactorThreads
from zope.interface import implementer


@implementer(IReactorThreads)
class InlineReactor:
    """What is asked of its threads is done at once; what comes back from other threads is called in those."""

    def getThreadPool(self) -> Any:
        return self

    def callInThreadWithCallback(self, done: Callable[[bool, Any], None], function: Any, *args: Any) -> None:
        outcome = execute(function, *args)
        outcome.addCallbacks(lambda result: done(True, result), lambda failure: done(False, failure))

    def callFromThread(self, callable: Callable[..., Any], *args: object, **kwargs: object) -> None:  # noqa: A002
        callable(*args, **kwargs)

    def callInThread(self, callable: Callable[..., Any], *args: object, **kwargs: object) -> None:  # noqa: A002
        callable(*args, **kwargs)

    def suggestThreadPoolSize(self, size: int) -> None:
        """There is none."""


class PumpedReactor(InlineReactor):
    """What other threads bring waits until the test's own thread pumps: nothing happens behind its back."""

    def __init__(self) -> None:
        self._brought: SimpleQueue[Callable[[], object]] = SimpleQueue()

    def callFromThread(self, callable: Callable[..., Any], *args: object, **kwargs: object) -> None:  # noqa: A002
        if threading.current_thread() is threading.main_thread():
            callable(*args, **kwargs)
        else:
            self._brought.put(lambda: callable(*args, **kwargs))

    def pump(self) -> None:
        """Call what has been brought so far."""
        while not self._brought.empty():
            self._brought.get()()
