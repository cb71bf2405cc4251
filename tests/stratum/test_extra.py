"""A miner that floods the pool gets a harder job of its own at once, and never one that it has seen."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from twisted.internet.task import Clock

from stratum.board import Board
from stratum.extra import EVERY_S, ExtraJobs
from stratum.options import STALE_GRACE_S
from stratum.units import Difficulty
from tests.stratum.fakes import FakeFeed, header_of, job
from tests.stratum.test_server import World, share

TINY: Any = Fraction(1, 2**40)


def test_a_flood_is_answered_with_a_harder_clean_job_that_nobody_else_gets() -> None:
    world = World(vardiff=True, start_difficulty=TINY)
    miner, other = world.connect().start(), world.connect().start()
    other.heard()
    world.tick(1)
    replies = miner.send(*(share(nonce) for nonce in range(32)))
    told, notified = [each for each in replies if each.get("method")]
    assert told["params"][0] > 8 * float(TINY)
    assert (notified["params"][0], notified["params"][8]) == ("1e1", True)
    world.tick()
    assert [each["result"] for each in miner.heard()] == [True] * 32
    assert other.heard() == []


def test_after_the_extra_job_shares_of_the_old_one_still_count_at_the_old_difficulty() -> None:
    world = World(vardiff=True, start_difficulty=TINY)
    miner = world.connect().start()
    world.tick(1)
    miner.send(*(share(nonce) for nonce in range(33)))
    world.tick()
    assert all(each["result"] for each in miner.heard())
    assert {each.target for each in world.sink.stored} == {world.sink.stored[0].target}


def test_shares_of_the_old_job_do_not_raise_the_difficulty_again() -> None:
    world = World(vardiff=True, start_difficulty=TINY)
    miner = world.connect().start()
    world.tick(1)
    miner.send(*(share(nonce) for nonce in range(32)))
    world.tick(2)
    miner.heard()
    replies = miner.send(*(share(nonce) for nonce in range(32, 100)))
    assert [each for each in replies if each.get("method")] == []


def test_the_first_second_a_fixed_difficulty_and_an_even_pace_call_for_nothing() -> None:
    for options, wait in (({}, 0.5), ({"vardiff": False}, 1), ({"shares_per_minute": 1000.0}, 1)):
        world = World(**({"vardiff": True, "start_difficulty": TINY} | options))
        miner = world.connect().start()
        world.tick(wait)
        assert miner.send(*(share(nonce) for nonce in range(32))) == []


def test_where_no_other_job_can_be_had_the_change_waits_for_the_next_one() -> None:
    world = World(vardiff=True, start_difficulty=TINY)
    world.feed.offers_extra = False
    miner = world.connect().start()
    world.tick(1)
    assert miner.send(*(share(nonce) for nonce in range(32))) == []
    world.tick()
    miner.heard()
    world.feed.new(job("2"))
    told, notified = miner.heard()
    assert told["params"][0] > 8 * float(TINY)
    assert notified["params"][8] is True


def test_those_who_need_a_job_in_the_same_second_share_one() -> None:
    clock, board, feed = Clock(), Board(), FakeFeed(job())
    first = board.post(job(), 0)
    extras = ExtraJobs(feed, board)
    one = extras.newer_than(first.number, clock.seconds())
    assert one is not None
    assert one.number > first.number
    assert extras.newer_than(first.number, 0) is one
    # who has seen even that one waits
    assert extras.newer_than(one.number, EVERY_S / 2) is first
    another = extras.newer_than(one.number, EVERY_S)
    assert another is not None
    assert another.number > one.number
    # who has not seen the periodic job yet gets that
    newest = board.post(job("2"), 2)
    assert extras.newer_than(another.number, 2) is newest


def test_an_extra_job_goes_stale_like_the_one_beside_it() -> None:
    board = Board()
    board.post(job(), 0)
    extra = board.post_extra(job("e"))
    assert extra is not None
    assert not board.is_stale(extra, 1000)
    board.post(job("2"), 1000)
    assert not board.is_stale(extra, 1000 + STALE_GRACE_S)
    assert board.is_stale(extra, 1001 + STALE_GRACE_S)
    later = board.post_extra(job("f"))
    assert later is not None
    board.post(job("3", tip=2), 1001)
    assert board.is_stale(later, 1001)


def test_an_extra_job_of_another_tip_is_not_put_up() -> None:
    board = Board()
    assert board.post_extra(job()) is None
    board.post(job(), 0)
    assert board.post_extra(job("e", tip=2)) is None


def test_the_same_header_through_the_extra_job_is_another_header() -> None:
    feed = FakeFeed(job())
    extra = feed.extra()
    assert extra is not None
    first, second = (
        ["x", "00" * 32, each.coinb1.hex(), "", [], "", "00000000", "", True] for each in (job(), extra)
    )
    made = [header_of(each, "00" * 4, "00" * 8, "00000000", "00000000", 1) for each in (first, second)]
    assert made[0] != made[1]


def test_difficulties_rise_by_no_more_than_sixty_four_at_once() -> None:
    world = World(vardiff=True, start_difficulty=TINY)
    miner = world.connect().start()
    world.tick(1)
    replies = miner.send(*(share(nonce) for nonce in range(320)))
    told = next(each for each in replies if each.get("method") == "mining.set_difficulty")
    assert Difficulty(Fraction(told["params"][0])) <= 64 * TINY
