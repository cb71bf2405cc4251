"""When there is no work: shares are stale at once, nobody is given a job, miners may be sent elsewhere."""

from __future__ import annotations

from stratum.errors import Code
from tests.stratum.fakes import NTIME, job, line
from tests.stratum.test_server import Rig, World

SHARE = line("mining.submit", "alice.rig", "1", "00" * 8, f"{NTIME:08x}", "00000000", request_id=9)


def methods(heard: list[dict[str, object]]) -> list[object]:
    return [each["method"] for each in heard if "method" in each]


def login(rig: Rig) -> list[dict[str, object]]:
    return rig.send(
        line("mining.subscribe", "test"), line("mining.authorize", "alice.rig", "x", request_id=2)
    )


def test_shares_of_withdrawn_work_are_stale_and_nobody_new_is_given_any() -> None:
    world = World()
    miner = world.connect()
    login(miner)
    other = world.connect()
    login(other)
    other.send(SHARE)
    world.tick()
    assert other.heard()[0]["result"] is True
    world.server.withdraw()

    (reply,) = miner.send(SHARE)
    assert reply["error"][0] == Code.STALE
    assert "mining.notify" not in methods(login(world.connect()))
    assert miner.transport.disconnecting is False


def test_work_that_comes_again_is_told_to_all_and_brings_nothing_of_the_old_back() -> None:
    world = World()
    miner = world.connect()
    login(miner)
    world.server.withdraw()
    late = world.connect()
    login(late)

    world.feed.new(job("again"))

    assert methods(miner.heard())[-1] == methods(late.heard())[-1] == "mining.notify"
    (reply,) = miner.send(SHARE)
    assert reply["error"][0] == Code.STALE


def test_miners_are_sent_elsewhere_and_hung_up_on() -> None:
    world = World()
    miner, stranger = world.connect(), world.connect()
    login(miner)

    world.server.withdraw(("backup.pool.example", 3333))

    (sent,) = miner.heard()
    assert (sent["method"], sent["params"]) == ("client.reconnect", ["backup.pool.example", 3333, 0])
    assert stranger.heard() == []
    assert miner.transport.disconnecting
    assert stranger.transport.disconnecting
