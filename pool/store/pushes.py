"""Pushes to Lightning Addresses in ``ledger.db``: who is due, holds taken for them, failures in a row."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Final

from payouts.money import Msat
from payouts.pushing import Due, PushIntent, pause_ms
from payouts.values import NotTaken, Payment, Taken
from pool import ledger
from pool.store import witnesses
from pool.store.destinations import VALID, DestinationDesk
from pool.store.payment_rows import IS_OPEN, Begun, insert
from pool.store.rulings import RulingBook

_HASHES_AT_ONCE: Final = 500
"""How many values go into one query: SQLite's limit was 999 for a long time."""


class PushBook(RulingBook):
    """Implements payouts.pushing.PushBook, and what all holds for Lightning have in common."""

    def pushes_due(self, threshold: Msat, now_ms: int, limit: int) -> Sequence[Due]:
        """See payouts.pushing.PushBook."""
        rows = self._connection.execute(
            f"WITH valid AS ({VALID})"  # noqa: S608
            " SELECT valid.account, valid.target, -amount_msat, coalesce(failures, 0) FROM valid"
            " JOIN balance ON balance.account = 'liabilities:miners:' || valid.account || ':available'"
            " LEFT JOIN ladder ON ladder.account = valid.account AND ladder.target = valid.target"
            " WHERE -amount_msat >= :threshold AND coalesce(next_ms, 0) <= :now_ms"
            " AND NOT EXISTS (SELECT 1 FROM payment WHERE payment.account = valid.account"
            " AND state IN ('reserved', 'sending', 'unknown'))"
            " ORDER BY coalesce(next_ms, 0), valid.account LIMIT :limit",
            {"rail": "lightning", "now_ms": now_ms, "threshold": max(1, threshold), "limit": limit},
        )
        return [Due(account, target, Msat(amount), failures) for account, target, amount, failures in rows]

    def take_push(self, intent: PushIntent, now_ms: int) -> Taken | NotTaken:
        """See payouts.pushing.PushBook."""
        begun = Begun(
            claim_id=None,
            account=intent.account,
            invoice=intent.invoice,
            payment_hash=intent.payment_hash,
            amount=intent.amount,
            max_fee=intent.max_fee,
            pool_fee=intent.pool_fee,
            invoice_expires_s=intent.invoice_expires_s,
            held_back=intent.held_back,
        )
        with self._transaction() as tx:
            refusal = self._refusal_to_push(tx, intent, begun, now_ms)
            if refusal is not None:
                return NotTaken(refusal)
            payment_id = self._begin(tx, begun, now_ms)
            tx.execute(
                "INSERT INTO push (account, target, payment_id, tried_ms) VALUES (?, ?, ?, ?)",
                (intent.account, intent.target, payment_id, now_ms),
            )
            if intent.verify is not None:
                witnesses.keep(tx, payment_id, intent.verify)
        return Taken(payment_id)

    def _refusal_to_push(
        self, tx: sqlite3.Connection, intent: PushIntent, begun: Begun, now_ms: int
    ) -> str | None:
        valid = DestinationDesk(tx).valid(intent.account, "lightning", now_ms)
        if valid is None or valid.target != intent.target:
            return "the account's Lightning Address has changed"
        if self.knows([intent.payment_hash]):
            return "the invoice was presented before"
        return self._refusal_for_money(tx, begun, limit=1)

    def push_came_to_nothing(self, account: str, target: str, reason: str, now_ms: int) -> None:
        """See payouts.pushing.PushBook."""
        with self._transaction() as tx:
            tx.execute(
                "INSERT INTO push (account, target, reason, tried_ms) VALUES (?, ?, ?, ?)",
                (account, target, reason, now_ms),
            )
            self._step_down(tx, account, target, now_ms)

    def _push_ended(self, tx: sqlite3.Connection, payment: Payment, now_ms: int, *, paid: bool) -> None:
        """Count a push's end; of a payment that was none, nothing is known here."""
        row = tx.execute("SELECT target FROM push WHERE payment_id = ?", (payment.payment_id,)).fetchone()
        if row is None:
            return
        witnesses.forget(tx, payment.payment_id)
        if paid:
            tx.execute("DELETE FROM ladder WHERE account = ?", (payment.account,))
        else:
            self._step_down(tx, payment.account, row[0], now_ms)

    @staticmethod
    def _step_down(tx: sqlite3.Connection, account: str, target: str, now_ms: int) -> None:
        row = tx.execute(
            "SELECT failures FROM ladder WHERE account = ? AND target = ?", (account, target)
        ).fetchone()
        failures = 1 if row is None else row[0] + 1
        tx.execute(
            "INSERT INTO ladder (account, target, failures, next_ms) VALUES (?1, ?2, ?3, ?4)"
            " ON CONFLICT (account) DO UPDATE SET target = ?2, failures = ?3, next_ms = ?4",
            (account, target, failures, now_ms + pause_ms(failures)),
        )

    # ------------------------------------------------------------------------- what every hold has in common

    def _refusal_for_money(self, tx: sqlite3.Connection, begun: Begun, limit: int) -> str | None:
        (count,) = tx.execute(
            f"SELECT count(*) FROM payment WHERE account = ? AND {IS_OPEN}",  # noqa: S608
            (begun.account,),
        ).fetchone()
        if count >= limit:
            return "Earlier payments are still on their way; please wait for them."
        worst = min(begun.max_fee, begun.pool_fee)
        if begun.amount <= 0 or worst < 0 or self.available(begun.account) < begun.held:
            return "The balance does not cover this amount and the routing fee kept aside for it."
        (promised,) = tx.execute(
            "SELECT coalesce(sum(amount_msat + max_fee_msat + pool_fee_msat), 0) FROM payment"  # noqa: S608
            f" WHERE {IS_OPEN}"
        ).fetchone()
        if self._ledger.balance(ledger.LIGHTNING) < promised + begun.cost:
            return "The pool's Lightning wallet has too little right now; please try again later."
        return None

    def _begin(self, tx: sqlite3.Connection, begun: Begun, now_ms: int) -> int:
        payment_id = insert(tx, begun, now_ms)
        self._ledger.post(ledger.hold(payment_id, begun.account, begun.held), now_ms)
        return payment_id

    def knows(self, payment_hashes: Sequence[str]) -> set[str]:
        """Those of the given payment hashes that the book has a payment for."""
        return set(self._known(payment_hashes))

    def _known(self, payment_hashes: Sequence[str]) -> Iterator[str]:
        for start in range(0, len(payment_hashes), _HASHES_AT_ONCE):
            some = payment_hashes[start : start + _HASHES_AT_ONCE]
            marks = ", ".join("?" * len(some))
            query = f"SELECT payment_hash FROM payment WHERE payment_hash IN ({marks})"  # noqa: S608
            for row in self._connection.execute(query, some):
                yield str(row[0])
