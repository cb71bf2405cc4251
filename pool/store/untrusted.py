"""Reading what the web wrote: it faces strangers, so nothing about its file may stop whoever reads it.

Types are checked by the reader: SQLite keeps a text in an integer's column, and who owns a file may change
its tables, too.  What is endless or too large ends in StoreError.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, Final

from pool.errors import StoreError

MAX_BYTES: Final = 1 << 20
"""Of one value, and of one row."""
_TICK: Final = 100_000
_TICKS: Final = 200
"""Steps of SQLite's machine that one query may take: a second's worth, a hundred times what any takes."""


class UntrustedFile:
    """A connection to a file that another role owns.

    Args:
        connection: from ``connect_to_read``; nobody else reads with it.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_BYTES)
        connection.text_factory = _text
        connection.set_progress_handler(self._tick, _TICK)
        self._connection = connection
        self._ticks = 0
        self._plain: tuple[str, int] | None = None

    def _tick(self) -> int:
        self._ticks += 1
        return int(self._ticks > _TICKS)  # anything but 0 ends the query

    def rows(
        self,
        table: str,
        query: str,
        parameters: Sequence[object],
        form: Sequence[type | tuple[type, ...]],
    ) -> list[tuple[Any, ...]]:
        """The rows whose values have these types; others are left out.

        Args:
            table: that the query is on, and on no other.
            query: with a bound on the number of rows and on the length of what it selects.
            parameters: for its question marks.
            form: a type, or several, for each column.

        Raises:
            StoreError: it cannot be read, or not within its bounds.
        """
        self._ticks = 0
        try:
            self._connection.execute("BEGIN")  # so that the table that is read is the one that was looked at
            try:
                self._insist_on_a_plain(table)
                found = self._connection.execute(query, parameters).fetchall()
            finally:
                self._connection.execute("ROLLBACK")
        except sqlite3.Error as error:
            raise StoreError(f"inbox.db cannot be read ({error}): what does the web do to it?") from None
        return [row for row in found if all(map(isinstance, row, form))]

    def _insist_on_a_plain(self, table: str) -> None:
        """A view, or a column that is computed, would have the reader do the web's work."""
        (version,) = self._connection.execute("PRAGMA schema_version").fetchone()
        if self._plain == (table, version):
            return
        made = self._connection.execute(
            "SELECT 1 FROM sqlite_schema WHERE name = ?1 AND type = 'table'"
            " AND sql NOT LIKE 'CREATE VIRTUAL%'"
            " AND NOT EXISTS (SELECT 1 FROM pragma_table_xinfo(?1) WHERE hidden)",
            (table,),
        ).fetchone()
        if made is None:
            raise StoreError(f"inbox.db cannot be read: its {table} is no plain table")
        self._plain = (table, version)


def short(column: str, length: int) -> str:
    """SQL for: a text has no more bytes than that, also behind a NUL."""
    return f"length(CAST({column} AS BLOB)) <= {length}"


def _text(raw: bytes) -> str:
    """Text that need not be UTF-8: what is not stays recognisably wrong."""
    return raw.decode("utf-8", "replace")
