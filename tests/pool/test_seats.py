"""Seats over a planned restart: handed over once, to their owner alone, with the time that is left."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest

from pool import seats
from stratum.returning import KeptSeat

SEAT = KeptSeat("00" * 16, "00000001", "1/3", 600.0)


def test_seats_are_taken_once_with_the_time_that_is_left(tmp_path: Path) -> None:
    path = seats.path_of(tmp_path, 3)
    seats.write(path, [SEAT, attrs.evolve(SEAT, left_s=10.0)], now_s=1000.0)
    assert path.stat().st_mode & 0o777 == 0o600
    assert seats.take(path, now_s=1020.0) == [attrs.evolve(SEAT, left_s=580.0)]
    assert seats.take(path, now_s=1020.0) == []


def test_a_clock_that_was_set_back_gives_nobody_more_time(tmp_path: Path) -> None:
    path = seats.path_of(tmp_path, 0)
    seats.write(path, [SEAT], now_s=1000.0)
    assert seats.take(path, now_s=1.0) == [SEAT]


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"written_s": "x", "seats": []}', '{"written_s": 1, "seats": [{}]}']
)
def test_a_broken_file_keeps_no_front_from_starting(tmp_path: Path, text: str) -> None:
    path = seats.path_of(tmp_path, 0)
    path.write_text(text, encoding="utf-8")
    assert seats.take(path, now_s=1.0) == []


def test_a_disk_that_refuses_keeps_no_front_from_stopping(tmp_path: Path) -> None:
    path = seats.path_of(tmp_path / "gone", 0)
    seats.write(path, [SEAT], now_s=1.0)
    assert not path.exists()
