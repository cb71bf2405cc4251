"""The quick loop moves the same bytes, and an exception in one protocol ends only its own connection."""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet.epollreactor import EPollReactor
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock

from pool.polling import poll_quickly


class Echo(Protocol):
    def dataReceived(self, data: bytes) -> None:
        assert self.transport is not None
        if data == b"fail":
            raise RuntimeError("a bug")
        self.transport.write(data)


def said(reactor: Any, link: socket.socket) -> bytes:
    """What the peer says next, or nothing when it hung up; the reactor runs meanwhile."""
    link.settimeout(0)
    for _ in range(200):
        reactor.iterate(0.05)
        try:
            return link.recv(100)
        except BlockingIOError:
            continue
    raise AssertionError("the peer said nothing")


def test_other_reactors_are_left_alone() -> None:
    assert not poll_quickly(Clock())


def test_an_epoll_reactor_goes_on_moving_bytes() -> None:
    reactor: Any = EPollReactor()  # type: ignore[no-untyped-call]
    assert poll_quickly(reactor)
    port = reactor.listenTCP(0, Factory.forProtocol(Echo), interface="127.0.0.1")
    address = ("127.0.0.1", port.getHost().port)
    with socket.create_connection(address) as broken, socket.create_connection(address) as other:
        broken.send(b"fail")
        assert said(reactor, broken) == b""  # closed
        other.send(b"hello")
        assert said(reactor, other) == b"hello"
    for _ in range(5):
        reactor.iterate(0.01)
    port.stopListening()
    reactor.iterate(0)
    reactor._poller.close()
    for waker in list(reactor._internalReaders):
        waker.connectionLost(None)
