"""Raw rows for the audit, as they lie in the files, each file read in one snapshot.

Shares that have left the log are read from the archive, newest files first, one in memory at a time.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from payouts.money import Msat
from pool.ledger import Posting
from pool.proof.record import ShareRecord
from pool.rewards.recount import PaidShare, RawShare
from pool.store.archives import Archive, Archives
from pool.store.assertions import Assertion, AssertionTable
from stratum.units import Target


class JournalRow(NamedTuple):
    """An entry with its postings; ``memo`` is the stored text."""

    id: int
    key: str
    kind: str
    time_ms: int
    memo: str
    previous: str
    hash: str
    postings: tuple[Posting, ...]


class BlockRow(NamedTuple):
    """A row of table ``block``."""

    hash: str
    found_id: int
    share_id: int | None
    state: str
    activations: int
    value_msat: int | None
    account: str
    pot: str
    height: int
    found_ms: int


class FoundRow(NamedTuple):
    """A block as its front wrote it down."""

    hash: str
    share_id: int | None
    account: str
    pot: str
    height: int
    found_ms: int


class PaymentRow(NamedTuple):
    """A Lightning payment's money."""

    id: int
    account: str
    amount_msat: int
    max_fee_msat: int
    fee_msat: int | None
    state: str


class BatchRow(NamedTuple):
    """An on-chain batch's money; ``outputs`` are (account, sat)."""

    id: int
    fee_sat: int
    state: str
    outputs: tuple[tuple[str, int], ...]


