"""Where accounts want to be paid unasked, in ``ledger.db``: asked for, waiting, valid, called off."""

from __future__ import annotations

import sqlite3
from typing import Literal

import attrs

from pool.errors import StoreError
from pool.store.ledger import LedgerStore

Rail = Literal["lightning", "onchain"]


@attrs.frozen
class Destination:
    """One wish.

    Attributes:
        id: row number.
        account: whose.
        rail: lightning or onchain.
        target: Lightning Address or Bitcoin address; None: not to be paid unasked from then on.
        asked_by: who asked.
        asked_ms: when, Unix milliseconds.
        valid_from_ms: from when on it holds.
    """

    id: int
    account: str
    rail: Rail
    target: str | None
    asked_by: str
    asked_ms: int
    valid_from_ms: int


class DestinationDesk:
    """Reads and writes table ``destination``; the connection belongs to one that may write ``ledger.db``."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def ask(
        self, account: str, rail: Rail, target: str | None, *, by: str, now_ms: int, wait_ms: int
    ) -> Destination:
        """Write a wish that becomes valid after a wait; one that is still waiting is called off by it.

        The same wish again is the one that waits or holds already, so that asking twice delays nothing.
        """
        with LedgerStore(self._connection).transaction() as tx:  # or the one that is open
            waiting = self.waiting(account, rail, now_ms)
            if waiting is not None and waiting.target == target:
                return waiting
            valid = self.valid(account, rail, now_ms)
            tx.execute(
                "UPDATE destination SET cancelled_ms = ?1 WHERE account = ?2 AND rail = ?3"
                " AND valid_from_ms > ?1 AND cancelled_ms IS NULL",
                (now_ms, account, rail),
            )
            if valid is not None and valid.target == target:
                return valid
            row = tx.execute(
                "INSERT INTO destination (account, rail, target, asked_by, asked_ms, valid_from_ms)"  # noqa: S608
                f" VALUES (?, ?, ?, ?, ?, ?) RETURNING {_COLUMNS}",
                (account, rail, target, by, now_ms, now_ms + wait_ms),
            ).fetchone()
        return Destination(*row)

    def call_off(self, number: int, now_ms: int) -> None:
        """Take a wish back that is not valid yet.

        Raises:
            StoreError: it is valid already, was called off, or never was.
        """
        with LedgerStore(self._connection).transaction() as tx:  # or the one that is open
            done = tx.execute(
                "UPDATE destination SET cancelled_ms = ?1 WHERE id = ?2 AND valid_from_ms > ?1"
                " AND cancelled_ms IS NULL",
                (now_ms, number),
            )
            if not done.rowcount:
                raise StoreError("there is no such change that is still waiting")

    def valid(self, account: str, rail: Rail, now_ms: int) -> Destination | None:
        """The wish that holds now; its target may be None."""
        return self._one(f"{_SELECT} AND valid_from_ms <= ? ORDER BY id DESC LIMIT 1", account, rail, now_ms)

    def waiting(self, account: str, rail: Rail, now_ms: int) -> Destination | None:
        """The wish that will hold later."""
        return self._one(f"{_SELECT} AND valid_from_ms > ? ORDER BY id DESC LIMIT 1", account, rail, now_ms)

    def _one(self, query: str, account: str, rail: Rail, now_ms: int) -> Destination | None:
        row = self._connection.execute(query, (account, rail, now_ms)).fetchone()
        return None if row is None else Destination(*row)


_COLUMNS = "id, account, rail, target, asked_by, asked_ms, valid_from_ms"
_SELECT = f"SELECT {_COLUMNS} FROM destination WHERE account = ? AND rail = ? AND cancelled_ms IS NULL"  # noqa: S608
VALID = (
    "SELECT account, target FROM destination AS wish WHERE rail = :rail AND cancelled_ms IS NULL"
    " AND valid_from_ms <= :now_ms AND target IS NOT NULL AND NOT EXISTS (SELECT 1 FROM destination AS later"
    " WHERE later.account = wish.account AND later.rail = wish.rail AND later.id > wish.id"
    " AND later.cancelled_ms IS NULL AND later.valid_from_ms <= :now_ms)"
)
"""All wishes that hold now and name a target, for other queries; parameters ``rail`` and ``now_ms``."""
