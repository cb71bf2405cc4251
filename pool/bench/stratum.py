"""The miners' door under load: which figures there are, how each is measured, and how long it takes."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Final

import attrs

from pool.bench.front import ACCOUNT, BenchFront
from pool.bench.load import Load, Rate
from pool.bench.node import BenchNode
from pool.bench.process import BenchError, allow_files, cpu_s, rss_bytes

Figures = dict[str, float | int]
_SPARE_FILES: Final = 200
_MICRO: Final = 1e6
_MILLI: Final = 1e3
_SINKS_IN_S: Final = 1.0  # until the front has noticed that ten thousand miners hung up


@attrs.frozen
class Plan:
    """How much is measured.

    Attributes:
        many: connections with one share outstanding each.
        few: connections with ``window`` in flight.
        window: see there.
        idle: connections that fall silent, are told of a block, and come back all at once.
        paced_per_s: shares a second for CPU per share and reply times.
        seconds: how long each of the loads lasts.
    """

    many: int = 1_000
    few: int = 64
    window: int = 16
    idle: int = 10_000
    paced_per_s: float = 1_000.0
    seconds: float = 10.0


QUICK: Final = Plan(many=50, few=8, window=8, idle=100, paced_per_s=200.0, seconds=0.5)


def measure(plan: Plan, say: Callable[[str], None], directory: Path | None = None) -> Figures:
    """Start node stand-in, front and load generator, and measure everything.

    Args:
        plan: how much.
        say: told what is being done.
        directory: for the store, on the disk to be measured; None takes a temporary one.

    Returns:
        The figures by name, as docs/benchmarks.md explains them.

    Raises:
        BenchError: something did not start, or the limits of this machine are too low.
    """
    allow_files(plan.idle + _SPARE_FILES)
    figures: Figures = {}
    with tempfile.TemporaryDirectory(prefix="sluice-bench-", dir=directory) as place, BenchNode() as node:
        for step, processes in ((_throughput, 1), (_side_by_side, 2), (_idle, 1)):
            here = Path(place).resolve() / step.__name__.strip("_")
            here.mkdir()
            limit = 2 * plan.idle + plan.many
            with (
                BenchFront(here, node.url, connections=limit, processes=processes) as front,
                Load(front.port, ACCOUNT, front.pids) as load,
            ):
                step(plan, figures, load, front, node, say)
    return figures


def _throughput(
    plan: Plan, figures: Figures, load: Load, front: BenchFront, node: BenchNode, say: Callable[[str], None]
) -> None:
    say(f"{plan.many} miners, one share outstanding each, {plan.seconds:g} s")
    load.connect(plan.many)
    rate = load.saturate(1, plan.seconds, vary=True)
    figures["accepted_per_cpu_s_1000x1"] = _per_cpu_s(rate)
    figures["wall_shares_per_s_1_process"] = round(rate.accepted / rate.seconds)
    figures["yardstick_sha256d_us"] = round(_sha256d_us(), 2)
    figures["load_cpu_share_1000x1"] = round(rate.load_cpu_s / rate.seconds, 2)
    say("the same with one extranonce2")
    figures["accepted_per_cpu_s_1000x1_same_extranonce2"] = _per_cpu_s(
        load.saturate(1, plan.seconds, vary=False)
    )
    say(f"{plan.many} miners, {plan.paced_per_s:g} shares/s in all, {plan.seconds:g} s")
    _paced(figures, load.pace(plan.paced_per_s, plan.seconds))
    load.disconnect()
    say(f"{plan.few} miners, {plan.window} shares in flight each, {plan.seconds:g} s")
    load.connect(plan.few)
    figures["accepted_per_cpu_s_64x16"] = _per_cpu_s(load.saturate(plan.window, plan.seconds, vary=True))
    say("the same with one extranonce2")
    figures["accepted_per_cpu_s_64x16_same_extranonce2"] = _per_cpu_s(
        load.saturate(plan.window, plan.seconds, vary=False)
    )


def _side_by_side(
    plan: Plan, figures: Figures, load: Load, front: BenchFront, node: BenchNode, say: Callable[[str], None]
) -> None:
    processes = len(front.pids)
    say(f"{plan.many} miners on {processes} processes, one share outstanding each, {plan.seconds:g} s")
    load.connect(plan.many)
    rate = load.saturate(1, plan.seconds, vary=True)
    figures[f"wall_shares_per_s_{processes}_processes"] = round(rate.accepted / rate.seconds)
    figures[f"accepted_per_cpu_s_{processes}_processes"] = _per_cpu_s(rate)
    figures[f"load_cpu_share_{processes}_processes"] = round(rate.load_cpu_s / rate.seconds, 2)
    say(f"the same miners, {plan.paced_per_s:g} shares/s in all, {plan.seconds:g} s")
    times = sorted(load.pace(plan.paced_per_s, plan.seconds).reply_s)
    figures[f"reply_ms_p50_{processes}_processes"] = round(times[len(times) // 2] * _MILLI, 2)
    figures[f"reply_ms_p99_{processes}_processes"] = round(times[len(times) * 99 // 100] * _MILLI, 2)


def _paced(figures: Figures, rate: Rate) -> None:
    _per_cpu_s(rate)
    figures["cpu_us_per_share_at_1000_per_s"] = round(rate.front_cpu_s / rate.accepted * _MICRO, 1)
    times = sorted(rate.reply_s)
    figures["reply_ms_p50"] = round(times[len(times) // 2] * _MILLI, 2)
    figures["reply_ms_p99"] = round(times[len(times) * 99 // 100] * _MILLI, 2)


def _idle(
    plan: Plan, figures: Figures, load: Load, front: BenchFront, node: BenchNode, say: Callable[[str], None]
) -> None:
    say(f"{plan.idle} miners that only listen")
    load.connect(1)  # what the first connection brings with it is not the connection's
    before = rss_bytes(front.pids[0])
    load.connect(plan.idle)
    figures["rss_bytes_per_idle_connection"] = round((rss_bytes(front.pids[0]) - before) / plan.idle)
    say(f"a new block for all {plan.idle}")
    # the first one also fills caches that every later one finds full
    load.await_job(node.find_block)
    began = cpu_s(front.pids[0])
    figures["fanout_ms_10000"] = round(min(load.await_job(node.find_block) for _ in range(3)) * _MILLI, 1)
    figures["fanout_cpu_ms_10000"] = round((cpu_s(front.pids[0]) - began) / 3 * _MILLI)
    say(f"all {plan.idle} hang up and connect again")
    load.disconnect()
    time.sleep(_SINKS_IN_S)
    began = cpu_s(front.pids[0])
    figures["storm_s_10000"] = round(load.connect(plan.idle), 3)
    figures["storm_cpu_s_10000"] = round(cpu_s(front.pids[0]) - began, 2)


def _sha256d_us() -> float:
    """How long this machine takes now for what a share consists of: a double hash of 64 bytes."""
    count, message = 20_000, bytes(64)
    began = time.process_time()
    for _ in range(count):
        sha256(sha256(message).digest()).digest()
    return (time.process_time() - began) / count * _MICRO


def _per_cpu_s(rate: Rate) -> int:
    if rate.refused > rate.accepted:
        raise BenchError(f"{rate.refused} of {rate.refused + rate.accepted} shares were refused")
    # a load too short for the kernel's clock counts as one tick of it
    return round(rate.accepted / max(rate.front_cpu_s, 0.01))
