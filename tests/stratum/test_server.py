"""The server on a clock and a transport of the test's: replies wait for the disk, and nobody outstays."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import attrs
import pytest
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IListeningPort, IProtocolFactory, IStreamServerEndpoint
from twisted.internet.protocol import connectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from zope.interface import implementer

from stratum.commit import NOT_STORED
from stratum.connection import Connection
from stratum.errors import Code
from stratum.options import Options
from stratum.server import StratumFactory, StratumServer
from stratum.units import Difficulty
from tests.stratum.elsewhere import FakeElsewhere, Place
from tests.stratum.fakes import (
    NTIME,
    REGTEST_NBITS,
    FakeAuthorizer,
    FakeFeed,
    FakeObserver,
    FakeSink,
    easier,
    find_nonce,
    header_of,
    job,
    line,
    lines,
)

EVERY_HASH = Difficulty(Fraction(1, 2**40))


class World:
    """A server with everything around it faked."""

    def __init__(self, *, first: bool = True, nbits: int = 0x1D00FFFF, **options: Any) -> None:
        self.clock = Clock()
        self.feed = FakeFeed(job(nbits=nbits) if first else None)
        self.sink = FakeSink()
        self.observer = FakeObserver()
        settings: dict[str, Any] = {
            "start_difficulty": EVERY_HASH,
            "minimum_difficulty": EVERY_HASH,
            "vardiff": False,
        } | options
        self.server = StratumServer(
            self.feed,
            self.sink,
            FakeAuthorizer(),
            self.clock,
            Options(**settings),
            lambda: 1_700_000_000.25 + self.clock.seconds(),
            self.observer,
        )

    def connect(self) -> Rig:
        return Rig(self)

    def tick(self, seconds: float = 0.005) -> None:
        self.clock.advance(seconds)


class Rig:
    """A miner's end of a connection, through the usual port or another one."""

    def __init__(self, world: World, factory: StratumFactory | None = None) -> None:
        made = (factory or world.server.factory).buildProtocol(None)
        assert made is not None
        self.protocol: Connection = made
        self.transport = StringTransport()  # type: ignore[no-untyped-call]
        self.world = world
        self.protocol.makeConnection(self.transport)  # type: ignore[no-untyped-call]

    def send(self, *data: bytes) -> list[dict[str, Any]]:
        self.protocol.dataReceived(b"".join(data))
        return self.heard()

    def heard(self) -> list[dict[str, Any]]:
        """What came since the last look."""
        said = lines(self.transport.value())  # type: ignore[no-untyped-call]
        self.transport.clear()  # type: ignore[no-untyped-call]
        return said

    def start(self) -> Rig:
        self.send(line("mining.subscribe", "test"), line("mining.authorize", "bob.rig", "x"))
        return self

    def closing(self) -> bool:
        return self.transport.disconnecting

    def lose(self) -> None:
        self.protocol.connectionLost(connectionDone)


def share(nonce: int, *, name: str = "1", request_id: Any = None) -> bytes:
    params = ("bob.rig", name, "00" * 8, f"{NTIME:08x}", f"{nonce:08x}")
    return line("mining.submit", *params, request_id=nonce if request_id is None else request_id)


def ids(replies: list[dict[str, Any]]) -> list[Any]:
    return [reply["id"] for reply in replies]


def has_fired(deferred: Deferred[None]) -> bool:
    return deferred.called


def test_a_share_is_answered_only_once_it_is_on_disk() -> None:
    world = World()
    world.sink.slow = True
    miner = world.connect().start()
    assert miner.send(share(1)) == []
    world.tick()
    assert world.sink.events == ["append"]
    assert miner.heard() == []
    world.sink.finish()
    assert miner.heard() == [{"id": 1, "result": True, "error": None}]
    assert world.observer.shares == 1
    assert world.sink.stored[0].time_ms == 1_700_000_000_250


def test_shares_of_all_connections_go_to_disk_together() -> None:
    world = World()
    one, two = world.connect().start(), world.connect().start()
    one.send(share(1), share(2))
    world.tick(0.004)
    two.send(share(3))
    world.tick(0.001)
    assert [len(batch) for batch in world.sink.batches] == [3]
    assert ids(one.heard()) == [1, 2]
    assert ids(two.heard()) == [3]


def test_one_batch_is_written_at_a_time_and_the_next_follows_at_once() -> None:
    world = World()
    world.sink.slow = True
    miner = world.connect().start()
    miner.send(share(1))
    world.tick()
    miner.send(share(2))
    world.tick(1)
    assert len(world.sink.batches) == 1
    world.sink.finish()
    assert len(world.sink.batches) == 2
    assert ids(miner.heard()) == [1]
    world.sink.finish()
    assert ids(miner.heard()) == [2]


