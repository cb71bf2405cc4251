"""What every place for seats promises the fronts, whether it is a file of the store or a test's own.

Subclass ``SeatsContract`` in a ``Test…`` class and give it the fixture ``rig``.
"""

from __future__ import annotations

from typing import Protocol

import attrs

from stratum.elsewhere import Elsewhere, KeptSeat

ID, OTHER_ID = bytes(15) + b"\x01", bytes(15) + b"\x02"
SEAT = KeptSeat(ID, bytes.fromhex("07000001"), "1/3", 600.0)
OTHER = KeptSeat(OTHER_ID, bytes.fromhex("07000002"), None, 300.0, "solo")


class Rig(Protocol):
    """The place."""

    def front(self, front_id: int) -> Elsewhere:
        """What a front that has just started sees."""
        ...

    def wait(self, seconds: float) -> None:
        """Time passes for everybody."""
        ...


class SeatsContract:
    """See the module."""

    def test_a_seat_is_claimed_once_by_whoever_asks_first_with_the_time_that_is_left(self, rig: Rig) -> None:
        home, sibling, third = (rig.front(number) for number in (7, 8, 9))
        home.keep([SEAT, OTHER])
        rig.wait(100)
        found = sibling.claim(ID, "pool")
        assert found is not None
        assert attrs.evolve(found, left_s=0) == attrs.evolve(SEAT, left_s=0)
        assert abs(found.left_s - 500) < 1
        assert third.claim(ID, "pool") is home.claim(ID, "pool") is None

    def test_nobody_claims_what_is_of_another_pot_over_or_unknown(self, rig: Rig) -> None:
        home = rig.front(7)
        home.keep([SEAT, OTHER])
        assert home.claim(OTHER_ID, "pool") is None
        assert home.claim(bytes(16), "pool") is None
        rig.wait(300)
        assert home.claim(OTHER_ID, "solo") is None
        assert home.claim(ID, "pool") is not None

    def test_a_value_returns_to_its_front_once_when_nobody_can_come_back_to_it(self, rig: Rig) -> None:
        home, sibling = rig.front(7), rig.front(8)
        home.keep([SEAT, OTHER])
        assert sibling.claim(ID, "pool") is not None
        rig.wait(700)
        assert list(sibling.returned()) == []
        assert list(home.returned()) == [OTHER.extranonce1]
        sibling.let_go(ID)
        assert list(home.returned()) == [SEAT.extranonce1]
        assert list(home.returned()) == []

    def test_a_lent_seat_that_is_left_again_can_be_claimed_again(self, rig: Rig) -> None:
        home, sibling = rig.front(7), rig.front(8)
        home.keep([SEAT])
        assert sibling.claim(ID, "pool") is not None
        rig.wait(700)
        sibling.keep_soon(SEAT)
        rig.wait(1)
        assert home.claim(ID, "pool") is not None
        assert list(home.returned()) == []

    def test_a_front_that_starts_knows_what_is_out_of_its_own(self, rig: Rig) -> None:
        rig.front(7).keep([SEAT, OTHER])
        assert rig.front(8).claim(ID, "pool") is not None
        assert set(rig.front(7).lent()) == {SEAT.extranonce1, OTHER.extranonce1}
        assert list(rig.front(9).lent()) == []

    def test_who_sat_at_a_front_that_died_may_come_back_to_any(self, rig: Rig) -> None:
        home, sibling = rig.front(7), rig.front(8)
        home.keep([SEAT])
        assert sibling.claim(ID, "pool") is not None
        rig.wait(700)
        assert list(rig.front(8).lent()) == []
        assert home.claim(ID, "pool") is not None
