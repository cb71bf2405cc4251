"""Whoever comes back within ten minutes finds its seat; whoever comes back later, its difficulty."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stratum import returning as returning_module
from stratum.board import Board
from stratum.effects import Credit, FreshJob
from stratum.extranonce import Extranonces
from stratum.options import Options
from stratum.ports import Solution
from stratum.returning import RESUME_S, Returning
from stratum.session import Session
from stratum.units import Difficulty
from tests.stratum.elsewhere import FakeElsewhere, Place
from tests.stratum.fakes import NTIME, REGTEST_NBITS, FakeAuthorizer, easier, find_nonce, job, line, lines

TINY: Any = Fraction(1, 2**28)
EASY = Options(start_difficulty=TINY, minimum_difficulty=Difficulty(Fraction(1, 2**40)))


class Front:
    """A board and the seats of its miners; session ids count up, with the front's id in front."""

    def __init__(self, front_id: int = 7, place: Place | None = None, *, siblings: bool = True) -> None:
        self.board = Board()
        self.board.post(job(), 0)
        self.tokens = 0
        self.front_id = front_id
        self.returning = Returning(Extranonces(front_id), self.token)
        if place is not None:
            self.returning.share(FakeElsewhere(place, front_id, siblings=siblings))

    def token(self, size: int) -> bytes:
        self.tokens += 1
        return (self.tokens + (self.front_id - 7 << 64)).to_bytes(size, "big", signed=True)

    def connect(self, options: Options = EASY) -> Session:
        return Session(options, self.board, FakeAuthorizer(), self.returning.take(), self.returning)


def say(session: Session, data: bytes, now: float = 0) -> list[Any]:
    """What comes back, lines parsed."""
    found: list[Any] = []
    for effect in session.receive(data, now, 0):
        found += lines(effect) if isinstance(effect, bytes) else [effect]
    return found


def subscribe(session: Session, session_id: str | None = None, now: float = 0) -> tuple[str, str]:
    """The session id and extranonce1 that the miner is told."""
    params = ["cgminer/4.11.1"] if session_id is None else ["cgminer/4.11.1", session_id]
    reply = say(session, line("mining.subscribe", *params), now)[0]["result"]
    return reply[0][1][1], reply[1]


def authorize(session: Session, now: float = 0, password: str = "x") -> list[Any]:
    return say(session, line("mining.authorize", "bob.rig", password), now)


def submit(session: Session, nonce: str, now: float = 0, name: str = "1") -> bytes:
    return line("mining.submit", "bob.rig", name, "00" * 8, f"{NTIME:08x}", nonce)


def test_a_session_id_is_of_128_bits_and_nobody_else_s() -> None:
    front = Front()
    (first, _), (second, _) = subscribe(front.connect()), subscribe(front.connect())
    assert len(first) == len(second) == 32
    assert first != second


def test_a_miner_that_comes_back_within_ten_minutes_has_its_extranonce1_and_a_job_it_has_not_seen() -> None:
    front = Front()
    before = front.connect()
    session_id, extranonce1 = subscribe(before)
    authorize(before)
    before.leave(10)
    after = front.connect()
    assert subscribe(after, session_id, 10 + RESUME_S - 1) == (session_id, extranonce1)
    reply, fresh = authorize(after, 10 + RESUME_S - 1)
    assert reply["result"] is True
    assert fresh == FreshJob()
    extra = front.board.post_extra(job("extra"))
    assert extra is not None
    told, notified = lines(after.offer(extra, 10 + RESUME_S - 1))
    assert told["params"] == [float(TINY)]
    assert (notified["params"][0], notified["params"][8]) == ("extra", True)


def test_a_share_that_was_on_its_way_counts_on_the_resumed_session() -> None:
    front = Front()
    before = front.connect()
    session_id, extranonce1 = subscribe(before)
    notified = authorize(before)[-1]["params"]
    before.leave(1)
    after = front.connect()
    subscribe(after, session_id, 2)
    authorize(after, 2)
    nonce = find_nonce(notified, extranonce1, easier(after.steering.target_for(front.board.find("1"))))  # type: ignore[arg-type]
    (credit,) = say(after, submit(after, nonce), 3)
    assert credit.share.account == "bob"