def test_replies_keep_their_order_behind_a_share_that_waits() -> None:
    world = World()
    world.sink.slow = True
    miner, other = world.connect().start(), world.connect().start()
    miner.send(line("mining.ping", request_id="a"), share(1), share(1, request_id="dup"), share(2))
    assert ids(miner.heard()) == []
    miner.send(line("mining.ping", request_id="b"))
    assert ids(other.send(line("mining.ping", request_id="free"))) == ["free"]
    world.tick()
    miner.send(line("mining.ping", request_id="c"))
    world.sink.finish()
    assert ids(miner.heard()) == [1, "dup", 2, "b", "c"]
    assert ids(miner.send(line("mining.ping", request_id="d"))) == ["d"]


def test_the_reply_to_configure_or_subscribe_is_the_next_line_whatever_else_waits_or_comes() -> None:
    world = World()
    world.sink.slow = True
    miner = world.connect().start()
    miner.send(share(1), line("mining.ping", request_id="a"))
    configure = line("mining.configure", ["version-rolling"], {}, request_id="b")
    # both while the share is being collected and while it is being written
    assert ids(miner.send(share(2), configure)) == ["b"]
    world.tick()
    assert ids(miner.send(line("mining.subscribe", "test", request_id="c"))) == ["c"]
    world.feed.new(job("2"))
    assert [each.get("method") for each in miner.heard()] == ["mining.notify"]
    assert ids(miner.send(configure)) == ["b"]
    world.sink.finish()
    assert ids(miner.heard()) == [1, "a", 2]


def test_what_comes_before_a_share_in_the_same_read_is_answered_at_once() -> None:
    world = World()
    miner = world.connect().start()
    assert ids(miner.send(line("mining.ping", request_id="a"), share(1))) == ["a"]


def test_a_job_does_not_wait_behind_replies() -> None:
    world = World()
    world.sink.slow = True
    miner = world.connect().start()
    miner.send(share(1))
    world.feed.new(job("2"))
    assert [each["method"] for each in miner.heard()] == ["mining.notify"]


def test_when_the_disk_fails_nothing_is_credited_and_the_share_may_come_again() -> None:
    world = World()
    world.sink.broken = True
    miner = world.connect().start()
    miner.send(share(1), share(1, request_id="dup"))
    world.tick()
    replies = miner.heard()
    assert replies[0] == {"id": 1, "result": None, "error": [20, NOT_STORED, None]}
    assert replies[1]["error"][0] == 22
    assert world.sink.stored == []
    assert world.observer.refused == [Code.DUPLICATE, Code.OTHER]
    world.sink.broken = False
    miner.send(share(1))
    world.tick()
    assert miner.heard() == [{"id": 1, "result": True, "error": None}]
    assert len(world.sink.stored) == 1


def test_a_disk_that_raises_is_a_disk_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    miner = world.connect().start()

    def explode(batch: object) -> Deferred[None]:
        raise OSError("gone")

    monkeypatch.setattr(world.sink, "append", explode)
    miner.send(share(1))
    world.tick()
    assert miner.heard()[0]["error"] == [20, NOT_STORED, None]


def test_a_block_is_saved_before_the_batch_is_written() -> None:
    world = World(nbits=REGTEST_NBITS)
    miner = world.connect()
    notified = miner.send(line("mining.subscribe", "test"), line("mining.authorize", "bob.rig", "x"))[-1][
        "params"
    ]
    extranonce1 = miner.protocol.session.extranonce1.hex()
    nonce = int(find_nonce(notified, extranonce1, easier(job(nbits=REGTEST_NBITS).network_target)), 16)
    miner.send(share(nonce))
    assert world.sink.events == ["solved"]
    world.tick()
    assert world.sink.events == ["solved", "append"]
    assert world.sink.solutions[0].header == header_of(
        notified, extranonce1, "00" * 8, f"{NTIME:08x}", f"{nonce:08x}", 0x20000000
    )
    assert world.sink.stored == [world.sink.solutions[0].share]


def test_a_miner_that_left_is_credited_all_the_same() -> None:
    world = World()
    miner = world.connect().start()
    miner.send(share(1))
    miner.lose()
    world.tick()
    assert len(world.sink.stored) == 1
    assert miner.heard() == []


