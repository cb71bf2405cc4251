"""Miners' seats that any front of this machine can take: ``seats.db``, which may be lost without harm.

It is no part of the books: nothing is synced to disk, and a front that cannot use it begins anew.  It holds
hashes of session ids, so that whoever reads the file can take no seat.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import Final

from stratum.elsewhere import KeptSeat

BUSY_MS: Final = 50
"""A sibling that has stalled must not hold up a front: a seat that is lost costs its miner a moment."""
FORGET_S: Final = 3_600.0
"""Rows of front ids that are no longer in use go so long after their time."""
_TABLE: Final = """
    CREATE TABLE IF NOT EXISTS seat (
        session BLOB PRIMARY KEY,        -- SHA-256 of the session id
        extranonce1 BLOB NOT NULL,
        owner INTEGER NOT NULL,          -- the front id that the extranonce1 begins with
        difficulty TEXT,                 -- a fraction
        pot TEXT NOT NULL,
        until_s REAL NOT NULL,           -- Unix seconds
        holder INTEGER                   -- the front id where somebody sits on it; NULL: it can be taken
    ) WITHOUT ROWID
"""


def path_of(directory: Path) -> Path:
    """Where the seats of a store's fronts are."""
    return directory / "seats.db"


class SeatStore:
    """One front's view of the seats.  Every method may raise sqlite3.Error."""

    def __init__(self, directory: Path, front_id: int) -> None:
        """Open the file, or make it, for its user alone; one that is damaged gives way to a new one."""
        path = path_of(directory)
        self._front_id = front_id
        try:
            self._connection = _open(path)
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise
            path.unlink()
            self._connection = _open(path)

    def lent(self, until_s: float) -> list[bytes]:
        """At this front's start: the extranonce1 of its own that somebody has, or may come back to.

        Args:
            until_s: up to when those may come back who sat at this front when it died, Unix seconds.
        """
        self._connection.execute(
            "UPDATE seat SET holder = NULL, until_s = ? WHERE holder = ?", (until_s, self._front_id)
        )
        rows = self._connection.execute("SELECT extranonce1 FROM seat WHERE owner = ?", (self._front_id,))
        return [row[0] for row in rows]

    def keep(self, seats: Iterable[KeptSeat], now_s: float) -> None:
        """Let any front take these, for as long as they have left."""
        rows = [
            (_hash(s.session_id), s.extranonce1, s.extranonce1[0], s.difficulty, s.pot, now_s + s.left_s)
            for s in seats
        ]
        with self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.executemany(
                "INSERT OR REPLACE INTO seat (session, extranonce1, owner, difficulty, pot, until_s)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                rows,
            )

    def claim(self, session_id: bytes, pot: str, now_s: float) -> KeptSeat | None:
        """Take a seat: of all who ask, one gets it.  Another front's is noted as lent to this one."""
        session = _hash(session_id)
        row = self._connection.execute(
            "UPDATE seat SET holder = ? WHERE session = ? AND holder IS NULL AND pot = ? AND until_s > ?"
            " RETURNING extranonce1, owner, difficulty, until_s",
            (self._front_id, session, pot, now_s),
        ).fetchone()
        if row is None:
            return None
        extranonce1, owner, difficulty, until_s = row
        if owner == self._front_id:  # it is home
            self._connection.execute("DELETE FROM seat WHERE session = ?", (session,))
        return KeptSeat(session_id, extranonce1, difficulty, until_s - now_s, pot)

    def let_go(self, session_id: bytes) -> None:
        """Nobody comes back to a seat that is lent to this front: its owner may use the extranonce1 again."""
        self._connection.execute(
            "UPDATE seat SET holder = NULL, until_s = 0 WHERE session = ? AND holder = ?",
            (_hash(session_id), self._front_id),
        )

    def returned(self, now_s: float) -> list[bytes]:
        """The extranonce1 of this front whose time is over, each once."""
        rows = self._connection.execute(
            "DELETE FROM seat WHERE holder IS NULL AND (owner = ? AND until_s <= ? OR until_s <= ?)"
            " RETURNING extranonce1",
            (self._front_id, now_s, now_s - FORGET_S),
        )
        return [row[0] for row in rows]

    def close(self) -> None:
        """Let the file go."""
        self._connection.close()


def _open(path: Path) -> sqlite3.Connection:
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    connection = sqlite3.connect(path, timeout=BUSY_MS / 1000, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute(_TABLE)
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _hash(session_id: bytes) -> bytes:
    return sha256(session_id).digest()
