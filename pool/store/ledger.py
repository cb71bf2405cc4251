"""The journal in ``ledger.db``: posting entries exactly once, their hash chain, and balances."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple, cast

from payouts.money import Msat
from pool.errors import LedgerError
from pool.ledger import GENESIS, Entry, Posting, entry_hash, memo_text, residual
from pool.rewards.policy import Policy, Term
from pool.store import policies
from pool.store.blocks import BlockTable
from pool.store.database import transaction
from pool.store.policies import PolicyChange
from pool.store.rates import RateTable
from stratum.options import POOL


class NewAccount(NamedTuple):
    """A pool account that was asked for.  Only the hash of its secret is ever stored.

    Attributes: name, hex SHA-256 of its secret, Unix milliseconds.
    """

    name: str
    secret_hash: str
    created_ms: int


class StockAddress(NamedTuple):
    """An address that coinbases may pay to, made by the payer's wallet."""

    id: int
    address: str
    script: bytes


class LedgerStore:
    """Reads and writes the journal; one connection, used by one thread at a time.

    Attributes:
        blocks: found blocks, whose changes go into one transaction with the entries they lead to.
        rates: what FPPS pays for fees.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.blocks = BlockTable(connection)
        self.rates = RateTable(connection)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """The transaction that is open on this connection, or else a new one around the block.

        Raises:
            StoreBusy: the write lock could not be had in time.
        """
        if self._connection.in_transaction:
            yield self._connection
            return
        with transaction(self._connection) as connection:
            yield connection

    def post(self, entry: Entry, time_ms: int) -> bool:
        """Write an entry with its postings, unless it has been written.

        Args:
            entry: balanced, from a constructor of pool.ledger.
            time_ms: Unix milliseconds.

        Returns:
            Whether it was written now; False when the same entry was there.

        Raises:
            LedgerError: the key stands for something else already, or an account would be overdrawn.
        """
        memo = memo_text(entry.memo)
        with self.transaction() as tx:
            written = self.entry(entry.key)
            if written is not None:
                if (written.kind, memo_text(written.memo), written.postings) == (
                    entry.kind,
                    memo,
                    entry.postings,
                ):
                    return False
                raise LedgerError(f"{entry.key} is in the journal with other content")
            previous = self.head()
            digest = entry_hash(previous, entry.key, entry.kind, time_ms, memo, entry.postings)
            cursor = tx.execute(
                "INSERT INTO journal (key, kind, time_ms, memo, previous, hash) VALUES (?, ?, ?, ?, ?, ?)",
                (entry.key, entry.kind, time_ms, memo, previous, digest),
            )
            self._write_postings(tx, cursor.lastrowid, entry)
        return True

    def _write_postings(self, tx: sqlite3.Connection, journal_id: int | None, entry: Entry) -> None:
        # an entry touches each account once, so the table's checks see final balances only
        for posting in entry.postings:
            try:
                tx.execute(
                    "INSERT INTO posting (journal_id, account, amount_msat) VALUES (?, ?, ?)",
                    (journal_id, posting.account, posting.amount),
                )
            except sqlite3.IntegrityError as error:
                raise LedgerError(f"{entry.key} would overdraw {posting.account}") from error

    def head(self) -> str:
        """Hash of the newest entry, or GENESIS."""
        row = self._connection.execute("SELECT hash FROM journal ORDER BY id DESC LIMIT 1").fetchone()
        return GENESIS if row is None else str(row[0])

    def entry(self, key: str) -> Entry | None:
        """The entry with this key, as it was written."""
        row = self._connection.execute("SELECT id, kind, memo FROM journal WHERE key = ?", (key,)).fetchone()
        if row is None:
            return None
        journal_id, kind, memo = row
        postings = self._connection.execute(
            "SELECT account, amount_msat FROM posting WHERE journal_id = ? ORDER BY id", (journal_id,)
        )
        sides = tuple(Posting(account, Msat(amount)) for account, amount in postings)
        return Entry(key, kind, cast(Mapping[str, object], json.loads(memo)), sides)

    def balance(self, account: str) -> Msat:
        """Balance of a ledger account, debit positive; zero for one that never moved."""
        row = self._connection.execute(
            "SELECT amount_msat FROM balance WHERE account = ?", (account,)
        ).fetchone()
        return Msat(0 if row is None else row[0])

    def balances(self) -> dict[str, Msat]:
        """Balances of all ledger accounts that ever moved, debit positive, by name."""
        rows = self._connection.execute("SELECT account, amount_msat FROM balance ORDER BY account")
        return {account: Msat(amount) for account, amount in rows}

    def residual(self, pot: str = POOL) -> Msat:
        """What divisions in a pot have left over so far, positive: it goes into the next one."""
        return Msat(-self.balance(residual(pot)))

    def paid_until(self, pot: str) -> int:
        """Log id of the newest share of a pot that was paid at once, 0 when none was."""
        row = self._connection.execute(
            "SELECT max(CAST(json_extract(memo, '$.last_share') AS INTEGER)) FROM journal"
            " WHERE id = (SELECT max(id) FROM journal WHERE key > ?1 || ':' AND key < ?1 || ';')",
            (f"shares:{pot}",),
        ).fetchone()
        return int(row[0] or 0)

    def pots(self) -> list[str]:
        """Every pot that ever had a policy, by name."""
        return sorted({change.pot for change in policies.read(self._connection)})

    def terms(self, pot: str) -> Sequence[Term]:
        """The policies of a pot, oldest first."""
        return [change.term for change in policies.read(self._connection) if change.pot == pot]

    def adopt(self, wanted: Mapping[str, Policy], newest_id: int, now_ms: int) -> Sequence[PolicyChange]:
        """Bring policies into force; see pool.store.policies."""
        with self.transaction() as tx:
            return policies.adopt(self, policies.read(tx), wanted, newest_id, now_ms)

    def take_over_accounts(self, rows: Sequence[NewAccount]) -> int:
        """Make the pool accounts that were asked for; those that exist are left alone.

        Returns:
            How many are new.
        """
        with self.transaction() as tx:
            before = tx.total_changes
            tx.executemany(
                "INSERT OR IGNORE INTO account (name, secret_hash, created_ms) VALUES (?, ?, ?)", rows
            )
            return tx.total_changes - before

    def add_addresses(self, made: Sequence[tuple[str, bytes]], now_ms: int) -> None:
        """Put addresses and their scripts on the stock, in order; known ones stay where they are."""
        with self.transaction() as tx:
            tx.executemany(
                "INSERT OR IGNORE INTO address_stock (address, script, made_ms) VALUES (?, ?, ?)",
                [(address, script, now_ms) for address, script in made],
            )

    def addresses(self) -> Sequence[StockAddress]:
        """Every address of the stock, lowest id first."""
        rows = self._connection.execute("SELECT id, address, script FROM address_stock ORDER BY id")
        return [StockAddress(*row) for row in rows]

    def owns_script(self, script: bytes) -> bool:
        """Whether the payer's wallet or the treasury has an address with this script."""
        return self._where(script) is not None

    def is_treasury_script(self, script: bytes) -> bool:
        """Whether this script is the treasury's: its keys are on no machine of the pool."""
        return self._where(script) == (True,)

    def _where(self, script: bytes) -> tuple[bool] | None:
        row = self._connection.execute(
            "SELECT treasury_id IS NOT NULL FROM address_stock WHERE script = ?", (script,)
        ).fetchone()
        return None if row is None else (bool(row[0]),)
