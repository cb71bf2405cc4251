"""Shares that left the log, read back from their files, and the whole of the log with them.

Shares up to ``until`` are in files, whether or not their rows are still there; those behind it are rows.
Rows go only after the file that has them was noted, so whoever takes both from one moment of ``shares.db``
misses none.  Every file is compared with its checksum when it is opened.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import attrs

from pool.archive_file import Unreadable, unpack
from pool.errors import ArchiveError
from pool.proof.record import ShareRecord

FOLDER: Final = "archive"
"""Directory beside ``shares.db``."""
_UNTIL: Final = "SELECT coalesce(max(last_id), 0) FROM archive"
_COLUMNS: Final = (
    "first_id, last_id, file, shares, pots, oldest_ms, newest_ms, bytes,"
    " file_sha256, content_sha256, archived_ms"
)
_SHARES: Final = (
    "SELECT share.id, account, worker, target, nbits, height, time_ms, front_id, job, pot"
    " FROM share JOIN target ON target.id = target_id WHERE share.id > ? AND share.id <= ? ORDER BY share.id"
)


@attrs.frozen
class Archive:
    """One file, as the log has it noted.

    Attributes:
        first_id: oldest log id of its range.
        last_id: newest one.
        file: its name.
        shares: how many it holds.
        pots: how many of which pot.
        oldest_ms: of its oldest share by time, Unix milliseconds.
        newest_ms: of its newest.
        size: bytes.
        file_sha256: hex, of the file.
        content_sha256: hex, of what it unpacks to.
        archived_ms: when it was made.
    """

    first_id: int
    last_id: int
    file: str
    shares: int
    pots: dict[str, int]
    oldest_ms: int
    newest_ms: int
    size: int
    file_sha256: str
    content_sha256: str
    archived_ms: int

    @property
    def name(self) -> str:
        """What it is called in a sentence."""
        return f"shares {self.first_id} to {self.last_id} ({FOLDER}/{self.file})"


@attrs.frozen
class Extent:
    """How much of the share log is where.

    Attributes:
        kept: shares that are rows.
        archived: shares that are in files.
        files: how many files.
        size: bytes of all files.
        archived_ms: when the newest archived share was found, Unix milliseconds; None while there is none.
    """

    kept: int = 0
    archived: int = 0
    files: int = 0
    size: int = 0
    archived_ms: int | None = None


EXTENT: Final = (
    "SELECT (SELECT coalesce(max(id), 0) FROM share) - coalesce(max(last_id), 0), coalesce(sum(shares), 0),"
    " count(*), coalesce(sum(bytes), 0), max(newest_ms) FROM archive"
)
"""A row of it makes an Extent; log ids have no gaps, so that no row need be counted."""


@contextmanager
def held(connection: sqlite3.Connection) -> Iterator[None]:
    """One moment of the file for several reads; within a transaction it is that one's."""
    if connection.in_transaction:
        yield
        return
    connection.execute("BEGIN")
    try:
        yield
    finally:
        connection.rollback()


def folder_of(connection: sqlite3.Connection) -> Path:
    """Where the archives of a ``shares.db`` are."""
    for _, name, file in connection.execute("PRAGMA database_list"):
        if name == "main":
            return Path(file).parent / FOLDER
    raise ArchiveError("a share log without a file has no archives")


