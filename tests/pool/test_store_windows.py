"""The share log as windows see it is the log itself, however it is chunked and cached."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import pytest
from msgspec import structs

from pool import shares as shares_module
from pool.rewards.recount import RawShare, recount
from pool.shares import Window, cut, weights
from pool.store.blocks import FoundBlock
from pool.store.database import connect, connect_to_read
from pool.store.shares import Found, ShareStore
from pool.store.windows import PotWindows, ShareWindows
from stratum.ports import Share
from stratum.units import MAX_TARGET, Height, Target

NBITS = 0x207FFFFF
TARGETS = (MAX_TARGET, Target(0x7FFFFF << 232), Target(0x7FFFFF << 230))


def share(number: int, block_hash: str | None = None) -> Share:
    account, target = f"m{number % 3}", TARGETS[number % 7 % 3]
    return Share(account, "w", target, NBITS, Height(9), 1000 + number, "1", block_hash)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Path]:
    connection = connect(tmp_path, "shares")
    ShareStore(connection, 0).write([share(number) for number in range(1, 31)], {})
    yield tmp_path
    connection.close()


def window(reader: PotWindows, last_id: int, size: Fraction) -> Window:
    return cut(reader.chunks(last_id), reader.rows, size, last_id)


def raw(last_id: int) -> Sequence[RawShare]:
    every = (share(number) for number in range(last_id, 0, -1))
    return [RawShare(last_id - at, each.account, NBITS, each.target) for at, each in enumerate(every)]


@pytest.mark.parametrize("chunk_rows", [1, 4, 7, 16, 1000])
@pytest.mark.parametrize("size", [Fraction(1, 3), Fraction(5), Fraction(29, 2), Fraction(1000)])
def test_a_window_is_the_same_for_any_length_of_chunks(log: Path, chunk_rows: int, size: Fraction) -> None:
    reader = ShareWindows(connect_to_read(log, "shares"), chunk_rows=chunk_rows, kept_chunks=3)
    for last_id in (30, 15, 1):
        by_account, denominator = weights(window(reader.pot("pool"), last_id, size))
        scores = {name: Fraction(weight, denominator) for name, weight in by_account.items()}
        assert scores == recount(raw(last_id), size).scores


@pytest.mark.parametrize("pot", ["pool", "solo", "tides"])
@pytest.mark.parametrize("chunk_rows", [8, 1000])
def test_halving_the_chunk_of_the_border_cuts_the_same_window_of_every_pot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pot: str, chunk_rows: int
) -> None:
    connection = connect(tmp_path, "shares")
    pots = ("pool", "solo", "tides")
    batch = [structs.replace(share(number), pot=pots[number * number % 7 % 3]) for number in range(1, 61)]
    ShareStore(connection, 0).write(batch, {})
    reader = ShareWindows(connection, chunk_rows=chunk_rows).pot(pot)
    monkeypatch.setattr(shares_module, "SMALL", 1)
    for size in (Fraction(1, 3), Fraction(5), Fraction(17, 2), Fraction(1000)):
        for last_id in (60, 41, 3):
            whole = window(reader, last_id, size)
            assert cut(reader.chunks(last_id), reader.rows, size, last_id, None, reader.chunks) == whole
    connection.close()


def test_chunks_cover_the_log_once_newest_first(log: Path) -> None:
    reader = ShareWindows(connect_to_read(log, "shares"), chunk_rows=8)
    chunks = list(reader.pot("pool").chunks(29))
    assert [(chunk.first_id, chunk.last_id) for chunk in chunks] == [(24, 29), (16, 23), (8, 15), (0, 7)]
    assert sum(sum(chunk.totals.values()) for chunk in chunks) == 29


def test_shares_that_come_later_are_seen_and_finished_chunks_are_not_read_again(log: Path) -> None:
    reader = ShareWindows(connect_to_read(log, "shares"), chunk_rows=8)
    before = list(reader.pot("pool").chunks(30))
    writer = connect(log, "shares")
    ShareStore(writer, 0).write([share(number) for number in range(31, 41)], {})
    after = list(reader.pot("pool").chunks(40))
    assert sum(sum(chunk.totals.values()) for chunk in after) == 40
    assert after[-1] is before[-1]
    writer.close()


def test_preparing_sums_finished_chunks_one_by_one_from_the_newest(log: Path) -> None:
    connection = connect_to_read(log, "shares")
    reader = ShareWindows(connection, chunk_rows=8)
    statements: list[str] = []
    connection.set_trace_callback(statements.append)
    sums: list[int] = []
    for _ in range(5):
        reader.prepare()
        sums.append(sum("GROUP BY" in statement for statement in statements))
    assert sums == [1, 2, 3, 3, 3]
    assert len(list(reader.pot("pool").chunks(23))) == 3
    assert sum("GROUP BY" in statement for statement in statements) == 3


def test_the_oldest_chunk_is_forgotten_first(log: Path) -> None:
    connection = connect_to_read(log, "shares")
    reader = ShareWindows(connection, chunk_rows=4, kept_chunks=3)
    list(reader.pot("pool").chunks(30))
    statements: list[str] = []
    connection.set_trace_callback(statements.append)
    chunks = reader.pot("pool").chunks(27)
    for _ in range(3):
        next(chunks)
    assert statements == []


def test_nothing_is_prepared_of_an_empty_log(tmp_path: Path) -> None:
    reader = ShareWindows(connect(tmp_path, "shares"))
    reader.prepare()
    assert list(reader.pot("pool").chunks(0)) == []
    assert reader.share_at(10**15) == 0


def test_a_chunk_that_lost_all_its_shares_is_left_out(tmp_path: Path) -> None:
    connection = connect(tmp_path, "shares")
    connection.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('share', 100)")
    ShareStore(connection, 0).write([share(1)], {})
    chunks = list(ShareWindows(connection, chunk_rows=8).pot("pool").chunks(101))
    assert [(chunk.first_id, chunk.last_id) for chunk in chunks] == [(96, 101)]
    connection.close()


def test_the_newest_share_at_a_moment_is_found(log: Path) -> None:
    reader = ShareWindows(connect_to_read(log, "shares"))
    assert (reader.share_at(1010), reader.share_at(9999), reader.share_at(1000)) == (10, 30, 0)


def test_found_blocks_come_in_order_behind_the_last_one(log: Path) -> None:
    writer = connect(log, "shares")
    store = ShareStore(writer, 0)
    for name in ("aa", "bb"):
        found = Found(name, "00", 9, "m1", "w", "addr", 5, "file")
        store.write([share(1, block_hash=name)], {name: found})
    reader = ShareWindows(connect_to_read(log, "shares"))
    assert reader.found_since(0) == [
        FoundBlock(1, "aa", 31, 9, "m1", 5),
        FoundBlock(2, "bb", 32, 9, "m1", 5),
    ]
    assert reader.found_since(1) == [FoundBlock(2, "bb", 32, 9, "m1", 5)]
    writer.close()
