"""The on-chain half of the book in ``ledger.db``: batches, their holds, and the breaker of all sending."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from payouts.errors import BookLocked, PayoutError
from payouts.money import Msat, Sat, floor_sat, to_msat
from payouts.pushing import TRIES
from payouts.values import Batch, BatchState, NotTaken, Output, SignedBatch
from pool import ledger
from pool.errors import LedgerError, StoreBusy
from pool.store.database import transaction
from pool.store.destinations import VALID, DestinationDesk
from pool.store.flows import FlowReader
from pool.store.ledger import LedgerStore


class BatchBook(FlowReader):
    """Batches and the breaker; every writing method is one transaction, on disk on return.

    Args:
        connection: to ledger.db, used by one thread at a time.
        is_address: whether an account's name is an address that it can be paid at.
        push_tries: so many failed pushes in a row, and an account may be paid on-chain.
    """

    def __init__(
        self, connection: sqlite3.Connection, is_address: Callable[[str], bool], push_tries: int = TRIES
    ) -> None:
        super().__init__(connection)
        self._destinations = DestinationDesk(connection)
        self._push_tries = push_tries
        self._ledger = LedgerStore(connection)
        self._is_address = is_address

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """One write transaction, with the store's errors in the words of the payout engine."""
        try:
            with transaction(self._connection) as tx:
                yield tx
        except StoreBusy as error:
            raise BookLocked(str(error)) from error
        except LedgerError as error:
            raise PayoutError(str(error)) from error

    def available(self, account: str) -> Msat:
        """The account's available balance; nothing for a name that no account can have."""
        try:
            name = ledger.miner(account, "available")
        except LedgerError:
            return Msat(0)
        return Msat(-self._ledger.balance(name))

    # ------------------------------------------------------------------------------------- stopping to send

    def stop_sending(self, reason: str, now_ms: int) -> None:
        """Trip the breaker, unless it is tripped for this reason already; each one is to be looked into."""
        with self._transaction() as tx:
            tx.execute(
                "INSERT INTO breaker (reason, tripped_ms) SELECT ?1, ?2 WHERE NOT EXISTS"
                " (SELECT 1 FROM breaker WHERE resumed_ms IS NULL AND reason = ?1)",
                (reason, now_ms),
            )

    # -------------------------------------------------------------------------------------- on-chain batches

    def payable_onchain(self, threshold: Sat, now_ms: int) -> Sequence[Output]:
        """See payouts.ports.Book: addresses, and pool accounts that have named one.

        Left out is who is paid at a Lightning Address, until that has failed too often in a row.
        """
        rows = self._connection.execute(
            f"WITH pushed AS ({VALID})"  # noqa: S608
            " SELECT account, -amount_msat FROM balance"
            " WHERE account LIKE 'liabilities:miners:%:available' AND -amount_msat >= :threshold"
            " AND account NOT IN (SELECT 'liabilities:miners:' || pushed.account || ':available'"
            " FROM pushed LEFT JOIN ladder USING (account, target) WHERE coalesce(failures, 0) < :tries)"
            " ORDER BY account",
            {
                "rail": "lightning",
                "now_ms": now_ms,
                "threshold": max(1, to_msat(threshold)),
                "tries": self._push_tries,
            },
        )
        owners = [(ledger.miner_of(name), Msat(amount)) for name, amount in rows]
        payable = [(owner[0], floor_sat(amount)) for owner, amount in owners if owner is not None]
        places = [(name, self._address_of(name, now_ms), amount) for name, amount in payable if amount]
        return [Output(name, address, amount) for name, address, amount in places if address is not None]

    def _address_of(self, account: str, now_ms: int) -> str | None:
        """Where an account is paid on-chain: its own name, or what it has asked for."""
        if self._is_address(account):
            return account
        wish = self._destinations.valid(account, "onchain", now_ms)
        return None if wish is None else wish.target

    def take_batch(self, signed: SignedBatch, now_ms: int) -> int | NotTaken:
        """Take every output's hold and write the signed batch, all or nothing.

        The same transaction again answers the batch that it already is.
        """
        amounts = _amounts(signed)
        with self._transaction() as tx:
            row = tx.execute("SELECT id FROM batch WHERE txid = ?", (signed.txid,)).fetchone()
            if row is not None:
                return int(row[0])
            refusal = self._refusal(signed, now_ms)
            if refusal is not None:
                return NotTaken(refusal)
            batch_id = self._write(tx, signed, now_ms)
            self._ledger.post(ledger.batch_hold(batch_id, amounts), now_ms)
            # paid on this rail, an account climbs the ladder anew
            tx.executemany("DELETE FROM ladder WHERE account = ?", [(account,) for account in amounts])
        return batch_id

    def _refusal(self, signed: SignedBatch, now_ms: int) -> str | None:
        if not signed.outputs or len(_amounts(signed)) != len(signed.outputs):
            return "a batch pays each account once"
        for output in signed.outputs:
            if output.amount <= 0 or self.available(output.account) < to_msat(output.amount):
                return f"{output.account} has less available than the batch pays it"
            if self._address_of(output.account, now_ms) != output.address:
                return f"{output.account} is not paid at that address any more"
        total = to_msat(Sat(sum(output.amount for output in signed.outputs) + signed.fee))
        if self._ledger.balance(ledger.HOT) < total + self._committed():
            return "the books have too little in the hot wallet for this batch and its fee"
        return None

    def _committed(self) -> int:
        """What open batches will take out of the hot wallet, msat."""
        costs = (_amounts(batch.signed).values() for batch in self.open_batches())
        fees = sum(to_msat(batch.signed.fee) for batch in self.open_batches())
        return sum(sum(amounts) for amounts in costs) + fees

    @staticmethod
    def _write(tx: sqlite3.Connection, signed: SignedBatch, now_ms: int) -> int:
        row: tuple[int] = tx.execute(
            "INSERT INTO batch (txid, raw_tx, inputs, fee_sat, state, created_ms, updated_ms)"
            " VALUES (?, ?, ?, ?, 'signed', ?, ?) RETURNING id",
            (signed.txid, signed.raw_tx, json.dumps(list(signed.inputs)), signed.fee, now_ms, now_ms),
        ).fetchone()
        tx.executemany(
            "INSERT INTO batch_output (batch_id, account, address, amount_sat) VALUES (?, ?, ?, ?)",
            [(row[0], output.account, output.address, output.amount) for output in signed.outputs],
        )
        return row[0]

    def open_batches(self) -> Sequence[Batch]:
        """Batches that are signed or broadcast, oldest first."""
        rows = self._connection.execute(
            f"{_SELECT_BATCH} WHERE state IN ('signed', 'broadcast') ORDER BY id"
        ).fetchall()
        return [self._batch(row) for row in rows]

    def broadcasting(self, batch_id: int, now_ms: int) -> None:
        """Signed → broadcast; a batch that is broadcast already stays so, since its bytes are the same."""
        with self._transaction() as tx:
            self._move(tx, batch_id, BatchState.BROADCAST, (BatchState.SIGNED,), now_ms)

    def settle_batch(self, batch_id: int, now_ms: int) -> None:
        """Broadcast → settled: debit the outputs, book the chain fee."""
        with self._transaction() as tx:
            batch = self._move(tx, batch_id, BatchState.SETTLED, (BatchState.BROADCAST,), now_ms)
            entry = ledger.batch_settle(batch_id, _amounts(batch.signed), batch.signed.fee)
            self._ledger.post(entry, now_ms)

    def reject_batch(self, batch_id: int, reason: str, now_ms: int) -> None:
        """Signed → rejected: release every hold."""
        with self._transaction() as tx:
            batch = self._move(tx, batch_id, BatchState.REJECTED, (BatchState.SIGNED,), now_ms)
            tx.execute("UPDATE batch SET reason = coalesce(reason, ?) WHERE id = ?", (reason, batch_id))
            self._ledger.post(ledger.batch_release(batch_id, _amounts(batch.signed)), now_ms)

    def _move(
        self,
        tx: sqlite3.Connection,
        batch_id: int,
        to: BatchState,
        after: tuple[BatchState, ...],
        now_ms: int,
    ) -> Batch:
        row = tx.execute(f"{_SELECT_BATCH} WHERE id = ?", (batch_id,)).fetchone()
        if row is None:
            raise PayoutError(f"there is no batch {batch_id}")
        batch = self._batch(row)
        if batch.state is to:
            return batch
        if batch.state not in after:
            raise PayoutError(f"batch {batch_id} is {batch.state}: it cannot become {to}")
        tx.execute("UPDATE batch SET state = ?, updated_ms = ? WHERE id = ?", (to, now_ms, batch_id))
        return batch

    def _batch(self, row: tuple[int, str, str, str, int, str, int]) -> Batch:
        batch_id, txid, raw_tx, inputs, fee, state, created_ms = row
        outputs = self._connection.execute(
            "SELECT account, address, amount_sat FROM batch_output WHERE batch_id = ? ORDER BY account",
            (batch_id,),
        )
        paid = tuple(Output(account, address, Sat(amount)) for account, address, amount in outputs)
        signed = SignedBatch(txid, raw_tx, tuple(json.loads(inputs)), paid, Sat(fee))
        return Batch(batch_id, BatchState(state), signed, created_ms)


def _amounts(signed: SignedBatch) -> dict[str, Msat]:
    return {output.account: to_msat(output.amount) for output in signed.outputs}


_SELECT_BATCH = "SELECT id, txid, raw_tx, inputs, fee_sat, state, created_ms FROM batch"
