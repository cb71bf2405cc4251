"""Sums of the share log that are kept on disk: used again as long as they are right, and never else."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pool import shares as shares_module
from pool.rewards.recount import RawShare, recount
from pool.shares import Chunk, Slice, chunk_of, cut, weights
from pool.store.chunk_sums import ChunkSums
from pool.store.database import connect
from pool.store.shares import ShareStore
from pool.store.windows import ShareWindows
from stratum.ports import Share
from stratum.units import Height, Target

NBITS = 0x207FFFFF
BLOCK = Target(0x7FFFFF << 232)


def share(number: int) -> Share:
    target = Target(BLOCK // (1 + number % 3))
    return Share(f"m{number % 4}", "w", target, NBITS, Height(9), 1_000 + number, "1")


class Place:
    """A log, and books; counts how often shares are summed."""

    def __init__(self, directory: Path, numbers: Iterable[int] = range(1, 31)) -> None:
        self.shares, self.books = connect(directory, "shares"), connect(directory, "ledger")
        ShareStore(self.shares, 0).write([share(number) for number in numbers], {})
        self.sums = 0
        self.shares.set_trace_callback(self._count)

    def _count(self, statement: str) -> None:
        self.sums += "GROUP BY" in statement

    def reader(self, kept_chunks: int = 48) -> ShareWindows:
        return ShareWindows(self.shares, ChunkSums(self.books), chunk_rows=8, kept_chunks=kept_chunks)

    def prepared(self) -> ShareWindows:
        reader = self.reader()
        for _ in range(4):
            reader.prepare()
        self.sums = 0
        return reader

    def chunks(self, reader: ShareWindows) -> Sequence[tuple[int, int, object, int]]:
        found = list(reader.pot("pool").chunks(23))
        return [(each.first_id, each.last_id, each.counts, each.oldest_id) for each in found]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_a_restarted_book_sums_nothing_again(place: Place) -> None:
    before = place.chunks(place.prepared())
    assert place.chunks(place.reader()) == before
    assert place.sums == 0
    unsaved = ShareWindows(place.shares, chunk_rows=8)
    assert place.chunks(unsaved) == before
    assert place.sums == 3


def test_what_a_block_had_to_sum_is_kept_at_the_next_step(place: Place) -> None:
    reader = place.reader()
    before = place.chunks(reader)
    assert place.sums == 3
    reader.prepare()
    assert place.chunks(place.reader()) == before
    assert place.sums == 3


@pytest.mark.parametrize(
    "spoil",
    [
        "UPDATE chunk_sum SET body = CAST(replace(CAST(body AS TEXT), '\"m1\":', '\"m9\":') AS BLOB)",
        "UPDATE chunk_sum SET body = 'no sum at all'",
        "UPDATE chunk_sum SET crc = crc + 1",
        "DELETE FROM chunk_sum",
    ],
)
def test_a_spoilt_sum_is_as_if_it_were_not_there(place: Place, spoil: str) -> None:
    before = place.chunks(place.prepared())
    assert place.books.execute(spoil).rowcount == 3
    assert place.chunks(place.reader()) == before
    assert place.sums == 3


def test_sums_of_a_log_that_an_older_copy_took_the_place_of_are_not_used(
    place: Place, tmp_path: Path
) -> None:
    place.prepared()
    other = Place(tmp_path / "restored", [*range(1, 13), *range(113, 131)])
    other.books = place.books
    found = other.chunks(other.reader())
    assert other.sums == 2  # the chunk of ids 0 to 7 is still the same
    assert found == other.chunks(ShareWindows(other.shares, chunk_rows=8))


def test_sums_that_no_window_reaches_are_forgotten(place: Place) -> None:
    reader = place.reader(kept_chunks=2)
    for _ in range(3):
        reader.prepare()
    ShareStore(place.shares, 0).write([share(number) for number in range(31, 50)], {})
    for _ in range(3):
        reader.prepare()
    kept = place.books.execute("SELECT first_id FROM chunk_sum ORDER BY first_id").fetchall()
    assert kept == [(24,), (32,), (40,)][-len(kept) :]
    assert len(kept) == 2


def test_a_sum_that_cannot_be_kept_because_somebody_else_writes_is_kept_later(
    place: Place, tmp_path: Path
) -> None:
    payer = connect(tmp_path, "ledger")
    payer.execute("BEGIN IMMEDIATE")
    reader = place.reader()
    reader.prepare()
    assert place.books.execute("SELECT count(*) FROM chunk_sum").fetchone() == (0,)
    payer.execute("COMMIT")
    for _ in range(3):
        reader.prepare()
    assert place.books.execute("SELECT count(*) FROM chunk_sum").fetchone() == (3,)
    assert place.sums == 3


def test_a_book_that_is_in_the_middle_of_something_is_told_so(place: Place) -> None:
    place.books.execute("BEGIN IMMEDIATE")
    with pytest.raises(sqlite3.OperationalError):
        place.reader().prepare()


SHARES = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from([BLOCK, Target(BLOCK // 2), Target(BLOCK // 5)])),
    min_size=1,
    max_size=40,
)


@given(SHARES, st.integers(1, 60), st.integers(1, 9))
def test_halving_the_borders_chunk_cuts_the_same_window(
    log: Sequence[tuple[str, Target]], numerator: int, small: int
) -> None:
    slices = [Slice(name, NBITS, target, 1, at, at) for at, (name, target) in enumerate(log, 1)]
    raw = [RawShare(each.first_id, each.account, each.nbits, each.target) for each in reversed(slices)]

    def part(last_id: int, after_id: int) -> list[Chunk]:
        return [chunk_of(after_id + 1, last_id, slices[after_id:last_id])] if last_id > after_id else []

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shares_module, "SMALL", small)
        size = Fraction(numerator, 3)
        window = cut(
            part(len(log), 0),
            lambda first, last: iter(slices[first - 1 : last][::-1]),
            size,
            len(log),
            None,
            part,
        )
    walked = recount(iter(raw), size)
    by_account, denominator = weights(window)
    scores = {name: Fraction(weight, denominator) for name, weight in by_account.items()}
    assert (scores, window.full) == (walked.scores, walked.full)
    assert (window.border and (window.border.share_id, window.border.part)) == walked.border
    assert window.first_id == walked.first_id
