"""Several nodes: who is mined on, how their news race, and what happens when one lies or falls silent."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import attrs
import pytest
from twisted.internet.task import Clock
from twisted.logger import ILogObserver, globalLogPublisher

from pool.chain.coinbase import Payee
from pool.chain.news import UnobservedNews
from pool.chain.node import Refused
from pool.chain.template import EMPTY_COMMITMENT
from pool.jobs import Settings
from pool.work import Work
from stratum.jobs import Job
from tests.fakes_mining import Blocks, WordedNode

PAYEE = Payee("bcrt1qpool", b"\x00\x14" + b"\x09" * 20)
NOW_S = 1_700_000_000.0


class Counted(UnobservedNews):
    """What metrics would see."""

    def __init__(self) -> None:
        self.first: list[str] = []
        self.late: list[tuple[str, Fraction]] = []
        self.stalls: list[tuple[str, str, bool]] = []
        self.proposals: list[str] = []
        self.mined_on = ""
        self.well: dict[str, bool] = {}

    def told_first(self, source: str) -> None:
        self.first.append(source)

    def told_late(self, source: str, seconds: float) -> None:
        self.late.append((source, Fraction(seconds)))

    def stalled(self, node: str, source: str, *, is_so: bool) -> None:
        self.stalls.append((node, source, is_so))

    def node_is(self, node: str, *, well: bool, mined_on: bool) -> None:
        self.well[node] = well
        self.mined_on = node if mined_on else self.mined_on

    def proposed(self, word: str) -> None:
        self.proposals.append(word)


class Front:
    """Work on two nodes of one network, one of them preferred."""

    def __init__(self, directory: Path, **settings: Any) -> None:
        self.blocks = Blocks()
        self.first = WordedNode(self.blocks, "first:8332")
        self.second = WordedNode(self.blocks, "second:8332")
        self.clock = Clock()
        self.clock.advance(NOW_S)
        self.seen = Counted()
        self.jobs: list[Job] = []
        self.losses = 0
        given = Settings(front_id=1, boot=1, tag="/t/", directory=directory, **settings)
        nodes = [self.first, self.second]
        self.work = Work(nodes, lambda: [PAYEE], lambda *_: None, given, self.clock, self.seen)
        self.work.watch(self.jobs.append)
        self.work.watch_loss(self._lost)

    def _lost(self) -> None:
        self.losses += 1

    def pass_s(self, seconds: float) -> None:
        for _ in range(round(seconds * 4)):
            self.clock.advance(0.25)

    def grow_both(self) -> str:
        self.second.best = self.first.grow()
        return self.first.best

    @property
    def tip(self) -> str | None:
        """What is mined on."""
        job = self.work.current()
        return None if job is None else job.prev_hash[::-1].hex()


@pytest.fixture
def front(tmp_path: Path) -> Iterator[Front]:
    made = Front(tmp_path)
    yield made
    made.work.stop()
    assert made.clock.getDelayedCalls() == []


@pytest.fixture
def events() -> Iterator[list[dict[str, Any]]]:
    seen: list[dict[str, Any]] = []
    note = cast(ILogObserver, seen.append)
    globalLogPublisher.addObserver(note)
    yield seen
    globalLogPublisher.removeObserver(note)


def whys(events: list[dict[str, Any]]) -> list[str]:
    return [event["why"] for event in events if "cannot be mined on" in event["log_format"]]


def test_the_first_node_is_mined_on_and_the_second_takes_over_within_seconds_without_a_clean_job(
    front: Front,
) -> None:
    front.work.start()
    front.pass_s(31)
    front.pass_s(1)
    jobs = len(front.jobs)
    front.first.down = "Connection refused"

    front.pass_s(6)
    assert front.seen.mined_on == "second:8332"
    assert len(front.jobs) == jobs  # nothing is wrong with the job that the miners have
    front.second.grow()
    front.pass_s(2)
    assert (front.tip, front.jobs[-1].clean) == (front.second.best, True)
    assert front.losses == 0


def test_a_node_that_came_back_has_to_be_well_for_a_while_before_it_is_preferred_again(front: Front) -> None:
    front.work.start()
    front.first.down = "Connection refused"
    front.pass_s(10)
    front.first.down = None

    front.pass_s(25)
    assert front.seen.mined_on == "second:8332"
    front.pass_s(20)
    assert front.seen.mined_on == "first:8332"


def test_a_hanging_node_is_left_as_one_that_is_down(front: Front) -> None:
    front.work.start()
    front.pass_s(1)
    front.first.hangs = True
    tip = front.second.grow()
    front.pass_s(8)

    assert (front.tip, front.seen.mined_on) == (tip, "second:8332")


def test_of_two_tips_the_one_with_more_work_is_mined_on_whoever_has_it(front: Front) -> None:
    front.work.start()
    other = front.blocks.after(front.blocks.first, salt=1)
    front.second.best = other
    front.pass_s(2)
    assert (front.tip, front.seen.mined_on) == (other, "second:8332")

    front.first.grow()  # as much work: whoever is mined on stays
    front.pass_s(2)
    assert front.tip == other
    front.first.grow()
    front.pass_s(2)
    assert (front.tip, front.seen.mined_on) == (front.first.best, "first:8332")


def test_a_node_that_is_behind_is_not_mined_on_and_the_best_tip_is_mined_until_it_is_too_old(
    front: Front,
) -> None:
    front.work.start()
    tip = front.first.grow()
    front.pass_s(2)
    front.first.down = "killed"

    front.pass_s(50)
    assert front.tip == tip
    front.pass_s(20)
    assert front.tip == front.second.best == front.blocks.first  # nobody has that block any more


def fake_work(blocks: Blocks) -> str:
    """A header that says it is worth much and whose hash meets no target."""
    return blocks.after(blocks.first, salt=7, nbits=0x1D00FFFF, said_work=10**9)


def of_another_hash(blocks: Blocks) -> str:
    made = blocks.known[blocks.after(blocks.first, salt=8)]
    lie = attrs.evolve(made, hash="00" * 31 + "01")
    blocks.known[lie.hash] = lie
    return lie.hash


def at_another_height(blocks: Blocks) -> str:
    return blocks.after(blocks.first, salt=9, height=7000)


@pytest.mark.parametrize(
    ("lie", "words"),
    [
        (fake_work, "difficulty is none"),
        (of_another_hash, "another hash"),
        (at_another_height, "not that of the block before"),
        (lambda _: "ab" * 32, "has no header of"),
    ],
)
def test_a_node_that_lies_about_its_tip_is_not_mined_on(
    front: Front, events: list[dict[str, Any]], lie: Any, words: str
) -> None:
    front.work.start()
    front.pass_s(1)
    front.first.best = lie(front.blocks)
    if front.first.best not in front.blocks.known:
        honest, told = front.second.build, front.first.best
        front.first.build = lambda: attrs.evolve(honest(), prev_hash=bytes.fromhex(told)[::-1])  # type: ignore[method-assign]

    front.pass_s(4)

    assert (front.tip, front.seen.mined_on) == (front.second.best, "second:8332")
    assert len(whys(events)) == 1
    assert words in whys(events)[0]
    front.first.best = front.second.best
    front.first.build = front.second.build  # type: ignore[method-assign]
    front.pass_s(60)
    assert front.seen.well["first:8332"]


@pytest.mark.parametrize(
    ("changes", "info", "words"),
    [
        ({"rules": ["!segwit", "!covenants"]}, {}, "'!covenants'"),
        ({"coinbasevalue": -1}, {}, "coinbasevalue"),
        ({}, {"chain": "test"}, "is on test, not on regtest"),
    ],
)
def test_a_node_whose_templates_or_chain_cannot_be_used_is_not_mined_on_and_said_so_once(
    front: Front, events: list[dict[str, Any]], changes: dict[str, Any], info: dict[str, Any], words: str
) -> None:
    front.first.changes, front.first.info = changes, info
    front.work.start()
    front.pass_s(3)
    tip = front.grow_both()
    front.pass_s(60)

    assert (front.tip, front.seen.mined_on) == (tip, "second:8332")
    (why,) = whys(events)
    assert words in why


def test_when_no_node_can_be_mined_on_work_ends_soon_after_the_tip_moved_and_begins_again_clean(
    front: Front,
) -> None:
    front.work.start()
    front.pass_s(2)
    for node in (front.first, front.second):
        node.changes["rules"] = ["!covenants"]
    tip = front.grow_both()
    front.pass_s(15)
    assert (front.tip, front.losses) == (None, 1)

    for node in (front.first, front.second):
        node.changes.clear()
    front.pass_s(20)
    assert (front.tip, front.losses, front.jobs[-1].clean) == (tip, 1, True)


def test_silence_of_all_nodes_ends_work_after_a_minute_and_a_clean_job_on_the_same_tip_begins_it_again(
    front: Front,
) -> None:
    front.work.start()
    front.pass_s(2)
    for node in (front.first, front.second):
        node.down = "Connection refused"
    front.pass_s(59)
    assert front.losses == 0
    front.pass_s(5)
    assert (front.tip, front.losses) == (None, 1)

    for node in (front.first, front.second):
        node.down = None
    front.pass_s(15)
    assert (front.tip, front.jobs[-1].clean) == (front.blocks.first, True)


def test_nodes_of_another_network_are_told_apart_only_when_all_are(front: Front) -> None:
    front.first.info = {"chain": "main"}
    front.work.start()
    front.pass_s(6)
    assert front.work.wrong_network() is None
    front.second.info = {"chain": "main"}
    front.pass_s(6)
    assert front.work.wrong_network() == ("the node is on main, node.network says regtest: mend one of them")


def test_a_node_that_has_not_all_its_blocks_is_mined_on_only_without_a_better_one(front: Front) -> None:
    front.first.info = {"headers": 5000}
    front.work.start()
    front.pass_s(3)
    assert front.seen.mined_on == "second:8332"
    front.second.down = "Connection refused"
    front.pass_s(8)
    assert front.seen.mined_on == "first:8332"


# news


def test_a_published_block_is_news_at_once_and_the_longpoll_s_template_makes_the_job(front: Front) -> None:
    front.first.publishes = True
    front.work.start()
    front.pass_s(1)
    tip = front.first.grow()
    asked = front.first.templates_asked
    front.first.told[-1](tip)
    front.clock.advance(0.125)
    front.first.answer_longpoll()

    assert front.tip == tip
    assert front.seen.first == ["zmq"]
    assert front.seen.late == [("longpoll", Fraction(1, 8))]
    front.pass_s(2)
    assert front.first.templates_asked == asked
    assert [source for source, _ in front.seen.late] == ["longpoll", "poll"]


def test_a_published_block_is_asked_for_when_the_longpoll_does_not_bring_it(front: Front) -> None:
    front.first.publishes = True
    front.work.start()
    front.pass_s(1)
    tip = front.first.grow()
    front.first.told[-1](tip)
    front.clock.advance(1)

    assert front.tip == tip


def test_a_node_without_longpoll_is_followed_by_its_poll(front: Front) -> None:
    front.first.changes["longpollid"] = front.second.changes["longpollid"] = None
    front.work.start()
    front.pass_s(3)
    tip = front.grow_both()
    front.pass_s(2)

    assert front.tip == tip
    assert front.first.longpolls == []
    assert front.seen.first[0] == "poll"


def test_the_age_of_the_news_is_told_with_the_first_job_on_a_tip_and_with_no_other(front: Front) -> None:
    ages: list[float | None] = []
    front.work.watch(lambda _: ages.append(front.work.news_age_s()))
    front.first.publishes = True
    front.work.start()
    front.pass_s(1)
    front.first.told[-1](front.first.grow())
    front.clock.advance(1)
    front.pass_s(31)

    assert ages == [0.0, 1.0, None]
    assert front.work.news_age_s() is None


def test_a_silent_publisher_and_a_dead_longpoll_are_noticed_and_set_up_again(
    front: Front, events: list[dict[str, Any]]
) -> None:
    front.first.publishes = True
    front.work.start()
    front.pass_s(1)
    front.grow_both()
    front.pass_s(20)

    assert sorted(front.seen.stalls) == [
        ("first:8332", "longpoll", True),
        ("first:8332", "zmq", True),
        ("second:8332", "longpoll", True),
    ]
    assert len(front.first.told) == 2
    stalled = [event["source"] for event in events if "stalled" in event["log_format"]]
    assert sorted(stalled) == ["longpoll", "longpoll", "zmq"]

    tip = front.first.grow()
    front.first.told[-1](tip)
    assert front.tip == tip  # a longpoll that has stalled is not waited for
    assert ("first:8332", "zmq", False) in front.seen.stalls
    front.first.answer_longpoll()
    assert ("first:8332", "longpoll", False) in front.seen.stalls


def test_a_late_template_gets_a_job_without_transactions_first(tmp_path: Path) -> None:
    front = Front(tmp_path, empty_after_s=0.25)
    front.first.publishes = True
    front.work.start()
    front.pass_s(1)
    tip = front.first.grow()
    asking, front.first.template = front.first.template, front.second.template  # type: ignore[method-assign]
    front.first.told[-1](tip)
    assert front.tip == front.blocks.first
    front.pass_s(1)

    stopgap = front.jobs[-1]
    assert (front.tip, stopgap.height, stopgap.clean, stopgap.branches) == (tip, 501, True, ())
    assert EMPTY_COMMITMENT in stopgap.coinb2
    assert (5_000_000_000 >> 3).to_bytes(8, "little") in stopgap.coinb2  # regtest halves every 150 blocks
    assert stopgap.min_ntime == front.blocks.known[tip].median_s + 1
    front.first.template = asking  # type: ignore[method-assign]
    front.pass_s(2)
    assert (front.tip, front.jobs[-1].clean) == (tip, False)
    assert front.jobs[-1].branches != ()
    front.pass_s(20)
    assert [job.height for job in front.jobs] == [500, 501, 501]
    front.work.stop()


def test_a_template_in_time_makes_no_job_without_transactions(tmp_path: Path) -> None:
    front = Front(tmp_path, empty_after_s=0.25)
    front.work.start()
    front.pass_s(1)
    front.first.grow()
    front.first.answer_longpoll()
    front.pass_s(3)

    assert [job.height for job in front.jobs] == [500, 501]
    assert front.jobs[-1].branches != ()
    front.work.stop()


# proposals


def test_each_new_template_s_block_is_proposed_after_the_miners_have_the_job(front: Front) -> None:
    front.work.start()
    front.pass_s(2.5)
    assert front.first.proposals == []
    front.pass_s(1)
    assert len(front.first.proposals) == 1
    assert front.first.proposals[0].endswith("0200aa" + "0200bbcc")
    assert front.seen.proposals == ["accepted"]
    front.pass_s(30)
    assert len(front.first.proposals) == 2


def test_a_refused_proposal_moves_the_miners_to_the_other_node_until_the_next_tip(
    front: Front, events: list[dict[str, Any]]
) -> None:
    front.first.verdicts = [Refused("bad-txns-inputs-missingorspent")]
    front.work.start()
    front.pass_s(4)

    assert front.seen.proposals[0] == "refused"
    assert front.seen.mined_on == "second:8332"
    assert [job.clean for job in front.jobs] == [True, True]
    (loud,) = [event for event in events if event["log_level"].name == "critical"]
    assert (loud["why"], loud["node"]) == ("bad-txns-inputs-missingorspent", "first:8332")
    front.grow_both()
    front.pass_s(60)
    assert front.seen.mined_on == "first:8332"


def test_a_refused_proposal_of_the_only_node_leaves_its_block_without_transactions_and_then_none(
    front: Front,
) -> None:
    front.second.down = "Connection refused"
    front.first.verdicts = [Refused("bad-blk-sigops"), Refused("bad-cb-amount")]
    front.work.start()
    front.pass_s(3)
    assert (front.jobs[-1].branches, front.jobs[-1].clean, len(front.jobs)) == ((), True, 2)
    front.pass_s(5)
    assert (front.tip, front.losses) == (None, 1)

    tip = front.first.grow()
    front.pass_s(5)
    assert front.tip == tip
    assert front.jobs[-1].branches != ()


def test_a_proposal_that_the_next_block_overtook_says_nothing(front: Front) -> None:
    front.first.verdicts = [Refused("inconclusive-not-best-prevblk")]
    front.work.start()
    front.pass_s(5)

    assert front.seen.proposals == []
    assert (len(front.jobs), front.seen.mined_on) == (1, "first:8332")
