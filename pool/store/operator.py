"""What the operator sees of payments and roles, and what an operator may change: stop sending, and resume."""

from __future__ import annotations

import fcntl
import json
import sqlite3
from pathlib import Path
from typing import Final

import attrs

from payouts.money import MSAT_PER_SAT
from pool.store.database import transaction

PAUSED: Final = "by the operator: "
"""How the reason of an operator's own pause begins."""
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
    """Reads payments of ``ledger.db``; ``resume`` writes."""

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

    def show(self, number: str) -> dict[str, object] | None:
        """All that is known of one payment or batch, except its preimage; None when there is none.

        Raises:
            ValueError: the number has not the form L12 or B3.
        """
        rail, digits = number[:1].upper(), number[1:]
        if rail not in {"L", "B"} or not digits.isdecimal() or len(digits) > MOST_DIGITS:
            raise ValueError("a payment's number is L and digits (Lightning) or B and digits (a batch)")
        table = "payment" if rail == "L" else "batch"
        cursor = self._connection.execute(f"SELECT * FROM {table} WHERE id = ?", (int(digits),))  # noqa: S608
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
                    (int(digits),),
                )
            ]
        return known

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
            "SELECT (SELECT min(time_ms) FROM journal),"
            " (SELECT max(resumed_ms) FROM breaker WHERE substr(reason, 1, length(?1)) <> ?1)",
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
