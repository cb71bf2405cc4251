"""What is run now and then: one at a time, an hour after the last one, whether or not that went well."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pool.chores import EVERY_S, FIRST_S, Chore
from pool.cli import sluice
from pool.roles import _archive_now_and_then
from tests.pool.test_supervisor import FakeReactor


def begun() -> tuple[FakeReactor, Chore]:
    reactor = FakeReactor()
    chore = Chore(reactor, "Tidying", ["-m", "pool", "tidy"])
    chore.start()
    return reactor, chore


def test_it_waits_at_first_and_runs_again_an_hour_after_it_ended_well_or_not() -> None:
    reactor, _ = begun()
    assert reactor.spawned == []
    reactor.advance(FIRST_S)
    (first,) = reactor.spawned
    assert first.arguments[1:] == ["-m", "pool", "tidy"]
    reactor.advance(2 * EVERY_S)
    assert len(reactor.spawned) == 1, "one at a time"
    first.end(0)
    reactor.advance(EVERY_S)
    reactor.spawned[1].end(1)
    reactor.advance(EVERY_S)
    assert len(reactor.spawned) == 3


def test_a_stop_ends_it_and_no_other_run_comes() -> None:
    reactor, chore = begun()
    reactor.advance(FIRST_S)
    chore.stop()
    (process,) = reactor.spawned
    assert process.signals == ["TERM"]
    process.end(signal=15)
    reactor.advance(10 * EVERY_S)
    assert len(reactor.spawned) == 1


def test_a_stop_before_the_first_run_or_after_its_end_leaves_nothing_to_wait_for() -> None:
    reactor, chore = begun()
    chore.stop()
    assert reactor.getDelayedCalls() == []
    reactor, chore = begun()
    reactor.advance(FIRST_S)
    reactor.spawned[0].gone = True
    chore.stop()
    assert reactor.spawned[0].signals == []


class RunningReactor(FakeReactor):
    """One that runs already, and is told to stop by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.before_shutdown: list[Callable[[], None]] = []

    def callWhenRunning(self, function: Callable[[], None]) -> None:
        function()

    def addSystemEventTrigger(self, phase: str, event: str, function: Callable[[], None]) -> None:
        assert (phase, event) == ("before", "shutdown")
        self.before_shutdown.append(function)


def test_the_pool_archives_by_a_command_that_there_is_and_ends_it_when_it_stops(tmp_path: Path) -> None:
    reactor = RunningReactor()
    _archive_now_and_then(reactor, tmp_path / "sluice.toml")
    reactor.advance(FIRST_S)
    (process,) = reactor.spawned
    assert process.arguments[1:5] == ["-m", "pool", "shares", "archive"]
    command = sluice.commands["shares"].commands["archive"]  # type: ignore[attr-defined]
    context = command.make_context("archive", process.arguments[5:])
    assert context.params["config_path"] == tmp_path / "sluice.toml"
    assert context.params["background"] is True
    for stop in reactor.before_shutdown:
        stop()
    assert process.signals == ["TERM"]
