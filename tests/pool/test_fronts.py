"""Several fronts: each has a name, a front id and a part of the limits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pool import fronts
from pool.config import Config, parse
from pool.errors import ConfigError


def config(processes: int, front_id: int = 0) -> Config:
    return parse({"stratum": {"processes": processes, "front_id": front_id}}, "test")


def test_one_front_is_called_by_its_role_and_several_by_their_numbers() -> None:
    assert fronts.commands(config(1), ["--role"]) == {"front": ["--role", "front", "--number", "0"]}
    assert list(fronts.commands(config(3), ["--role"])) == ["front-0", "front-1", "front-2"]


def test_each_front_has_an_id_of_its_own_and_a_part_of_the_limits() -> None:
    given = [fronts.of_process(config(4, 12), number).stratum for number in range(4)]
    assert [each.front_id for each in given] == [12, 13, 14, 15]
    assert {each.max_connections for each in given} == {2_700}
    assert fronts.of_process(config(1), 0) == config(1)


@pytest.mark.parametrize("number", [-1, 2])
def test_a_number_that_no_front_has_is_refused_with_those_that_there_are(number: int) -> None:
    with pytest.raises(ConfigError, match="numbers go from 0 to 1"):
        fronts.of_process(config(2), number)


def test_locks_have_the_front_id_that_two_pools_of_one_store_must_not_share() -> None:
    assert fronts.locks(config(1, 9)) == {"front": "front-9"}
    assert fronts.locks(config(2, 9)) == {"front-0": "front-9", "front-1": "front-10"}


@given(st.integers(1, 100_000), st.integers(1, 32))
def test_the_parts_of_a_limit_make_at_least_the_whole_and_none_is_more(limit: int, processes: int) -> None:
    part = fronts.share_of(limit, processes)
    assert part <= limit <= part * processes


@pytest.mark.parametrize(("front_id", "processes"), [(255, 2), (250, 32)])
def test_front_ids_that_do_not_fit_a_byte_are_a_mistake_that_is_named(front_id: int, processes: int) -> None:
    with pytest.raises(ConfigError, match=f"front_id = {front_id} and processes = {processes} need"):
        config(processes, front_id)
