"""Several front processes on the same ports: each ends and comes back without the others' miners noticing."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import urllib.request
from collections import Counter

import pytest

from pool.miner_link import Lost
from pool.regtest.processes import free_ports
from tests.fakes_node import StandIn
from tests.flow.conftest import MakeFront, MakePool
from tests.flow.front import ACCOUNTS, Pool, query, rows_by_worker_and_job
from tests.flow.load import Load
from tests.flow.miner import Miner
from tests.flow.test_front_killed import lacking

CONNECTIONS = 24
SHARES = 300


def users(name: str) -> list[str]:
    return [f"{ACCOUNTS[number % 3]}.{name}{number}" for number in range(CONNECTIONS)]


def wait_for_metric(pool: Pool, port: int, line: str) -> None:
    """Wait until /metrics has this line."""

    def shown() -> bool:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            return line in answer.read().decode().splitlines()

    pool.program.wait_until(f"/metrics says {line}", shown, 20.0)


async def end_one_after_the_other(pool: Pool, node: StandIn, web_port: int) -> list[Load]:
    """Under load front 1 is killed, then front 0 is stopped."""
    async with Load(pool.port, users("first"), window=1) as first:
        await first.until_all_connected(1)
        metric = f"sluice_connections {float(CONNECTIONS)}"
        await asyncio.to_thread(wait_for_metric, pool, web_port, metric)
        await first.until_accepted(SHARES)
        await asyncio.to_thread(pool.end_front, 1, signal.SIGKILL)
        node.chain.grow()
        await first.until_accepted(SHARES)
        await only_this_front_was_left(1, first)
        async with Load(pool.port, users("last"), window=1) as last:
            await last.until_all_connected(1)
            await last.until_accepted(SHARES)
            await asyncio.to_thread(stop_front_0_whose_miner_finds_its_seat_at_front_1, pool)
            await last.until_accepted(SHARES)
            await only_this_front_was_left(0, last)
            await last.drained()
        await first.drained()
        return [first, last]


async def only_this_front_was_left(ended: int, load: Load) -> None:
    """The kernel has dealt miners to both; those of the other front have their first connection."""
    assert {miner.fronts[0] for miner in load.miners} == {0, 1}
    await load._until(lambda: all(m.connections > 1 for m in load.miners if m.fronts[0] == ended), 30.0)
    assert all(miner.connections == 1 for miner in load.miners if miner.fronts[0] != ended)


def at_front(pool: Pool, number: int) -> Miner:
    """A miner that the kernel has dealt to this front."""
    while True:
        miner = Miner(pool.port, "alpha.resumes")
        if bytes.fromhex(miner.extranonce1)[0] == number:
            return miner
        miner.__exit__()


def stop_front_0_whose_miner_finds_its_seat_at_front_1(pool: Pool) -> None:
    with at_front(pool, 0) as miner:
        session_id = miner.ask("mining.subscribe", ["by hand"])["result"][0][0][1]
        os.kill(pool.pid(0), signal.SIGTERM)
        with pytest.raises(Lost):
            miner.wait_for_jobs(1_000)
    with Miner(pool.port, "alpha.resumes", session_id) as again:
        assert again.extranonce1 == miner.extranonce1
        assert again.submit(again.share()) is None
        pool.wait_for_front(0, 2)
        with at_front(pool, 0) as stranger:
            assert stranger.extranonce1 != again.extranonce1
    assert session_id not in pool.log_text()


def test_fronts_end_and_come_back_alone_and_the_log_has_every_share_that_was_acknowledged(
    node: StandIn, make_pool: MakePool
) -> None:
    (web_port,) = free_ports(1)
    pool = make_pool(processes=2, web_port=web_port)
    pool.start()
    loads = asyncio.run(end_one_after_the_other(pool, node, web_port))
    pool.terminate()

    rows = rows_by_worker_and_job(pool.store)
    accepted = sum((load.accepted_by_worker_and_job() for load in loads), Counter[tuple[str, str]]())
    sent = sum((load.sent_by_worker_and_job() for load in loads), Counter[tuple[str, str]]())
    assert lacking(accepted, rows) == {}, "acknowledged, but not in the log"
    rows = Counter({key: count for key, count in rows.items() if "resumes" not in key[0]})
    assert lacking(rows, sent) == {}, "in the log more often than it was sent"
    assert rows.total() - accepted.total() <= CONNECTIONS, "in doubt is what windows held at the kill"
    assert set().union(*(load.refused() for load in loads)) <= {21}
    assert {front for (front,) in query(pool.store, "SELECT DISTINCT front_id FROM share")} == {0, 1}
    assert len(query(pool.store, "SELECT id FROM boot")) == 4


def test_a_second_pool_is_refused_a_port_although_it_would_share_it_too(
    make_front: MakeFront, make_pool: MakePool
) -> None:
    first, second = make_front(processes=2), make_pool(processes=2)
    second.config.write_text(second.config.read_text().replace(str(second.port), str(first.port)))
    first.start()

    command = [*second.command, "--role", "front", "--number", "1"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=40)

    assert done.returncode == 2, done.stderr
    said = f"front-1 could not start: stratum.listen[0]: tcp:{first.port}:interface=127.0.0.1: "
    assert said in done.stderr
    assert "Address already in use: stop what listens there, or choose another" in done.stderr