def test_a_block_that_came_meanwhile_is_the_first_job_of_a_resumed_session() -> None:
    front = Front()
    before = front.connect()
    session_id, _ = subscribe(before)
    authorize(before)
    before.leave(1)
    posted = front.board.post(job("2", tip=2), 2)
    after = front.connect()
    subscribe(after, session_id, 3)
    assert authorize(after, 3)[-1] == FreshJob()
    assert [each["method"] for each in lines(after.offer(posted, 3))] == [
        "mining.set_difficulty",
        "mining.notify",
    ]


def test_after_ten_minutes_it_is_a_stranger() -> None:
    front = Front()
    before = front.connect()
    session_id, extranonce1 = subscribe(before)
    authorize(before)
    before.leave(10)
    found = subscribe(front.connect(), session_id, 10 + RESUME_S)
    assert found[0] != session_id
    assert found[1] != extranonce1


def test_the_old_connection_is_broken_when_its_session_goes_on_elsewhere() -> None:
    front = Front()
    before, after = front.connect(), front.connect()
    session_id, extranonce1 = subscribe(before)
    authorize(before)
    assert subscribe(after, session_id) == (session_id, extranonce1)
    assert before.broken == "the session goes on over another connection"
    assert before.overstays(0, 0) == before.broken
    assert say(before, line("mining.ping")) == []
    assert before.offer(front.board.post(job("2"), 1), 1) == b""
    before.leave(2)
    # what the old connection leaves behind is not the new one's seat
    assert subscribe(front.connect(), session_id, 3)[1] == extranonce1
    assert after.broken is not None


@pytest.mark.parametrize("session_id", ["00" * 16, "ff" * 16, "x" * 32, "00000001", ""])
def test_a_session_id_that_was_not_given_out_opens_nothing(session_id: str) -> None:
    front = Front()
    found = subscribe(front.connect(), session_id)
    assert found == ("00" * 15 + "01", "07000000")


def test_whoever_never_authorized_or_was_broken_keeps_no_seat() -> None:
    front = Front()
    lurker, rude = front.connect(), front.connect()
    ids = [subscribe(lurker)[0], subscribe(rude)[0]]
    authorize(rude)
    rude.broken = "too many malformed requests"
    lurker.leave(1)
    rude.leave(1)
    assert [subscribe(front.connect(), each, 2)[0] in ids for each in ids] == [False, False]


def test_the_seats_that_are_kept_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(returning_module, "MOST_AWAY", 1)
    front = Front()
    sessions = [front.connect(), front.connect()]
    ids = [subscribe(each)[0] for each in sessions]
    for each in sessions:
        authorize(each)
        each.leave(1)
    assert subscribe(front.connect(), ids[0], 2)[0] != ids[0]
    assert subscribe(front.connect(), ids[1], 2)[0] == ids[1]


def test_a_seat_that_is_kept_makes_room_when_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stratum.extranonce._SUFFIXES", 1)
    front = Front()
    before = front.connect()
    session_id, extranonce1 = subscribe(before)
    authorize(before)
    before.leave(1)
    after = front.connect()
    assert after.extranonce1.hex() == extranonce1
    assert subscribe(after, session_id, 2)[0] != session_id


def worked(front: Front, options: Options = EASY, password: str = "x") -> Session:
    """A session that sent a share at the difficulty that it suggested, and left."""
    session = front.connect(options)
    _, extranonce1 = subscribe(session)
    notified = authorize(session, 0, password)[-1]["params"]
    posted = front.board.find("1")
    assert posted is not None
    nonce = find_nonce(notified, extranonce1, easier(session.steering.target_for(posted)))
    assert len(say(session, submit(session, nonce), 1)) == 1
    session.leave(2)
    return session


