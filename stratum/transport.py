"""What a connection needs of Twisted's transports, and the shortest way through a plain TCP one."""

from __future__ import annotations

from typing import Final, Protocol

from twisted.internet import tcp
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IAddress, IListeningPort
from twisted.protocols.haproxy._wrapper import HAProxyProtocolWrapper

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


def knows_its_peer(transport: object) -> bool:
    """Whether the peer's address is the miner's at once; behind a proxy it comes with the first bytes."""
    return not isinstance(transport, HAProxyProtocolWrapper)


def host_of(address: IAddress) -> str:
    """The IP address as text, empty where there is none (a Unix socket)."""
    return address.host if isinstance(address, IPv4Address | IPv6Address) else ""


def plain_tcp(transport: object) -> tcp.Server | None:
    """The transport if it is a TCP socket without TLS, else None."""
    return transport if isinstance(transport, tcp.Server) and not transport.TLS else None


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
