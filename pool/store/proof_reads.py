"""What statements and receipts are made of, read from ``shares.db``, its archives, and ``ledger.db``."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from typing import Any, Final, cast

from pool.ledger import miner_of
from pool.proof.building import Rewarded
from pool.proof.record import ShareRecord
from pool.store.archives import Archives
from pool.store.blocks import Block
from pool.store.ledger import LedgerStore

_SELECT: Final = (
    "SELECT share.id, account, worker, target, nbits, height, time_ms, front_id, job, pot"
    " FROM share JOIN target ON target.id = target_id"
)


class ShareReader:
    """Single shares, wherever they are.  Args: shares: ``shares.db``, for reading, in one transaction."""

    def __init__(self, shares: sqlite3.Connection) -> None:
        self._shares = shares
        self.archives = Archives(shares)

    def get(self, share_id: int) -> ShareRecord | None:
        """The share with this log id."""
        return next(self.archives.records(share_id - 1, share_id), None)

    def newest_of(self, account: str, last_id: int) -> ShareRecord | None:
        """The newest share of an account up to a log id that is not archived."""
        row = self._shares.execute(
            f"{_SELECT} WHERE share.id > ? AND share.id <= ? AND account = ? ORDER BY share.id DESC LIMIT 1",
            (self.archives.until(), last_id, account),
        ).fetchone()
        return None if row is None else ShareRecord._make(row)

    def count(self, account: str, pot: str, first_id: int, last_id: int) -> int:
        """How many shares an account has in a range, of those that are not archived."""
        row: tuple[int] = self._shares.execute(
            "SELECT count(*) FROM share WHERE id BETWEEN ? AND ? AND account = ? AND pot = ?",
            (max(first_id, self.archives.until() + 1), last_id, account, pot),
        ).fetchone()
        return row[0]

    def own(self, account: str, pot: str, first_id: int, last_id: int) -> Iterator[ShareRecord]:
        """The shares of an account in a range, newest first.

        Raises:
            ArchiveError: an archive that has some of them cannot be read.
        """
        until = self.archives.until()
        rows = self._shares.execute(
            f"{_SELECT} WHERE share.id BETWEEN ? AND ? AND account = ? AND pot = ? ORDER BY share.id DESC",
            (max(first_id, until + 1), last_id, account, pot),
        )
        yield from map(ShareRecord._make, rows)
        for record in self.archives.archived(first_id - 1, min(last_id, until), pot, newest_first=True):
            if record.account == account:
                yield record


def rewarded(books: LedgerStore, block: Block) -> Rewarded | None:
    """The reward of a block as it was divided, before anything was recovered; None while there is none."""
    entry = books.entry(f"reward:{block.found.hash}:{block.activations - 1}")
    if entry is None:
        return None
    credits_: dict[str, int] = {}
    for posting in entry.postings:
        owner = miner_of(posting.account)
        if owner is not None:
            credits_[owner[0]] = -posting.amount
    for account, kept in cast(Mapping[str, str], entry.memo.get("recovered_msat", {})).items():
        credits_[account] = credits_.get(account, 0) + int(kept)
    return Rewarded(cast(Mapping[str, Any], entry.memo), credits_, block.found.account)