def test_a_worker_starts_where_its_last_connection_ended() -> None:
    front = Front()
    first = front.connect()
    subscribe(first)
    wish = Fraction(1, 2**27)
    say(first, line("mining.suggest_difficulty", float(wish)))
    notified = authorize(first)[-1]["params"]
    posted = front.board.find("1")
    assert posted is not None
    nonce = find_nonce(notified, first.extranonce1.hex(), easier(first.steering.target_for(posted)))
    say(first, submit(first, nonce), 1)
    first.leave(2)
    again = front.connect()
    subscribe(again, None, 3)
    assert authorize(again, 3)[1]["params"] == [float(wish)]
    # hearing the same suggestion again is no new wish; another one is
    say(again, line("mining.suggest_difficulty", float(wish)), 3)
    assert len(lines(again.offer(front.board.post(job("2"), 4), 4))) == 1
    other = front.connect()
    subscribe(other, None, 5)
    say(other, line("mining.suggest_difficulty", float(TINY)), 5)
    assert authorize(other, 5)[1]["params"] == [float(TINY)]


def test_a_difficulty_is_remembered_only_if_shares_came_and_the_miner_had_not_fixed_it() -> None:
    front = Front()
    silent = front.connect()
    subscribe(silent)
    authorize(silent)
    silent.leave(1)
    key = ("bob", "rig", "cgminer/4.11.1", EASY.start_difficulty)
    assert front.returning.memory.recall(key, 2) is None
    worked(front, password=f"d={float(TINY)}")
    assert front.returning.memory.recall(key, 2) is None
    worked(front)
    found = front.returning.memory.recall(key, 2)
    assert found is not None
    assert found.difficulty == TINY


def test_another_machine_or_port_of_the_same_worker_remembers_nothing() -> None:
    front = Front()
    worked(front)
    memory = front.returning.memory
    assert memory.recall(("bob", "rig", "NerdMinerV2", EASY.start_difficulty), 3) is None
    assert memory.recall(("bob", "rig", "cgminer/4.11.1", Difficulty(Fraction(500_000))), 3) is None


def test_a_resumed_session_has_the_port_and_the_wishes_of_its_new_connection() -> None:
    front = Front()
    before = front.connect()
    session_id, _ = subscribe(before)
    authorize(before, password=f"d={float(TINY)}")
    before.leave(1)
    rental = Options(
        start_difficulty=Difficulty(Fraction(1, 4)), minimum_difficulty=Difficulty(Fraction(1, 8))
    )
    after = front.connect(rental)
    subscribe(after, session_id, 2)
    authorize(after, 2)
    assert lines(after.offer(front.board.post(job("2"), 2), 2))[0]["params"] == [0.125]
    # the new password fixes nothing: silence moves it again, down to the port's minimum only
    say(after, line("mining.suggest_difficulty", 0.5), 3)
    assert lines(after.offer(front.board.post(job("3"), 3), 3))[0]["params"] == [0.5]
    assert lines(after.offer(front.board.post(job("4"), 600), 600))[0]["params"] == [0.125]


def test_what_is_wished_before_subscribe_counts_on_a_resumed_session_too() -> None:
    front = Front()
    before = front.connect()
    session_id, _ = subscribe(before)
    authorize(before)
    before.leave(1)
    after = front.connect()
    say(after, line("mining.suggest_difficulty", 0.25), 2)
    subscribe(after, session_id, 2)
    authorize(after, 2)
    assert lines(after.offer(front.board.post(job("2"), 2), 2))[0]["params"] == [0.25]


steps = st.lists(
    st.tuples(st.sampled_from(("connect", "subscribe", "leave", "wait")), st.integers(0, 9)), max_size=60
)


@given(steps)
def test_no_two_miners_ever_share_an_extranonce1(moves: list[tuple[str, int]]) -> None:
    front, now = Front(), 0.0
    live: list[Session] = []
    ids = ["00" * 16]
    for what, number in moves:
        if what == "connect":
            live.append(front.connect())
        elif what == "wait":
            now += 100.0 * number
        elif live and what == "leave":
            live.pop(number % len(live)).leave(now)
        elif live:
            chosen = live[number % len(live)]
            if chosen.broken is None:
                ids.append(subscribe(chosen, ids[number % len(ids)], now)[0])
                authorize(chosen, now)
        seats = [each.extranonce1 for each in live if each.broken is None]
        assert len(seats) == len(set(seats))


