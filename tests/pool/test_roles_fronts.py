"""Several fronts: each has a name, a front id and a part of the limits; ports are opened one at a time."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.epollreactor import EPollReactor
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import Factory
from twisted.logger import Logger

from pool.config import Config, parse
from pool.errors import ConfigError
from pool.roles import fronts
from pool.roles.base import Context


def config(processes: int, front_id: int = 0, directory: Path = Path("data")) -> Config:
    stratum = {"processes": processes, "front_id": front_id}
    return parse({"stratum": stratum, "store": {"directory": str(directory)}}, "test")


def test_one_front_is_called_by_its_role_and_several_by_their_numbers() -> None:
    assert fronts.commands(config(1), ["--role"]) == {"front": ["--role", "front", "--number", "0"]}
    assert list(fronts.commands(config(3), ["--role"])) == ["front-0", "front-1", "front-2"]


def test_each_front_has_an_id_of_its_own_and_a_part_of_the_limits() -> None:
    given = [fronts.of_process(config(4, 12), number).stratum for number in range(4)]
    assert [each.front_id for each in given] == [12, 13, 14, 15]
    assert {each.max_connections for each in given} == {2_700}
    assert fronts.of_process(config(1), 0) == config(1)


@pytest.mark.parametrize("number", [-1, 2])
def test_a_number_that_no_front_has_is_refused_with_those_that_there_are(number: int) -> None:
    with pytest.raises(ConfigError, match="numbers go from 0 to 1"):
        fronts.of_process(config(2), number)


@given(st.integers(1, 100_000), st.integers(1, 32))
def test_the_parts_of_a_limit_make_at_least_the_whole_and_none_is_more(limit: int, processes: int) -> None:
    part = fronts.share_of(limit, processes)
    assert part <= limit <= part * processes


@pytest.mark.parametrize(("front_id", "processes"), [(255, 2), (250, 32)])
def test_front_ids_that_do_not_fit_a_byte_are_a_mistake_that_is_named(front_id: int, processes: int) -> None:
    with pytest.raises(ConfigError, match=f"front_id = {front_id} and processes = {processes} need"):
        config(processes, front_id)


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
        Deferred.fromCoroutine(fronts.listen(self.context, ports, self.opened)).addBoth(outcome.append)
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
    context = Context(config(2, 0, tmp_path), reactor, lambda: 0.0, Logger(), lambda _: None)
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
    Deferred.fromCoroutine(fronts.listen(rig.context, ports, rig.opened)).addErrback(failed.append)
    for _ in range(5):
        rig.reactor.iterate(0.01)
    assert "only TCP ports can be shared by several processes" in str(failed[0].value)
