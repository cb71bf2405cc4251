"""Work beside the reactor: its result or its error comes back in the reactor's own thread."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

import pytest

from pool.aside import aside


class Calls:
    """Takes what a thread asks the reactor to call, as the reactor would."""

    def __init__(self) -> None:
        self._asked: SimpleQueue[tuple[Callable[..., object], tuple[Any, ...]]] = SimpleQueue()

    def callFromThread(self, function: Callable[..., object], *args: Any) -> None:
        self._asked.put((function, args))

    def obey(self) -> None:
        function, args = self._asked.get(timeout=10)
        function(*args)


def test_a_result_comes_back_from_another_thread_that_nobody_waits_for() -> None:
    calls = Calls()
    seen: list[tuple[int, threading.Thread]] = []

    def work(number: int) -> tuple[int, threading.Thread]:
        return number + 1, threading.current_thread()

    done = aside(calls, work, 6)
    done.addCallback(seen.append)
    assert seen == []
    calls.obey()
    ((number, thread),) = seen
    assert (number, thread.daemon) == (7, True)
    assert thread is not threading.current_thread()


def test_an_error_comes_back_as_one() -> None:
    calls = Calls()
    done = aside(calls, int, "x")
    caught: list[Any] = []
    done.addErrback(caught.append)
    calls.obey()
    with pytest.raises(ValueError, match="invalid literal"):
        caught[0].raiseException()