def seated(front: Front, now: float = 0, options: Options = EASY) -> tuple[Session, str, str]:
    """A miner at work, its session id and its extranonce1."""
    session = front.connect(options)
    session_id, extranonce1 = subscribe(session, None, now)
    say(session, line("mining.suggest_difficulty", 0.25), now)
    authorize(session, now)
    return session, session_id, extranonce1


def test_seats_outlive_a_planned_restart_and_nobody_else_gets_them() -> None:
    place = Place()
    old = Front(place=place, siblings=False)
    away, first_id, first = seated(old, 0)
    sitting, session_id, second = seated(old, 5)
    away.leave(10)
    old.returning.hand_over(20)
    sitting.leave(20)
    place.now = 30
    new = Front(place=place, siblings=False)
    new.tokens = 1000
    assert new.returning.take().hex() not in {first, second}
    after = new.connect()
    assert subscribe(after, session_id, 1500) == (session_id, second)
    assert authorize(after, 1500)[1]["params"] == [0.25]
    place.now = 10 + RESUME_S
    assert subscribe(new.connect(), first_id, 1600)[1] != first


def test_a_miner_finds_its_seat_at_whichever_front_it_comes_back_to_and_only_once() -> None:
    place = Place()
    one, two = Front(7, place), Front(8, place)
    session, session_id, extranonce1 = seated(one)
    session.leave(1)
    there = two.connect()
    assert subscribe(there, session_id, 2) == (session_id, extranonce1)
    assert authorize(there, 2)[1]["params"] == [0.25]
    assert subscribe(one.connect(), session_id, 2)[1] != extranonce1
    # where it sits now, a newcomer takes its place as at home
    again = two.connect()
    assert subscribe(again, session_id, 3) == (session_id, extranonce1)
    assert there.broken is not None
    authorize(again, 3)
    again.leave(4)
    home = one.connect()
    assert subscribe(home, session_id, 5) == (session_id, extranonce1)


def test_whoever_never_left_sits_alone_also_for_the_siblings() -> None:
    place = Place()
    one, two = Front(7, place), Front(8, place)
    _, session_id, extranonce1 = seated(one)
    assert subscribe(two.connect(), session_id)[1] != extranonce1


def test_before_a_front_says_that_it_stops_its_miners_can_come_to_its_siblings() -> None:
    place = Place()
    one, two = Front(7, place), Front(8, place)
    session, session_id, extranonce1 = seated(one)
    _, lurking_id = one.connect(), subscribe(one.connect())[0]
    one.returning.hand_over(1)
    there = two.connect()
    assert subscribe(there, session_id, 1) == (session_id, extranonce1)
    session.leave(1)  # its old connection ends only now, and takes nothing back
    assert subscribe(two.connect(), lurking_id, 1)[0] != lurking_id
    assert subscribe(Front(9, place).connect(), session_id, 2)[1] != extranonce1


def test_a_value_that_is_lent_is_given_to_nobody_until_its_seat_is_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("stratum.extranonce._SUFFIXES", 2)
    place = Place()
    one, two = Front(7, place), Front(8, place)
    session, session_id, extranonce1 = seated(one)
    session.leave(1)
    there = two.connect()
    assert subscribe(there, session_id, 2)[1] == extranonce1
    authorize(there, 2)
    restarted = Front(7, place)
    for front, now in ((one, 2), (one, 10 * RESUME_S), (restarted, 10 * RESUME_S)):
        place.now = now
        other = front.connect()
        subscribe(other, None, now)
        assert front.returning._extranonces.exhausted
        assert other.extranonce1.hex() != extranonce1
        other.leave(now)
    there.broken = "too many malformed requests"
    there.leave(10 * RESUME_S)
    place.now = 20 * RESUME_S
    passing = restarted.connect()
    subscribe(passing, None, 20 * RESUME_S)
    passing.leave(20 * RESUME_S)
    assert extranonce1 in {restarted.connect().extranonce1.hex() for _ in range(2)}


