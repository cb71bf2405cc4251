"""Wallets that want to hear of a new balance (LUD-15), in ``ledger.db``: one an account, gone with a card."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Final

from payouts.money import Msat
from payouts.notices import TRIES, Notice, pause_ms
from payouts.values import Intent
from pool.store.database import transaction
from pool.store.payment_rows import IS_OPEN

_AVAILABLE: Final = (
    "(SELECT -amount_msat FROM balance WHERE balance.account = 'liabilities:miners:' || notice.account ||"
    " ':available')"
)
_AT_REST: Final = f"NOT EXISTS (SELECT 1 FROM payment WHERE payment.account = notice.account AND {IS_OPEN})"  # noqa: S608


def note(tx: sqlite3.Connection, intent: Intent, available: Msat) -> None:
    """Keep the URL that came with a claim, in the transaction that takes it.

    A withdrawal without one is a withdrawal all the same: what its wallet leaves behind is no news to it.

    Args:
        tx: of ``ledger.db``.
        intent: of the claim that is taken.
        available: the balance before its hold.
    """
    account, left = intent.claim.account, available - intent.amount
    if intent.notify is None:
        tx.execute("UPDATE notice SET seen_msat = ? WHERE account = ?", (left, account))
        return
    # a URL that is known keeps its failures and its pause: else each claim would make it be called anew
    tx.execute(
        "INSERT INTO notice (account, card, url, seen_msat, failures, next_ms) VALUES (?1, ?2, ?3, ?4, 0, 0)"
        " ON CONFLICT (account) DO UPDATE SET card = ?2, url = ?3, seen_msat = ?4,"
        " failures = CASE WHEN url = ?3 THEN failures ELSE 0 END",
        (account, intent.claim.card, intent.notify, left),
    )


def forget(tx: sqlite3.Connection, account: str, *, but_card: int = 0) -> None:
    """Forget an account's wallet, unless it came with this card."""
    tx.execute("DELETE FROM notice WHERE account = ? AND card <> ?", (account, but_card))


class NoticeStore:
    """Implements payouts.notices.NoticeBook.

    Args:
        connection: of ``ledger.db``, to write.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def notices_due(self, growth: Msat, now_ms: int, limit: int) -> Sequence[Notice]:
        """See payouts.notices.NoticeBook."""
        self._follow_down()
        rows = self._connection.execute(
            f"SELECT account, url, {_AVAILABLE} AS available, failures FROM notice"  # noqa: S608
            f" WHERE next_ms <= ?1 AND available >= seen_msat + ?2 AND {_AT_REST} ORDER BY next_ms, account"
            " LIMIT ?3",
            (now_ms, max(1, growth), limit),
        )
        return [Notice(account, url, Msat(available), failures) for account, url, available, failures in rows]

    def _follow_down(self) -> None:
        """Whatever way money left by, what comes after it is news; what a payment may give back is not."""
        fallen = f"coalesce({_AVAILABLE}, 0) < seen_msat AND {_AT_REST}"
        if self._connection.execute(f"SELECT 1 FROM notice WHERE {fallen}").fetchone():  # noqa: S608
            with transaction(self._connection) as tx:
                tx.execute(f"UPDATE notice SET seen_msat = coalesce({_AVAILABLE}, 0) WHERE {fallen}")  # noqa: S608

    def leave_alone(self, notice: Notice, until_ms: int) -> None:
        """See payouts.notices.NoticeBook."""
        with transaction(self._connection) as tx:
            tx.execute(
                "UPDATE notice SET next_ms = ? WHERE account = ? AND url = ?",
                (until_ms, notice.account, notice.url),
            )

    def told(self, notice: Notice) -> None:
        """See payouts.notices.NoticeBook."""
        with transaction(self._connection) as tx:
            tx.execute(
                "UPDATE notice SET seen_msat = ?, failures = 0 WHERE account = ? AND url = ?",
                (notice.available, notice.account, notice.url),
            )

    def not_told(self, notice: Notice, now_ms: int) -> None:
        """See payouts.notices.NoticeBook."""
        failures, key = notice.failures + 1, (notice.account, notice.url)
        with transaction(self._connection) as tx:
            tx.execute(
                "UPDATE notice SET failures = ?, next_ms = ? WHERE account = ? AND url = ?",
                (failures, now_ms + pause_ms(failures), *key),
            )
            tx.execute("DELETE FROM notice WHERE account = ? AND url = ? AND failures >= ?", (*key, TRIES))
