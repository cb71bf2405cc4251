"""Connections through a SOCKS5 proxy, by name: the way to ``.onion`` services."""

from __future__ import annotations

from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.python.failure import Failure
from zope.interface import implementer

from payouts.errors import PayoutError

_GREETING: Final = b"\x05\x01\x00"  # version 5, one method: no authentication
_WELCOME: Final = b"\x05\x00"
_LENGTHS: Final = {1: 4, 4: 16}  # of a bound address, by its type
_NAMED: Final = 3


class ProxyRefused(PayoutError):
    """The proxy would not connect, or is no SOCKS5 proxy."""


def request(host: str, port: int) -> bytes:
    """RFC 1928's CONNECT to a name: the proxy resolves it, nobody here does.

    Raises:
        ProxyRefused: the name is too long for it.
    """
    name = host.encode("ascii")
    if not 0 < len(name) < 256:
        raise ProxyRefused("the name is too long for a proxy")
    return b"\x05\x01\x00\x03" + bytes([len(name)]) + name + port.to_bytes(2, "big")


def reply_length(received: bytes) -> int | None:
    """How long the proxy's reply to CONNECT is; None while that cannot be told yet.

    Raises:
        ProxyRefused: it is a refusal, or no such reply.
    """
    if len(received) < 5:
        return None
    version, code, _, kind, first = received[:5]
    if version != 5 or code != 0 or (kind not in _LENGTHS and kind != _NAMED):
        raise ProxyRefused(f"the proxy did not connect (code {code})")
    return 4 + (1 + first if kind == _NAMED else _LENGTHS[kind]) + 2


class _Tunnel(Protocol):
    """Speaks with the proxy first, then carries the bytes of the protocol that wanted to connect."""

    def __init__(self, host: str, port: int, factory: IProtocolFactory, done: Deferred[IProtocol]) -> None:
        self._hello = request(host, port)
        self._factory = factory
        self._done = done
        self._received = b""
        self._welcomed = False
        self._inner: IProtocol | None = None

    def connectionMade(self) -> None:  # noqa: N802 - Twisted's spelling
        """Greet."""
        self._write(_GREETING)

    def _write(self, data: bytes) -> None:
        if self.transport is not None:
            self.transport.write(data)

    def dataReceived(self, data: bytes) -> None:  # noqa: N802 - Twisted's spelling
        """Carry on the conversation, or hand bytes on."""
        if self._inner is not None:
            self._inner.dataReceived(data)
            return
        self._received += data
        try:
            self._converse()
        except ProxyRefused as refused:
            self._fail(Failure(refused))  # type: ignore[no-untyped-call]

    def _converse(self) -> None:
        if not self._welcomed:
            if len(self._received) < 2:
                return
            if not self._received.startswith(_WELCOME):
                raise ProxyRefused("the proxy asks for a password, or is no SOCKS5 proxy")
            self._welcomed, self._received = True, self._received[2:]
            self._write(self._hello)
        length = reply_length(self._received)
        if length is None or len(self._received) < length or self.transport is None:
            return
        rest, self._received = self._received[length:], b""
        inner = self._factory.buildProtocol(self.transport.getPeer())
        if inner is None:
            raise ProxyRefused("nobody wanted the connection")
        self._inner = inner
        inner.makeConnection(self.transport)
        self._done.callback(inner)
        if rest:
            inner.dataReceived(rest)

    def _fail(self, failure: Failure) -> None:
        if not self._done.called:
            self._done.errback(failure)
        if self.transport is not None:
            self.transport.loseConnection()

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]  # noqa: N802
        """Tell whoever is connected, or waits to be."""
        if self._inner is not None:
            self._inner.connectionLost(reason)
        elif not self._done.called:
            self._done.errback(reason)


@implementer(IStreamClientEndpoint)
class ThroughProxy:
    """A client endpoint at a name, through a proxy.

    Args:
        proxy: where the proxy listens.
        host: name to connect to.
        port: its port.
    """

    def __init__(self, proxy: IStreamClientEndpoint, host: str, port: int) -> None:
        self._proxy = proxy
        self._host = host
        self._port = port

    def connect(self, factory: IProtocolFactory) -> Deferred[IProtocol]:
        """See IStreamClientEndpoint; cancelling drops the connection to the proxy."""
        tunnels: list[_Tunnel] = []

        def drop(_: Deferred[IProtocol]) -> None:
            connecting.cancel()
            for tunnel in tunnels:
                if tunnel.transport is not None:
                    tunnel.transport.loseConnection()

        done: Deferred[IProtocol] = Deferred(drop)
        host, port = self._host, self._port

        class Tunnels(Factory):
            noisy = False

            def buildProtocol(self, addr: IAddress | None) -> _Tunnel:  # noqa: N802
                tunnel = _Tunnel(host, port, factory, done)
                tunnels.append(tunnel)
                return tunnel

        connecting = self._proxy.connect(Tunnels())
        connecting.addErrback(lambda failure: None if done.called else done.errback(failure))
        return done
