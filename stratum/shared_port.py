"""Ports that several processes listen on at once: the kernel deals new connections among them."""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IProtocolFactory
from twisted.internet.tcp import Port
from twisted.protocols.tls import TLSMemoryBIOFactory


class SharedPort(Port):
    """A TCP port with SO_REUSEPORT.  All processes on it must set that, and be of one user (socket(7))."""

    def createInternetSocket(self) -> socket.socket:  # noqa: N802 (Twisted's)
        """See twisted.internet.base.BasePort."""
        found: socket.socket = super().createInternetSocket()  # type: ignore[no-untyped-call]
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        return found


class Sharing:
    """A reactor whose ports can be shared: endpoints ask it to listen, and it is the real one in all else."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)

    def listenTCP(  # noqa: N802 (Twisted's)
        self, port: int, factory: IProtocolFactory, backlog: int = 50, interface: str = ""
    ) -> IListeningPort:
        """IReactorTCP."""
        found = SharedPort(port, factory, backlog, interface, self._reactor)
        found.startListening()
        return found

    def listenSSL(  # noqa: N802 (Twisted's)
        self,
        port: int,
        factory: IProtocolFactory,
        contextFactory: Any,  # noqa: N803 (Twisted's)
        backlog: int = 50,
        interface: str = "",
    ) -> IListeningPort:
        """IReactorSSL."""
        inside = TLSMemoryBIOFactory(contextFactory, False, factory)  # noqa: FBT003 (Twisted's isClient)
        return self.listenTCP(port, inside, backlog, interface)

    def listenUNIX(self, address: str, *_: Any, **__: Any) -> IListeningPort:  # noqa: N802 (Twisted's)
        """IReactorUNIX: Unix sockets have no such option.

        Raises:
            CannotListenError: always.
        """
        raise _unshared("unix", address)

    def adoptStreamPort(self, fileno: int, *_: Any) -> IListeningPort:  # noqa: N802 (Twisted's)
        """IReactorSocket: a socket that somebody else has opened is one socket.

        Raises:
            CannotListenError: always.
        """
        raise _unshared("fd", fileno)


def _unshared(kind: str, where: object) -> CannotListenError:
    why = OSError("only TCP ports can be shared by several processes")
    return CannotListenError(kind, where, why)  # type: ignore[no-untyped-call]
