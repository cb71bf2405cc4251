"""Daily assertions in ``ledger.db``: what the books came to when a day began, written once, never changed."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

import attrs

from pool.store.database import transaction

DAY_MS: Final = 86_400_000
TYPES: Final = ("assets", "liabilities", "equity", "income", "expense")
"""Of ledger accounts: what their names begin with."""


@attrs.frozen
class Assertion:
    """What the books came to at the beginning of a day.

    Attributes:
        day: ISO date, UTC.
        journal_id: number of the last entry before it.
        journal_hash: of that entry, which stands for all before it.
        sums: msat by type of account, debit positive; together zero.
    """

    day: str
    journal_id: int
    journal_hash: str
    sums: Mapping[str, int]


def type_of(account: str) -> str:
    """The type of a ledger account."""
    return account.partition(":")[0]


class AssertionTable:
    """Reads and writes ``assertion``."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def all(self) -> Sequence[Assertion]:
        """Every assertion, oldest first."""
        rows = self._connection.execute(
            "SELECT day, journal_id, journal_hash, assets_msat, liabilities_msat, equity_msat, income_msat,"
            " expense_msat FROM assertion ORDER BY day"
        )
        return [
            Assertion(day, journal_id, digest, dict(zip(TYPES, sums, strict=True)))
            for day, journal_id, digest, *sums in rows
        ]

    def write(self, now_ms: int) -> Assertion | None:
        """Write what the books came to when the present day began, unless that is written.

        The sums are today's balances less what was posted since: a day's postings are read, not all.

        Args:
            now_ms: Unix milliseconds.

        Returns:
            What was written now; None when the day has its assertion, or began with empty books.
        """
        midnight_ms = now_ms // DAY_MS * DAY_MS
        day = datetime.fromtimestamp(midnight_ms // 1000, UTC).date().isoformat()
        if self._newest_day() >= day:
            return None
        with transaction(self._connection) as tx:
            last = tx.execute(
                "SELECT id, hash FROM journal WHERE time_ms < ? ORDER BY id DESC LIMIT 1", (midnight_ms,)
            ).fetchone()
            if last is None or self._newest_day() >= day:
                return None
            made = Assertion(day, last[0], last[1], self._sums(tx, last[0]))
            tx.execute(
                "INSERT INTO assertion VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (day, *last, *(made.sums[kind] for kind in TYPES), now_ms),
            )
        return made

    def _newest_day(self) -> str:
        row = self._connection.execute("SELECT max(day) FROM assertion").fetchone()
        return row[0] or ""

    @staticmethod
    def _sums(tx: sqlite3.Connection, journal_id: int) -> dict[str, int]:
        sums: Counter[str] = Counter(dict.fromkeys(TYPES, 0))
        for account, amount in tx.execute("SELECT account, amount_msat FROM balance"):
            sums[type_of(account)] += amount
        since = tx.execute("SELECT account, amount_msat FROM posting WHERE journal_id > ?", (journal_id,))
        for account, amount in since:
            sums[type_of(account)] -= amount
        return dict(sums)
