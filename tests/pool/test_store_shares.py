"""The share log: one transaction per batch, blocks with their share exactly once, kill -9 loses nothing."""

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import structs

from pool.store.database import connect, transaction
from pool.store.shares import Found, ShareStore
from stratum.ports import Share
from stratum.units import Height, Target

SHARE = Share("alice", "rig", Target(1 << 250), 0x207FFFFF, Height(7), 1_000, "01")
WINNER = structs.replace(SHARE, block_hash="ab" * 32, time_ms=1_001)
FOUND = Found("ab" * 32, "cd" * 32, 7, "alice", "rig", "bcrt1q", 1_001, "7-ab.json")


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    opened = connect(tmp_path, "shares")
    yield opened
    opened.close()


@pytest.fixture
def store(connection: sqlite3.Connection) -> ShareStore:
    return ShareStore(connection, front_id=3)


def count(connection: sqlite3.Connection, table: str) -> int:
    return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])  # noqa: S608


def test_a_share_comes_back_as_it_was_judged(store: ShareStore, connection: sqlite3.Connection) -> None:
    store.write([SHARE], {})
    row = connection.execute(
        "SELECT account, worker, target, nbits, height, time_ms, front_id, job FROM share"
        " JOIN target ON target.id = target_id"
    ).fetchone()
    assert row == ("alice", "rig", (1 << 250).to_bytes(32, "big"), 0x207FFFFF, 7, 1_000, 3, "01")


def test_a_winning_share_is_written_with_its_block_in_the_order_of_judging(
    store: ShareStore, connection: sqlite3.Connection
) -> None:
    store.write([SHARE, WINNER, SHARE], {FOUND.hash: FOUND})
    (share_id,) = connection.execute("SELECT share_id FROM found").fetchone()
    assert share_id == 2
    assert count(connection, "share") == 3


def test_a_block_that_the_log_has_credits_nothing_again(
    store: ShareStore, connection: sqlite3.Connection
) -> None:
    store.write([WINNER], {FOUND.hash: FOUND})
    store.write([SHARE, WINNER], {FOUND.hash: FOUND})
    assert count(connection, "share") == 2
    assert count(connection, "found") == 1


def test_a_batch_that_cannot_be_written_leaves_nothing(
    store: ShareStore, connection: sqlite3.Connection
) -> None:
    bad = structs.replace(SHARE, account=None)
    with pytest.raises(sqlite3.IntegrityError):
        store.write([SHARE, bad], {})
    assert count(connection, "share") == 0
    assert count(connection, "target") == 0
    store.write([SHARE], {})  # and the store's memory of target ids was not spoilt by it
    assert count(connection, "share") == 1


def test_each_boot_has_a_number_of_its_own(tmp_path: Path, store: ShareStore) -> None:
    other = connect(tmp_path, "shares")
    numbers = [store.boot(1), ShareStore(other, 4).boot(2), store.boot(3)]
    other.close()
    assert len(set(numbers)) == 3


def test_addresses_of_blocks_by_other_fronts_are_used_too(tmp_path: Path, store: ShareStore) -> None:
    assert store.used_addresses() == set()
    other = connect(tmp_path, "shares")
    ShareStore(other, 9).write_without_share(FOUND)
    other.close()
    assert store.used_addresses() == {"bcrt1q"}


def test_rejected_counts_add_up_within_their_hour(store: ShareStore, connection: sqlite3.Connection) -> None:
    store.count_rejected({21: 2, 23: 1}, 3600)
    store.count_rejected({21: 3}, 3600)
    store.count_rejected({}, 3600)
    rows = connection.execute("SELECT hour_s, code, count FROM rejected ORDER BY code").fetchall()
    assert rows == [(3600, 21, 5), (3600, 23, 1)]


def test_nothing_waits_for_a_front_that_is_writing_unless_it_is_told_to(
    tmp_path: Path, store: ShareStore, connection: sqlite3.Connection
) -> None:
    other = connect(tmp_path, "shares")
    with transaction(other):
        assert not store.write([SHARE], {}, wait=False)
        assert not store.count_rejected({21: 2}, 3600)
    assert count(connection, "share") == count(connection, "rejected") == 0
    assert store.write([SHARE], {}, wait=False)
    assert store.count_rejected({21: 2}, 3600)
    assert count(connection, "share") == count(connection, "rejected") == 1
    other.close()


_WRITER = """
import sys
from pathlib import Path
from pool.store.database import connect
from pool.store.shares import ShareStore
from stratum.ports import Share
store = ShareStore(connect(Path(sys.argv[1]), "shares"), 0)
number = 0
while True:
    batch = [Share("alice", str(number + i), 1 << 250, 0x207FFFFF, 7, 1, "01") for i in range(20)]
    store.write(batch, {})
    number += 20
    print(number, flush=True)
"""


def test_what_was_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        acknowledged = 0
        for line in writer.stdout:
            acknowledged = int(line)
            if acknowledged >= 2_000:
                os.kill(writer.pid, signal.SIGKILL)
                break
        rest = [int(line) for line in writer.stdout.read().split()]
    acknowledged = max([acknowledged, *rest])
    reopened = connect(tmp_path, "shares")
    names = {row[0] for row in reopened.execute("SELECT worker FROM share")}
    total = count(reopened, "share")
    reopened.close()
    assert {str(n) for n in range(acknowledged)} <= names
    assert total == len(names)  # and none of it twice
