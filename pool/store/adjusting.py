"""An operator's entries in ``ledger.db``: written once, and never out of money that is promised already."""

from __future__ import annotations

import sqlite3
from typing import Final

from payouts.money import MSAT_PER_SAT, NOTHING, Msat
from pool import ledger
from pool.adjustments import ACCOUNTS, Adjustment, Kind, booked
from pool.errors import LedgerError
from pool.store.ledger import LedgerStore
from pool.store.payment_rows import OPEN

SPENDABLE: Final = (ledger.HOT, ledger.LIGHTNING, ledger.TREASURY)
"""Assets that what miners can withdraw is paid from; coinbases that have not matured are none of them."""


class AdjustmentDesk:
    """Writes an operator's entries.

    Args:
        connection: the books, opened to write.
        declared: the reserve that the operator has promised to stand behind shares that are paid at once.
    """

    def __init__(self, connection: sqlite3.Connection, declared: Msat = NOTHING) -> None:
        self._connection = connection
        self._declared = declared
        self._store = LedgerStore(connection)

    def book(self, said: Adjustment, now_ms: int) -> bool:
        """Write what an operator says happened, unless it is written.

        Returns:
            Whether it was written now; False when the same was there.

        Raises:
            LedgerError: it cannot be, the reference stands for something else, or the money is promised.
        """
        entry = booked(said)
        with self._store.transaction():
            if self._store.entry(entry.key) is None:
                self._refuse_promised(said)
            return self._store.post(entry, now_ms)

    def reserve(self) -> Msat:
        """What stands behind shares that are paid at once: as declared, and what blocks brought beyond it."""
        return Msat(max(0, self._declared - self._store.balance(ledger.RESERVE)))

    def own(self) -> Msat:
        """What an operator may take out: no more than equity beyond the reserve, or than nobody claims."""
        balances, reserve = self._store.balances(), self.reserve()
        equity = -reserve + sum(
            amount for account, amount in balances.items() if account.startswith(("assets:", "liabilities:"))
        )
        spendable = sum(balances.get(account, 0) for account in SPENDABLE)
        due = sum(
            amount
            for account, amount in balances.items()
            if (owner := ledger.miner_of(account)) is not None and owner[1] != "immature"
        )
        return Msat(max(0, min(equity, spendable + due)))

    def promised(self, asset: str) -> Msat:
        """What payments that have begun may take out of an asset: each must be possible to write down."""
        match asset:
            case "lightning":
                row = self._connection.execute(
                    "SELECT coalesce(sum(amount_msat + max_fee_msat + pool_fee_msat), 0) FROM payment"
                    " WHERE state IN (?, ?, ?)",
                    OPEN,
                ).fetchone()
            case "hot":
                row = self._connection.execute(
                    "SELECT ? * coalesce(sum(fee_sat + (SELECT coalesce(sum(amount_sat), 0) FROM batch_output"
                    " WHERE batch_id = batch.id)), 0) FROM batch WHERE state IN ('signed', 'broadcast')",
                    (MSAT_PER_SAT,),
                ).fetchone()
            case _:
                return Msat(0)
        return Msat(int(row[0]))

    def _refuse_promised(self, said: Adjustment) -> None:
        there, promised = self._store.balance(ACCOUNTS[said.asset]), self.promised(said.asset)
        if said.leaves and said.leaves > there - promised:
            raise LedgerError(
                f"the books have {there} msat of {said.asset}, {promised} of them promised to payments under"
                f" way: {said.leaves} are too much"
            )
        if said.kind is Kind.WITHDRAWAL and said.amount > (own := self.own()):
            reserve = self.reserve()
            behind = f", or the reserve of {reserve} msat that shares are paid from" if reserve else ""
            raise LedgerError(
                f"only {own} msat are the pool's own and not needed for what it owes: the rest is the miners'"
                + behind
            )
