"""Blocks go to every node at once; each is asked until it answers; a person is called if none took one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import ILogObserver, globalLogPublisher

from pool.chain.node import (
    Accepted,
    ChainRefused,
    ChainUnavailable,
    Node,
    Refused,
    SubmitResult,
    Unanswered,
)
from pool.chain.submission import RESUBMIT_FOR_S, Submitter, said_nothing_of, said_of_block
from pool.errors import ChainError
from tests.pool.test_chain_saved import BLOCK


class Silent:
    """A node that says what it is told to, or nothing for ever."""

    def __init__(self, name: str, *results: SubmitResult) -> None:
        self.name = name
        self.results = list(results)
        self.given: list[str] = []

    async def submit(self, block_hex: str) -> SubmitResult:
        self.given.append(block_hex)
        if not self.results:
            await Deferred()
        return self.results.pop(0) if len(self.results) > 1 else self.results[0]


@pytest.fixture
def critical() -> Iterator[list[dict[str, Any]]]:
    seen: list[dict[str, Any]] = []

    def note(event: dict[str, Any]) -> None:
        if event["log_level"].name == "critical":
            seen.append(event)

    globalLogPublisher.addObserver(cast(ILogObserver, note))
    yield seen
    globalLogPublisher.removeObserver(cast(ILogObserver, note))


def submitted(*nodes: Silent, for_s: int = 0) -> list[tuple[str, SubmitResult]]:
    """What was recorded of a block's submission to the nodes, after some time."""
    clock, recorded = Clock(), []

    def record(block_hash: str, name: str, result: SubmitResult) -> None:
        assert block_hash == BLOCK.hash
        recorded.append((name, result))

    submitter = Submitter([cast(Node, node) for node in nodes], record, clock)
    submitter.submit(BLOCK)
    clock.pump([1] * for_s)
    submitter.stop()
    return recorded


def test_a_node_that_hangs_keeps_the_block_from_no_other(critical: list[dict[str, Any]]) -> None:
    hangs, well = Silent("hangs"), Silent("well", Accepted())

    assert submitted(hangs, well) == [("well", Accepted())]
    assert hangs.given == well.given == [BLOCK.block.hex()]
    assert critical == []


def test_each_node_is_asked_until_it_answers(critical: list[dict[str, Any]]) -> None:
    down = Unanswered("down")
    late, well = Silent("late", down, down, down, Accepted()), Silent("well", Accepted())

    recorded = submitted(late, well, for_s=20)

    assert recorded == [("late", down), ("well", Accepted()), ("late", Accepted())]
    assert (len(late.given), len(well.given)) == (4, 1)
    assert critical == []


@pytest.mark.parametrize("word", ["inconclusive", "duplicate-inconclusive"])
def test_a_block_on_a_branch_with_less_work_is_no_alarm(word: str, critical: list[dict[str, Any]]) -> None:
    assert submitted(Silent("one", Refused(word))) == [("one", Refused(word))]
    assert critical == []


def test_a_block_that_every_node_refuses_calls_for_a_person_with_the_file_s_name(
    critical: list[dict[str, Any]],
) -> None:
    submitted(Silent("one", Refused("bad-cb-amount")), Silent("two", Refused("bad-txnmrklroot")))

    (alarm,) = critical
    assert alarm["words"] == "one: bad-cb-amount, two: bad-txnmrklroot"
    assert alarm["file"] == f"7-{BLOCK.hash}.json"


def test_a_block_that_nobody_answers_for_is_given_up_loudly_after_two_hours(
    critical: list[dict[str, Any]],
) -> None:
    never = Silent("one", Unanswered("down"))

    assert submitted(never, for_s=int(RESUBMIT_FOR_S) + 60) == [("one", Unanswered("down"))]
    assert [alarm["words"] for alarm in critical] == ["one: unanswered"]
    assert len(never.given) < 300


@pytest.mark.parametrize(
    ("error", "result"),
    [
        (ChainRefused(-22, "Block decode failed"), Refused("Block decode failed")),
        (ChainRefused(-7, "out of memory"), Unanswered("the node refused: out of memory (code -7)")),
        (ChainRefused(-32603, "internal"), Unanswered("the node refused: internal (code -32603)")),
        (ChainUnavailable("no answer"), Unanswered("no answer")),
    ],
)
def test_only_an_error_about_the_block_itself_is_the_last_word_on_it(
    error: ChainError, result: SubmitResult
) -> None:
    assert said_nothing_of(error) == result


def test_a_block_that_the_node_has_already_is_accepted() -> None:
    assert [said_of_block(word) for word in (None, "duplicate", "rejected")] == [
        Accepted(),
        Accepted(),
        Refused("rejected"),
    ]
