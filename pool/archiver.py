"""Old shares leave the log: into a file, read back and compared, noted, and only then deleted.

Each step is safe to be the last one: a file is whole or has another name, a file without its note is found
again and compared, and rows that a noted file has are ignored until they are gone.  Whatever fails, fails
before anything is deleted.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import attrs

from pool.archive_file import Unreadable, pack, pots_of, unpack
from pool.errors import ArchiveError, ProofError, StoreBusy
from pool.proof.record import ShareRecord
from pool.store.archives import Archive
from pool.store.archiving import ArchivingStore

IDS_PER_FILE: Final = 1 << 16
"""Log ids in a file: 16 tiles of the Merkle tree, some half a megabyte, a few seconds of work."""
HELD_S: Final = 0.003
"""So long at most, deleting shall keep the database from the fronts at a time."""
PAUSE_PER_S: Final = 9.0
"""Pauses are so many times as long as the database was held."""
LEAST_PAUSE_S: Final = 0.005
BUSY_S: Final = 60.0
"""A front that is in the middle of one transaction for so long has stalled."""
_LEAST_ROWS, _FIRST_ROWS, _MOST_ROWS = 16, 256, 4_096


@attrs.frozen
class Placed:
    """A file is on disk.  Attributes: its name."""

    file: str


@attrs.frozen
class Noted:
    """A file was read back, is right, and counts from now on.  Attributes: the file."""

    archive: Archive


@attrs.frozen
class Deleted:
    """Some rows are gone.  Attributes: how many."""

    rows: int


@attrs.define
class Pace:
    """How fast rows are deleted: little at a time, and mostly not.

    Attributes:
        sleep: waits, seconds.
        timer: seconds.
        rows: of the next transaction.
    """

    sleep: Callable[[float], None]
    timer: Callable[[], float]
    rows: int = _FIRST_ROWS

    def deleted(self, took_s: float) -> None:
        """Learn from a transaction, and pause after it."""
        if took_s > HELD_S:
            self.rows = max(_LEAST_ROWS, self.rows // 2)
        elif took_s * 2 < HELD_S:
            self.rows = min(_MOST_ROWS, self.rows * 2)
        self.sleep(max(LEAST_PAUSE_S, took_s * PAUSE_PER_S))


def due(until: int, last_id: int, ids_per_file: int = IDS_PER_FILE) -> list[tuple[int, int]]:
    """The files that can be made: first and last log id of each.

    Args:
        until: log id of the newest share that is in a file.
        last_id: newest share that may leave the log.
        ids_per_file: log ids in a file.
    """
    first = until + 1
    found: list[tuple[int, int]] = []
    while (end := (until // ids_per_file + 1 + len(found)) * ids_per_file) <= last_id:
        found.append((first, end))
        first = end + 1
    return found


class Archiver:
    """Moves shares from the log into files.

    Args:
        store: the log.
        folder: where the files go.
        now_ms: Unix milliseconds.
        pace: of deleting.
        ids_per_file: log ids in a file.
    """

    def __init__(
        self,
        store: ArchivingStore,
        folder: Path,
        now_ms: Callable[[], int],
        pace: Pace,
        ids_per_file: int = IDS_PER_FILE,
    ) -> None:
        self._store = store
        self._folder = folder
        self._now_ms = now_ms
        self._pace = pace
        self._ids_per_file = ids_per_file

    def run(self, last_id: int) -> Iterator[Placed | Noted | Deleted]:
        """Do all of it, and what an earlier run has left; whoever stops asking may do so at any step.

        Args:
            last_id: newest share that may leave the log.

        Raises:
            ArchiveError: a file could not be written, or is not what it should be; nothing of its range is
                deleted.
            StoreBusy: a front has stalled within a transaction.
        """
        yield from self._delete()
        for first, end in due(self._store.until(), last_id, self._ids_per_file):
            yield from self._archive(first, end)
            yield from self._delete()

    def _archive(self, first_id: int, last_id: int) -> Iterator[Placed | Noted]:
        records = self._store.records(first_id, last_id)
        path = self._folder / f"shares-{first_id:012d}-{last_id:012d}.xz"
        try:
            packed = pack(first_id, last_id, records)
            if not path.exists():
                _write(path, packed.data)
            yield Placed(path.name)
            _sync_folder(self._folder)  # else the name may be lost although the bytes are there
            data = path.read_bytes()
        except ProofError as error:
            raise ArchiveError(
                f"{error}: it cannot be archived, and nothing from it on leaves the log"
            ) from error
        except OSError as error:
            raise ArchiveError(
                f"{path} could not be written ({error.strerror}): nothing of it has left the log"
            ) from error
        # the rows are read a second time: what is compared has not been in our memory since the file was made
        if not _holds(data, first_id, last_id, self._store.records(first_id, last_id), packed.content_sha256):
            raise ArchiveError(
                f"{path} is there, but does not hold the log's shares {first_id} to {last_id}: move it"
                " away, and find out whether the disk is sound"
            )
        archive = _note_of(path.name, first_id, last_id, records, data, packed.content_sha256, self._now_ms())
        self._store.note(archive, self._store.work(first_id, last_id))
        yield Noted(archive)

    def _delete(self) -> Iterator[Deleted]:
        waited_s = 0.0
        while self._store.left_over():
            began = self._pace.timer()
            rows = self._store.delete(self._pace.rows)
            if rows is None:
                if waited_s >= BUSY_S:
                    raise StoreBusy("a front has been writing for too long: has its process stalled?")
                self._pace.sleep(LEAST_PAUSE_S)
                waited_s += LEAST_PAUSE_S
                continue
            waited_s = 0.0
            self._pace.deleted(self._pace.timer() - began)
            yield Deleted(rows)


def _holds(data: bytes, first_id: int, last_id: int, records: list[ShareRecord], content_sha256: str) -> bool:
    try:
        return unpack(data, first_id, last_id) == (records, content_sha256)
    except Unreadable:
        return False


def _note_of(
    file: str,
    first_id: int,
    last_id: int,
    records: list[ShareRecord],
    data: bytes,
    content_sha256: str,
    now_ms: int,
) -> Archive:
    times = [record.time_ms for record in records]
    return Archive(
        first_id=first_id,
        last_id=last_id,
        file=file,
        shares=len(records),
        pots=pots_of(records),
        oldest_ms=min(times, default=0),
        newest_ms=max(times, default=0),
        size=len(data),
        file_sha256=hashlib.sha256(data).hexdigest(),
        content_sha256=content_sha256,
        archived_ms=now_ms,
    )


def _write(path: Path, data: bytes) -> None:
    """Put a file on disk, whole or under another name."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
    draft = path.with_suffix(".tmp")
    try:
        with draft.open("wb") as file:
            os.fchmod(file.fileno(), 0o640)  # the others of the group read it, as they do the database
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        draft.unlink(missing_ok=True)  # a full disk needs the room
        raise
    draft.rename(path)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
