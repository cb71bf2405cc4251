"""Each new reward is counted again from single shares; one millisatoshi that differs stops payments."""

# ruff: noqa: S608 - the statements are this file's own constants
from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from pool.recheck import Counting, Rechecker, counted_again
from pool.store.flows import FlowReader
from pool.store.reward_checks import RewardChecks
from tests.pool.test_settle import HASH, NOW_MS, Pool
from tests.pool.test_verify import LOG, OTHER, TAMPERED, pool, tamper

__all__ = ["pool"]  # a fixture: three blocks, of which the third is an orphan

REWARD = f"reward:{HASH}:0"
WRONG = "UPDATE posting SET amount_msat = amount_msat {} WHERE account LIKE '%:ann:immature' AND id < 10"


async def at_once(counting: Counting, directory: Path, key: str) -> Sequence[str]:
    return counting(directory, key)


def step(pool: Pool) -> str | None:
    asyncio.run(Rechecker(pool.directory, pool.books, lambda: NOW_MS, at_once).step())
    return FlowReader(pool.books).stopped()


def test_each_reward_is_counted_once_newest_first_and_right_ones_stop_nothing(pool: Pool) -> None:
    checks = RewardChecks(pool.books)
    seen = []
    while (reward := checks.next()) is not None:
        seen.append(reward.block_hash)
        assert step(pool) is None
    assert seen == [OTHER, HASH]
    assert checks.counts() == (2, 0)


@pytest.mark.parametrize("by", ["+ 1", "- 1"])
def test_one_millisatoshi_stops_payments_and_names_the_block(pool: Pool, by: str) -> None:
    tamper(pool.books, WRONG.format(by))
    assert step(pool) is None  # the other block
    stopped = step(pool)
    assert stopped is not None
    assert f"block {HASH} at" in stopped
    assert "liabilities:miners:ann:immature has" in stopped
    assert RewardChecks(pool.books).counts() == (2, 1)


def test_what_an_operator_resumed_is_not_stopped_again_for_the_same(pool: Pool) -> None:
    tamper(pool.books, WRONG.format("+ 1"))
    while RewardChecks(pool.books).next() is not None:
        step(pool)
    pool.books.execute("UPDATE breaker SET resumed_ms = 1")
    assert step(pool) is None


def test_a_block_that_came_back_is_counted_by_what_held_the_first_time(pool: Pool) -> None:
    pool.see(-1)
    pool.see(1)
    assert counted_again(pool.directory, f"reward:{HASH}:1") == []
    tamper(pool.books, f"UPDATE posting SET amount_msat = amount_msat + 1 WHERE id = {last_of(pool)}")
    assert len(counted_again(pool.directory, f"reward:{HASH}:1")) == 1


def last_of(pool: Pool) -> int:
    row: tuple[int] = pool.books.execute(
        "SELECT max(posting.id) FROM posting JOIN journal ON journal.id = journal_id WHERE key = ?",
        (f"reward:{HASH}:1",),
    ).fetchone()
    return row[0]


def test_a_changed_share_log_is_named(pool: Pool) -> None:
    statement, _ = LOG["a share given to another"]
    tamper(pool.shares, statement)
    assert any("eve" in each for each in counted_again(pool.directory, REWARD))


@pytest.mark.parametrize("what", ["a memo", "a memo that is no JSON", "the recorded window"])
def test_a_memo_that_says_something_else_is_named(pool: Pool, what: str) -> None:
    expected, statements = TAMPERED[what]
    tamper(pool.books, *statements)
    assert any(expected in each for each in counted_again(pool.directory, REWARD))


def test_what_was_found_is_kept_as_it_was_said_first(pool: Pool) -> None:
    checks = RewardChecks(pool.books)
    reward = checks.next()
    assert reward is not None
    checks.write(reward.journal_id, ["wrong"], NOW_MS)
    checks.write(reward.journal_id, [], NOW_MS)
    (text,) = pool.books.execute("SELECT differences FROM reward_check").fetchone()
    assert json.loads(text) == ["wrong"]
    assert counted_again(pool.directory, "reward:none:0") == ["reward:none:0: there is no such reward"]
