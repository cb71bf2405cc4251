"""Accepted means on disk: fronts are killed and stopped under load, and the log held against the replies."""

from __future__ import annotations

import asyncio
from collections import Counter

from tests.fakes_node import StandIn
from tests.flow.conftest import MakeFront
from tests.flow.front import ACCOUNTS, Front, query, rows_by_worker_and_job
from tests.flow.load import Load
from tests.flow.miner import Miner

CONNECTIONS = 60
KILLS = 4
SHARES_BETWEEN = 1500
Counts = Counter[tuple[str, str]]


def users() -> list[str]:
    return [f"{ACCOUNTS[number % 3]}.rig{number}" for number in range(CONNECTIONS)]


async def kill_again_and_again(front: Front, node: StandIn) -> Load:
    """Load, kill, start; new tips come in between, as in life."""
    async with Load(front.port, users()) as load:
        for number in range(KILLS):
            await load.until_all_connected(number + 1)
            await load.until_accepted(SHARES_BETWEEN // 2)
            node.chain.grow()
            await load.until_accepted(SHARES_BETWEEN // 2)
            await asyncio.to_thread(front.kill)
            await asyncio.to_thread(front.start)
        await load.until_accepted(SHARES_BETWEEN // 2)
        await load.drained()
        return load


def test_every_acknowledged_share_survives_kills_under_load_and_none_is_in_the_log_twice(
    node: StandIn, make_front: MakeFront
) -> None:
    front = make_front()
    front.start()
    load = asyncio.run(kill_again_and_again(front, node))
    front.kill()

    rows = rows_by_worker_and_job(front.store)
    accepted, sent = load.accepted_by_worker_and_job(), load.sent_by_worker_and_job()
    assert accepted.total() >= KILLS * SHARES_BETWEEN
    assert lacking(accepted, rows) == {}, "acknowledged, but not in the log"
    assert lacking(rows, sent) == {}, "in the log more often than it was sent"
    # what was in doubt at a kill is at most what a window held
    assert rows.total() - accepted.total() <= KILLS * CONNECTIONS * 4
    # a share sent while the tip moved is stale; nothing else is ever refused
    assert set(load.refused()) <= {21}
    assert len(query(front.store, "SELECT id FROM boot")) == KILLS + 1


def lacking(few: Counts, many: Counts) -> dict[tuple[str, str], int]:
    """What the first has more of than the second."""
    return dict(few - many)


async def stop_under_load(front: Front) -> Load:
    async with Load(front.port, users(), window=16) as load:
        await load.until_accepted(2 * SHARES_BETWEEN)
        await asyncio.to_thread(front.terminate)
        await load.drained()
        return load


def test_after_a_clean_stop_the_log_has_exactly_the_shares_that_were_acknowledged(
    make_front: MakeFront,
) -> None:
    front = make_front()
    front.start()
    load = asyncio.run(stop_under_load(front))

    accepted = load.accepted_by_worker_and_job()
    assert accepted.total() >= 2 * SHARES_BETWEEN
    assert rows_by_worker_and_job(front.store) == accepted
    assert load.refused() == {}


def test_a_clean_stop_writes_and_answers_what_was_still_waiting_for_its_turn(make_front: MakeFront) -> None:
    front = make_front(flush_ms=60_000.0)
    front.start()
    with Miner(front.port, "alpha.rig") as miner, Miner(front.port, "bravo.rig") as other:
        miner.send("mining.submit", miner.share())
        # sent later and answered at once: by now the share has been judged and waits
        assert other.ask("mining.ping", [])["result"] == "pong"
        assert rows_by_worker_and_job(front.store) == {}

        front.terminate()

        assert miner.answer()["result"] is True
    assert rows_by_worker_and_job(front.store).total() == 1
