"""How much is leaving, in ``ledger.db``: what limits are held against, and what the node said last."""

from __future__ import annotations

import sqlite3

import attrs

from payouts.limits import DAY_MS, HOUR_MS, WEEK_MS
from payouts.money import Msat
from payouts.values import Flow, Past
from pool import ledger
from pool.store.payment_rows import IS_OPEN


@attrs.frozen
class NodeSeen:
    """What the Lightning node told the payer last, and when (Unix milliseconds)."""

    balance: Msat
    outbound: Msat
    seen_ms: int


@attrs.frozen
class Waiting:
    """What waits for the operator.

    Attributes:
        stops: reasons for which sending is stopped.
        approvals: payments that are held back until somebody approves of them.
        unknown: payments that may have left and have no definite outcome.
    """

    stops: tuple[str, ...]
    approvals: int
    unknown: int


class FlowReader:
    """Reads ``ledger.db``: for the payer, and for those who tell what the payer will say."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def stopped(self) -> str | None:
        """Why sending is stopped, or None."""
        row = self._connection.execute(
            "SELECT reason FROM breaker WHERE resumed_ms IS NULL ORDER BY id LIMIT 1"
        ).fetchone()
        return None if row is None else str(row[0])

    def flow(self, now_ms: int) -> Flow:
        """See payouts.ports.Book."""
        day, hour = self._connection.execute(
            "SELECT coalesce(sum(amount_msat), 0),"
            " coalesce(sum(CASE WHEN created_ms > ? THEN amount_msat END), 0)"
            " FROM payment WHERE created_ms > ? AND state <> 'failed'",
            (now_ms - HOUR_MS, now_ms - DAY_MS),
        ).fetchone()
        count, cost = self._connection.execute(
            "SELECT count(*), coalesce(sum(amount_msat + max_fee_msat + pool_fee_msat), 0)"  # noqa: S608
            f" FROM payment WHERE {IS_OPEN}"
        ).fetchone()
        return Flow(Msat(day), Msat(hour), count, Msat(cost))

    def spent(self, account: str, since_ms: int) -> Msat:
        """See payouts.ports.Book."""
        row: tuple[int] = self._connection.execute(
            "SELECT coalesce(sum(amount_msat), 0) FROM payment"
            " WHERE account = ? AND created_ms > ? AND state <> 'failed'",
            (account, since_ms),
        ).fetchone()
        return Msat(row[0])

    def open_of(self, account: str) -> int:
        """How many payments of one account are under way."""
        row: tuple[int] = self._connection.execute(
            f"SELECT count(*) FROM payment WHERE account = ? AND {IS_OPEN}",  # noqa: S608
            (account,),
        ).fetchone()
        return row[0]

    def began_since(self, since_ms: int) -> Msat:
        """What payments that began at or after a Unix millisecond may cost, and have not failed."""
        row: tuple[int] = self._connection.execute(
            "SELECT coalesce(sum(amount_msat + max_fee_msat + pool_fee_msat), 0) FROM payment"
            " WHERE created_ms >= ? AND state <> 'failed'",
            (since_ms,),
        ).fetchone()
        return Msat(row[0])

    def lightning_books(self) -> Msat:
        """The ledger's balance of the Lightning wallet."""
        row = self._connection.execute(
            "SELECT amount_msat FROM balance WHERE account = ?", (ledger.LIGHTNING,)
        ).fetchone()
        return Msat(0 if row is None else row[0])

    def past(self, now_ms: int) -> Past:
        """See payouts.ports.Book."""
        (busiest,) = self._connection.execute(
            "SELECT coalesce(max(total), 0) FROM (SELECT sum(amount_msat) AS total FROM payment"
            " WHERE created_ms > ? AND created_ms <= ? AND state <> 'failed' GROUP BY created_ms / ?)",
            (now_ms - WEEK_MS, now_ms - HOUR_MS, HOUR_MS),
        ).fetchone()
        settled, fees = self._connection.execute(
            "SELECT coalesce(sum(amount_msat), 0), coalesce(sum(fee_msat), 0) FROM payment"
            " WHERE created_ms > ? AND state = 'settled'",
            (now_ms - DAY_MS,),
        ).fetchone()
        return Past(Msat(busiest), Msat(settled), Msat(fees), self.lightning_books())

    def waiting(self) -> Waiting:
        """What waits for the operator."""
        reasons = self._connection.execute("SELECT reason FROM breaker WHERE resumed_ms IS NULL ORDER BY id")
        stops = tuple(str(reason) for (reason,) in reasons)
        approvals, unknown = self._connection.execute(
            "SELECT coalesce(sum(state = 'reserved' AND held_back IS NOT NULL AND ruling IS NULL), 0),"  # noqa: S608
            " coalesce(sum(state IN ('sending', 'unknown')), 0) FROM payment"
            f" WHERE {IS_OPEN}"
        ).fetchone()
        return Waiting(stops, approvals, unknown)

    def node_seen(self) -> NodeSeen | None:
        """What the Lightning node told the payer last; None when it never did."""
        row = self._connection.execute(
            "SELECT balance_msat, outbound_msat, seen_ms FROM node_seen"
        ).fetchone()
        return None if row is None else NodeSeen(Msat(row[0]), Msat(row[1]), row[2])
