"""The payout engine's book in ``ledger.db``: claims answered, holds taken, payments moved on."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from payouts.errors import PayoutError
from payouts.money import Msat
from payouts.ports import Claim, Intent, NotTaken, Payment, PaymentState, Taken
from pool import ledger
from pool.store.batches import BatchBook

_OPEN: Final = (PaymentState.RESERVED, PaymentState.SENDING, PaymentState.UNKNOWN)
_HASHES_AT_ONCE: Final = 500
"""How many values go into one query: SQLite's limit was 999 for a long time."""


class SqliteBook(BatchBook):
    """Implements payouts.ports.Book; every writing method is one ``BEGIN IMMEDIATE`` transaction."""

    def claims_taken(self, account: str) -> int:
        """How many claims were ever taken for the account: the counter in k1."""
        row: tuple[int] = self._connection.execute(
            "SELECT count(*) FROM claim WHERE account = ? AND taken = 1", (account,)
        ).fetchone()
        return row[0]

    def take(
        self, intent: Intent, k1_hash_for: Callable[[int], str], now_ms: int, *, limit: int
    ) -> Taken | NotTaken:
        """Take the hold, write the intent and the claim's answer, all or nothing; see payouts.ports.Book.

        Beyond what the port asks: refused when the books have too little on the Lightning side for all
        open holds, since such a payment could not be written down after it was made.
        """
        with self._transaction() as tx:
            answer = self._answer(tx, intent.claim)
            if answer is not None:
                return answer
            refusal = self._refusal_to_take(tx, intent, k1_hash_for, now_ms, limit)
            if refusal is not None:
                _record(tx, intent.claim, refusal, now_ms)
                return NotTaken(refusal)
            payment_id = _insert(tx, intent, now_ms)
            _record(tx, intent.claim, None, now_ms)
            amount = Msat(intent.amount + intent.max_fee)
            self._ledger.post(ledger.hold(payment_id, intent.claim.account, amount), now_ms)
        return Taken(payment_id)

    def _refusal_to_take(
        self,
        tx: sqlite3.Connection,
        intent: Intent,
        k1_hash_for: Callable[[int], str],
        now_ms: int,
        limit: int,
    ) -> str | None:
        if self._is_address(intent.claim.account):  # it has no claim link: whoever filed this made it up
            return "This account is paid on-chain."
        if now_ms > intent.claim.answer_by_ms:
            return "This took too long; please scan again."
        if k1_hash_for(self.claims_taken(intent.claim.account)) != intent.claim.k1_hash:
            return "This link was used already or is out of date; please scan a new one."
        if self.knows([intent.payment_hash]):
            return "This invoice was presented before; please use a new one."
        return self._refusal_for_money(tx, intent, limit)

    def _refusal_for_money(self, tx: sqlite3.Connection, intent: Intent, limit: int) -> str | None:
        account, needed = intent.claim.account, intent.amount + intent.max_fee
        (count,) = tx.execute(
            "SELECT count(*) FROM payment WHERE account = ? AND state IN (?, ?, ?)", (account, *_OPEN)
        ).fetchone()
        if count >= limit:
            return "Earlier payments are still on their way; please wait for them."
        if intent.amount <= 0 or intent.max_fee < 0 or self.available(account) < needed:
            return "The balance does not cover this amount and the routing fee kept aside for it."
        (promised,) = tx.execute(
            "SELECT coalesce(sum(amount_msat + max_fee_msat), 0) FROM payment WHERE state IN (?, ?, ?)", _OPEN
        ).fetchone()
        if self._ledger.balance(ledger.LIGHTNING) < promised + needed:
            return "The pool's Lightning wallet has too little right now; please try again later."
        return None

    def _answer(self, tx: sqlite3.Connection, claim: Claim) -> Taken | NotTaken | None:
        row = tx.execute(
            "SELECT account, k1_hash, claim.invoice, taken, claim.reason, payment.id FROM claim"
            " LEFT JOIN payment USING (claim_id, account) WHERE claim_id = ?",
            (claim.claim_id,),
        ).fetchone()
        if row is None:
            return None
        if row[:3] != (claim.account, claim.k1_hash, claim.invoice):
            # an inbox that was lost and begun anew counts from one again: never pay on another's answer
            return NotTaken("This request's number belongs to an older one; please scan again.")
        return Taken(row[5]) if row[3] else NotTaken(row[4])

    def refuse(self, claim: Claim, reason: str, now_ms: int) -> None:
        """Record a refusal as the claim's answer; does nothing when it has one."""
        with self._transaction() as tx:
            if self._answer(tx, claim) is None:
                _record(tx, claim, reason, now_ms)

    def open_payments(self) -> Sequence[Payment]:
        """All payments in reserved, sending or unknown, oldest first."""
        rows = self._connection.execute(f"{_SELECT} WHERE state IN (?, ?, ?) ORDER BY id", _OPEN)
        return [_payment(row) for row in rows]

    def payments(self, *, account: str | None = None, limit: int = 100) -> Sequence[Payment]:
        """The newest payments, of one account or of all, newest first."""
        rows = self._connection.execute(
            f"{_SELECT} WHERE ? IS NULL OR account = ? ORDER BY id DESC LIMIT ?", (account, account, limit)
        )
        return [_payment(row) for row in rows]

    def sending(self, payment_id: int, now_ms: int) -> None:
        """Reserved | unknown → sending: must be on disk before the node is asked."""
        with self._transaction() as tx:
            payment = _get(tx, payment_id)
            _require(payment, PaymentState.SENDING, PaymentState.RESERVED, PaymentState.UNKNOWN)
            _update(tx, payment_id, PaymentState.SENDING, now_ms)

    def unknown(self, payment_id: int, reason: str, now_ms: int) -> None:
        """Sending | unknown → unknown."""
        with self._transaction() as tx:
            payment = _get(tx, payment_id)
            _require(payment, PaymentState.UNKNOWN, PaymentState.SENDING, PaymentState.UNKNOWN)
            _update(tx, payment_id, PaymentState.UNKNOWN, now_ms, reason=reason)

    def settle(self, payment_id: int, preimage: str, fee: Msat, now_ms: int) -> None:
        """Reserved | sending | unknown → settled: debit amount + fee, give back the rest of the hold."""
        with self._transaction() as tx:
            payment = _get(tx, payment_id)
            if (payment.state, payment.preimage, payment.fee) == (PaymentState.SETTLED, preimage, fee):
                return
            _require(payment, PaymentState.SETTLED, *_OPEN)
            _update(tx, payment_id, PaymentState.SETTLED, now_ms, preimage=preimage, fee=fee)
            held = Msat(payment.amount + payment.max_fee)
            entry = ledger.settle(payment_id, payment.account, held, payment.amount, fee)
            self._ledger.post(entry, now_ms)

    def fail(self, payment_id: int, reason: str, now_ms: int) -> None:
        """Reserved | sending | unknown → failed: give back the whole hold."""
        with self._transaction() as tx:
            payment = _get(tx, payment_id)
            if payment.state is PaymentState.FAILED:
                return
            _require(payment, PaymentState.FAILED, *_OPEN)
            _update(tx, payment_id, PaymentState.FAILED, now_ms, reason=reason)
            held = Msat(payment.amount + payment.max_fee)
            self._ledger.post(ledger.release(payment_id, payment.account, held), now_ms)

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


