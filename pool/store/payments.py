"""The payout engine's book in ``ledger.db``: claims answered, holds taken, payments moved on."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence

from payouts.money import Msat
from payouts.values import Claim, Intent, NotTaken, Payment, PaymentState, Taken
from pool import ledger
from pool.store import notices
from pool.store.access import AccessReader
from pool.store.payment_rows import IS_OPEN, OPEN, SELECT, Begun, get, payment_of, require, update
from pool.store.pushes import PushBook


class SqliteBook(PushBook):
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
            _record(tx, intent.claim, None, now_ms)
            notices.note(tx, intent, self.available(intent.claim.account))
            return Taken(self._begin(tx, _begun(intent), now_ms))

    def _refusal_to_take(
        self,
        tx: sqlite3.Connection,
        intent: Intent,
        k1_hash_for: Callable[[int], str],
        now_ms: int,
        limit: int,
    ) -> str | None:
        refusal = self._refusal_of_link(tx, intent.claim)
        if refusal is not None:
            return refusal
        if now_ms > intent.claim.answer_by_ms:
            return "This took too long; please scan again."
        if k1_hash_for(self.claims_taken(intent.claim.account)) != intent.claim.k1_hash:
            return "This link was used already or is out of date; please scan a new one."
        if self.knows([intent.payment_hash]):
            return "This invoice was presented before; please use a new one."
        return self._refusal_for_money(tx, _begun(intent), limit)

    def _refusal_of_link(self, tx: sqlite3.Connection, claim: Claim) -> str | None:
        access = AccessReader(tx)
        if self._is_address(claim.account) and not access.has_link(claim.account):
            return "This account is paid on-chain."  # its owner has signed nothing: the claim is made up
        if claim.card and claim.card != access.card_number(claim.account):
            return "This card was revoked; please get a new one from your account page."
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
        rows = self._connection.execute(f"{SELECT} WHERE {IS_OPEN} ORDER BY id")
        return [payment_of(row) for row in rows]

    def payments(self, *, account: str | None = None, limit: int = 100) -> Sequence[Payment]:
        """The newest payments, of one account or of all, newest first."""
        rows = self._connection.execute(
            f"{SELECT} WHERE ? IS NULL OR account = ? ORDER BY id DESC LIMIT ?", (account, account, limit)
        )
        return [payment_of(row) for row in rows]

    def sending(self, payment_id: int, now_ms: int) -> None:
        """Reserved | unknown → sending: must be on disk before the node is asked."""
        with self._transaction() as tx:
            payment = get(tx, payment_id)
            require(payment, PaymentState.SENDING, PaymentState.RESERVED, PaymentState.UNKNOWN)
            update(tx, payment, PaymentState.SENDING, now_ms)

    def unknown(self, payment_id: int, reason: str, now_ms: int) -> None:
        """Sending | unknown → unknown."""
        with self._transaction() as tx:
            payment = get(tx, payment_id)
            require(payment, PaymentState.UNKNOWN, PaymentState.SENDING, PaymentState.UNKNOWN)
            update(tx, payment, PaymentState.UNKNOWN, now_ms, reason=reason)

    def settle(self, payment_id: int, preimage: str, fee: Msat, now_ms: int) -> None:
        """Reserved | sending | unknown → settled: debit amount + fee, give back the rest of the hold."""
        with self._transaction() as tx:
            payment = get(tx, payment_id)
            if (payment.state, payment.preimage, payment.fee) == (PaymentState.SETTLED, preimage, fee):
                return
            require(payment, PaymentState.SETTLED, *OPEN)
            update(tx, payment, PaymentState.SETTLED, now_ms, preimage=preimage, fee=fee)
            held = Msat(payment.amount + payment.max_fee)
            entry = ledger.settle(payment_id, payment.account, held, payment.amount, fee)
            self._ledger.post(entry, now_ms)
            self._push_ended(tx, payment, now_ms, paid=True)

    def fail(self, payment_id: int, reason: str, now_ms: int) -> None:
        """Reserved | sending | unknown → failed: give back the whole hold."""
        with self._transaction() as tx:
            payment = get(tx, payment_id)
            if payment.state is PaymentState.FAILED:
                return
            require(payment, PaymentState.FAILED, *OPEN)
            update(tx, payment, PaymentState.FAILED, now_ms, reason=reason)
            held = Msat(payment.amount + payment.max_fee)
            self._ledger.post(ledger.release(payment_id, payment.account, held), now_ms)
            self._push_ended(tx, payment, now_ms, paid=False)


def _record(tx: sqlite3.Connection, claim: Claim, refusal: str | None, now_ms: int) -> None:
    """Write the claim's answer: taken, or refused for a reason."""
    tx.execute(
        "INSERT INTO claim (claim_id, account, k1_hash, invoice, taken, reason, answered_ms)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (claim.claim_id, claim.account, claim.k1_hash, claim.invoice, refusal is None, refusal, now_ms),
    )


def _begun(intent: Intent) -> Begun:
    return Begun(
        claim_id=intent.claim.claim_id,
        account=intent.claim.account,
        invoice=intent.claim.invoice,
        payment_hash=intent.payment_hash,
        amount=intent.amount,
        max_fee=intent.max_fee,
        pool_fee=intent.pool_fee,
        invoice_expires_s=intent.invoice_expires_s,
        held_back=intent.held_back,
    )
