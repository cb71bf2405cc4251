"""A stranger's https server on this machine, which misbehaves as it is told, and a SOCKS proxy to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import attrs
import trustme
from OpenSSL import SSL, crypto
from twisted.internet import endpoints, ssl
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import ContextFactory, trustRootFromCertificates

HOST = "ln.example.com"


@attrs.define
class Served:
    """What a stranger's server was sent, and what it sends back.

    Attributes:
        answer: bytes to write after a whole request; None: nothing, for ever.
        requests: as they came.
        names: of TLS's server name indication.
    """

    answer: Callable[[bytes], bytes | None]
    requests: list[bytes] = attrs.Factory(list)
    connections: int = 0


class _Server(Protocol):
    """One connection: a request head in, an answer out, closed."""

    def __init__(self, served: Served) -> None:
        self._served = served
        self._buffer = b""

    def connectionMade(self) -> None:
        self._served.connections += 1

    def dataReceived(self, data: bytes) -> None:
        self._buffer += data
        if b"\r\n\r\n" not in self._buffer:
            return
        self._served.requests.append(self._buffer)
        answer = self._served.answer(self._buffer)
        self._buffer = b""
        if answer is not None and self.transport is not None:
            self.transport.write(answer)
            self.transport.loseConnection()


def document(text: bytes, status: bytes = b"200 OK", extra: bytes = b"") -> bytes:
    """An HTTP answer."""
    head = (
        b"HTTP/1.1 %s\r\nContent-Type: application/json\r\n%sContent-Length: %d\r\nConnection: close\r\n\r\n"
    )
    return head % (status, extra, len(text)) + text


@attrs.define
class _Always(ContextFactory):
    """One context for all connections."""

    context: SSL.Context

    def getContext(self) -> SSL.Context:
        return self.context


@attrs.define
class Stranger:
    """The server, its port, and the root of its certificate."""

    served: Served
    port: Any
    trust: Any

    @property
    def number(self) -> int:
        return int(self.port.getHost().port)


def listen(reactor: Any, served: Served, host: str = HOST, *, secure: bool = True) -> Stranger:
    """Start it on a loopback port."""
    authority = trustme.CA()
    certificate = authority.issue_cert(host)
    factory = Factory.forProtocol(lambda: _Server(served))
    if secure:
        context = SSL.Context(SSL.TLS_SERVER_METHOD)
        certificate.configure_cert(context)
        port = reactor.listenSSL(0, factory, _Always(context), interface="127.0.0.1")
    else:
        port = reactor.listenTCP(0, factory, interface="127.0.0.1")
    root = crypto.load_certificate(crypto.FILETYPE_PEM, authority.cert_pem.bytes())
    return Stranger(served, port, cast(Any, trustRootFromCertificates)([cast(Any, ssl.Certificate)(root)]))


@attrs.define
class Proxy:
    """A SOCKS5 proxy that connects whatever name it is asked for to one port here."""

    to_port: int
    code: int = 0
    methods: bytes = b"\x05\x00"
    asked: list[bytes] = attrs.Factory(list)

    def listen(self, reactor: Any) -> Any:
        factory = Factory.forProtocol(lambda: _Socks(self, reactor))
        return reactor.listenTCP(0, factory, interface="127.0.0.1")


class _Forward(Protocol):
    def __init__(self, other: _Socks) -> None:
        self._other = other

    def connectionMade(self) -> None:
        self._other.joined(self)

    def dataReceived(self, data: bytes) -> None:
        assert self._other.transport is not None
        self._other.transport.write(data)

    def connectionLost(self, reason: Any = None) -> None:
        if self._other.transport is not None:
            self._other.transport.loseConnection()


class _Socks(Protocol):
    def __init__(self, proxy: Proxy, reactor: Any) -> None:
        self._proxy = proxy
        self._reactor = reactor
        self._buffer = b""
        self._greeted = False
        self._inner: _Forward | None = None

    def dataReceived(self, data: bytes) -> None:
        assert self.transport is not None
        if self._inner is not None:
            assert self._inner.transport is not None
            self._inner.transport.write(data)
            return
        self._buffer += data
        if not self._greeted and len(self._buffer) >= 3:
            self._greeted, self._buffer = True, self._buffer[3:]
            self.transport.write(self._proxy.methods)
        elif self._greeted and len(self._buffer) >= 5 and len(self._buffer) >= 7 + self._buffer[4]:
            self._proxy.asked.append(self._buffer)
            if self._proxy.code:
                self.transport.write(bytes([5, self._proxy.code, 0, 1]) + bytes(6))
                return
            there = endpoints.TCP4ClientEndpoint(self._reactor, "127.0.0.1", self._proxy.to_port)
            there.connect(Factory.forProtocol(lambda: _Forward(self)))

    def joined(self, inner: _Forward) -> None:
        assert self.transport is not None
        self._inner = inner
        reply = b"\x05\x00\x00\x03\x04name\x00\x50"
        for number in range(len(reply)):  # byte by byte: a reply may be cut anywhere
            self.transport.write(reply[number : number + 1])

    def connectionLost(self, reason: Any = None) -> None:
        if self._inner is not None and self._inner.transport is not None:
            self._inner.transport.loseConnection()
