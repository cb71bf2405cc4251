"""Telling wallets of a balance: behind all else, at most once in a while, and nothing of it in the log."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import pytest
from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs

from payouts.money import Msat
from payouts.notices import PAUSE_MS, Notice, accepted, pause_ms
from payouts.notifier import Notifier, NotifierOptions
from payouts.outbound import Told
from payouts.places import NotFetched

URL = "https://t0psecret.wallet.example/wake?token=t0psecret"
NOW_MS = 1_800_000_000_000


@attrs.define
class World:
    """A book of notices, wallets that answer when they are let, and what happened in which order."""

    due: list[Notice] = attrs.Factory(lambda: [Notice("alice", URL, Msat(5_000), 0)])
    answer: Told | NotFetched | None = attrs.Factory(lambda: Told(200))
    events: list[tuple[object, ...]] = attrs.Factory(list)
    waiting: list[Deferred[Told | NotFetched]] = attrs.Factory(list)
    payable: bool = True
    busy: bool = False

    def notices_due(self, growth: Msat, now_ms: int, limit: int) -> Sequence[Notice]:
        assert (growth, now_ms) == (1_000, NOW_MS)
        return self.due[:limit]

    def leave_alone(self, notice: Notice, until_ms: int) -> None:
        self.events.append(("left alone", notice.account, until_ms - NOW_MS))

    def told(self, notice: Notice) -> None:
        self.events.append(("told", notice.account))

    def not_told(self, notice: Notice, now_ms: int) -> None:
        self.events.append(("not told", notice.account))

    async def tell(self, url: str) -> Told | NotFetched:
        assert url == URL
        self.events.append(("post",))
        if self.answer is not None:
            return self.answer
        self.waiting.append(Deferred())
        return await self.waiting[-1]

    def notifier(self) -> Notifier:
        options = NotifierOptions(Msat(1_000), lambda _: self.payable, lambda: self.busy)
        return Notifier(self, self, lambda: NOW_MS, options)

    def look(self, notifier: Notifier | None = None) -> Deferred[None]:
        return Deferred.fromCoroutine((notifier or self.notifier()).look())


def test_a_wallet_has_its_peace_on_disk_before_it_is_told() -> None:
    world = World()
    assert world.look().called
    assert world.events == [("left alone", "alice", PAUSE_MS), ("post",), ("told", "alice")]


@pytest.mark.parametrize("answer", [Told(404), Told(500), Told(302), NotFetched("it cannot be reached")])
def test_whatever_is_no_success_is_a_failure(answer: Told | NotFetched) -> None:
    world = World(answer=answer)
    world.look()
    assert world.events[1:] == [("post",), ("not told", "alice")]


def test_a_wallet_is_not_told_of_what_it_could_not_have() -> None:
    world = World(payable=False)
    world.look()
    assert world.events == [("left alone", "alice", 60_000)]


def test_claims_go_first_and_one_round_ends_before_the_next_begins() -> None:
    world = World(answer=None, busy=True)
    notifier = world.notifier()
    world.look(notifier)
    assert world.events == []
    world.busy = False
    looking = world.look(notifier)
    assert world.look(notifier).called
    assert world.events.count(("post",)) == 1
    world.waiting[0].callback(Told(204))
    assert looking.called
    assert world.events[-1] == ("told", "alice")


def test_few_are_told_at_once() -> None:
    world = World(due=[Notice(f"m-{n}", URL, Msat(5_000), 0) for n in range(50)], answer=None)
    world.look()
    assert len(world.waiting) == 5


def test_a_stopped_payer_writes_nothing_more() -> None:
    world = World(answer=None)
    notifier = world.notifier()
    with capturedLogs() as events:
        looking = world.look(notifier)
        notifier.stop()
        assert looking.called
        world.look(notifier)
    assert world.events == [("left alone", "alice", PAUSE_MS), ("post",)]
    assert events == []


@pytest.mark.parametrize(
    "answer", [Told(200), Told(500), NotFetched("t0psecret.wallet.example took too long")]
)
def test_neither_the_url_nor_its_host_is_in_the_log(answer: Told | NotFetched) -> None:
    world = World(answer=answer)
    with capturedLogs() as events:
        world.look()
    assert [event["account"] for event in events] == ["alice"]
    assert "t0psecret" not in repr(events)


def test_pauses_grow_from_ten_minutes_to_a_day() -> None:
    pauses = [pause_ms(failures) for failures in range(12)]
    assert (pauses[0], pauses[-1]) == (600_000, 86_400_000)
    assert pauses == sorted(pauses)


@pytest.mark.parametrize(
    "url",
    [
        "http://wallet.example/",
        "https://127.0.0.1/",
        "https://localhost/",
        "https://wallet.example:8443/",
        "https://me:secret@wallet.example/",
        "https://wallet.example/" + "x" * 500,
        "lightning:x",
        "",
        None,
        7,
        b"https://wallet.example/",
    ],
)
def test_such_a_url_is_not_kept(url: object) -> None:
    assert accepted(url) is None


def test_a_url_is_kept_as_it_will_be_asked_for() -> None:
    assert accepted("https://Wallet.Example/wake?token=a%20b#x") == "https://wallet.example/wake?token=a%20b"
    onion = "http://" + "a" * 56 + ".onion:8080/w"
    assert accepted(onion) == onion