class Archives:
    """Reads table ``archive`` and its files; keeps the file that was read last."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Args: connection: to ``shares.db``, for reading."""
        self._connection = connection
        self._read: tuple[Archive, Sequence[ShareRecord]] | None = None

    def until(self) -> int:
        """Log id of the newest share that is in a file, 0 when none is."""
        row: tuple[int] = self._connection.execute(_UNTIL).fetchone()
        return row[0]

    def all(self) -> Sequence[Archive]:
        """Every file, oldest shares first."""
        return self._select("ORDER BY first_id")

    def between(self, after_id: int, last_id: int, pot: str | None = None) -> Sequence[Archive]:
        """The files that have shares with ``after_id < id <= last_id``, oldest first; or those of a pot."""
        rows = self._select("WHERE last_id > ? AND first_id <= ? ORDER BY first_id", after_id, last_id)
        return [each for each in rows if pot is None or pot in each.pots]

    def _select(self, clause: str, *values: int) -> list[Archive]:
        # the clauses are this class's own constants
        rows = self._connection.execute(f"SELECT {_COLUMNS} FROM archive {clause}", values)  # noqa: S608
        return [Archive(a, b, file, n, json.loads(pots), *rest) for a, b, file, n, pots, *rest in rows]

    def read(self, archive: Archive) -> Sequence[ShareRecord]:
        """The shares of a file, oldest first.

        Raises:
            ArchiveError: it is missing, or is not the file that was noted.
        """
        if self._read is None or self._read[0] != archive:
            self._read = (archive, self._unpacked(archive))
        return self._read[1]

    def check(self, archive: Archive) -> None:
        """Compare a file with its checksum; it is not unpacked.

        Raises:
            ArchiveError: it is missing, or is not the file that was noted.
        """
        self._bytes(archive)

    def _bytes(self, archive: Archive) -> bytes:
        path = folder_of(self._connection) / archive.file
        try:
            data = path.read_bytes()
        except OSError as error:
            raise ArchiveError(f"{archive.name} cannot be read: {error.strerror}") from error
        found = hashlib.sha256(data).hexdigest()
        if found != archive.file_sha256:
            raise ArchiveError(
                f"{archive.name} was changed: its SHA-256 is {found}, not {archive.file_sha256}"
            )
        return data

    def _unpacked(self, archive: Archive) -> Sequence[ShareRecord]:
        try:
            records, content = unpack(self._bytes(archive), archive.first_id, archive.last_id)
        except Unreadable as error:
            raise ArchiveError(f"{archive.name} is no archive of these shares: {error}") from error
        if (len(records), content) != (archive.shares, archive.content_sha256):
            raise ArchiveError(f"{archive.name} holds other shares than were noted")
        return records

    def archived(
        self, after_id: int, last_id: int, pot: str | None = None, *, newest_first: bool = False
    ) -> Iterator[ShareRecord]:
        """Archived shares with ``after_id < id <= last_id``, of a pot or of all; one file at a time.

        Raises:
            ArchiveError: see ``read``.
        """
        files = self.between(after_id, last_id, pot)
        for archive in reversed(files) if newest_first else files:
            records = self.read(archive)
            for record in reversed(records) if newest_first else records:
                if after_id < record.id <= last_id and pot in {None, record.pot}:
                    yield record

    def records(self, after_id: int, last_id: int) -> Iterator[ShareRecord]:
        """All shares with ``after_id < id <= last_id``, oldest first, wherever they are.

        Raises:
            ArchiveError: see ``read``.
        """
        return map(ShareRecord._make, self.rows(after_id, last_id))

    def rows(self, after_id: int, last_id: int) -> Iterator[tuple[Any, ...]]:
        """The same as plain tuples, for whom a tenth of the time matters."""
        while True:
            until = self.until()
            if after_id < min(until, last_id):
                yield from self.archived(after_id, min(until, last_id))
                after_id = min(until, last_id)
                continue  # that took its time: more may be in files by now
            rows = self._connection.execute(_SHARES, (after_id, last_id))
            first = rows.fetchone()
            if self.until() == until:
                break
            rows.close()
        if first is not None:
            yield first
            yield from rows

    def at(self, time_ms: int) -> int:
        """Log id of the newest archived share that was judged at this moment or before, 0 when none was."""
        for archive in reversed(self._select("WHERE oldest_ms <= ? ORDER BY first_id", time_ms)):
            for record in reversed(self.read(archive)):
                if record.time_ms <= time_ms:
                    return record.id
        return 0

    def nbits(self, last_id: int) -> int | None:
        """Of the newest archived share up to this one."""
        for record in self.archived(0, last_id, newest_first=True):
            return record.nbits
        return None
