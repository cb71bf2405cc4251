"""The supervisor on a clock moved by hand: growing pauses, an end for good, a stop that leaves nothing."""

from __future__ import annotations

from typing import Any, cast

import attrs
from twisted.internet.error import ProcessDone, ProcessExitedAlready, ProcessTerminated
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from pool.supervisor import FIRST_BACKOFF_S, KILL_AFTER_S, LONGEST_BACKOFF_S, STEADY_S, Supervisor


@attrs.define
class FakeProcess:
    """One spawned process: what it was started with, and the signals that it got."""

    protocol: Any
    arguments: list[str]
    environment: dict[str, str]
    child_fds: dict[int, object]
    pid: int
    signals: list[str] = attrs.Factory(list)
    gone: bool = False

    def signalProcess(self, name: str) -> None:
        if self.gone:
            raise ProcessExitedAlready
        self.signals.append(name)

    def end(self, status: int = 1, signal: int | None = None) -> None:
        self.gone = True
        self.protocol.processEnded(_reason(status, signal))


def _reason(status: int, signal: int | None) -> Any:
    done, terminated, failure = cast(tuple[Any, Any, Any], (ProcessDone, ProcessTerminated, Failure))
    return failure(done(0) if status == 0 and signal is None else terminated(status, signal))


class FakeReactor(Clock):
    """Time by hand, and a list of what was spawned."""

    def __init__(self) -> None:
        super().__init__()
        self.spawned: list[FakeProcess] = []

    def spawnProcess(
        self,
        protocol: Any,
        executable: str,
        arguments: list[str],
        env: Any,
        childFDs: Any,  # noqa: N803
    ) -> FakeProcess:
        process = FakeProcess(protocol, arguments, dict(env), childFDs, 100 + len(self.spawned))
        protocol.transport = process
        self.spawned.append(process)
        return process


def supervise(*names: str) -> tuple[FakeReactor, Supervisor]:
    reactor = FakeReactor()
    supervisor = Supervisor(reactor, {name: ["-m", "pool", name] for name in names}, {"PLACE": "here"})
    supervisor.start()
    return reactor, supervisor


def test_every_role_is_started_with_its_command_and_a_pipe_that_ends_with_us() -> None:
    reactor, _ = supervise("front", "book")
    assert [process.arguments[1:] for process in reactor.spawned] == [
        ["-m", "pool", "front"],
        ["-m", "pool", "book"],
    ]
    assert all(process.child_fds == {0: "w", 1: 1, 2: 2} for process in reactor.spawned)
    assert all(process.environment["PLACE"] == "here" for process in reactor.spawned)


def test_a_role_that_crashes_again_and_again_is_started_after_pauses_that_double_up_to_the_longest() -> None:
    reactor, _ = supervise("front")
    pauses = []
    for _ in range(10):
        before, starts = reactor.seconds(), len(reactor.spawned)
        reactor.spawned[-1].end()
        while len(reactor.spawned) == starts:
            reactor.advance(0.5)
        pauses.append(reactor.seconds() - before)
    doubling = [FIRST_BACKOFF_S * 2**n for n in range(10)]
    assert pauses == [min(pause, LONGEST_BACKOFF_S) for pause in doubling]


def test_a_role_that_ran_long_enough_starts_its_pauses_anew() -> None:
    reactor, _ = supervise("front")
    for _ in range(4):
        reactor.spawned[-1].end()
        reactor.advance(LONGEST_BACKOFF_S)
    reactor.advance(STEADY_S)
    starts = len(reactor.spawned)
    reactor.spawned[-1].end()
    reactor.advance(FIRST_BACKOFF_S)
    assert len(reactor.spawned) == starts + 1


def test_a_role_that_ends_by_itself_with_status_0_or_by_a_signal_is_started_again_too() -> None:
    reactor, _ = supervise("front")
    reactor.spawned[-1].end(status=0)
    reactor.advance(FIRST_BACKOFF_S)
    reactor.spawned[-1].end(status=0, signal=9)
    reactor.advance(2 * FIRST_BACKOFF_S)
    assert len(reactor.spawned) == 3


def test_one_roles_crash_touches_no_other_role() -> None:
    reactor, _ = supervise("front", "book")
    reactor.spawned[0].end()
    reactor.advance(LONGEST_BACKOFF_S)
    assert [process.arguments[-1] for process in reactor.spawned] == ["front", "book", "front"]
    assert reactor.spawned[1].signals == []


def test_status_2_is_told_once_and_never_restarted() -> None:
    reactor, supervisor = supervise("front", "book")
    told: list[str] = []
    supervisor.failed.addCallback(told.append)
    reactor.spawned[1].end(status=2)
    reactor.spawned[0].end(status=2)
    reactor.advance(10 * LONGEST_BACKOFF_S)
    assert told == ["book"]
    assert len(reactor.spawned) == 2


def test_stop_asks_every_role_and_waits_for_all_of_them() -> None:
    reactor, supervisor = supervise("front", "book")
    stopped: list[None] = []
    supervisor.stop().addCallback(stopped.append)
    assert [process.signals for process in reactor.spawned] == [["TERM"], ["TERM"]]
    reactor.spawned[0].end(status=0)
    assert stopped == []
    reactor.spawned[1].end(status=0)
    assert stopped == [None]
    reactor.advance(KILL_AFTER_S + LONGEST_BACKOFF_S)
    assert [process.signals for process in reactor.spawned] == [["TERM"], ["TERM"]]
    assert reactor.getDelayedCalls() == []
    assert len(reactor.spawned) == 2


def test_a_role_that_does_not_stop_in_time_is_killed() -> None:
    reactor, supervisor = supervise("front")
    stopped: list[None] = []
    supervisor.stop().addCallback(stopped.append)
    reactor.advance(KILL_AFTER_S - 0.1)
    assert reactor.spawned[0].signals == ["TERM"]
    reactor.advance(0.1)
    assert reactor.spawned[0].signals == ["TERM", "KILL"]
    reactor.spawned[0].end(status=0, signal=9)
    assert stopped == [None]


def test_a_role_that_ends_at_the_moment_of_the_stop_is_no_error() -> None:
    reactor, supervisor = supervise("front")
    reactor.spawned[0].gone = True  # the kernel knows, we have not been told
    stopped: list[None] = []
    supervisor.stop().addCallback(stopped.append)
    reactor.spawned[0].end()
    assert stopped == [None]


def test_stop_cancels_a_restart_that_waits() -> None:
    reactor, supervisor = supervise("front")
    reactor.spawned[0].end()
    stopped: list[None] = []
    supervisor.stop().addCallback(stopped.append)
    reactor.advance(2 * LONGEST_BACKOFF_S)
    assert stopped == [None]
    assert len(reactor.spawned) == 1
