"""The place where a test's fronts keep seats keeps the promises of the real one; and a front may be alone."""

from __future__ import annotations

import pytest

from stratum.elsewhere import Alone, KeptSeat
from tests.contracts.seats import ID, SEAT, SeatsContract
from tests.stratum.elsewhere import FakeElsewhere, Place


class Rig:
    def __init__(self) -> None:
        self.place = Place()

    def front(self, front_id: int) -> FakeElsewhere:
        return FakeElsewhere(self.place, front_id)

    def wait(self, seconds: float) -> None:
        self.place.now += seconds


class TestFake(SeatsContract):
    @pytest.fixture
    def rig(self) -> Rig:
        return Rig()


def test_a_front_that_is_alone_keeps_nothing_for_anybody() -> None:
    alone = Alone()
    alone.keep([SEAT])
    alone.keep_soon(SEAT)
    alone.let_go(ID)
    assert alone.claim(ID, "pool") is None
    assert (list(alone.lent()), list(alone.returned())) == ([], [])


def test_a_session_id_does_not_show() -> None:
    assert "ab" * 8 not in repr(KeptSeat(b"\xab" * 16, bytes(4), None, 1.0))
    assert "\\xab" not in repr(KeptSeat(b"\xab" * 16, bytes(4), None, 1.0))
