"""The share log: shares, and the blocks among them, written in groups, each group one durable transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import Lock

import attrs

from pool.store.best import BestKeeper
from pool.store.database import begin_now, transaction
from stratum.options import POOL
from stratum.ports import Share
from stratum.units import Target


@attrs.frozen
class Found:
    """A solved block as the log keeps it; the columns are those of table ``found``."""

    hash: str
    prev_hash: str
    height: int
    account: str
    worker: str
    address: str
    found_ms: int
    file: str
    pot: str = POOL


class ShareStore:
    """Writes ``shares.db``; one connection, whose users take turns (slow commits are made in a thread)."""

    def __init__(self, connection: sqlite3.Connection, front_id: int) -> None:
        self._connection = connection
        self._front_id = front_id
        self._target_ids: dict[Target, int] = {}
        self._used_addresses: set[str] = set()
        self._last_found = 0
        self._best = BestKeeper()
        self._turn = Lock()

    def boot(self, now_ms: int, fixed_id: int = 0) -> int:
        """Record a start of this front; the answer is a number that no other start has.

        Args:
            now_ms: Unix milliseconds.
            fixed_id: greatest log id that a block may have fixed.  No share gets it or one before it again,
                also where the log was restored from a time before it: it stands for a share that is lost.
        """
        with self._turn, transaction(self._connection) as tx:
            known = tx.execute("SELECT seq FROM sqlite_sequence WHERE name = 'share'").fetchone()
            if known is None and fixed_id:
                tx.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('share', ?)", (fixed_id,))
            elif known is not None and known[0] < fixed_id:
                tx.execute("UPDATE sqlite_sequence SET seq = ? WHERE name = 'share'", (fixed_id,))
            row: tuple[int] = tx.execute(
                "INSERT INTO boot (front_id, started_ms) VALUES (?, ?) RETURNING id", (self._front_id, now_ms)
            ).fetchone()
        return row[0]

    def write(self, batch: Sequence[Share], found: Mapping[str, Found], *, wait: bool = True) -> bool:
        """Write a batch, with the blocks among it, in one transaction; on disk on return.

        Args:
            batch: accepted shares in the order in which they were judged.
            found: by block hash, what is known of each share that is a block.  A block that the log has
                already leaves its share out: the same header is never credited twice.
            wait: for another front that is writing, for as long as the busy time-out.

        Returns:
            False when another front is writing and ``wait`` is False: nothing was written.

        Raises:
            StoreBusy, sqlite3.Error: nothing of the batch was written.
        """
        with self._turn:
            begun = not wait and begin_now(self._connection)
            if not begun and not wait:
                return False
            try:
                with transaction(self._connection, begun=begun) as tx:
                    ids = self._write(tx, batch, found)
            except BaseException:
                self._best.forget()
                raise
            self._target_ids = ids
        return True

    def _write(
        self, tx: sqlite3.Connection, batch: Sequence[Share], found: Mapping[str, Found]
    ) -> dict[Target, int]:
        """The ids of all targets, which hold once this is committed."""
        new_targets: dict[Target, int] = {}
        for target in {share.target for share in batch} - self._target_ids.keys():
            new_targets[target] = self._target_id(tx, target)
        ids = self._target_ids | new_targets
        plain: list[Share] = []
        for share in batch:
            if share.block_hash is None:
                plain.append(share)
                continue
            # the log id of a winning share bounds the block's window: rows keep the order of judging
            self._insert(tx, plain, ids)
            plain.clear()
            self._insert_winning(tx, share, ids, found.get(share.block_hash))
        self._insert(tx, plain, ids)
        return ids

    def write_without_share(self, found: Found, *, wait: bool = True) -> bool:
        """Record a block whose submission earned no share (too late, or a duplicate); see ``write``."""
        with self._writing(wait=wait) as tx:
            if tx is not None:
                self._insert_found(tx, found, None)
        return tx is not None

    @contextmanager
    def _writing(self, *, wait: bool) -> Iterator[sqlite3.Connection | None]:
        """A transaction; None when ``wait`` is False and another front, or a thread, is writing."""
        if not self._turn.acquire(blocking=wait):
            yield None
            return
        try:
            begun = not wait and begin_now(self._connection)
            if not begun and not wait:
                yield None
                return
            with transaction(self._connection, begun=begun) as tx:
                yield tx
        finally:
            self._turn.release()

    def _target_id(self, tx: sqlite3.Connection, target: Target) -> int:
        blob = target.to_bytes(32, "big")
        tx.execute("INSERT OR IGNORE INTO target (target) VALUES (?)", (blob,))
        row: tuple[int] = tx.execute("SELECT id FROM target WHERE target = ?", (blob,)).fetchone()
        return row[0]

    def _row(self, share: Share, ids: Mapping[Target, int]) -> tuple[str | int, ...]:
        return (
            share.account,
            share.worker,
            ids[share.target],
            share.nbits,
            share.height,
            share.time_ms,
            self._front_id,
            share.job_id,
            share.pot,
        )

    def _insert(self, tx: sqlite3.Connection, shares: Sequence[Share], ids: Mapping[Target, int]) -> None:
        if not shares:
            return
        self._best.note(tx, shares)
        tx.executemany(_INSERT_SHARE, [self._row(share, ids) for share in shares])

    def _insert_winning(
        self, tx: sqlite3.Connection, share: Share, ids: Mapping[Target, int], found: Found | None
    ) -> None:
        if tx.execute("SELECT 1 FROM found WHERE hash = ?", (share.block_hash,)).fetchone():
            return
        self._best.note(tx, [share])
        cursor = tx.execute(_INSERT_SHARE, self._row(share, ids))
        if found is None:  # its job was gone and the block could not be built: the share still counts
            return
        self._insert_found(tx, found, cursor.lastrowid)
        self._best.round_ended()

    @staticmethod
    def _insert_found(tx: sqlite3.Connection, found: Found, share_id: int | None) -> None:
        tx.execute(
            "INSERT OR IGNORE INTO found"
            " (share_id, hash, prev_hash, height, account, worker, address, found_ms, file, pot)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (share_id, *attrs.astuple(found)),
        )

    def record_submission(
        self, block_hash: str, node: str, result: str, at_ms: int, *, wait: bool = True
    ) -> bool:
        """Keep what a node said to a block; see ``write``."""
        with self._writing(wait=wait) as tx:
            if tx is not None:
                tx.execute(
                    "INSERT INTO submission (hash, node, result, at_ms) VALUES (?, ?, ?, ?)",
                    (block_hash, node, result, at_ms),
                )
        return tx is not None

    def count_rejected(self, counts: Mapping[int, int], hour_s: int) -> bool:
        """Add to the hourly counts of rejected submissions, by code; False: another front is writing."""
        if not counts:
            return True
        with self._writing(wait=False) as tx:
            if tx is not None:
                tx.executemany(
                    "INSERT INTO rejected (hour_s, code, count) VALUES (?, ?, ?)"
                    " ON CONFLICT (hour_s, code) DO UPDATE SET count = count + excluded.count",
                    [(hour_s, code, count) for code, count in counts.items()],
                )
        return tx is not None

    def has_found(self, block_hash: str) -> bool:
        """Whether the log has this block."""
        with self._turn:
            row = self._connection.execute("SELECT 1 FROM found WHERE hash = ?", (block_hash,)).fetchone()
        return row is not None

    def used_addresses(self) -> set[str]:
        """Every address that a found block pays, of all fronts; each call reads only what is new."""
        with self._turn:
            rows = self._connection.execute(
                "SELECT id, address FROM found WHERE id > ? ORDER BY id", (self._last_found,)
            ).fetchall()
        for number, address in rows:
            self._last_found = number
            self._used_addresses.update(address.split())  # a coinbase with several outputs pays several
        return self._used_addresses


_INSERT_SHARE = (
    "INSERT INTO share (account, worker, target_id, nbits, height, time_ms, front_id, job, pot)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
