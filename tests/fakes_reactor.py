"""A reactor whose threads are the caller's own, so that blocking adapters answer before a call returns."""

from __future__ import annotations

from collections.abc import Callable
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
