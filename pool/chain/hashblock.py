"""A node's ZeroMQ publisher: it tells the hash of each new tip before anything can be asked about it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Event, Thread
from typing import Any, Final
from urllib.parse import urlsplit

import zmq
from twisted.internet.interfaces import IReactorThreads

from pool.errors import ConfigError

TOPIC: Final = b"hashblock"
_LOOK_UP_MS: Final = 250
"""How soon the thread sees that it is to end."""
_HEARTBEAT_MS: Final = 15_000
"""Such a link can go dead without either end noticing; heartbeats have it set up again by ZeroMQ itself."""


def address_among(notifications: object, host: str) -> str | None:
    """The address of the hashblock publisher in what getzmqnotifications answers.

    Args:
        notifications: the decoded answer.
        host: of the node, for publishers that listen on all addresses.

    Returns:
        ``tcp://host:port``, or None when there is none.
    """
    for entry in notifications if isinstance(notifications, Sequence) else ():
        if isinstance(entry, dict) and entry.get("type") == "pubhashblock":
            address = str(entry.get("address", ""))
            where = urlsplit(address)
            if where.scheme == "tcp" and where.hostname in ("0.0.0.0", "*", "::"):  # noqa: S104 -- read, not bound
                return f"tcp://{f'[{host}]' if ':' in host else host}:{where.port}"
            return address or None
    return None


def subscribe(address: str, told: Callable[[str], None], reactor: IReactorThreads) -> Callable[[], None]:
    """Listen to a publisher in a daemon thread of its own.

    Args:
        address: ``tcp://host:port`` or ``ipc://path``; it need not be there yet, nor stay.
        told: called in the reactor's thread with a display-order hash, hex.
        reactor: the running one.

    Returns:
        What ends it; the thread is gone a moment later.

    Raises:
        ConfigError: the address cannot be used.
    """
    context = zmq.Context()
    socket = context.socket(zmq.SUB)
    over = Event()
    try:
        _prepare(socket, address)
    except zmq.ZMQError as error:
        _end(context, socket)
        raise ConfigError(f"node.zmq: {address} cannot be used: {error}") from None

    def listen() -> None:
        while not over.is_set():
            if socket.poll(_LOOK_UP_MS):
                message = socket.recv_multipart()
                if not over.is_set() and len(message) > 1 and message[0] == TOPIC and len(message[1]) == 32:
                    reactor.callFromThread(told, message[1].hex())
        _end(context, socket)

    Thread(target=listen, name="hashblock", daemon=True).start()
    return over.set


def _prepare(socket: Any, address: str) -> None:
    socket.setsockopt(zmq.LINGER, 0)
    socket.setsockopt(zmq.HEARTBEAT_IVL, _HEARTBEAT_MS)
    socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, _HEARTBEAT_MS)
    socket.setsockopt(zmq.TCP_KEEPALIVE, 1)
    socket.setsockopt(zmq.IPV6, 1)
    socket.setsockopt(zmq.SUBSCRIBE, TOPIC)
    socket.connect(address)


def _end(context: Any, socket: Any) -> None:
    socket.close()
    context.term()
