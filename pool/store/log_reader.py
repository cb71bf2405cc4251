"""The share log in ``shares.db`` row by row, and what its rows refer to."""

from __future__ import annotations

import sqlite3
from typing import Any

from pool.store.archives import Archives, held
from stratum.units import Target


class LogReader:
    """Reads; writes nothing.

    Args:
        connection: to shares.db, opened for reading, used by one thread at a time.

    Attributes:
        archives: what is in the log no more.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._targets: dict[int, Target] = {}
        self._names: dict[str, str] = {}
        self.archives = Archives(connection)

    def target(self, target_id: int) -> Target:
        """A target by its number."""
        target = self._targets.get(target_id)
        if target is None:
            row: tuple[bytes] = self._connection.execute(
                "SELECT target FROM target WHERE id = ?", (target_id,)
            ).fetchone()
            target = self._targets[target_id] = Target(int.from_bytes(row[0], "big"))
        return target

    def read(self, statement: str, *values: str | int) -> sqlite3.Cursor:
        """Rows of ``shares.db``."""
        return self._connection.execute(statement, values)

    def rows(self, after_id: int, statement: str, *values: str | int) -> tuple[int, list[Any]]:
        """Rows behind an id, or behind what is archived, from one moment.

        Args:
            after_id: nothing up to it is wanted.
            statement: whose first parameter is the id that rows are to be behind.
            values: its other parameters.

        Returns:
            That id, and the rows; what is wanted up to it is in the archive.
        """
        with held(self._connection):
            begin = max(after_id, self.archives.until())
            return begin, self._connection.execute(statement, (begin, *values)).fetchall()

    def mark(self, first_id: int, last_id: int) -> str | None:
        """What tells the newest share of a range from any that another log might have; None for none."""
        row = self._connection.execute(
            "SELECT id, account, worker, target_id, nbits, time_ms, front_id, job, pot FROM share"
            " WHERE id BETWEEN ? AND ? ORDER BY id DESC LIMIT 1",
            (first_id, last_id),
        ).fetchone()
        return None if row is None else repr(row)

    def name(self, account: str) -> str:
        """The same object for the same name: every chunk has thousands of them."""
        return self._names.setdefault(account, account)
