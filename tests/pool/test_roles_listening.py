"""Ports that fronts of one store open together, and that nobody else is let into."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from twisted.internet.defer import Deferred
from twisted.internet.epollreactor import EPollReactor
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import Factory
from twisted.logger import Logger

from pool.config import Config, parse
from pool.roles import listening
from pool.roles.base import Context


def config(directory: Path) -> Config:
    return parse({"stratum": {"processes": 2}, "store": {"directory": str(directory)}}, "test")


@attrs.define
class Rig:
    """Fronts of one store in one process, each with its own list of ports."""

    reactor: Any
    context: Context
    opened: list[IListeningPort] = attrs.Factory(list)
    held: list[Any] = attrs.Factory(list)

    def listen(self, port: int) -> str:
        """Open a port as the next front; what is wrong, or nothing."""
        ports = [("stratum.listen[0]", f"tcp:{port}:interface=127.0.0.1", Factory())]
        outcome: list[Any] = []
        Deferred.fromCoroutine(listening.listen(self.context, ports, self.opened)).addBoth(outcome.append)
        for _ in range(200):
            if outcome:
                break
            self.reactor.iterate(0.01)
        if hasattr(outcome[0], "value"):
            return str(outcome[0].value)
        self.held.append(outcome[0])
        return ""


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    reactor: Any = EPollReactor()  # type: ignore[no-untyped-call]
    context = Context(config(tmp_path), reactor, lambda: 0.0, Logger(), lambda _: None)
    rig = Rig(reactor, context)
    yield rig
    for port in rig.opened:
        port.stopListening()
    for each in rig.held:
        each.close()
    for _ in range(3):
        reactor.iterate(0.01)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def test_fronts_of_one_store_share_a_port_and_nobody_else_does(rig: Rig) -> None:
    port = free_port()
    assert rig.listen(port) == rig.listen(port) == ""
    assert len(rig.opened) == 2
    with pytest.raises(OSError, match="in use"):
        socket.create_server(("127.0.0.1", port)).close()


def test_a_stranger_on_the_port_is_found_out_although_it_would_share(rig: Rig) -> None:
    port = free_port()
    with socket.create_server(("127.0.0.1", port), reuse_port=True):
        said = rig.listen(port)
        assert "Address already in use: stop what listens there" in said
        assert rig.opened == []
    assert rig.listen(port) == ""


def test_what_cannot_be_shared_says_so(rig: Rig, tmp_path: Path) -> None:
    ports = [("stratum.listen[0]", f"unix:{tmp_path}/door", Factory())]
    failed: list[Any] = []
    Deferred.fromCoroutine(listening.listen(rig.context, ports, rig.opened)).addErrback(failed.append)
    for _ in range(5):
        rig.reactor.iterate(0.01)
    assert "only TCP ports can be shared by several processes" in str(failed[0].value)
