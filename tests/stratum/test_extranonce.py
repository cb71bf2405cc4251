"""No two live connections ever share an extranonce1."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stratum import extranonce
from stratum.errors import StratumError
from stratum.extranonce import Extranonces


def test_the_first_byte_is_the_fronts_id() -> None:
    assert Extranonces(0xAB).take() == b"\xab\x00\x00\x00"
    assert len(Extranonces(0).take()) == 4


@pytest.mark.parametrize("front_id", [-1, 256])
def test_a_front_id_outside_a_byte_is_refused(front_id: int) -> None:
    with pytest.raises(ValueError, match="byte"):
        Extranonces(front_id)


@given(st.lists(st.booleans(), max_size=60))
def test_live_values_are_unique_whatever_comes_and_goes(moves: list[bool]) -> None:
    values, live = Extranonces(7), []
    for arrives in moves:
        if arrives:
            taken = values.take()
            assert taken not in live
            live.append(taken)
        elif live:
            values.give_back(live.pop(0))


def test_a_value_given_back_is_not_the_next_one_out() -> None:
    values = Extranonces(1)
    first = values.take()
    values.give_back(first)
    values.give_back(first)
    assert values.take() != first


def test_values_wrap_around_past_the_live_ones_until_none_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extranonce, "_SUFFIXES", 3)
    values = Extranonces(0)
    first, second, _third = values.take(), values.take(), values.take()
    with pytest.raises(StratumError, match="in use"):
        values.take()
    values.give_back(second)
    assert values.take() == second
    values.give_back(first)
    assert values.take() == first
