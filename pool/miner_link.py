"""The CPU miner's connection: lines of JSON over a blocking socket."""

from __future__ import annotations

import json
import select
import socket
from decimal import Decimal
from typing import Any

ANSWER_TIMEOUT_S = 60.0
_MAX_LINE = 1 << 20


class Lost(Exception):
    """The connection is of no use any more; never leaves the miner."""


class Link:
    """Lines of JSON over TCP."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._socket = socket.create_connection(address, timeout=ANSWER_TIMEOUT_S)
        self._rest = b""

    def __enter__(self) -> Link:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, number: int, method: str, params: list[Any]) -> None:
        """Send one request; may raise OSError."""
        line = json.dumps({"id": number, "method": method, "params": params}) + "\n"
        self._socket.sendall(line.encode("utf-8"))

    def receive(self, wait_s: float) -> list[dict[str, Any]]:
        """Whole messages that have come, after at most so long.

        Raises:
            Lost: the pool hung up, or speaks no Stratum.
            OSError: the connection broke.
        """
        if not select.select([self._socket], [], [], wait_s)[0]:
            return []
        data = self._socket.recv(65536)
        if not data:
            raise Lost("the pool hung up")
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > _MAX_LINE:
            raise Lost("the pool sent an endless line")
        return [self._message(line) for line in lines if line.strip()]

    @staticmethod
    def _message(line: bytes) -> dict[str, Any]:
        try:
            message = json.loads(line, parse_float=Decimal)
        except ValueError:
            message = None
        if not isinstance(message, dict):
            raise Lost("the pool sent something that is not Stratum")
        return message
