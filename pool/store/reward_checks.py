"""Which rewards and paid slices of ``ledger.db`` the book has counted again, and what it found."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import Final

import attrs

from payouts.money import Msat
from pool.ledger import residual
from pool.settle import WATCH_DEPTH
from pool.store.database import transaction

_UNCHECKED: Final = (
    "SELECT journal.id, key, block.hash, block.height FROM journal"
    " JOIN block ON key = 'reward:' || block.hash || ':' || (activations - 1)"
    " WHERE block.state IN ('immature', 'mature') AND confirmations < ?"
    " AND NOT EXISTS (SELECT 1 FROM reward_check WHERE journal_id = journal.id)"
    " ORDER BY journal.id DESC LIMIT 1"
)


@attrs.frozen
class Unchecked:
    """A reward that nobody has counted again.  Attributes: its entry's number and key, its block."""

    journal_id: int
    key: str
    block_hash: str
    height: int


@attrs.frozen
class UncheckedSlice:
    """Shares that were paid at once, and that nobody has counted again.  Attributes: number and key."""

    journal_id: int
    key: str


class RewardChecks:
    """Reads and writes ``reward_check``."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def next(self) -> Unchecked | None:
        """The newest reward of a block that is still watched and has not been counted again."""
        row = self._connection.execute(_UNCHECKED, (WATCH_DEPTH,)).fetchone()
        return None if row is None else Unchecked(*row)

    def next_slice(self, after_id: int) -> UncheckedSlice | None:
        """The oldest slice of paid shares behind this entry: they are counted again in their order."""
        row = self._connection.execute(
            "SELECT id, key FROM journal WHERE key > 'shares:' AND key < 'shares;' AND id > ?"
            " ORDER BY id LIMIT 1",
            (after_id,),
        ).fetchone()
        return None if row is None else UncheckedSlice(*row)

    def last_slice(self) -> int:
        """Number of the newest slice that was counted again; 0 when none was."""
        row: tuple[int] = self._connection.execute(
            "SELECT coalesce(max(journal_id), 0) FROM reward_check JOIN journal ON journal.id = journal_id"
            " WHERE key > 'shares:' AND key < 'shares;'"
        ).fetchone()
        return row[0]

    def write(self, journal_id: int, differences: Sequence[str], now_ms: int) -> None:
        """Note what counting again has found; the first word stays."""
        with transaction(self._connection) as tx:
            tx.execute(
                "INSERT OR IGNORE INTO reward_check (journal_id, differences, checked_ms) VALUES (?, ?, ?)",
                (journal_id, json.dumps(list(differences)), now_ms),
            )

    def right(self, key: str) -> bool | None:
        """Whether a reward was right when it was counted again; None while it has not been."""
        row = self._connection.execute(
            "SELECT differences = '[]' FROM reward_check JOIN journal ON journal.id = journal_id"
            " WHERE key = ?",
            (key,),
        ).fetchone()
        return None if row is None else bool(row[0])

    def said(self) -> frozenset[str]:
        """Every difference that was ever found."""
        rows = self._connection.execute("SELECT differences FROM reward_check WHERE differences <> '[]'")
        return frozenset(text for (texts,) in rows for text in json.loads(texts))

    def counts(self) -> tuple[int, int]:
        """How many rewards and slices were counted again, and how many of them were not right."""
        row: tuple[int, int] = self._connection.execute(
            "SELECT count(*), coalesce(sum(differences <> '[]'), 0) FROM reward_check"
        ).fetchone()
        return row


def policies_before(connection: sqlite3.Connection, journal_id: int) -> Sequence[str]:
    """Keys of the policies that were in the journal before an entry, oldest first."""
    rows = connection.execute(
        "SELECT key FROM journal WHERE key >= 'policy:' AND key < 'policy;' AND id < ? ORDER BY id",
        (journal_id,),
    )
    return [row[0] for row in rows]


def paid_before(connection: sqlite3.Connection, pot: str, journal_id: int) -> int:
    """Log id of the newest share of a pot that was paid at once before an entry, 0 when none was."""
    row = connection.execute(
        "SELECT CAST(json_extract(memo, '$.last_share') AS INTEGER) FROM journal WHERE id = (SELECT max(id)"
        " FROM journal WHERE key > ?1 || ':' AND key < ?1 || ';' AND id < ?2)",
        (f"shares:{pot}", journal_id),
    ).fetchone()
    return 0 if row is None else int(row[0])


def residual_before(connection: sqlite3.Connection, pot: str, journal_id: int) -> Msat:
    """What the divisions in a pot had left over before an entry, in msat."""
    row: tuple[int] = connection.execute(
        "SELECT coalesce(-sum(amount_msat), 0) FROM posting WHERE account = ? AND journal_id < ?",
        (residual(pot), journal_id),
    ).fetchone()
    return Msat(row[0])
