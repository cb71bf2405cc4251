"""Behind a proxy a connection is the miner's as soon as its header is there, and nobody's before."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet import tcp
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.endpoints import serverFromString
from twisted.internet.protocol import connectionDone
from twisted.internet.testing import MemoryReactorClock, StringTransport

from stratum import proxy
from stratum.connection import Connection
from stratum.proxy import HEADER_TIMEOUT_S, HeaderFactory
from stratum.transport import Introduced, plain_tcp
from tests.stratum.fakes import line, lines
from tests.stratum.test_server import World

V1 = b"PROXY TCP4 203.0.113.7 192.0.2.1 1000 3333\r\n"
PROXYS_OWN = IPv4Address("TCP", "192.0.2.9", 7)
HELLO = line("mining.subscribe", "test", request_id=1) + line("mining.authorize", "bob.rig", request_id=2)


class Proxied:
    """A proxy's end of a connection to a server."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.protocol = HeaderFactory(world.server.factory, world.clock).buildProtocol(None)
        self.transport = StringTransport(peerAddress=PROXYS_OWN)  # type: ignore[no-untyped-call]
        self.protocol.makeConnection(self.transport)  # type: ignore[no-untyped-call]

    def send(self, *chunks: bytes) -> list[dict[str, Any]]:
        for chunk in chunks:
            self.protocol.dataReceived(chunk)
        said = lines(self.transport.value())  # type: ignore[no-untyped-call]
        self.transport.clear()  # type: ignore[no-untyped-call]
        return said

    def miner(self) -> Connection:
        inner: Any = self.protocol._inner
        assert isinstance(inner, Connection)
        return inner

    def cut(self) -> bool:
        return bool(self.transport.disconnected)


@given(st.lists(st.integers(0, len(V1 + HELLO)), max_size=8))
def test_how_header_and_greeting_are_cut_changes_nothing(cuts: list[int]) -> None:
    link, whole = Proxied(World()), V1 + HELLO
    edges = [0, *sorted(cuts), len(whole)]
    chunks = [whole[start:end] for start, end in pairwise(edges) if start < end]
    assert [each["id"] for each in link.send(*chunks)] == [1, 2, None, None]
    assert link.miner().transport.getPeer() == IPv4Address("TCP", "203.0.113.7", 1000)


@given(st.lists(st.binary(max_size=40), max_size=6))
def test_nothing_that_comes_first_raises(chunks: list[bytes]) -> None:
    Proxied(World()).send(*chunks)
    Proxied(World()).send(b"PROXY TCP4 ", *chunks)


def test_a_miner_of_ipv6_and_one_without_an_address() -> None:
    link = Proxied(World())
    link.send(b"PROXY TCP6 2001:db8::7 2001:db8::1 1000 3333\r\n")
    assert link.miner().transport.getPeer() == IPv6Address("TCP", "2001:db8::7", 1000)
    link = Proxied(World())
    assert len(link.send(b"PROXY UNKNOWN\r\n" + HELLO)) == 4
    assert link.miner().transport.getPeer() == PROXYS_OWN


def test_a_header_that_does_not_come_in_time_ends_the_connection() -> None:
    world = World()
    silent, slow = Proxied(world), Proxied(world)
    slow.send(V1[:20])
    world.tick(HEADER_TIMEOUT_S - 1)
    assert not silent.cut()
    slow.send(V1[20:])
    world.tick(2)
    assert silent.cut()
    assert not slow.cut()
    assert silent.send(V1 + HELLO) == []


def test_after_a_wrong_header_nothing_is_read() -> None:
    link = Proxied(World())
    assert link.send(HELLO, V1, HELLO) == []
    assert link.cut()
    assert link.world.clock.getDelayedCalls() == []


def test_a_connection_counts_only_from_its_header_to_its_end() -> None:
    world = World()
    link, health_check = Proxied(world), Proxied(world)
    health_check.protocol.connectionLost(connectionDone)
    assert world.observer.live == []
    link.send(V1)
    link.protocol.connectionLost(connectionDone)
    assert world.observer.live == [1, 0]


def test_a_server_that_takes_nobody_is_left_at_once() -> None:
    link = Proxied(World(max_connections=0))
    assert link.send(V1 + HELLO) == []
    assert link.cut()


class Kernel(tcp.Server):
    """A TCP connection that only tells what it is."""

    def __init__(self) -> None:
        """No socket."""


def test_replies_take_the_short_way_behind_a_proxy_too() -> None:
    kernel: Any = Kernel()
    found = plain_tcp(Introduced(kernel, PROXYS_OWN))
    assert found is kernel


def test_tls_has_no_short_way_behind_a_proxy_either() -> None:
    kernel: Any = Kernel()
    kernel.TLS = True
    assert plain_tcp(Introduced(kernel, PROXYS_OWN)) is None


def test_later_reads_go_to_the_miner_s_protocol_directly() -> None:
    link = Proxied(World())
    link.send(V1)
    assert link.protocol.dataReceived == link.miner().dataReceived


def test_only_haproxy_strings_get_a_header() -> None:
    reactor = MemoryReactorClock()  # type: ignore[no-untyped-call]
    world = World()
    for description in ("tcp:1", "haproxy:tcp:2", "haproxy:unix:/run/x"):
        proxy.endpoint(reactor, description).listen(world.server.factory)
    (_, plain, *_), (_, headed, *_) = reactor.tcpServers
    made: list[Any] = [plain, headed]
    assert made[0] is world.server.factory
    assert (type(made[1]), made[1].clock) == (HeaderFactory, reactor)
    assert [type(each[1]) for each in reactor.unixServers] == [HeaderFactory]
    assert type(proxy.endpoint(reactor, "tcp:1")) is type(serverFromString(reactor, "tcp:1"))  # type: ignore[no-untyped-call]
