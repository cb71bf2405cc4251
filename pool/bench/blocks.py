"""Blocks against the clock: from a new tip to every miner's job, and from a solved one to the nodes."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import attrs

from pool.bench.fleet import Fleet
from pool.bench.front import ACCOUNT, BenchFront
from pool.bench.mempool import empty_block, fill
from pool.bench.node import PASSWORD, USER
from pool.bench.process import BenchError, allow_files, cpu_s
from pool.bench.tap import Tap
from pool.regtest.bitcoind import Bitcoind
from pool.regtest.fetch import cache_directory, tools

Figures = dict[str, float | int]
# It measures other processes from outside and waits for them, so it takes the real clock, here and only here.
_now: Final[Callable[[], float]] = time.monotonic  # noqa: TID251
_SPARE_FILES: Final = 300
_MILLI: Final = 1e3
_NO_BLOCK_S: Final = 0.1  # a submission whose block did not leave in this time was none: every second one
_SETTLES_S: Final = 0.5


@attrs.frozen
class Plan:
    """How much is measured.

    Attributes:
        connections: that are told of each new tip.
        transactions: in the node's mempool, and so in each template.
        tips: how many new tips.
        blocks: how many solved blocks.
    """

    connections: int = 1_000
    transactions: int = 4_000
    tips: int = 15
    blocks: int = 100


QUICK: Final = Plan(connections=20, transactions=50, tips=3, blocks=5)


def measure(plan: Plan, say: Callable[[str], None], directory: Path | None = None) -> Figures:
    """Start a real node on regtest and a front, and measure.

    Args:
        plan: how much.
        say: told what is being done.
        directory: for node and store, on the disk to be measured; None takes a temporary one.

    Returns:
        The figures by name, as docs/benchmarks.md explains them.

    Raises:
        BenchError: something did not start, or the limits of this machine are too low.
    """
    allow_files(plan.connections + _SPARE_FILES)
    figures: Figures = {"connections": plan.connections}
    with tempfile.TemporaryDirectory(prefix="sluice-bench-", dir=directory) as place:
        here = Path(place).resolve()
        node = Bitcoind(tools(cache_directory(), say), here / "node")
        node.start()
        try:
            say(f"{plan.transactions} transactions into the node's mempool")
            address = fill(node, plan.transactions)
            figures["template_transactions"] = int(node.rpc("getmempoolinfo")["size"])
            _tips(plan, figures, node, address, here, say)
            _solved(plan, figures, node, here, say)
        finally:
            node.stop()
    return figures


@contextmanager
def _fleet(here: Path, node: Bitcoind, url: str, count: int) -> Iterator[tuple[Fleet, int]]:
    """Miners on a front of its own, each with a job; and the front's process."""
    here.mkdir()
    front = BenchFront(here, url, connections=2 * count)
    config, login = here / "sluice.toml", node.logins["front"]
    own = f'user = "{login.user}", password = "{login.password}"'
    config.write_text(
        config.read_text("utf-8").replace(f'user = "{USER}", password = "{PASSWORD}"', own), "utf-8"
    )
    with front:
        fleet = Fleet(front.port, ACCOUNT, _now)
        fleet.connect(count)
        yield fleet, front.pids[0]
        fleet.disconnect()


def _tips(
    plan: Plan, figures: Figures, node: Bitcoind, address: str, here: Path, say: Callable[[str], None]
) -> None:
    say(f"{plan.tips} new tips, {plan.connections} miners")
    first_ms: list[float] = []
    last_ms: list[float] = []
    with _fleet(here / "tips", node, node.url, plan.connections) as (fleet, _):
        for _ in range(plan.tips + 1):
            began, told = _told(fleet, node, empty_block(node, address))
            first_ms.append((told[0] - began) * _MILLI)
            last_ms.append((told[-1] - began) * _MILLI)
            _rest(fleet)
    # the first one also fills caches that every later one finds full
    figures["tip_to_first_notify_ms_p50"] = round(_quantile(first_ms[1:], 50), 1)
    figures["tip_to_last_notify_ms_p50"] = round(_quantile(last_ms[1:], 50), 1)


def _told(fleet: Fleet, node: Bitcoind, block: str) -> tuple[float, list[float]]:
    """When a block was handed to the node, and when each miner heard of it, in the order of hearing."""
    fleet.told_at.clear()
    handed: list[float] = []

    def hand() -> None:
        handed.append(_now())
        node.rpc("submitblock", block)

    thread = threading.Thread(target=hand)
    thread.start()
    count = len(fleet.miners)
    fleet.until(lambda: len(fleet.told_at) >= count, "every miner was told of the new tip")
    thread.join()
    return handed[0], fleet.told_at[:count]


def _rest(fleet: Fleet) -> None:
    """Let everything that a tip brings with it (a fuller job behind an empty one) come and go."""
    end = _now() + _SETTLES_S
    while _now() < end:
        fleet.look(0.05)


def _solved(plan: Plan, figures: Figures, node: Bitcoind, here: Path, say: Callable[[str], None]) -> None:
    say(f"{plan.blocks} solved blocks")
    taken_ms: list[float] = []
    with Tap(node.ports.rpc, _now) as tap, _fleet(here / "solved", node, tap.url, 1) as (fleet, front):
        (miner,) = fleet.miners.values()
        tries, cpu = 0, cpu_s(front)
        while len(taken_ms) < plan.blocks:
            before, tries = len(tap.arrived), tries + 1
            if tries > 20 * plan.blocks:
                raise BenchError("the front hands in no blocks")
            fleet.submit(miner, 1)
            fleet.drain()
            end = miner.sent_at + _NO_BLOCK_S
            while len(tap.arrived) == before and _now() < end:
                fleet.look(0.002)
            if len(tap.arrived) > before:
                taken_ms.append((tap.arrived[before] - miner.sent_at) * _MILLI)
        figures["solved_front_cpu_ms"] = round((cpu_s(front) - cpu) / len(taken_ms) * _MILLI, 1)
    figures["solved_to_submit_ms_p50"] = round(_quantile(taken_ms, 50), 2)
    figures["solved_to_submit_ms_p99"] = round(_quantile(taken_ms, 99), 2)
    figures["block_bytes"] = max(tap.sizes) // 2 if tap.sizes else 0


def _quantile(values: list[float], percent: int) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]
