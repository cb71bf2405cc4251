"""Services that would say what became of a push (LUD-21), in ``ledger.db``: kept, asked, and their words."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from payouts.testimony import TRIES, Question, Said
from pool.store.database import transaction


def keep(tx: sqlite3.Connection, payment_id: int, url: str) -> None:
    """Keep the URL that came with a push's invoice, in the transaction that takes the push."""
    tx.execute("INSERT INTO witness (payment_id, url) VALUES (?, ?)", (payment_id, url))


def forget(tx: sqlite3.Connection, payment_id: int) -> None:
    """Forget a payment's URL, in the transaction that ends the payment; what was said stays."""
    tx.execute("DELETE FROM witness WHERE payment_id = ?", (payment_id,))


def said_of(connection: sqlite3.Connection, payment_id: int) -> list[tuple[int, Said]]:
    """What a payment's service has said, and at which Unix milliseconds, oldest first."""
    rows = connection.execute(
        "SELECT at_ms, said FROM testimony WHERE payment_id = ? ORDER BY id", (payment_id,)
    )
    return [(at_ms, Said(said)) for at_ms, said in rows]


class WitnessStore:
    """Implements payouts.testimony.WitnessBook.

    Args:
        connection: of ``ledger.db``, to write.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def to_ask(self, begun_before_ms: int, now_ms: int, limit: int) -> Sequence[Question]:
        """See payouts.testimony.WitnessBook."""
        rows = self._connection.execute(
            "SELECT payment_id, url, invoice, payment_hash, asked FROM witness"
            " JOIN payment ON payment.id = payment_id WHERE state IN ('sending', 'unknown')"
            " AND created_ms < ? AND next_ms <= ? AND asked < ? ORDER BY next_ms, payment_id LIMIT ?",
            (begun_before_ms, now_ms, TRIES, limit),
        )
        return [Question(*row) for row in rows]

    def asking(self, question: Question, next_ms: int) -> None:
        """See payouts.testimony.WitnessBook."""
        with transaction(self._connection) as tx:
            tx.execute(
                "UPDATE witness SET asked = asked + 1, next_ms = ? WHERE payment_id = ?",
                (next_ms, question.payment_id),
            )

    def heard(self, question: Question, said: Said, now_ms: int) -> None:
        """See payouts.testimony.WitnessBook."""
        with transaction(self._connection) as tx:
            tx.execute(
                "INSERT INTO testimony (payment_id, said, at_ms)"
                " SELECT payment_id, ?, ? FROM witness WHERE payment_id = ?",
                (said, now_ms, question.payment_id),
            )
            if said is Said.PROVED:  # there is nothing more that it could say
                forget(tx, question.payment_id)
