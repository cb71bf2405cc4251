"""A connection's difficulty over its jobs, without the conversation around it."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from stratum.board import Board, Posted
from stratum.options import Options
from stratum.steering import Steering
from stratum.units import Difficulty, target_from_difficulty
from tests.stratum.fakes import job, lines

START: Any = Fraction(1, 4)
OPTIONS = Options(start_difficulty=START, minimum_difficulty=Difficulty(Fraction(1, 2**40)))


def told(data: bytes) -> list[float]:
    return [each["params"][0] for each in lines(data) if each["method"] == "mining.set_difficulty"]


def test_silence_eases_the_difficulty_with_the_next_jobs() -> None:
    board, steering = Board(), Steering(OPTIONS)
    steering.offer(board.post(job("1"), 0), 0)
    heard = [told(steering.offer(board.post(job(str(n)), n * 30), n * 30)) for n in range(2, 8)]
    values = [value for each in heard for value in each]
    assert values[0] < START
    assert values == sorted(values, reverse=True)
    assert len(values) >= 2


def test_nothing_is_urgent_before_the_first_job_or_at_the_network_s_difficulty() -> None:
    board, steering = Board(), Steering(OPTIONS)
    steering.shares = 10_000
    assert not steering.is_urgent(100)
    top = Steering(Options(start_difficulty=Difficulty(Fraction(1000)), minimum_difficulty=START))
    top.offer(board.post(job("1"), 0), 0)
    top.shares = 10_000
    assert not top.is_urgent(100)


suggestions = st.lists(st.tuples(st.integers(-8, 0), st.booleans()), max_size=14)


@given(suggestions)
def test_a_job_is_judged_at_the_easiest_difficulty_since_it_went_out(changes: list[tuple[int, bool]]) -> None:
    board, steering = Board(), Steering(OPTIONS)
    sent: list[tuple[Posted, int]] = []
    held: list[Fraction] = []
    now = 0.0
    for number, (power, wished) in enumerate([(-2, True), *changes]):
        if wished:
            steering.suggest(Difficulty(Fraction(2) ** power))
        posted = board.post(job(str(number)), now)
        heard = told(steering.offer(posted, now))
        held.append(Fraction(heard[0]) if heard else held[-1])
        sent.append((posted, len(held) - 1))
        now += 0.01
    # older ones than the last eight changes are not kept track of; no job counts for so long
    for posted, at in sent[-8:]:
        easiest = min(held[at:])
        assert steering.target_for(posted) == target_from_difficulty(Difficulty(easiest))
