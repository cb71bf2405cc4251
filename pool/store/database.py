"""Opening a SQLite file of the store: durable settings, migrations by number, one writing role at a time."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from sqlite_utils import Database

from pool.errors import StoreBusy, StoreError
from pool.store import schema

BUSY_TIMEOUT_S: Final = 10.0
_STEP_S: Final = 0.0005
"""Between looks at a lock that another process has.  SQLite's own steps grow to 100 ms, so that whoever has
waited for long waits longest: with four writers every hundredth commit took 80 ms, and takes 3 ms so."""
FILES: Final = {"shares": schema.SHARES, "ledger": schema.LEDGER, "inbox": schema.INBOX}


def connect(directory: Path, name: str) -> sqlite3.Connection:
    """Open ``<directory>/<name>.db`` for writing: WAL, synchronous=FULL, brought to the newest schema.

    With WAL and FULL a commit that returned survives power loss.  The connection is in autocommit mode: use
    ``transaction``.

    Raises:
        StoreError: the file cannot be opened, is from a newer release, or is not one of ours.
        StoreBusy: another process holds it for longer than the busy time-out.
    """
    path = directory / f"{name}.db"
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        connection = sqlite3.connect(
            path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
        )
        path.chmod(0o640)
        _turn_to_wal(connection)
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        _migrate(connection, name, FILES[name])
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            raise StoreBusy(
                f"{path} is locked by another process: is a second pool running on it?"
            ) from error
        raise StoreError(f"{path} cannot be opened: {error}") from error
    except (sqlite3.DatabaseError, OSError) as error:
        raise StoreError(f"{path} cannot be opened: {error}") from error
    return connection


def connect_to_read(directory: Path, name: str) -> sqlite3.Connection:
    """Open an existing file for reading; SQLite itself refuses writes on this connection.

    Raises:
        StoreError: there is no such file yet, or it cannot be read.
    """
    path = directory / f"{name}.db"
    try:
        connection = sqlite3.connect(
            f"file:{path}?mode=ro",
            uri=True,
            timeout=BUSY_TIMEOUT_S,
            isolation_level=None,
            check_same_thread=False,
        )
        connection.execute("PRAGMA query_only = ON")
    except sqlite3.Error as error:
        raise StoreError(f"{path} cannot be read: {error}") from error
    return connection


def schema_number(connection: sqlite3.Connection) -> int:
    """How many schema steps an open file has; 0 while its owner has not made its tables.

    Raises:
        StoreError: it is no database, or cannot be read now.
    """
    try:
        number: int = connection.execute("PRAGMA user_version").fetchone()[0]
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.Error as error:
        raise StoreError(f"cannot be read: {error}") from error
    return number


def _migrate(connection: sqlite3.Connection, name: str, steps: Sequence[str]) -> None:
    """Apply the schema steps that the file lacks, each in one transaction with its number."""
    tables = Database(connection, use_counts_table=False)
    for number, script in enumerate(steps, start=1):
        with transaction(connection):
            done: int = tables.execute("PRAGMA user_version").fetchone()[0]
            if done > len(steps):
                raise StoreError(
                    f"{name}.db has schema {done}, this release knows {len(steps)}: update sluice"
                )
            if done >= number:
                continue
            # executescript would commit behind our back: the statements go one by one
            for statement in _statements(script):
                tables.execute(statement)
            tables.execute(f"PRAGMA user_version = {number}")


def _statements(script: str) -> Iterator[str]:
    """Split a script into its statements, trigger bodies whole."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _turn_to_wal(connection: sqlite3.Connection) -> None:
    """For this pragma alone SQLite does not wait: two processes that make the same file would collide."""
    for attempt in range(int(BUSY_TIMEOUT_S / _STEP_S), -1, -1):
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or not attempt:
                raise
            time.sleep(_STEP_S)
        else:
            return


def begin_now(connection: sqlite3.Connection) -> bool:
    """Begin a write transaction unless another process is in one: then the answer is False, at once."""
    connection.execute("PRAGMA busy_timeout = 0")
    try:
        connection.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            return False
        raise
    finally:
        connection.execute(f"PRAGMA busy_timeout = {int(BUSY_TIMEOUT_S * 1000)}")
    return True


def _begin(connection: sqlite3.Connection) -> None:
    for _ in range(int(BUSY_TIMEOUT_S / _STEP_S)):
        if begin_now(connection):
            return
        time.sleep(_STEP_S)
    raise StoreBusy("the database is locked by another process")


@contextmanager
def transaction(connection: sqlite3.Connection, *, begun: bool = False) -> Iterator[sqlite3.Connection]:
    """One write transaction: the lock is taken at once, so nothing read inside can be out of date.

    Args:
        connection: from ``connect``.
        begun: whether ``begin_now`` has begun it.

    Raises:
        StoreBusy: the lock could not be had within the busy time-out; nothing was written.
    """
    if not begun:
        _begin(connection)
    try:
        yield connection
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


@contextmanager
def sole_role(directory: Path, role: str) -> Iterator[None]:
    """Hold the role for this process: a second one on the same store is refused, also after a crash.

    An advisory file lock, which the kernel drops with the process.

    Raises:
        StoreBusy: another process has the role.
    """
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock: IO[str] = (directory / f"{role}.lock").open("a+")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.seek(0)
        owner = lock.read().strip() or "unknown"
        lock.close()
        raise StoreBusy(
            f"{directory} has a running {role} already (process {owner}): stop it first"
        ) from error
    with lock:
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def share_role(directory: Path, role: str) -> IO[str]:
    """Hold a role together with other processes, until the answer is closed or this process ends.

    Raises:
        StoreBusy: another process has it to itself.
    """
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock: IO[str] = (directory / f"{role}.lock").open("a+")
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        raise StoreBusy(f"{directory} has a process that does not share {role}: stop it first") from error
    return lock


def anybody_shares(directory: Path, role: str) -> bool:
    """Whether a process holds a role, alone or with others."""
    try:
        with (directory / f"{role}.lock").open("a+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False
