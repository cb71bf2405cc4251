"""What the payer writes into ``ledger.db`` beside payments, and what operators have said to these."""

from __future__ import annotations

from collections.abc import Sequence

from payouts.limits import PAUSED
from payouts.money import Msat
from payouts.values import Payment
from pool.store import payment_rows
from pool.store.batches import BatchBook
from pool.store.payment_rows import IS_OPEN


class RulingBook(BatchBook):
    """The part of payouts.ports.Book that limits and operators' rulings are about."""

    def note_node(self, balance: Msat, outbound: Msat, now_ms: int) -> None:
        """See payouts.ports.Book."""
        with self._transaction() as tx:
            tx.execute(
                "INSERT INTO node_seen (id, balance_msat, outbound_msat, seen_ms) VALUES (1, ?1, ?2, ?3)"
                " ON CONFLICT (id) DO UPDATE SET balance_msat = ?1, outbound_msat = ?2, seen_ms = ?3",
                (balance, outbound, now_ms),
            )

    def ruled(self) -> Sequence[Payment]:
        """See payouts.ports.Book."""
        rows = self._connection.execute(
            f"{payment_rows.SELECT} WHERE ruling IS NOT NULL AND {IS_OPEN} ORDER BY id"
        )
        return [payment_rows.payment_of(row) for row in rows]

    def resumed_s(self) -> int:
        """See payouts.ports.Book; an operator's own pause says nothing about the node."""
        # the last one, not the greatest: the clock may have been ahead at an earlier one
        row = self._connection.execute(LAST_RESUMED, (PAUSED,)).fetchone()
        return 0 if row is None else int(row[0]) // 1000


LAST_RESUMED = (
    "SELECT resumed_ms FROM breaker WHERE resumed_ms IS NOT NULL AND substr(reason, 1, length(?1)) <> ?1"
    " ORDER BY id DESC LIMIT 1"
)
"""When an operator last resumed after a stop of the payer's; its parameter is how a pause's reason begins."""
