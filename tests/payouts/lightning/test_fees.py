"""Readings of a long list are shared: one under way, one due, each after whoever it serves has asked."""

from __future__ import annotations

import attrs
from twisted.internet.defer import Deferred

from payouts.errors import NodeUnavailable
from payouts.lightning.fees import SharedReading


@attrs.define
class Source:
    """A list that is read as slowly as the test wants."""

    pending: list[Deferred[list[int]]] = attrs.Factory(list)
    begun: int = 0

    async def read(self) -> list[int]:
        self.begun += 1
        answer: Deferred[list[int]] = Deferred()
        self.pending.append(answer)
        return await answer


def asked(reading: SharedReading[int], got: list[object]) -> Deferred[None]:
    rows = Deferred.fromCoroutine(reading.rows())
    return rows.addCallbacks(got.append, lambda failure: got.append(failure.value))


def test_whoever_asks_during_a_reading_shares_the_next_one() -> None:
    source, got = Source(), list[object]()
    reading = SharedReading(source.read)
    for _ in range(20):
        asked(reading, got)
    assert source.begun == 1
    source.pending.pop().callback([1])
    assert got == [[1]]
    assert source.begun == 2
    source.pending.pop().callback([1, 2])
    assert got == [[1]] + 19 * [[1, 2]]
    assert source.begun == 2


def test_a_reading_that_failed_fails_for_whom_it_was_and_the_next_one_is_made() -> None:
    source, got = Source(), list[object]()
    reading = SharedReading(source.read)
    asked(reading, got)
    asked(reading, got)
    lost = NodeUnavailable("connection refused")
    source.pending.pop().errback(lost)
    source.pending.pop().callback([3])
    assert got == [lost, [3]]
    asked(reading, got)
    assert source.begun == 3


def test_whoever_gives_up_takes_nothing_from_the_others() -> None:
    source, got = Source(), list[object]()
    reading = SharedReading(source.read)
    asked(reading, got)
    asked(reading, got).cancel()
    asked(reading, got)
    source.pending.pop().callback([1])
    source.pending.pop().callback([2])
    assert got[1:] == [[1], [2]]
    assert source.begun == 2
