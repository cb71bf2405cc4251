"""The best shares: what the table keeps is what a walk over all shares finds, whoever wrote them."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from pool.store import best, schema
from pool.store.best import BestReader
from pool.store.database import FILES, connect
from pool.store.figures import Bests, BestShare
from pool.store.shares import Found, ShareStore
from stratum.ports import Share
from stratum.units import Height, Target

PLAIN = Share("alice", "rig", Target(1 << 250), 0x207FFFFF, Height(7), 1_000, "01")


def share(value: int, *, worker: str = "rig", account: str = "alice", time_ms: int = 1_000) -> Share:
    return structs.replace(PLAIN, hash_value=value, worker=worker, account=account, time_ms=time_ms)


def winner(value: int, *, pot: str = "pool", time_ms: int = 1_000) -> tuple[Share, dict[str, Found]]:
    block_hash = f"{value:064x}"
    found = Found(block_hash, "cd" * 32, 7, "alice", "rig", "bcrt1q", time_ms, "7-ab.json", pot)
    won = structs.replace(PLAIN, hash_value=value, time_ms=time_ms, block_hash=block_hash, pot=pot)
    return won, {block_hash: found}


def reader_of(connection: sqlite3.Connection) -> BestReader:
    return BestReader(lambda sql, *values: connection.execute(sql, values).fetchall())


def values(bests: Bests) -> tuple[int | None, int | None]:
    ever, now = (each if each is None else int(each.target) for each in (bests.ever, bests.round))
    return ever, now


def test_of_each_machine_the_best_share_is_kept_with_its_time(tmp_path: Path) -> None:
    connection = connect(tmp_path, "shares")
    store, reader = ShareStore(connection, 0), reader_of(connection)
    assert (reader.pool(), reader.account("alice")) == (Bests(), Bests())
    store.write([share(50, time_ms=1), share(40, time_ms=2), share(60, worker="b", time_ms=3)], {})
    store.write([share(45, time_ms=4), share(7, account="bob", time_ms=5), PLAIN], {})
    rig, other = BestShare("alice", "rig", f"{40:064x}", 2), BestShare("alice", "b", f"{60:064x}", 3)
    assert reader.luckiest("alice", 9) == {"rig": Bests(rig, rig), "b": Bests(other, other)}
    assert reader.luckiest("alice", 1) == {"rig": Bests(rig, rig)}
    assert reader.machines("alice", ["b", "nobody"]) == {"b": Bests(other, other)}
    assert reader.account("alice") == Bests(rig, rig)
    assert values(reader.pool()) == (7, 7)


def test_a_block_ends_the_round_but_not_the_record(tmp_path: Path) -> None:
    connection = connect(tmp_path, "shares")
    store, reader = ShareStore(connection, 0), reader_of(connection)
    won, found = winner(5)
    store.write([share(20), won, share(30)], found)
    assert values(reader.account("alice")) == (5, 30)
    solo, found = winner(9, pot="solo")
    store.write([solo, share(25)], found)  # somebody's own block ends nobody else's round
    assert values(reader.pool()) == (5, 9)
    won, found = winner(4)
    store.write([won], found)
    assert values(reader.pool()) == (4, None)
    store.write([share(33)], {})
    store.write([won], found)  # replayed at a start: it is in the log already
    assert values(reader.pool()) == (4, 33)


def test_several_fronts_keep_the_best_of_all_of_them(tmp_path: Path) -> None:
    connection = connect(tmp_path, "shares")
    one, two = ShareStore(connection, 0), ShareStore(connect(tmp_path, "shares"), 1)
    one.write([share(20)], {})
    two.write([share(30)], {})
    one.write([share(10)], {})
    two.write([share(15)], {})  # better than all that this front has seen
    assert values(reader_of(connection).pool()) == (10, 10)
    won, found = winner(9)
    one.write([won], found)
    two.write([share(40, time_ms=1_000 + best.LOOK_MS)], {})
    assert values(reader_of(connection).pool()) == (9, 40)


def test_a_restarted_front_does_not_begin_again(tmp_path: Path) -> None:
    connection = connect(tmp_path, "shares")
    ShareStore(connection, 0).write([share(20)], {})
    ShareStore(connection, 0).write([share(30)], {})
    assert values(reader_of(connection).pool()) == (20, 20)


def test_what_was_not_written_is_no_record_and_can_be_one_later(tmp_path: Path) -> None:
    connection = connect(tmp_path, "shares")
    store = ShareStore(connection, 0)
    with pytest.raises(sqlite3.IntegrityError):
        store.write([share(20), structs.replace(PLAIN, job_id=None)], {})
    assert reader_of(connection).pool() == Bests()
    store.write([share(20)], {})
    assert values(reader_of(connection).pool()) == (20, 20)


def test_more_machines_than_are_remembered_lose_no_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(best, "REMEMBERED", 2)
    connection = connect(tmp_path, "shares")
    store = ShareStore(connection, 0)
    store.write([share(10 + at, worker=str(at)) for at in range(5)], {})
    store.write([share(20 - at, worker=str(at)) for at in range(5)], {})
    found = reader_of(connection).luckiest("alice", 99)
    assert [values(found[str(at)]) for at in range(5)] == [(min(10 + at, 20 - at),) * 2 for at in range(5)]


def test_an_older_log_knows_the_best_of_its_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FILES, "shares", schema.SHARES[:2])
    old = connect(tmp_path, "shares")
    old.execute(
        "INSERT INTO target VALUES (1, ?)",
        (PLAIN.target.to_bytes(32, "big"),),
    )
    old.execute("INSERT INTO share VALUES (1, 'alice', 'rig', 1, 1, 7, 1000, 0, '1', 'pool')")
    old.executemany(
        "INSERT INTO found (hash, prev_hash, height, share_id, account, worker, address, found_ms, file)"
        " VALUES (?, 'p', 7, ?, 'alice', 'rig', 'x', ?, 'f')",
        [(f"{8:064x}", 1, 1_000), (f"{9:064x}", 1, 2_000), (f"{1:064x}", None, 3_000)],
    )
    old.close()
    monkeypatch.setitem(FILES, "shares", schema.SHARES)
    assert reader_of(connect(tmp_path, "shares")).pool() == Bests(
        BestShare("alice", "rig", f"{8:064x}", 1_000), None
    )


SHARES = st.lists(
    st.tuples(
        st.integers(0, 1),
        st.sampled_from("ab"),
        st.integers(1, 1 << 20),
        st.sampled_from(["", "", "pool", "solo"]),
    ),
    max_size=30,
)


@settings(max_examples=15, deadline=None)
@given(SHARES, st.integers(1, 4))
def test_the_table_has_what_a_walk_over_all_shares_finds(
    tmp_path_factory: pytest.TempPathFactory, log: Sequence[tuple[int, str, int, str]], size: int
) -> None:
    place = tmp_path_factory.mktemp("log")
    connection = connect(place, "shares")
    fronts = [ShareStore(connection, 0), ShareStore(connect(place, "shares"), 1)]
    ever: dict[str, int] = {}
    now: dict[str, int] = {}
    batches: list[tuple[int, list[Share], dict[str, Found]]] = []
    for at, (front, worker, drawn, pot) in enumerate(log):
        time_ms = at * best.LOOK_MS
        value = drawn << 8 | at  # no two headers have one hash
        sent, found = (
            winner(value, pot=pot, time_ms=time_ms)
            if pot
            else (share(value, worker=worker, time_ms=time_ms), {})
        )
        if not batches or batches[-1][0] != front or len(batches[-1][1]) == size:
            batches.append((front, [], {}))
        batches[-1][1].append(sent)
        batches[-1][2].update(found)
        for table in (ever, now):
            table[sent.worker] = min(value, table.get(sent.worker, value))
        if pot == "pool":
            now.clear()
    for front, batch, found in batches:
        fronts[front].write(batch, found)
    kept = {name: values(each) for name, each in reader_of(connection).luckiest("alice", 99).items()}
    assert kept == {name: (value, now.get(name)) for name, value in ever.items()}
    assert values(reader_of(connection).pool()) == (
        min(ever.values(), default=None),
        min(now.values(), default=None),
    )