def test_room_is_made_by_those_who_can_still_be_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stratum.extranonce._SUFFIXES", 2)
    place = Place()
    one, two = Front(7, place), Front(8, place)
    lent, lent_id, lent_extranonce1 = seated(one)
    away, away_id, away_extranonce1 = seated(one)
    lent.leave(1)
    away.leave(1)
    assert subscribe(two.connect(), lent_id, 2)[1] == lent_extranonce1
    assert one.connect().extranonce1.hex() == away_extranonce1
    assert subscribe(two.connect(), away_id, 3)[1] != away_extranonce1


def without(front: Front, live: list[tuple[Front, Session]], now: float) -> list[tuple[Front, Session]]:
    """Who is left after a planned stop of this front."""
    front.returning.hand_over(now)
    for at, session in live:
        if at is front:
            session.leave(now)
    return [each for each in live if each[0] is not front]


moves_of_many = st.lists(
    st.tuples(st.sampled_from(("connect", "subscribe", "leave", "wait", "restart")), st.integers(0, 19)),
    max_size=60,
)


@given(moves_of_many)
def test_no_two_miners_of_several_fronts_ever_share_an_extranonce1(moves: list[tuple[str, int]]) -> None:
    place, now = Place(), 0.0
    fronts = [Front(7, place), Front(8, place)]
    live: list[tuple[Front, Session]] = []
    ids = ["00" * 16]
    for what, number in moves:
        front = fronts[number % 2]
        if what == "connect":
            live.append((front, front.connect()))
        elif what == "wait":
            now += 50.0 * number
            place.now = now
        elif what == "restart":
            live = without(front, live, now)
            fronts[number % 2] = Front(front.front_id, place)
            fronts[number % 2].tokens = front.tokens
        elif live and what == "leave":
            live.pop(number % len(live))[1].leave(now)
        elif live:
            chosen = live[number % len(live)][1]
            if chosen.broken is None:
                ids.append(subscribe(chosen, ids[number % len(ids)], now)[0])
                authorize(chosen, now)
        seats = [session.extranonce1 for _, session in live if session.broken is None]
        assert len(seats) == len(set(seats))


def test_a_seat_cannot_be_taken_along_into_another_pot() -> None:
    front = Front()
    solo = attrs.evolve(EASY, pot="solo")
    first = front.connect()
    session_id, extranonce1 = subscribe(first)
    authorize(first)

    beside = front.connect(solo)
    other_id, other_extranonce1 = subscribe(beside, session_id)
    assert (other_id == session_id, other_extranonce1 == extranonce1) == (False, False)
    assert first.broken is None

    first.leave(1)
    later = front.connect(solo)
    assert subscribe(later, session_id, 2)[1] != extranonce1
    back = front.connect()
    assert subscribe(back, session_id, 2) == (session_id, extranonce1)


def test_seats_keep_their_pot_over_a_restart() -> None:
    place = Place()
    front = Front(place=place)
    solo = attrs.evolve(EASY, pot="solo")
    session = front.connect(solo)
    session_id, extranonce1 = subscribe(session)
    authorize(session)
    front.returning.hand_over(1)

    again = Front(place=place)
    again.tokens = 1000
    assert subscribe(again.connect(), session_id)[1] != extranonce1
    assert subscribe(again.connect(solo), session_id)[1] == extranonce1


def test_shares_and_blocks_carry_the_pot_of_their_port() -> None:
    front = Front()
    posted = front.board.post(job("2", nbits=REGTEST_NBITS), 0)
    session = front.connect(attrs.evolve(EASY, pot="solo"))
    _, extranonce1 = subscribe(session)
    notified = next(each for each in authorize(session) if each.get("method") == "mining.notify")["params"]
    nonce = find_nonce(notified, extranonce1, lambda value: value <= posted.job.network_target)
    params = ("bob.rig", notified[0], "00" * 8, notified[7], nonce)
    effects = session.receive(line("mining.submit", *params), 1, 0)
    assert [effect.pot for effect in effects if isinstance(effect, Solution)] == ["solo"]
    assert [effect.share.pot for effect in effects if isinstance(effect, Credit)] == ["solo"]
