"""Seats in a file that fronts share: taken once, secret, and never worth an error."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from twisted.internet.task import Clock

from pool import seats
from pool.seats import PART, SOON_S, SharedSeats
from pool.store.seats import SeatStore, path_of
from stratum.elsewhere import KeptSeat
from tests.contracts.seats import ID, SEAT, SeatsContract


class Rig:
    """Fronts on one file, whose wall clock is the reactor's."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.clock = Clock()
        self.clock.advance(1_700_000_000)
        self.fronts: list[SharedSeats] = []

    def front(self, front_id: int) -> SharedSeats:
        found = seats.shared(self.directory, front_id, self.clock, self.clock.seconds, siblings=True)
        assert found is not None
        self.fronts.append(found)
        return found

    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(tmp_path)
    yield rig
    for front in rig.fronts:
        front.close()


class TestFile(SeatsContract):
    """See the contract."""


def test_the_file_is_its_user_s_alone_and_names_no_session(rig: Rig) -> None:
    front = rig.front(7)
    front.keep([SEAT, KeptSeat(b"\xab" * 16, bytes(4), None, 600.0)])
    for path in rig.directory.glob("seats.db*"):
        assert path.stat().st_mode & 0o777 == 0o600
        assert b"\xab" * 16 not in path.read_bytes()


def test_seats_of_connections_that_are_lost_together_are_written_together_in_a_moment(rig: Rig) -> None:
    home, sibling = rig.front(7), rig.front(8)
    home.keep_soon(SEAT)
    assert sibling.claim(ID, "pool") is None
    assert home.claim(ID, "solo") is None
    rig.wait(SOON_S)
    assert sibling.claim(ID, "pool") is not None
    home.keep_soon(SEAT)
    assert home.claim(ID, "pool") is SEAT
    rig.wait(SOON_S)
    assert rig.front(9).claim(ID, "pool") is None


def test_a_clock_that_was_set_back_gives_nobody_more_time(rig: Rig) -> None:
    front = rig.front(7)
    front.keep([SEAT])
    rig.clock.rightNow -= 5_000
    found = front.claim(ID, "pool")
    assert found is not None
    assert found.left_s == 600.0


def test_ten_thousand_seats_are_kept_in_parts(rig: Rig) -> None:
    many = [KeptSeat(n.to_bytes(16, "big"), n.to_bytes(4, "big"), None, 600.0) for n in range(2 * PART + 1)]
    rig.front(0).keep(many)
    assert len(rig.front(0).lent()) == 2 * PART + 1


def test_a_damaged_file_gives_way_to_a_new_one(tmp_path: Path) -> None:
    path_of(tmp_path).write_bytes(b"no database" * 100)
    rig = Rig(tmp_path)
    rig.front(7).keep([SEAT])
    assert rig.front(8).claim(ID, "pool") is not None
    for front in rig.fronts:
        front.close()


def test_a_place_that_cannot_be_had_keeps_no_front_from_starting(tmp_path: Path) -> None:
    assert seats.shared(tmp_path / "gone", 7, Clock(), lambda: 0.0, siblings=True) is None


def test_a_sibling_that_has_stalled_costs_a_seat_and_not_the_front(rig: Rig, tmp_path: Path) -> None:
    front = rig.front(7)
    stalled = sqlite3.connect(path_of(tmp_path), isolation_level=None)
    stalled.execute("BEGIN IMMEDIATE")
    front.keep([SEAT])
    front.let_go(ID)
    assert front.claim(ID, "pool") is None
    assert (list(front.lent()), list(front.returned())) == ([], [])
    stalled.close()
    assert front.claim(ID, "pool") is None


def test_rows_of_fronts_that_are_no_more_go_in_the_end(rig: Rig) -> None:
    rig.front(200).keep([KeptSeat(ID, bytes.fromhex("c8000001"), None, 600.0)])
    other = rig.front(7)
    rig.wait(10_000)
    other.returned()
    store = SeatStore(rig.directory, 200)
    assert store.lent(0.0) == []
    store.close()
