"""A proxy before a node's RPC port that can hang: it takes connections and says nothing, as long as told."""

from __future__ import annotations

import contextlib
import socket
import threading
from types import TracebackType


class HangingProxy:
    """Attributes: port: it listens there."""

    def __init__(self, to_port: int) -> None:
        self._passes = threading.Event()
        self._to = ("127.0.0.1", to_port)
        self._server = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._server.getsockname()[1]
        self._over = False
        self.resume()

    def hang(self) -> None:
        self._passes.clear()

    def resume(self) -> None:
        self._passes.set()

    def __enter__(self) -> HangingProxy:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over = True
        self.resume()
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()

    def _accept(self) -> None:
        while not self._over:
            try:
                near, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(near,), daemon=True).start()

    def _serve(self, near: socket.socket) -> None:
        self._passes.wait()
        try:
            far = socket.create_connection(self._to)
        except OSError:
            near.close()
            return
        threading.Thread(target=self._copy, args=(far, near), daemon=True).start()
        self._copy(near, far)

    def _copy(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                self._passes.wait()
                target.sendall(data)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
