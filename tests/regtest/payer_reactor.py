"""Coroutines that wait for real connections, run to their end in a test that turns the reactor by hand."""

from __future__ import annotations

import time
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

from twisted.internet import reactor as the_reactor
from twisted.internet.defer import Deferred

T = TypeVar("T")
DEADLINE_S: Final = 60
reactor: Any = the_reactor


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """What a coroutine answers, or its exception.

    Raises:
        AssertionError: it took longer than a minute.
    """
    results: list[T] = []
    failures: list[BaseException] = []
    deferred = Deferred.fromCoroutine(coroutine)
    deferred.addCallbacks(results.append, lambda failure: failures.append(failure.value))
    if not reactor._started:
        reactor.startRunning(installSignalHandlers=False)
    end = time.monotonic() + DEADLINE_S
    while not results and not failures:
        assert time.monotonic() < end, "it took longer than a minute"
        reactor.iterate(0.01)
    if failures:
        raise failures[0]
    return results[0]


def rest() -> None:
    """Let the threads go that resolving names has started: Python would wait for them for ever."""
    if reactor.threadpool is not None:
        reactor._stopThreadPool()
