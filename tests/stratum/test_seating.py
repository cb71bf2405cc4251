"""A miner whose session goes on elsewhere moves to another extranonce1, if it asked to be told of such."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stratum.effects import Credit
from stratum.session import Session
from tests.stratum.fakes import easier, find_nonce, hash_value, header_of, job, line, lines
from tests.stratum.test_returning import Front, authorize, say, submit, subscribe

TELL_ME = line("mining.extranonce.subscribe")


def mining(front: Front, *first: bytes) -> tuple[Session, str]:
    """A miner at work that asked to be told, and its session id."""
    session = front.connect()
    session_id, _ = subscribe(session)
    say(session, b"".join(first) or TELL_ME)
    authorize(session)
    return session, session_id


def new_job(front: Front, session: Session, name: str, now: float) -> list[dict[str, Any]]:
    return lines(session.offer(front.board.post(job(name), now), now))


def found(session: Session, notified: list[Any], extranonce1: str, now: float, start: int = 0) -> Any:
    """What becomes of the first share from this nonce on that this extranonce1 has for the job."""
    posted = session._board.find(notified[0])
    assert posted is not None
    nonce = find_nonce(notified, extranonce1, easier(session.steering.target_for(posted)), start=start)
    (effect,) = session.receive(submit(session, nonce, name=notified[0]), now, 0)
    if isinstance(effect, Credit):
        header = header_of(notified, extranonce1, "00" * 8, notified[7], nonce, int(notified[5], 16))
        assert int.from_bytes(effect.digest, "little") == hash_value(header)
    return effect


def test_it_moves_with_its_next_job_and_is_told_right_before_it() -> None:
    front = Front()
    before, session_id = mining(front)
    after = front.connect()
    _, extranonce1 = subscribe(after, session_id)
    assert before.broken is None
    assert before.extranonce1.hex() != extranonce1 == after.extranonce1.hex()
    moved, notified = new_job(front, before, "2", 1)
    assert (moved["method"], moved["id"]) == ("mining.set_extranonce", None)
    assert moved["params"] == [before.extranonce1.hex(), 8]
    assert (notified["params"][0], notified["params"][8]) == ("2", True)
    (again,) = new_job(front, before, "3", 2)
    assert again["params"][8] is False


def test_jobs_from_before_are_judged_with_the_extranonce1_from_before() -> None:
    front = Front()
    before, session_id = mining(front)
    first = lines(front.board.find("1").notify)[0]["params"]  # type: ignore[union-attr]
    old = before.extranonce1.hex()
    subscribe(front.connect(), session_id)
    # between the take-over and the next job nothing has changed for the miner
    assert isinstance(found(before, first, old, 0.5), Credit)
    second = new_job(front, before, "2", 1)[-1]["params"]
    assert isinstance(found(before, second, before.extranonce1.hex(), 2), Credit)
    assert isinstance(found(before, first, old, 2, start=1000), Credit)


def test_after_two_moves_each_job_has_the_extranonce1_that_it_was_told_with() -> None:
    front = Front()
    session, _ = mining(front)
    told, seats = [lines(front.board.find("1").notify)[0]["params"]], [session.extranonce1.hex()]  # type: ignore[union-attr]
    for number in (2, 3):
        assert session._seating.give_way()
        told.append(new_job(front, session, str(number), number)[-1]["params"])
        seats.append(session.extranonce1.hex())
    assert len(set(seats)) == 3
    for job_of, extranonce1 in zip(told, seats, strict=True):
        assert isinstance(found(session, job_of, extranonce1, 4), Credit)


@pytest.mark.parametrize(
    "asked", [TELL_ME, line("mining.configure", ["subscribe-extranonce"]), TELL_ME + TELL_ME]
)
def test_it_may_ask_in_either_way(asked: bytes) -> None:
    front = Front()
    before, session_id = mining(front, asked)
    subscribe(front.connect(), session_id)
    assert before.broken is None


def test_two_machines_with_one_session_id_do_not_throw_each_other_out_for_ever() -> None:
    front = Front()
    first, session_id = mining(front)
    for turn in range(4):
        second = front.connect()
        subscribe(second, session_id)
        say(second, TELL_ME)
        authorize(second)
        new_job(front, first, str(turn + 2), turn)
        assert first.broken is None
        assert first.extranonce1 != second.extranonce1
        first = second


def test_both_go_on_at_the_difficulty_that_they_had_and_then_each_at_its_own() -> None:
    front = Front()
    before, session_id = mining(front)
    after = front.connect()
    subscribe(after, session_id)
    authorize(after)
    assert before.steering is not after.steering
    assert before.steering.told == after.steering.told
    say(before, line("mining.suggest_difficulty", 0.5))
    assert [each["method"] for each in new_job(front, before, "2", 1)] == [
        "mining.set_extranonce",
        "mining.set_difficulty",
        "mining.notify",
    ]
    assert after.steering.told != before.steering.told


def test_a_small_extranonce2_stays_small_where_it_moves() -> None:
    front = Front()
    before = front.connect()
    reply = say(before, line("mining.subscribe", "NerdMinerV2"))[0]["result"]
    say(before, TELL_ME)
    authorize(before)
    subscribe(front.connect(), reply[0][1][1])
    moved = new_job(front, before, "2", 1)[0]["params"]
    assert moved == [before.extranonce1.hex() + "00" * 4, 4]


def test_when_no_extranonce1_is_left_the_old_connection_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    front = Front()
    before, session_id = mining(front)
    after = front.connect()
    monkeypatch.setattr("stratum.extranonce._SUFFIXES", 1)
    subscribe(after, session_id)
    assert before.broken is not None


steps = st.lists(
    st.tuples(st.sampled_from(("connect", "subscribe", "leave", "ask", "job")), st.integers(0, 9)),
    max_size=40,
)


@given(steps)
def test_however_sessions_are_taken_over_no_two_live_miners_share_an_extranonce1(
    moves: list[tuple[str, int]],
) -> None:
    front = Front()
    live: list[Session] = []
    ids = ["00" * 16]
    for count, (what, number) in enumerate(moves):
        chosen = live[number % len(live)] if live else front.connect()
        if what == "connect":
            live.append(front.connect())
        elif what == "leave" and live:
            live.remove(chosen)
            chosen.leave(count)
        elif what == "job":
            posted = front.board.post(job(f"j{count}"), count)
            for each in live:
                each.offer(posted, count)
        elif chosen.broken is None and what == "subscribe":
            ids.append(subscribe(chosen, ids[number % len(ids)], count)[0])
            authorize(chosen, count)
        elif chosen.broken is None:
            say(chosen, TELL_ME, count)
        seats = [each.extranonce1 for each in live if each.broken is None]
        assert len(seats) == len(set(seats))
