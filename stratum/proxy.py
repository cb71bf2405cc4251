"""Ports behind a proxy: ``haproxy:`` endpoint strings, whose connections begin with a PROXY header.

Twisted's own reader raises into the reactor on some headers, refuses connections that the proxy makes for
itself, and reads the header inside TLS, where no proxy sends it.
"""

from __future__ import annotations

from typing import Any, Final, assert_never

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IListeningPort,
    IProtocol,
    IProtocolFactory,
    IReactorTime,
    IStreamServerEndpoint,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure

from stratum.notices import Notices
from stratum.proxy_header import Header, Source, Wrong, read
from stratum.transport import Introduced, Socket, host_of

HEADER_TIMEOUT_S: Final = 10.0
_PREFIX: Final = "haproxy:"
_TLS_HANDSHAKE: Final = b"\x16"


def endpoint(reactor: Any, description: str) -> IStreamServerEndpoint:
    """The endpoint of a string, as Twisted's ``serverFromString`` makes it, but with our own ``haproxy:``.

    After ``haproxy:`` comes any other endpoint string.  With ``ssl:`` the header comes in the clear before
    TLS, as HAProxy, nginx and load balancers send it; a header inside TLS is understood as well.

    Args:
        reactor: to listen with; also the clock for headers that do not come.
        description: such as ``haproxy:tcp:3333``.

    Raises:
        ValueError, TypeError, OSError: it is no usable endpoint string.
    """
    if description.startswith(_PREFIX):
        return endpoint(_HeaderFirst(reactor), description.removeprefix(_PREFIX))
    found: IStreamServerEndpoint = serverFromString(reactor, description)  # type: ignore[no-untyped-call]
    return found


class _HeaderFirst:
    """A reactor whose ports read a header first: endpoints ask it to listen, and need nothing else of it."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)

    def listenTCP(self, port: int, factory: IProtocolFactory, *args: Any, **options: Any) -> IListeningPort:
        """IReactorTCP."""
        found: IListeningPort = self._reactor.listenTCP(
            port, HeaderFactory(factory, self._reactor), *args, **options
        )
        return found

    def listenSSL(
        self, port: int, factory: IProtocolFactory, contextFactory: Any, *args: Any, **options: Any
    ) -> IListeningPort:
        """IReactorSSL: a TCP port, since TLS begins behind the header."""
        first = HeaderFactory(factory, self._reactor, contextFactory)
        found: IListeningPort = self._reactor.listenTCP(port, first, *args, **options)
        return found

    def listenUNIX(
        self, address: str, factory: IProtocolFactory, *args: Any, **options: Any
    ) -> IListeningPort:
        """IReactorUNIX."""
        found: IListeningPort = self._reactor.listenUNIX(
            address, HeaderFactory(factory, self._reactor), *args, **options
        )
        return found

    def adoptStreamPort(self, fileno: int, family: Any, factory: IProtocolFactory) -> IListeningPort:
        """IReactorSocket: a port that systemd opened."""
        found: IListeningPort = self._reactor.adoptStreamPort(
            fileno, family, HeaderFactory(factory, self._reactor)
        )
        return found


class HeaderFactory(Factory):
    """What a port behind a proxy listens with.

    Args:
        behind: builds the protocols of miners, by the miner's address.
        clock: for headers that do not come.
        tls: a context factory, if TLS follows the header.
    """

    noisy = False
    _log = Logger()

    def __init__(self, behind: IProtocolFactory, clock: IReactorTime, tls: Any = None) -> None:
        self.clock = clock
        self.notices = Notices(clock, self._log)
        self.tls = tls is not None
        if tls is None:
            self.behind = self.inside_tls = behind
        else:
            # isClient is False; without a clock they would take the global reactor
            self.behind = TLSMemoryBIOFactory(tls, False, behind, clock)  # noqa: FBT003
            self.inside_tls = TLSMemoryBIOFactory(tls, False, HeaderFactory(behind, clock), clock)  # noqa: FBT003

    def buildProtocol(self, addr: IAddress | None) -> Introduction:
        """A connection of the proxy's."""
        return Introduction(self)


class Introduction(Protocol):
    """A connection until its header has come; then it only stands between socket and miner's protocol."""

    transport: Socket  # type: ignore[assignment]  # Twisted declares too little

    def __init__(self, factory: HeaderFactory) -> None:
        self._factory = factory
        self._read = bytearray()
        self._inner: IProtocol | None = None
        self._timer: IDelayedCall | None = None

    def connectionMade(self) -> None:
        """The proxy is there."""
        self._timer = self._factory.clock.callLater(HEADER_TIMEOUT_S, self._refuse, "no PROXY header in time")

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Either end is gone."""
        self._stop_waiting()
        if self._inner is not None:
            self._inner.connectionLost(reason)

    def dataReceived(self, data: bytes) -> None:
        """A part of the header, with or without what follows."""
        self._read += data
        if self._factory.tls and self._read.startswith(_TLS_HANDSHAKE):
            self._hand_over(self._factory.inside_tls, self.transport.getPeer(), 0)
            return
        match read(self._read):
            case None:
                pass
            case Wrong() as wrong:
                self._refuse(wrong.reason)
            case Header() as header:
                peer = self.transport.getPeer() if header.source is None else _address(header.source)
                self._hand_over(self._factory.behind, peer, header.size)
            case never:
                assert_never(never)

    def _hand_over(self, factory: IProtocolFactory, peer: IAddress, size: int) -> None:
        self._stop_waiting()
        rest, self._read = bytes(self._read[size:]), bytearray()
        inner = factory.buildProtocol(peer)
        if inner is None:
            self._drop()
            return
        # from here on the reactor calls the miner's protocol directly
        self._inner, self.dataReceived = inner, inner.dataReceived  # type: ignore[method-assign]
        inner.makeConnection(Introduced(self.transport, peer))  # type: ignore[arg-type]  # it provides them all
        if rest:
            inner.dataReceived(rest)

    def _refuse(self, reason: str) -> None:
        proxy = host_of(self.transport.getPeer())
        self._factory.notices.tell(f"Closed a connection of the proxy's: {reason}", proxy)
        self._stop_waiting()
        self._drop()

    def _drop(self) -> None:
        self.dataReceived, self._read = _pass_over, bytearray()  # type: ignore[method-assign]
        self.transport.abortConnection()

    def _stop_waiting(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()


def _pass_over(data: bytes) -> None:
    """What comes after a connection was given up."""


def _address(source: Source) -> IAddress:
    kind = IPv6Address if ":" in source.host else IPv4Address
    return kind("TCP", source.host, source.port)