def _record(tx: sqlite3.Connection, claim: Claim, refusal: str | None, now_ms: int) -> None:
    """Write the claim's answer: taken, or refused for a reason."""
    tx.execute(
        "INSERT INTO claim (claim_id, account, k1_hash, invoice, taken, reason, answered_ms)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (claim.claim_id, claim.account, claim.k1_hash, claim.invoice, refusal is None, refusal, now_ms),
    )


def _insert(tx: sqlite3.Connection, intent: Intent, now_ms: int) -> int:
    claim = intent.claim
    row: tuple[int] = tx.execute(
        "INSERT INTO payment (claim_id, account, invoice, payment_hash, amount_msat, max_fee_msat, state,"
        " invoice_expires_s, created_ms, updated_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
        (
            claim.claim_id,
            claim.account,
            claim.invoice,
            intent.payment_hash,
            intent.amount,
            intent.max_fee,
            PaymentState.RESERVED,
            intent.invoice_expires_s,
            now_ms,
            now_ms,
        ),
    ).fetchone()
    return row[0]


def _update(
    tx: sqlite3.Connection,
    payment_id: int,
    state: PaymentState,
    now_ms: int,
    *,
    reason: str | None = None,
    preimage: str | None = None,
    fee: Msat | None = None,
) -> None:
    tx.execute(
        "UPDATE payment SET state = ?, updated_ms = ?, reason = ?, preimage = ?, fee_msat = ? WHERE id = ?",
        (state, now_ms, reason, preimage, fee, payment_id),
    )


def _get(tx: sqlite3.Connection, payment_id: int) -> Payment:
    row = tx.execute(f"{_SELECT} WHERE id = ?", (payment_id,)).fetchone()
    if row is None:
        raise PayoutError(f"there is no payment {payment_id}")
    return _payment(row)


def _require(payment: Payment, to: PaymentState, *after: PaymentState) -> None:
    if payment.state not in after:
        raise PayoutError(f"payment {payment.payment_id} is {payment.state}: it cannot become {to}")


def _payment(
    row: tuple[int, str, str, str, int, int, str, int, int, int, int | None, str | None, str | None],
) -> Payment:
    return Payment(
        payment_id=row[0],
        account=row[1],
        invoice=row[2],
        payment_hash=row[3],
        amount=Msat(row[4]),
        max_fee=Msat(row[5]),
        state=PaymentState(row[6]),
        invoice_expires_s=row[7],
        created_ms=row[8],
        updated_ms=row[9],
        fee=None if row[10] is None else Msat(row[10]),
        preimage=row[11],
        reason=row[12],
    )


_SELECT = (
    "SELECT id, account, invoice, payment_hash, amount_msat, max_fee_msat, state, invoice_expires_s,"
    " created_ms, updated_ms, fee_msat, preimage, reason FROM payment"
)
