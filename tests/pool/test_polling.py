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
            self.transport.loseConnection()
        self.transport.write(data)


def test_other_reactors_are_left_alone() -> None:
    assert not poll_quickly(Clock())


def test_an_epoll_reactor_goes_on_moving_bytes() -> None:
    reactor: Any = EPollReactor()  # type: ignore[no-untyped-call]
    assert poll_quickly(reactor)
    port = reactor.listenTCP(0, Factory.forProtocol(Echo), interface="127.0.0.1")
    heard = b""
    with socket.create_connection(("127.0.0.1", port.getHost().port)) as link:
        link.settimeout(0)
        link.send(b"hello")
        for _ in range(100):
            reactor.iterate(0.05)
            try:
                heard += link.recv(100)
            except BlockingIOError:
                continue
            if heard == b"hello":
                link.send(b"fail")
            if heard.endswith(b"fail"):
                break
    assert heard == b"hellofail"
    for _ in range(5):
        reactor.iterate(0.01)
    port.stopListening()
    reactor.iterate(0)
    reactor._poller.close()
    for waker in list(reactor._internalReaders):
        waker.connectionLost(None)
