"""What one peer may take of the door: replies that wait, invalid shares, requests, connections."""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.testing import StringTransport

from stratum.limits import INVALID_IN_A_ROW, MOST_UNANSWERED
from tests.stratum.fakes import line
from tests.stratum.test_server import Rig, World, share


class From(Rig):
    """A miner with an address."""

    def __init__(self, world: World, host: str) -> None:
        made = world.server.factory.buildProtocol(None)
        assert made is not None
        self.protocol, self.world = made, world
        peer = IPv4Address("TCP", host, 1000)
        self.transport = StringTransport(peerAddress=peer)  # type: ignore[no-untyped-call]
        self.protocol.makeConnection(self.transport)  # type: ignore[no-untyped-call]

    def cut(self) -> bool:
        return bool(self.transport.disconnected or self.transport.disconnecting)


def methods(said: list[dict[str, Any]]) -> list[str]:
    return [message["method"] for message in said if "method" in message]


def nonsense(count: int) -> bytes:
    """Submissions of this machine's own job with a time that no block may have."""
    params = ("bob.rig", "1", "00" * 8, "00000001", "00000001")
    return b"".join(line("mining.submit", *params) for _ in range(count))


def test_one_address_gets_so_many_connections_and_gets_them_back() -> None:
    world = World(max_connections_per_address=2)
    first, second = From(world, "203.0.113.1"), From(world, "203.0.113.1")
    assert From(world, "203.0.113.1").cut()
    assert not From(world, "203.0.113.2").cut()
    assert not first.cut()
    assert not second.cut()
    first.lose()
    assert not From(world, "203.0.113.1").cut()


def test_a_connection_that_was_cut_off_for_its_address_is_not_heard() -> None:
    world = World(max_connections_per_address=1)
    From(world, "203.0.113.1")
    late = From(world, "203.0.113.1")
    assert late.send(line("mining.subscribe", "x")) == []


def test_mostly_invalid_shares_bring_a_fresh_job_then_a_reconnect_then_the_end() -> None:
    miner = World().connect().start()
    assert "mining.notify" in methods(miner.send(nonsense(INVALID_IN_A_ROW)))
    assert "client.reconnect" in methods(miner.send(nonsense(INVALID_IN_A_ROW)))
    assert not miner.closing()
    miner.send(nonsense(INVALID_IN_A_ROW))
    assert miner.closing()


def test_a_flood_of_requests_is_cut_short() -> None:
    miner = World().connect().start()
    miner.send(b"".join(line("mining.ping") for _ in range(1_000)))
    assert not miner.closing()
    miner.send(b"".join(line("mining.ping") for _ in range(1_000)))
    assert miner.closing()


def test_a_connection_is_not_read_while_thousands_of_its_replies_wait_for_the_disk() -> None:
    world = World()
    world.sink.slow = True
    miner = world.connect().start()
    miner.send(b"".join(share(nonce) for nonce in range(1, MOST_UNANSWERED + 1)))
    assert miner.transport.producerState == "producing"
    miner.send(share(MOST_UNANSWERED + 1))
    assert miner.transport.producerState == "paused"
    world.tick()
    world.sink.finish()
    assert len(miner.heard()) == MOST_UNANSWERED + 1
    assert miner.transport.producerState == "producing"


def test_a_server_that_stops_judges_nothing_more() -> None:
    world = World()
    world.sink.slow = True
    miner = world.connect().start()
    miner.send(b"".join(share(nonce) for nonce in range(1, MOST_UNANSWERED + 2)))
    world.server.stop()
    assert miner.transport.producerState == "paused"
    world.sink.finish()
    assert len(miner.heard()) == MOST_UNANSWERED + 2
    assert miner.send(share(0)) == []
    world.tick()
    assert len(world.sink.batches) == 1
