"""What a connection needs of Twisted's transports, and the shortest way through a plain TCP one."""

from __future__ import annotations

from typing import Any, Final, Protocol

from twisted.internet import tcp
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IAddress, IListeningPort
from zope.interface import directlyProvides, providedBy

BACKLOG: Final = 4096
"""Connections that may wait to be taken; the kernel makes it net.core.somaxconn, if that is less."""


class Socket(Protocol):
    """A transport, plain TCP or TLS: Twisted's interfaces, put together."""

    def write(self, data: bytes) -> None:
        """ITransport."""
        ...

    def registerProducer(self, producer: object, streaming: bool) -> None:  # noqa: FBT001, N802 (Twisted's)
        """IConsumer."""
        ...

    def unregisterProducer(self) -> None:  # noqa: N802
        """IConsumer."""
        ...

    def pauseProducing(self) -> None:  # noqa: N802
        """IPushProducer: stop reading."""
        ...

    def resumeProducing(self) -> None:  # noqa: N802
        """IPushProducer: read on."""
        ...

    def getPeer(self) -> IAddress:  # noqa: N802
        """ITransport."""
        ...

    def loseConnection(self) -> None:  # noqa: N802
        """ITransport."""
        ...

    def abortConnection(self) -> None:  # noqa: N802
        """ITCPTransport."""
        ...


def lengthen_queue(port: IListeningPort) -> IListeningPort:
    """Let more connections wait than Twisted's 50: miners that lost a pool come back all at once.

    Whoever finds the queue full is not refused but ignored, and tries again a second later, then two, four…
    """
    if isinstance(port, tcp.Port):
        port.socket.listen(BACKLOG)  # a second call only changes the length
    return port


class Introduced:
    """A proxy's connection with the address of the miner behind it.  Attributes: the transport itself."""

    def __init__(self, transport: Socket, peer: IAddress) -> None:
        self.transport = transport
        self._peer = peer
        directlyProvides(self, providedBy(transport))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.transport, name)

    def getPeer(self) -> IAddress:  # noqa: N802
        """ITransport: the miner's address."""
        return self._peer


def host_of(address: IAddress) -> str:
    """The IP address as text, empty where there is none (a Unix socket)."""
    return address.host if isinstance(address, IPv4Address | IPv6Address) else ""


def plain_tcp(transport: object) -> tcp.Server | None:
    """The transport if it is a TCP socket without TLS, also behind a proxy, else None."""
    if isinstance(transport, Introduced):
        transport = transport.transport
    return transport if isinstance(transport, tcp.Server) and not transport.TLS else None


def finish_writing(transport: Socket) -> None:
    """Say that nothing more will be said, and go on reading until the peer closes.

    Closing while the kernel holds input that nobody has read would reset the connection, and what was written
    last would be lost on its way.  TLS says so in a message of its own, and waits for the peer's.
    """
    transport.resumeProducing()
    plain = plain_tcp(transport)
    if plain is None:
        transport.loseConnection()
    else:
        plain.loseWriteConnection()  # type: ignore[no-untyped-call]


def send_now(socket: tcp.Server, data: bytes) -> bytes:
    """Hand the kernel what it takes at once, unless earlier data waits; the rest is for ``transport.write``.

    Going through the reactor costs two more system calls for each reply (a fifth of a share's CPU time).
    """
    if socket.dataBuffer or socket._tempDataLen or socket.disconnecting:  # noqa: SLF001
        return data
    try:
        sent: int = socket.socket.send(data)
    except OSError:  # full or broken: the reactor finds out by itself which
        return data
    return data[sent:]