class Audit:
    """Reads ``shares.db`` and ``ledger.db``; both connections are for reading."""

    def __init__(self, shares: sqlite3.Connection, ledger: sqlite3.Connection) -> None:
        self._shares = shares
        self._ledger = ledger
        self._archives = Archives(shares)

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Hold both files still: the books first, so that the share log has all that they speak of.

        Text that is none any more is read all the same, so that the row that has it can be named.
        """
        kept = [(each, each.text_factory) for each in (self._ledger, self._shares)]
        opened = [each for each in (self._ledger, self._shares) if not each.in_transaction]
        try:
            for connection, _ in kept:
                connection.text_factory = _text
            for connection in opened:
                connection.execute("BEGIN")
                connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            yield
        finally:
            for connection in opened:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
            for connection, factory in kept:
                connection.text_factory = factory

    def entries(self) -> Iterator[JournalRow]:
        """The journal, oldest first."""
        for row in self._ledger.execute(f"{_SELECT_ENTRY} ORDER BY id"):
            yield self._with_postings(row)

    def entry(self, key: str) -> JournalRow | None:
        """One entry; they are read again rather than kept, since rewards have thousands of postings."""
        row = self._ledger.execute(f"{_SELECT_ENTRY} WHERE key = ?", (key,)).fetchone()
        return None if row is None else self._with_postings(row)

    def _with_postings(self, row: tuple[int, str, str, int, str, str, str]) -> JournalRow:
        postings = self._ledger.execute(
            "SELECT account, amount_msat FROM posting WHERE journal_id = ? ORDER BY id", (row[0],)
        )
        sides = tuple(Posting(account, Msat(amount)) for account, amount in postings)
        return JournalRow(*row, sides)

    def assertions(self) -> Sequence[Assertion]:
        """Every daily assertion, oldest first."""
        return AssertionTable(self._ledger).all()

    def stray_postings(self) -> list[int]:
        """Ids of postings that belong to no entry."""
        rows = self._ledger.execute(
            "SELECT id FROM posting WHERE journal_id NOT IN (SELECT id FROM journal) ORDER BY id"
        )
        return [row[0] for row in rows]

    def balances(self) -> dict[str, int]:
        """The table of running balances."""
        return dict(self._ledger.execute("SELECT account, amount_msat FROM balance ORDER BY account"))

    def blocks(self) -> list[BlockRow]:
        """Every block of the books."""
        rows = self._ledger.execute(
            "SELECT hash, found_id, share_id, state, activations, value_msat, account, pot, height, found_ms"
            " FROM block ORDER BY found_id"
        )
        return [BlockRow(*row) for row in rows]

    def payments(self) -> list[PaymentRow]:
        """Every Lightning payment."""
        rows = self._ledger.execute(
            "SELECT id, account, amount_msat, max_fee_msat, fee_msat, state FROM payment ORDER BY id"
        )
        return [PaymentRow(*row) for row in rows]

    def unclaimed(self) -> list[int]:
        """Ids of Lightning payments that are not what their claim was for; pushes have none."""
        rows = self._ledger.execute(
            "SELECT p.id FROM payment p LEFT JOIN claim c USING (claim_id) WHERE p.claim_id IS NOT NULL"
            " AND (c.taken IS NOT 1 OR c.account IS NOT p.account OR c.invoice IS NOT p.invoice) ORDER BY 1"
        )
        return [row[0] for row in rows]

    def batches(self) -> list[BatchRow]:
        """Every on-chain batch."""
        result = []
        for row in self._ledger.execute("SELECT id, fee_sat, state FROM batch ORDER BY id").fetchall():
            outputs = self._ledger.execute(
                "SELECT account, amount_sat FROM batch_output WHERE batch_id = ?", (row[0],)
            )
            result.append(BatchRow._make((*row, tuple(outputs.fetchall()))))
        return result

    def found(self) -> dict[int, FoundRow]:
        """Each block in the share log, by its row number."""
        rows = self._shares.execute("SELECT id, hash, share_id, account, pot, height, found_ms FROM found")
        return {row[0]: FoundRow(*row[1:]) for row in rows}

    def pot(self, name: str) -> AuditedPot:
        """The share log of one pot."""
        return AuditedPot(self._shares, self._archives, name)

    def archives(self) -> Sequence[Archive]:
        """Every file of old shares, oldest first."""
        return self._archives.all()

    def check_archive(self, archive: Archive) -> None:
        """Compare a file with its checksum.

        Raises:
            ArchiveError: it is missing or was changed.
        """
        self._archives.check(archive)

    def oldest_row(self) -> int:
        """Log id of the oldest share behind the archive that is in the log, 0 when none is."""
        row = self._shares.execute(
            "SELECT min(id) FROM share WHERE id > ?", (self._archives.until(),)
        ).fetchone()
        return int(row[0] or 0)


class AuditedPot:
    """Raw shares of one pot; a pool.rewards.recount.RawLog."""

    def __init__(self, shares: sqlite3.Connection, archives: Archives, pot: str) -> None:
        self._shares = shares
        self._archives = archives
        self._pot = pot

    def _archived(self, after_id: int, last_id: int, *, newest_first: bool = False) -> Iterator[ShareRecord]:
        return self._archives.archived(
            after_id, min(last_id, self._archives.until()), self._pot, newest_first=newest_first
        )

    def _behind(self, after_id: int) -> int:
        """Rows are read from behind this id; up to it they are in the archive."""
        return max(after_id, self._archives.until())

    def shares(self, last_id: int, after_id: int = 0) -> Iterator[RawShare]:
        """Single shares with ``after_id < id <= last_id``, newest first."""
        rows = self._shares.execute(
            "SELECT share.id, account, nbits, target FROM share JOIN target ON target.id = target_id"
            " WHERE pot = ? AND share.id > ? AND share.id <= ? ORDER BY share.id DESC",
            (self._pot, self._behind(after_id), last_id),
        )
        for share_id, account, nbits, target in rows:
            yield RawShare(share_id, account, nbits, Target(int.from_bytes(target, "big")))
        for each in self._archived(after_id, last_id, newest_first=True):
            yield RawShare(each.id, each.account, each.nbits, Target(int.from_bytes(each.target, "big")))

    def paid(self, last_id: int, after_id: int) -> Iterator[PaidShare]:
        """The same with what their pay by the subsidy depends on."""
        rows = self._shares.execute(
            "SELECT account, nbits, target, height FROM share JOIN target ON target.id = target_id"
            " WHERE pot = ? AND share.id > ? AND share.id <= ?",
            (self._pot, self._behind(after_id), last_id),
        )
        for account, nbits, target, height in rows:
            yield PaidShare(account, nbits, Target(int.from_bytes(target, "big")), height)
        for each in self._archived(after_id, last_id):
            target = Target(int.from_bytes(each.target, "big"))
            yield PaidShare(each.account, each.nbits, target, each.height)

    def heights(self, last_id: int, after_id: int) -> list[int]:
        """Which heights the same shares sought."""
        rows = self._shares.execute(
            "SELECT DISTINCT height FROM share WHERE pot = ? AND id > ? AND id <= ?",
            (self._pot, self._behind(after_id), last_id),
        )
        archived = {each.height for each in self._archived(after_id, last_id)}
        return sorted(archived.union(row[0] for row in rows))

    def nbits(self, last_id: int) -> int | None:
        """See pool.rewards.recount.RawLog."""
        row = self._shares.execute(
            "SELECT nbits FROM share WHERE id <= ? ORDER BY id DESC LIMIT 1", (last_id,)
        ).fetchone()
        return self._archives.nbits(last_id) if row is None else int(row[0])

    def round_start(self, last_id: int) -> int:
        """See pool.rewards.recount.RawLog."""
        rows = self._shares.execute("SELECT share_id FROM found WHERE pot = ?", (self._pot,))
        return max((share_id for (share_id,) in rows if share_id and share_id < last_id), default=0)

    def share_before(self, found_id: int) -> int:
        """Log id of the newest share at the moment of a block, which earned none itself."""
        found = self._shares.execute("SELECT found_ms FROM found WHERE id = ?", (found_id,)).fetchone()
        found_ms = found[0] if found else -1
        row = self._shares.execute("SELECT max(id) FROM share WHERE time_ms <= ?", (found_ms,)).fetchone()
        return int(row[0] or 0) or self._archives.at(found_ms)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace")


_SELECT_ENTRY = "SELECT id, key, kind, time_ms, memo, previous, hash FROM journal"
