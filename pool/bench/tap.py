"""A tap on the line to a node: passes every call on but submitblock, which it only notes the arrival of."""

from __future__ import annotations

import json
import socket
import socketserver
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final

_CHUNK: Final = 65_536
_SUBMIT: Final = b'"submitblock"'
_KEPT: Final = "inconclusive"
"""What every block is answered with: the node keeps it.  So the tip stays, and the next block is as good."""


class Tap:
    """Listens until its context ends.

    Attributes:
        arrived: when each submitted block's call began to arrive, by the clock that was given.
        sizes: bytes of each such call.
    """

    def __init__(self, port: int, clock: Callable[[], float]) -> None:
        """Args: port: of the node on loopback; clock: seconds."""
        self.arrived: list[float] = []
        self.sizes: list[int] = []
        self.node_port = port
        self.clock = clock
        self._server = _Listener(("127.0.0.1", 0), _Call)
        self._server.tap = self

    @property
    def url(self) -> str:
        """In the place of the node's."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Tap:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Listener(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128
    tap: Tap

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A front that stops hangs up on its longpoll."""


class _Call(socketserver.BaseRequestHandler):
    """One connection, which carries one call: that is how the pool asks its node."""

    server: _Listener

    def handle(self) -> None:
        head, body = self._begin()
        if _SUBMIT in body[:200]:
            self.server.tap.arrived.append(self.server.tap.clock())
            self._swallow(head, body)
            return
        with socket.create_connection(("127.0.0.1", self.server.tap.node_port)) as node:
            node.sendall(head + body)
            back = threading.Thread(target=_pour, args=(node, self.request), daemon=True)
            back.start()
            _pour(self.request, node)
            back.join()

    def _begin(self) -> tuple[bytes, bytes]:
        """The head of the call, and as much of its body as tells the method."""
        data = b""
        while b"\r\n\r\n" not in data or len(data.partition(b"\r\n\r\n")[2]) < len(_SUBMIT):
            more = self.request.recv(_CHUNK)
            if not more:
                break
            data += more
        head, mark, body = data.partition(b"\r\n\r\n")
        return head + mark, body

    def _swallow(self, head: bytes, body: bytes) -> None:
        lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        length, size = int(lengths[0].partition(b":")[2]), len(body)
        while size < length:
            more = self.request.recv(_CHUNK)
            if not more:
                return
            size += len(more)
        self.server.tap.sizes.append(size)
        answer = json.dumps({"result": _KEPT, "error": None, "id": 0}).encode()
        self.request.sendall(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n"
            b"Content-Length: %d\r\n\r\n%s" % (len(answer), answer)
        )


def _pour(source: socket.socket, to: socket.socket) -> None:
    try:
        while data := source.recv(_CHUNK):
            to.sendall(data)
        to.shutdown(socket.SHUT_WR)
    except OSError:  # either side has hung up: so does the other
        for each in (source, to):
            each.close()
