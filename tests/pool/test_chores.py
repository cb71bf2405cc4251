"""What is run now and then: one at a time, an hour after the last one, whether or not that went well."""

from __future__ import annotations

from pool.chores import EVERY_S, FIRST_S, Chore
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
