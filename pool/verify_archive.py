"""The audit of the archive: each file of old shares against its checksum, and none missing before the log."""

from __future__ import annotations

from collections.abc import Callable

from pool.errors import ArchiveError
from pool.store.audit import Audit


def check_archive(audit: Audit, wrong: Callable[[str], None]) -> int:
    """Go over the files that shares were archived in.

    Whether they hold what the log once held is for the rewards that are counted again from them, and for the
    Merkle tree, to say.

    Args:
        audit: the files.
        wrong: told each difference, in a sentence.

    Returns:
        How many files there are.
    """
    until = 0
    archives = audit.archives()
    for archive in archives:
        if archive.first_id != until + 1:
            wrong(f"shares {until + 1} to {archive.first_id - 1}: no archive is noted to have them")
        until = archive.last_id
        try:
            audit.check_archive(archive)
        except ArchiveError as error:
            wrong(str(error))
    oldest = audit.oldest_row()
    if archives and oldest != until + 1:
        wrong(f"shares {until + 1} to {oldest - 1}: they are neither archived nor in the log")
    return len(archives)
