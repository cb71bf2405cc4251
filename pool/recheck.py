"""The book's second thought: each new reward is counted again from single shares before it can be paid out.

The reward that was written came from sums that the window keeps; this comes from the raw log, one share at a
time, by the audit's own code.  They must agree to the millisatoshi, or nothing more is sent until somebody
has looked: a block matures a hundred blocks after it was found, and this takes seconds.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path

from twisted.logger import Logger

from pool.store.audit import Audit, BlockRow, JournalRow
from pool.store.batches import BatchBook
from pool.store.database import connect_to_read
from pool.store.reward_checks import RewardChecks, Unchecked, policies_before, residual_before
from pool.verify_entry import compared
from pool.verify_rewards import RewardAudit

Counting = Callable[[Path, str], Sequence[str]]


class Rechecker:
    """Counts rewards again, one at a time, and stops payments at the first millisatoshi that differs.

    Args:
        directory: of the store; the counting opens its own connections.
        books: ledger.db to write, used by this thread.
        now_ms: Unix milliseconds.
        in_thread: runs the counting beside the reactor.
    """

    _log = Logger()

    def __init__(
        self,
        directory: Path,
        books: sqlite3.Connection,
        now_ms: Callable[[], int],
        in_thread: Callable[[Counting, Path, str], Awaitable[Sequence[str]]],
    ) -> None:
        self._directory = directory
        self._checks = RewardChecks(books)
        self._breaker = BatchBook(books, lambda _: False)
        self._now_ms = now_ms
        self._in_thread = in_thread

    async def step(self) -> None:
        """Count the newest reward that nobody has counted again, if there is one."""
        reward = self._checks.next()
        if reward is None:
            return
        found = await self._in_thread(counted_again, self._directory, reward.key)
        if found:
            # stopped first: a crash between the two only counts once more
            self._breaker.stop_sending(_reason(reward, found), self._now_ms())
        self._checks.write(reward.journal_id, found, self._now_ms())
        self._say(reward, found)

    def _say(self, reward: Unchecked, found: Sequence[str]) -> None:
        if not found:
            self._log.info("Reward of block {hash} was counted again", hash=reward.block_hash)
            return
        for difference in found:
            self._log.critical("Reward of block {hash}: {text}", hash=reward.block_hash, text=difference)


def _reason(reward: Unchecked, found: Sequence[str]) -> str:
    return (
        f"block {reward.block_hash} at {reward.height} was not divided as its shares say: {found[0]}"
        " (`sluice ledger verify` names all)"
    )


def counted_again(directory: Path, key: str) -> Sequence[str]:
    """Count one reward again from the share log.

    Args:
        directory: of the store.
        key: of the reward's entry.

    Returns:
        Every difference in a sentence; empty when it is right.
    """
    with (
        closing(connect_to_read(directory, "shares")) as shares,
        closing(connect_to_read(directory, "ledger")) as books,
    ):
        audit = Audit(shares, books)
        with audit.snapshot():
            return _differences(audit, books, key)


def _differences(audit: Audit, books: sqlite3.Connection, key: str) -> Sequence[str]:
    found: list[str] = []
    row, (_, block_hash, n) = audit.entry(key), key.split(":")
    block = next((block for block in audit.blocks() if block.hash == block_hash), None)
    if row is None or block is None:
        return [f"{key}: there is no such reward"]
    rewards = RewardAudit(audit, found.append)
    try:
        _take_in_policies(rewards, audit, books, row, block)
        found.clear()  # what is wrong with policies and first rewards is not this one's fault
        owed = _owed_back(audit, block_hash, int(n))
        residual = residual_before(books, block.pot, row.id)
        expected = rewards.postings(key, json.loads(row.memo), block, residual, owed)
    except (KeyError, ValueError, TypeError, AttributeError, ArithmeticError) as error:
        return [*found, f"{key}: its memo does not say how it was computed ({error})"]
    return [*found, *compared(row, expected)]


def _take_in_policies(
    rewards: RewardAudit, audit: Audit, books: sqlite3.Connection, row: JournalRow, block: BlockRow
) -> None:
    """A block that comes back is divided by the policies that it was divided by the first time."""
    first = audit.entry(f"reward:{block.hash}:0") or row
    for key in policies_before(books, first.id):
        policy = audit.entry(key)
        if policy is not None:
            rewards.adopt(policy, json.loads(policy.memo))
    if first.id != row.id:
        rewards.postings(first.key, json.loads(first.memo), block, 0, {})


def _owed_back(audit: Audit, block_hash: str, n: int) -> Mapping[str, int]:
    """What accounts keep of earlier rewards of a block that were reversed, msat."""
    owed: Counter[str] = Counter()
    for before in range(n):
        reversal = audit.entry(f"reverse:{block_hash}:{before}")
        if reversal is not None:
            short = json.loads(reversal.memo)["short_msat"]
            owed.update({account: int(amount) for account, amount in short.items()})
    return owed
