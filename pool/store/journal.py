"""The journal read for people who check it: whole, an account's part of it, and balances at a moment."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from operator import itemgetter
from typing import Final

import attrs

from payouts.money import Msat
from pool.ledger import PARTS, Part, Posting, miner
from pool.store.audit import JournalRow

ALWAYS_MS: Final = 2**62
"""Later than anything."""


@attrs.frozen
class StatementLine:
    """One posting to what the pool owes an account; positive: the pool owes more.

    Attributes:
        journal_id: number of the entry.
        time_ms: when, Unix milliseconds.
        kind: what happened.
        about: which block (``block 840000``), payment (``L12``) or batch (``B3``) it was; empty for none.
        reference: its block hash, payment hash or txid.
        part: which balance.
        amount_msat: what it changed by.
        balance_msat: that balance afterwards.
        owed_msat: all three balances together afterwards.
        key: of the entry.
        policies: hashes of the policies that it was divided or paid by, oldest first, between blanks; of
            rewards and of shares that were paid at once.
    """

    journal_id: int
    time_ms: int
    kind: str
    about: str
    reference: str
    part: str
    amount_msat: Msat
    balance_msat: Msat
    owed_msat: Msat
    key: str
    policies: str


class JournalReader:
    """Reads ``ledger.db``; the connection is for reading, or is in nobody's transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Hold the file still for as long as is read from it."""
        self._connection.execute("BEGIN")
        try:
            yield
        finally:
            self._connection.execute("ROLLBACK")

    def entries(self) -> Iterator[JournalRow]:
        """The whole journal, oldest first, one entry in memory at a time."""
        rows = self._connection.execute(
            "SELECT j.id, key, kind, time_ms, memo, previous, hash, account, amount_msat FROM journal j"
            " LEFT JOIN posting p ON p.journal_id = j.id ORDER BY j.id, p.id"
        )
        for _, group in groupby(rows, itemgetter(0)):
            sides = list(group)
            postings = tuple(Posting(row[7], Msat(row[8])) for row in sides if row[7] is not None)
            yield JournalRow._make((*sides[0][:7], postings))

    def first_ms(self) -> int | None:
        """The earliest moment of any entry, Unix milliseconds; None while there is none."""
        row: tuple[int | None] = self._connection.execute("SELECT min(time_ms) FROM journal").fetchone()
        return row[0]

    def balances(self, at_ms: int | None = None) -> dict[str, int]:
        """Every ledger account's balance, msat, debit positive: now, or at the end of a millisecond."""
        if at_ms is None:
            return dict(self._connection.execute("SELECT account, amount_msat FROM balance ORDER BY account"))
        return dict(
            self._connection.execute(
                "SELECT account, sum(amount_msat) FROM posting JOIN journal ON journal.id = journal_id"
                " WHERE time_ms <= ? GROUP BY account ORDER BY account",
                (at_ms,),
            )
        )

    def owed(self, account: str, at_ms: int) -> dict[Part, Msat]:
        """What the pool owed an account at the end of a millisecond, by part, in msat."""
        found: dict[Part, Msat] = {}
        for part in PARTS:
            row: tuple[int] = self._connection.execute(
                "SELECT coalesce(-sum(amount_msat), 0) FROM posting JOIN journal ON journal.id = journal_id"
                " WHERE account = ? AND time_ms <= ?",
                (miner(account, part), at_ms),
            ).fetchone()
            found[part] = Msat(row[0])
        return found

    def statement(
        self, account: str, since_ms: int | None = None, until_ms: int | None = None, limit: int | None = None
    ) -> Sequence[StatementLine]:
        """An account's postings within a span, oldest first, with the balances that each one left.

        Args:
            account: whose.
            since_ms: Unix milliseconds, inclusive; None from the beginning.
            until_ms: the same, inclusive; None up to now.
            limit: only the newest so many.
        """
        rows = self._connection.execute(
            _STATEMENT,
            (
                *(miner(account, part) for part in PARTS),
                0 if since_ms is None else since_ms,
                ALWAYS_MS if until_ms is None else until_ms,
                -1 if limit is None else limit,
            ),
        ).fetchall()
        return [StatementLine(*row) for row in reversed(rows)]


_STATEMENT: Final = """
    WITH moved AS (
        SELECT p.id, p.journal_id, p.account, -p.amount_msat AS amount,
            -sum(p.amount_msat) OVER (PARTITION BY p.account ORDER BY p.id) AS balance,
            -sum(p.amount_msat) OVER (ORDER BY p.id) AS owed
        FROM posting p WHERE p.account IN (?, ?, ?)
    )
    SELECT j.id, j.time_ms, j.kind,
        CASE WHEN block.hash IS NOT NULL THEN 'block ' || block.height
            WHEN payment.id IS NOT NULL THEN 'L' || payment.id
            WHEN batch.id IS NOT NULL THEN 'B' || batch.id ELSE '' END,
        coalesce(block.hash, payment.payment_hash, batch.txid, ''),
        substr(m.account, 1 + length(rtrim(m.account, 'abcdefghijklmnopqrstuvwxyz'))),
        m.amount, m.balance, m.owed, j.key,
        coalesce(
            (SELECT group_concat(json_extract(value, '$.policy_hash'), ' ')
                FROM json_each(j.memo, '$.parts')),
            json_extract(j.memo, '$.policy_hash'), '')
    FROM moved m JOIN journal j ON j.id = m.journal_id
    LEFT JOIN block ON block.hash = json_extract(j.memo, '$.block')
    LEFT JOIN payment ON payment.id = json_extract(j.memo, '$.payment')
    LEFT JOIN batch ON batch.id = json_extract(j.memo, '$.batch')
    WHERE j.time_ms >= ? AND j.time_ms <= ? ORDER BY m.id DESC LIMIT ?
"""
