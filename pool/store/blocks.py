"""Found blocks in ``ledger.db``: what state each one's header has brought it to."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from enum import StrEnum

import attrs

from payouts.money import Msat
from stratum.options import POOL


class BlockState(StrEnum):
    """Where a found block is in its life."""

    SUBMITTED = "submitted"  # no node has shown it in the chain yet
    IMMATURE = "immature"  # in the chain, rewarded, coins not spendable
    MATURE = "mature"  # deep enough, rewards are available
    ORPHANED = "orphaned"  # the node knows it, and another one is in the chain at its height


@attrs.frozen
class FoundBlock:
    """A block that a front solved, a row of ``found`` in shares.db."""

    found_id: int
    hash: str
    share_id: int | None
    height: int
    account: str
    found_ms: int
    pot: str = POOL


@attrs.frozen
class Block:
    """A found block as the books know it.

    Attributes:
        found: as the front recorded it.
        state: see BlockState.
        activations: how often it has become part of the chain.
        confirmations: as last seen; -1 outside the chain.
        value: what its coinbase pays to our scripts; None until it was active.
    """

    found: FoundBlock
    state: BlockState
    activations: int
    confirmations: int
    value: Msat | None


@attrs.frozen
class BlockEvent:
    """A change of a block's state.

    Attributes:
        state: what it became.
        activations: how often it had become part of the chain by then.
        confirmations: that the node told then.
        at_ms: when, Unix milliseconds.
    """

    state: str
    activations: int
    confirmations: int
    at_ms: int


def history(ledger: sqlite3.Connection, block_hash: str) -> Sequence[BlockEvent]:
    """Every change of a block's state, oldest first, each as it was written with its journal entry."""
    rows = ledger.execute(
        "SELECT state, activations, confirmations, at_ms FROM block_event WHERE hash = ? ORDER BY id",
        (block_hash,),
    )
    return [BlockEvent(*row) for row in rows]


@attrs.frozen
class EarlyCredited:
    """A block's miners were credited before it matured.

    Attributes:
        n: how often the block had become active before.
        amount_msat: to all of them together.
        at_ms: when, Unix milliseconds.
    """

    n: int
    amount_msat: Msat
    at_ms: int


def early_credits(ledger: sqlite3.Connection, block_hash: str) -> Sequence[EarlyCredited]:
    """Every time that a block was credited early, oldest first."""
    rows = ledger.execute(
        "SELECT json_extract(memo, '$.n'), amount_msat, time_ms FROM journal"
        " JOIN posting ON journal_id = journal.id AND account = 'assets:advanced'"
        " WHERE key >= 'advance:' || ?1 || ':' AND key < 'advance:' || ?1 || ';' ORDER BY journal.id",
        (block_hash,),
    )
    return [EarlyCredited(n, Msat(amount), at_ms) for n, amount, at_ms in rows]


_COLUMNS = (
    "found_id, hash, share_id, height, account, found_ms, pot, state, activations, confirmations, value_msat"
)


class BlockTable:
    """Reads and writes table ``block``; transactions are the caller's."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def last_found_id(self) -> int:
        """The newest row of ``found`` that was taken over, 0 at first."""
        row: tuple[int] = self._connection.execute("SELECT coalesce(max(found_id), 0) FROM block").fetchone()
        return row[0]

    def add(self, found: FoundBlock, now_ms: int) -> None:
        """Take over a found block; one that is there already is left alone."""
        self._connection.execute(
            "INSERT OR IGNORE INTO block"
            " (hash, found_id, share_id, height, account, state, found_ms, updated_ms, pot)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                found.hash,
                found.found_id,
                found.share_id,
                found.height,
                found.account,
                BlockState.SUBMITTED,
                found.found_ms,
                now_ms,
                found.pot,
            ),
        )

    def write(self, block: Block, now_ms: int) -> None:
        """Write a block's new state, count of activations, confirmations and value."""
        self._connection.execute(
            "UPDATE block SET state = ?, activations = ?, confirmations = ?, value_msat = ?, updated_ms = ?"
            " WHERE hash = ?",
            (block.state, block.activations, block.confirmations, block.value, now_ms, block.found.hash),
        )

    def note(self, depths: Mapping[str, int], now_ms: int) -> None:
        """Write the confirmations of blocks whose state stays, by hash."""
        self._connection.executemany(
            "UPDATE block SET confirmations = ?, updated_ms = ? WHERE hash = ?",
            [(depth, now_ms, block_hash) for block_hash, depth in depths.items()],
        )

    def get(self, block_hash: str) -> Block | None:
        """The block with this hash."""
        rows = self._select("WHERE hash = ?", block_hash)
        return rows[0] if rows else None

    def watched(self, depth: int, not_before_ms: int) -> Sequence[Block]:
        """Blocks that may still change their state, oldest first.

        Args:
            depth: mature blocks with at least so many confirmations are final.
            not_before_ms: orphans found before this moment are final.
        """
        return self._select(
            "WHERE state IN ('submitted', 'immature') OR (state = 'mature' AND confirmations < ?)"
            " OR (state = 'orphaned' AND found_ms >= ?) ORDER BY found_id",
            depth,
            not_before_ms,
        )

    def to_advance(self, depth: int) -> Sequence[Block]:
        """Immature blocks with so many confirmations that were not credited early, lowest first."""
        return self._select(
            "WHERE state = 'immature' AND confirmations >= ? AND NOT EXISTS"
            " (SELECT 1 FROM journal WHERE key = 'advance:' || block.hash || ':' || (activations - 1))"
            " ORDER BY height, found_id",
            depth,
        )

    def _select(self, clause: str, *values: str | int) -> list[Block]:
        # the clauses are this module's own constants
        rows = self._connection.execute(f"SELECT {_COLUMNS} FROM block {clause}", values)  # noqa: S608
        return [
            Block(
                FoundBlock(*row[:7]),
                BlockState(row[7]),
                row[8],
                row[9],
                None if row[10] is None else Msat(row[10]),
            )
            for row in rows
        ]
