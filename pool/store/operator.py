"""What the operator sees of payments and roles, and what an operator may change: stop sending, and resume."""

from __future__ import annotations

import fcntl
import json
import sqlite3
from pathlib import Path
from typing import Final

import attrs

from payouts.limits import PAUSED
from payouts.money import MSAT_PER_SAT
from payouts.testimony import Said, in_words
from payouts.values import PaymentState, Ruling
from pool.errors import StoreError
from pool.store import payment_rows
from pool.store.database import transaction
from pool.store.rulings import LAST_RESUMED
from pool.store.witnesses import said_of

MOST_DIGITS: Final = 18
"""A row number with more does not fit SQLite's integers."""


@attrs.frozen
class PaymentLine:
    """A payment on either rail as a list shows it; ``number`` is ``L12`` or ``B3`` (a batch)."""

    number: str
    account: str
    amount_msat: int
    fee_msat: int | None
    state: str
    reference: str
    reason: str | None
    created_ms: int
    updated_ms: int


class OperatorDesk:
    """Reads payments of ``ledger.db``; ``pause``, ``resume`` and ``rule`` write."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def payments(self, state: str | None, limit: int) -> list[PaymentLine]:
        """The newest payments of both rails, newest first; a batch is one line for each output."""
        rows = self._connection.execute(
            f"SELECT * FROM ({_LIGHTNING} UNION ALL {_ONCHAIN}) WHERE :state IS NULL OR state = :state"  # noqa: S608
            " ORDER BY created_ms DESC, number DESC, account LIMIT :limit",
            {"state": state, "limit": limit, "msat": MSAT_PER_SAT},
        )
        return [PaymentLine(*row) for row in rows]

    def without_outcome(self, limit: int) -> list[PaymentLine]:
        """Lightning payments that may have left and have no definite outcome, oldest first."""
        rows = self._connection.execute(
            f"SELECT * FROM ({_LIGHTNING}) WHERE state IN ('sending', 'unknown')"  # noqa: S608
            " ORDER BY created_ms LIMIT ?",
            (limit,),
        )
        return [PaymentLine(*row) for row in rows]

    def awaiting_approval(self) -> int:
        """How many payments are held back until an operator has approved of them."""
        row: tuple[int] = self._connection.execute(
            "SELECT count(*) FROM payment WHERE state = 'reserved' AND held_back IS NOT NULL"
            " AND ruling IS NULL"
        ).fetchone()
        return row[0]

    def rule(self, number: str, ruling: Ruling, why: str, now_ms: int) -> None:
        """Write down what the operator says to a payment; the payer acts on it.

        Raises:
            ValueError: the number has not the form L12.
            StoreError: there is no such payment, or it is not in a state in which this can be said.
        """
        rail, row_id = _numbered(number)
        if rail != "L":
            raise ValueError("only Lightning payments (L and digits) wait for an operator's word")
        with transaction(self._connection) as tx:
            row = tx.execute(
                "SELECT state, held_back, ruling FROM payment WHERE id = ?", (row_id,)
            ).fetchone()
            if row is None:
                raise StoreError(f"there is no payment {number}: `sluice payouts list` has their numbers")
            state, held_back, said = row
            if ruling is Ruling.GIVEN_UP:
                if state not in {PaymentState.SENDING, PaymentState.UNKNOWN}:
                    raise StoreError(f"payment {number} is {state}: only one without an outcome is given up")
            elif state != PaymentState.RESERVED or held_back is None or said is not None:
                raise StoreError(f"payment {number} is {state} and waits for no approval")
            tx.execute(
                "UPDATE payment SET ruling = ?, ruling_why = ?, ruled_ms = ? WHERE id = ?",
                (ruling, why, now_ms, row_id),
            )
            payment_rows.note(tx, row_id, f"{ruling} by the operator", why, now_ms)

    def proved(self, number: str) -> bool:
        """Whether the payee's service has shown the preimage of a payment (LUD-21).

        Raises:
            ValueError: the number has not the form L12 or B3.
        """
        rail, row_id = _numbered(number)
        return rail == "L" and any(said is Said.PROVED for _, said in said_of(self._connection, row_id))

    def show(self, number: str) -> dict[str, object] | None:
        """All that is known of one payment or batch, except its preimage; None when there is none.

        Raises:
            ValueError: the number has not the form L12 or B3.
        """
        rail, row_id = _numbered(number)
        table = "payment" if rail == "L" else "batch"
        cursor = self._connection.execute(f"SELECT * FROM {table} WHERE id = ?", (row_id,))  # noqa: S608
        row = cursor.fetchone()
        if row is None:
            return None
        known: dict[str, object] = dict(zip([column[0] for column in cursor.description], row, strict=True))
        known.pop("preimage", None)
        if rail == "B":
            known["inputs"] = json.loads(str(known["inputs"]))
            known["outputs"] = [
                {"account": account, "address": address, "amount_sat": amount}
                for account, address, amount in self._connection.execute(
                    "SELECT account, address, amount_sat FROM batch_output WHERE batch_id = ?"
                    " ORDER BY account",
                    (row_id,),
                )
            ]
        else:
            known |= self._history(row_id)
        return known

    def _history(self, payment_id: int) -> dict[str, object]:
        """What a Lightning payment went through, to whose Lightning Address, and what is said there of it."""
        events = self._connection.execute(
            "SELECT at_ms, event, detail FROM payment_event WHERE payment_id = ? ORDER BY id", (payment_id,)
        )
        history = [{"at_ms": at_ms, "event": event, "detail": detail} for at_ms, event, detail in events]
        pushed = self._connection.execute(
            "SELECT target FROM push WHERE payment_id = ?", (payment_id,)
        ).fetchone()
        said = [
            {"at_ms": at_ms, "said": said.value, "in_words": in_words(said)}
            for at_ms, said in said_of(self._connection, payment_id)
        ]
        return {
            "lightning_address": None if pushed is None else pushed[0],
            "payee_service": said or None,
            "history": history,
        }

    def stops(self) -> list[tuple[str, int]]:
        """Why and since when sending is stopped; empty while it is not."""
        rows = self._connection.execute(
            "SELECT reason, tripped_ms FROM breaker WHERE resumed_ms IS NULL ORDER BY id"
        )
        return [(str(reason), int(tripped_ms)) for reason, tripped_ms in rows]

    def answerable_since_s(self, now_ms: int) -> int:
        """Unix second from which every payment of the node must be in the books.

        That is when the books began, or when an operator last looked into a stop of the payer's and resumed;
        an operator's own pause says nothing about the node.  Books without an entry begin now.
        """
        began_ms, resumed_ms = self._connection.execute(
            f"SELECT (SELECT min(time_ms) FROM journal), ({LAST_RESUMED})",  # noqa: S608
            (PAUSED,),
        ).fetchone()
        return max(now_ms if began_ms is None else began_ms, resumed_ms or 0) // 1000

    def pause(self, why: str, now_ms: int) -> None:
        """Stop sending, as a breaker does: what is under way is followed, nothing new is begun."""
        with transaction(self._connection) as tx:
            tx.execute("INSERT INTO breaker (reason, tripped_ms) VALUES (?, ?)", (f"{PAUSED}{why}", now_ms))

    def resume(self, why: str, now_ms: int) -> int:
        """Let sending go on, with the reason on record; answers how many stops this ended."""
        with transaction(self._connection) as tx:
            return tx.execute(
                "UPDATE breaker SET resumed_ms = ?, resumed_why = ? WHERE resumed_ms IS NULL", (now_ms, why)
            ).rowcount


def _numbered(number: str) -> tuple[str, int]:
    """A payment's number taken apart: L or B, and the row.

    Raises:
        ValueError: it has another form.
    """
    rail, digits = number[:1].upper(), number[1:]
    if rail not in {"L", "B"} or not digits.isdecimal() or len(digits) > MOST_DIGITS:
        raise ValueError("a payment's number is L and digits (Lightning) or B and digits (a batch)")
    return rail, int(digits)


def is_running(directory: Path, lock: str) -> bool:
    """Whether a process holds a role's lock (see ``sole_role``); makes no file and takes no lock for long."""
    try:
        with (directory / f"{lock}.lock").open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


_LIGHTNING = (
    "SELECT 'L' || id AS number, account, amount_msat, fee_msat, state, payment_hash AS reference, reason,"
    " created_ms, updated_ms FROM payment"
)
_ONCHAIN = (
    "SELECT 'B' || id, account, amount_sat * :msat, NULL, state, txid, reason, created_ms, updated_ms"
    " FROM batch JOIN batch_output ON batch_id = id"
)
