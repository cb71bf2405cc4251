"""The quick loop moves the same bytes, and an exception in one protocol ends only its own connection."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest
from twisted.internet.epollreactor import EPollReactor
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock

from pool.polling import poll_quickly


class Echo(Protocol):
    def dataReceived(self, data: bytes) -> None:
        transport: Any = self.transport
        if data == b"fail":
            raise RuntimeError("a bug")
        transport.socket.send(data)  # at once: what is buffered leaves with a later look at the sockets


class Bench:
    """A reactor of its own that echoes on a port."""

    def __init__(self, rest_s: float) -> None:
        self.reactor: Any = EPollReactor()  # type: ignore[no-untyped-call]
        assert poll_quickly(self.reactor, rest_s)
        listen: Any = self.reactor.listenTCP
        self._port = listen(0, Factory.forProtocol(Echo), interface="127.0.0.1")
        self.address = ("127.0.0.1", self._port.getHost().port)

    def said(self, link: socket.socket) -> bytes:
        """What the peer says next, or nothing when it hung up; the reactor runs meanwhile."""
        link.settimeout(0)
        for _ in range(200):
            self.reactor.iterate(0.05)
            try:
                return link.recv(100)
            except BlockingIOError:
                continue
        raise AssertionError("the peer said nothing")

    def close(self) -> None:
        for _ in range(5):
            self.reactor.iterate(0.01)
        self._port.stopListening()
        self.reactor.iterate(0)
        self.reactor._poller.close()
        for waker in list(self.reactor._internalReaders):
            waker.connectionLost(None)


@pytest.fixture(params=[0.0, 0.02])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    bench = Bench(request.param)
    yield bench
    bench.close()


@pytest.fixture
def sleepy() -> Iterator[tuple[Bench, socket.socket]]:
    """One that rests for an hour after it has taken a connection, on which something was said."""
    bench = Bench(3600.0)
    with socket.create_connection(bench.address) as link:
        bench.reactor.iterate(0.05)
        link.send(b"hello")
        yield bench, link
    bench.reactor.doIteration._rest_s = 0.0
    bench.close()


def test_other_reactors_are_left_alone() -> None:
    assert not poll_quickly(Clock())


def test_an_epoll_reactor_goes_on_moving_bytes(bench: Bench) -> None:
    with socket.create_connection(bench.address) as broken, socket.create_connection(bench.address) as other:
        broken.send(b"fail")
        assert bench.said(broken) == b""  # closed
        other.send(b"hello")
        assert bench.said(other) == b"hello"


def test_a_timer_does_not_wait_for_the_end_of_a_rest(sleepy: tuple[Bench, socket.socket]) -> None:
    bench, _ = sleepy
    fired: list[str] = []
    bench.reactor.callLater(0.001, fired.append, "timer")
    for _ in range(3):
        bench.reactor.iterate(0.01)
    assert fired == ["timer"]


def test_neither_does_a_thread_and_then_the_sockets_are_looked_at_too(
    sleepy: tuple[Bench, socket.socket],
) -> None:
    bench, link = sleepy
    fired: list[str] = []
    bench.reactor.callFromThread(fired.append, "thread")
    assert bench.said(link) == b"hello"
    assert fired == ["thread"]


def test_a_clock_that_was_set_back_ends_the_rest(sleepy: tuple[Bench, socket.socket]) -> None:
    bench, link = sleepy
    bench.reactor.doIteration._now = lambda: 1.0
    assert bench.said(link) == b"hello"


def test_news_from_a_thread_alone_begin_no_rest() -> None:
    bench = Bench(3600.0)
    bench.reactor.callFromThread(lambda: None)
    bench.reactor.iterate(0.05)
    assert bench.reactor.doIteration._rested_at == 0.0
    with socket.create_connection(bench.address):
        bench.reactor.iterate(0.05)
        assert bench.reactor.doIteration._rested_at > 0.0  # a socket had something to say
    bench.reactor.doIteration._rest_s = 0.0
    bench.close()