def test_a_job_reaches_everybody_at_work_and_the_observer_hears_of_it() -> None:
    world = World(first=False)
    one, two, idle = world.connect().start(), world.connect().start(), world.connect()
    world.feed.new(job("7"))
    for miner in (one, two):
        assert [each["method"] for each in miner.heard()] == ["mining.set_difficulty", "mining.notify"]
    assert idle.heard() == []
    assert world.observer.told == [(3, 0.0)]
    assert world.observer.live == [1, 2, 3]


def test_no_two_connections_share_an_extranonce1_and_the_front_is_its_first_byte() -> None:
    world = World(front_id=9)
    rigs = [world.connect() for _ in range(5)]
    found = {rig.protocol.session.extranonce1 for rig in rigs}
    assert len(found) == 5
    assert {each[0] for each in found} == {9}


def test_the_same_header_is_not_credited_again_after_a_reconnect(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stratum.extranonce._SUFFIXES", 1)
    world = World()
    first = world.connect().start()
    first.send(share(1))
    world.tick()
    first.lose()
    again = world.connect().start()
    assert again.protocol.session.extranonce1 == first.protocol.session.extranonce1
    assert again.send(share(1))[0]["error"][0] == 22
    assert len(world.sink.stored) == 1


def test_whoever_does_not_authorize_in_time_is_closed() -> None:
    world = World(handshake_timeout_s=60)
    lurker, miner = world.connect(), world.connect().start()
    world.tick(59)
    lurker.send(line("mining.ping"))
    assert not lurker.closing()
    world.tick(6)
    assert lurker.closing()
    assert not miner.closing()


def test_whoever_is_silent_for_too_long_is_closed_and_cut_off_if_it_does_not_go() -> None:
    world = World(idle_timeout_s=900)
    miner, talker = world.connect().start(), world.connect().start()
    for _ in range(181):
        talker.send(line("mining.ping"))
        world.tick(5)
    assert miner.closing()
    assert not talker.closing()
    assert miner.send(share(1)) == []
    world.tick(5)
    assert miner.transport.disconnected


def test_the_sweep_ends_with_the_last_connection_and_begins_with_the_next() -> None:
    world = World()
    world.connect().lose()
    world.tick(5)
    assert world.clock.getDelayedCalls() == []
    world.connect()
    assert len(world.clock.getDelayedCalls()) == 1


def test_a_peer_that_does_not_read_is_cut_off() -> None:
    world = World()
    miner = world.connect().start()
    assert miner.transport.producer is miner.protocol
    miner.protocol.resumeProducing()
    miner.protocol.pauseProducing()
    assert miner.transport.disconnected
    miner.protocol.stopProducing()
    world.feed.new(job("2"))
    assert miner.heard() == []


def test_abuse_is_answered_and_then_closed() -> None:
    world = World()
    miner = world.connect()
    assert len(miner.send(b"junk\n" * 20)) == 11
    assert miner.closing()


def test_connections_above_the_limit_are_not_taken() -> None:
    world = World(max_connections=1)
    first = world.connect()
    assert world.server.factory.buildProtocol(None) is None
    first.lose()
    world.connect()


@implementer(IListeningPort)
class FakePort:
    stopped = False

    def startListening(self) -> None:
        """It listens already."""

    def stopListening(self) -> Deferred[None]:
        self.stopped = True
        return succeed(None)

    def getHost(self) -> Any:
        return None


@implementer(IStreamServerEndpoint)
class FakeEndpoint:
    def __init__(self) -> None:
        self.port = FakePort()

    def listen(self, protocolFactory: IProtocolFactory) -> Deferred[IListeningPort]:  # noqa: N803 (Twisted's)
        self.factory: Any = protocolFactory
        return succeed(self.port)


def test_stopping_answers_what_was_accepted_then_closes() -> None:
    world = World()
    endpoint = FakeEndpoint()
    world.server.listen(endpoint)
    world.sink.slow = True
    miner = world.connect().start()
    miner.send(share(1))
    stopped = world.server.stop()
    assert endpoint.port.stopped
    assert miner.transport.producerState == "paused"
    assert world.server.factory.buildProtocol(None) is None
    assert not miner.closing()
    world.sink.finish()
    answered, sent_away = miner.heard()
    assert answered["id"] == 1
    assert sent_away == {"id": None, "method": "client.reconnect", "params": []}
    assert miner.closing()
    assert not has_fired(stopped)
    miner.lose()
    assert has_fired(stopped)
    assert world.clock.getDelayedCalls() == []


def test_stopping_without_miners_is_immediate() -> None:
    world = World()
    stopped = world.server.stop()
    assert has_fired(stopped)


def test_stopping_cuts_off_who_does_not_go() -> None:
    world = World()
    miner = world.connect().start()
    stopped = world.server.stop()
    world.tick(2)
    assert miner.transport.disconnected
    miner.lose()
    assert has_fired(stopped)


def test_a_server_without_an_observer_works_the_same() -> None:
    world = World()
    clock = Clock()
    server = StratumServer(world.feed, world.sink, FakeAuthorizer(), clock, Options(), clock.seconds)
    world.server = server
    miner = world.connect().start()
    assert miner.send(share(1))[0]["error"][0] == 23
    world.feed.new(job("2"))
    server.commit._observer.accepted(1)
    assert server.commit.drained().called


def test_a_port_may_have_its_own_difficulties_and_time_outs() -> None:
    world = World(nbits=0x1A00FFFF)
    rental = Options(
        start_difficulty=Difficulty(Fraction(65_536)), minimum_difficulty=Difficulty(Fraction(1024))
    )
    factory = world.server.factory_for(attrs.evolve(rental, handshake_timeout_s=10, idle_timeout_s=30))
    usual, rented, lurker = world.connect(), Rig(world, factory), Rig(world, factory)
    greeting = line("mining.subscribe", "test"), line("mining.authorize", "bob.rig", "d=2")
    assert usual.send(*greeting)[2]["params"] == [2]
    assert rented.send(*greeting)[2]["params"] == [1024]
    world.tick(11)
    assert lurker.closing()
    world.tick(20)
    assert rented.closing()
    assert not usual.closing()


def test_a_miner_that_comes_back_over_another_socket_takes_the_place_of_its_old_one() -> None:
    world = World()
    before = world.connect()
    subscribed = before.send(line("mining.subscribe", "test"), line("mining.authorize", "bob.rig", "x"))[0]
    (_, (_, session_id)), extranonce1, _ = subscribed["result"]
    after = world.connect()
    replies = after.send(
        line("mining.subscribe", "test", session_id), line("mining.authorize", "bob.rig", "x")
    )
    assert replies[0]["result"][1] == extranonce1
    assert [each.get("method") for each in replies] == [
        None,
        None,
        "mining.set_difficulty",
        "mining.notify",
    ]
    assert (replies[3]["params"][0], replies[3]["params"][8]) == ("1e1", True)
    world.tick(5)
    assert before.closing()
    before.lose()
    after.send(share(1))
    world.tick()
    assert [each["result"] for each in after.heard()] == [True]
    world.feed.new(job("2"))
    assert len(after.heard()) == 1


def test_seats_are_given_back_or_kept_but_never_shared() -> None:
    world = World()
    rigs = [world.connect().start() for _ in range(50)]
    for rig in rigs[::2]:
        rig.lose()
    more = [world.connect() for _ in range(50)]
    seats = [rig.protocol.session.extranonce1 for rig in rigs + more]
    assert len(set(seats)) == 100


def test_whoever_shows_messages_is_told_of_a_planned_stop() -> None:
    world = World()
    shows, shows_not, idle = world.connect(), world.connect(), world.connect()
    shows.send(line("mining.subscribe", "cgminer/4.12"), line("mining.authorize", "bob.rig", "x"))
    shows_not.send(line("mining.subscribe", "whatsminer/v1.1"), line("mining.authorize", "bob.rig", "x"))
    world.server.stop()
    assert [each["method"] for each in shows.heard()] == ["client.show_message", "client.reconnect"]
    assert [each["method"] for each in shows_not.heard()] == ["client.reconnect"]
    assert idle.heard() == []
    assert all(each.closing() for each in (shows, shows_not, idle))


def test_miners_find_their_seats_again_after_a_planned_restart() -> None:
    place = Place()
    before, after = World(), World()
    before.server.share_seats(FakeElsewhere(place, 0, siblings=False))
    miner = before.connect()
    subscribed = miner.send(line("mining.subscribe", "test"), line("mining.authorize", "bob.rig", "x"))[0]
    (_, (_, session_id)), extranonce1, _ = subscribed["result"]
    before.server.stop()
    miner.lose()
    after.server.share_seats(FakeElsewhere(place, 0, siblings=False))
    again = after.connect().send(line("mining.subscribe", "test", session_id))[0]
    assert again["result"][1] == extranonce1


def test_a_port_listens_with_its_own_options() -> None:
    world = World()
    endpoint = FakeEndpoint()
    world.server.listen(endpoint, Options(start_difficulty=Difficulty(Fraction(1, 2))))
    assert endpoint.factory is not None
    rig = Rig(world, endpoint.factory)
    greeting = line("mining.subscribe", "test"), line("mining.authorize", "bob.rig", "x")
    assert rig.send(*greeting)[2]["params"] == [0.5]
