"""The book's second thought: what it wrote for shares is counted again from single ones, one entry at a time.

The reward that was written came from sums that the window keeps; this comes from the raw log, one share at a
time, by the audit's own code.  They must agree to the millisatoshi, or nothing more is sent until somebody
has looked: a block matures a hundred blocks after it was found, this takes seconds, and early credit waits
for it.  Shares that were paid at once can leave at once too: their slices, which are small, are counted again
within seconds.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import assert_never

from twisted.logger import Logger

from pool.store.audit import Audit, BlockRow, JournalRow
from pool.store.batches import BatchBook
from pool.store.database import connect_to_read
from pool.store.rates import rate_key
from pool.store.reward_checks import (
    RewardChecks,
    Unchecked,
    UncheckedSlice,
    paid_before,
    policies_before,
    residual_before,
)
from pool.verify_entry import compared
from pool.verify_proofs import oldest_share, shares_changed
from pool.verify_rewards import RewardAudit

Counting = Callable[[Path, str], Sequence[str]]


class Rechecker:
    """Counts rewards and paid slices again, one of them a step; stops payments when one differs.

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
        self._last_slice = self._checks.last_slice()

    async def step(self) -> None:
        """Count the newest reward that nobody has counted again, or else the oldest slice."""
        entry = self._checks.next() or self._checks.next_slice(self._last_slice)
        if entry is None:
            return
        found = await self._in_thread(counted_again, self._directory, entry.key)
        if not self._checks.said().issuperset(found):
            # stopped first: a crash between the two only counts once more.  What was said of another entry,
            # of shares that are in the windows of both, an operator has heard
            self._breaker.stop_sending(_reason(entry, found), self._now_ms())
        self._checks.write(entry.journal_id, found, self._now_ms())
        if isinstance(entry, UncheckedSlice):
            self._last_slice = entry.journal_id
        self._say(entry, found)

    def _say(self, entry: Unchecked | UncheckedSlice, found: Sequence[str]) -> None:
        if not found:
            self._log.info("{key} was counted again", key=entry.key)
        for difference in found:
            self._log.critical("{key} is not what its shares say: {text}", key=entry.key, text=difference)


def _reason(entry: Unchecked | UncheckedSlice, found: Sequence[str]) -> str:
    match entry:
        case Unchecked(_, _, block_hash, height):
            what = f"block {block_hash} at {height} was not divided as its shares say"
        case UncheckedSlice(_, key):
            what = f"{key} does not pay what its shares say"
        case _:
            assert_never(entry)
    return f"{what}: {found[0]} (`sluice ledger verify` names all)"


def counted_again(directory: Path, key: str) -> Sequence[str]:
    """Count one reward, or one slice of shares that were paid at once, again from the share log.

    Args:
        directory: of the store.
        key: of its entry.

    Returns:
        Every difference in a sentence; empty when it is right.
    """
    with (
        closing(connect_to_read(directory, "shares")) as shares,
        closing(connect_to_read(directory, "ledger")) as books,
    ):
        audit = Audit(shares, books)
        with audit.snapshot():
            found = (_slice if key.startswith("shares:") else _differences)(audit, books, key)
            return [*found, *_changed(audit, shares, books, key)]


def _changed(audit: Audit, shares: sqlite3.Connection, books: sqlite3.Connection, key: str) -> Sequence[str]:
    """Whether the shares that were paid are still those that the log's tree was made of."""
    row = audit.entry(key)
    if row is None:
        return []
    try:
        oldest = oldest_share(json.loads(row.memo))
    except (KeyError, ValueError, TypeError, AttributeError):
        return []  # whoever counts again says so
    return [] if oldest is None else shares_changed(shares, books, oldest)


def _slice(audit: Audit, books: sqlite3.Connection, key: str) -> Sequence[str]:
    found: list[str] = []
    row = audit.entry(key)
    if row is None:
        return [f"{key}: there are no such shares"]
    rewards = RewardAudit(audit, found.append)
    try:
        memo = json.loads(row.memo)
        pot, last_id, after_id = str(memo["pot"]), int(memo["last_share"]), int(memo["after_share"])
        _adopt_before(rewards, audit, books, row.id)
        found.clear()  # what is wrong with policies is not this one's fault
        for height in audit.pot(pot).heights(last_id, after_id):
            rate = audit.entry(rate_key(height))
            if rate is not None and rate.id < row.id:
                rewards.learn(rate, json.loads(rate.memo))
        rewards.resume(pot, paid_before(books, pot, row.id))
        expected = rewards.shares(row, memo)
    except (KeyError, ValueError, TypeError, AttributeError, ArithmeticError) as error:
        return [*found, f"{key}: its memo does not say how it was computed ({error})"]
    return [*found, *compared(row, expected)]


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
    _adopt_before(rewards, audit, books, first.id)
    if first.id != row.id:
        rewards.postings(first.key, json.loads(first.memo), block, 0, {})


def _adopt_before(rewards: RewardAudit, audit: Audit, books: sqlite3.Connection, journal_id: int) -> None:
    for key in policies_before(books, journal_id):
        policy = audit.entry(key)
        if policy is not None:
            rewards.adopt(policy, json.loads(policy.memo))


def _owed_back(audit: Audit, block_hash: str, n: int) -> Mapping[str, int]:
    """What accounts keep of earlier rewards of a block that were reversed, msat."""
    owed: Counter[str] = Counter()
    for before in range(n):
        reversal = audit.entry(f"reverse:{block_hash}:{before}")
        if reversal is not None:
            short = json.loads(reversal.memo)["short_msat"]
            owed.update({account: int(amount) for account, amount in short.items()})
    return owed
