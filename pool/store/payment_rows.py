"""Rows of table ``payment`` and of its history: read, begun, moved on, in the caller's transaction."""

from __future__ import annotations

import sqlite3
from typing import Final

import attrs

from payouts.errors import PayoutError
from payouts.money import Msat
from payouts.values import Payment, PaymentState, Ruling

OPEN: Final = (PaymentState.RESERVED, PaymentState.SENDING, PaymentState.UNKNOWN)
IS_OPEN: Final = "state IN ('reserved', 'sending', 'unknown')"
"""The same as a condition, to the letter that of an index: else every payment ever made is looked at."""
SELECT: Final = (
    "SELECT id, account, invoice, payment_hash, amount_msat, max_fee_msat, state, invoice_expires_s,"
    " created_ms, updated_ms, fee_msat, preimage, reason, pool_fee_msat, held_back, ruling FROM payment"
)


@attrs.frozen
class Begun:
    """A payment about to be written for the first time; ``claim_id`` is None for a push."""

    claim_id: int | None
    account: str
    invoice: str
    payment_hash: str
    amount: Msat
    max_fee: Msat
    pool_fee: Msat
    invoice_expires_s: int
    held_back: str | None

    @property
    def held(self) -> Msat:
        """What is set aside of the miner's balance."""
        return Msat(self.amount + self.max_fee)

    @property
    def cost(self) -> Msat:
        """What it may take out of the Lightning wallet."""
        return Msat(self.held + self.pool_fee)


def insert(tx: sqlite3.Connection, begun: Begun, now_ms: int) -> int:
    """Write a reserved payment; answers its number."""
    row: tuple[int] = tx.execute(
        "INSERT INTO payment (claim_id, account, invoice, payment_hash, amount_msat, max_fee_msat,"
        " pool_fee_msat, invoice_expires_s, held_back, state, created_ms, updated_ms)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
        (*attrs.astuple(begun), PaymentState.RESERVED, now_ms, now_ms),
    ).fetchone()
    note(tx, row[0], PaymentState.RESERVED, begun.held_back, now_ms)
    return row[0]


def update(
    tx: sqlite3.Connection,
    payment: Payment,
    state: PaymentState,
    now_ms: int,
    *,
    reason: str | None = None,
    preimage: str | None = None,
    fee: Msat | None = None,
) -> None:
    """Move a payment on, and add to its history what is new about that."""
    tx.execute(
        "UPDATE payment SET state = ?, updated_ms = ?, reason = ?, preimage = ?, fee_msat = ? WHERE id = ?",
        (state, now_ms, reason, preimage, fee, payment.payment_id),
    )
    if (payment.state, payment.reason) != (state, reason):  # it is asked about for days, perhaps
        note(tx, payment.payment_id, state, reason, now_ms)


def note(tx: sqlite3.Connection, payment_id: int, event: str, detail: str | None, now_ms: int) -> None:
    """Add to a payment's history."""
    tx.execute(
        "INSERT INTO payment_event (payment_id, event, detail, at_ms) VALUES (?, ?, ?, ?)",
        (payment_id, event, detail, now_ms),
    )


def get(tx: sqlite3.Connection, payment_id: int) -> Payment:
    """One payment.

    Raises:
        PayoutError: there is no such payment.
    """
    row = tx.execute(f"{SELECT} WHERE id = ?", (payment_id,)).fetchone()
    if row is None:
        raise PayoutError(f"there is no payment {payment_id}")
    return payment_of(row)


def require(payment: Payment, to: PaymentState, *after: PaymentState) -> None:
    """Hold a move against the state that the payment is in.

    Raises:
        PayoutError: it may not be made from there.
    """
    if payment.state not in after:
        raise PayoutError(f"payment {payment.payment_id} is {payment.state}: it cannot become {to}")


_Row = tuple[
    int,
    str,
    str,
    str,
    int,
    int,
    str,
    int,
    int,
    int,
    int | None,
    str | None,
    str | None,
    int,
    str | None,
    str | None,
]


def payment_of(row: _Row) -> Payment:
    """A row of SELECT as a Payment."""
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
        pool_fee=Msat(row[13]),
        held_back=row[14],
        ruling=None if row[15] is None else Ruling(row[15]),
    )
