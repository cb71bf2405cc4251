"""The load generator: what is measured from the miners' side, in a process of its own beside the front's."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Final

import attrs

from pool.bench.fleet import Fleet
from pool.bench.process import BenchError, cpu_s

# It measures another process from outside and waits for it, so it takes the real clock, here and only here.
_now: Final[Callable[[], float]] = time.monotonic  # noqa: TID251
_SETTLES_S: Final = 0.3
_DEADLINE_S: Final = 300.0


@attrs.frozen
class Rate:
    """A stretch of time under load.

    Attributes:
        seconds: how long it was.
        accepted: shares acknowledged in it.
        refused: submissions refused in it.
        front_cpu_s: CPU time of the front in it, of all its processes.
        load_cpu_s: CPU time of the load generator in it.
        reply_s: how long each reply took, in no order; only when the pace was fixed.
    """

    seconds: float
    accepted: int
    refused: int
    front_cpu_s: float
    load_cpu_s: float
    reply_s: list[float] = attrs.field(factory=list, repr=False)


class Measurements:
    """What the process can be asked to do; every method is called through the pipe."""

    def __init__(self, port: int, user: str, front_pids: Sequence[int]) -> None:
        self._fleet = Fleet(port, user, _now)
        self._front_pids = front_pids

    def connect(self, count: int) -> float:
        """Connect so many; answers the seconds until all have work."""
        began = _now()
        self._fleet.connect(count)
        return _now() - began

    def disconnect(self) -> None:
        """Cut all off."""
        self._fleet.disconnect()

    def saturate(self, window: int, seconds: float, vary: bool) -> Rate:  # noqa: FBT001 -- through a pipe
        """Keep so many submissions unanswered on each connection, for so long."""
        fleet = self._fleet
        fleet.vary = vary
        for miner in fleet.miners.values():
            fleet.submit(miner, window)

        def turn() -> None:
            for miner, replies in fleet.look(0.1):
                fleet.submit(miner, replies)

        self._for(_SETTLES_S, turn)
        rate = self._measured(seconds, turn, [])
        fleet.drain()
        return rate

    def pace(self, shares_per_s: float, seconds: float) -> Rate:
        """Send so many shares a second, each from the next connection; how long each reply takes."""
        fleet, miners = self._fleet, list(self._fleet.miners.values())
        began, sent, reply_s = _now(), 0, []
        fleet.vary = True

        def hear() -> None:
            for miner, _ in fleet.look(0.001):
                reply_s.append(_now() - miner.sent_at)

        def turn() -> None:
            nonlocal sent
            due = int((_now() - began) * shares_per_s)
            while sent < due:
                self._fleet.submit(miners[sent % len(miners)], 1)
                sent += 1
            hear()

        self._for(_SETTLES_S, turn)
        reply_s.clear()
        rate = self._measured(seconds, turn, reply_s)
        fleet.drain()
        return rate

    def await_job(self) -> float:
        """Wait for a new job on every connection; seconds from the first miner told to the last."""
        fleet = self._fleet
        fleet.told_at.clear()
        fleet.until(lambda: len(fleet.told_at) >= len(fleet.miners), "every miner was told the new job")
        return fleet.told_at[-1] - fleet.told_at[0]

    def _for(self, seconds: float, turn: Callable[[], None]) -> None:
        end = _now() + seconds
        while _now() < end:
            turn()

    def _front_cpu_s(self) -> float:
        return sum(cpu_s(pid) for pid in self._front_pids)

    def _measured(self, seconds: float, turn: Callable[[], None], reply_s: list[float]) -> Rate:
        fleet = self._fleet
        accepted, refused = fleet.accepted, fleet.refused
        front, own, began = self._front_cpu_s(), time.process_time(), _now()
        self._for(seconds, turn)
        return Rate(
            seconds=_now() - began,
            accepted=fleet.accepted - accepted,
            refused=fleet.refused - refused,
            front_cpu_s=self._front_cpu_s() - front,
            load_cpu_s=time.process_time() - own,
            reply_s=reply_s,
        )


class Load:
    """The load generator's process; its end of the pipe.  A context that ends it."""

    def __init__(self, port: int, user: str, front_pids: Sequence[int]) -> None:
        # spawned rather than forked: the node stand-in has threads in this process
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, port, user, front_pids), daemon=True)

    def __enter__(self) -> Load:
        self._process.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.join()

    def connect(self, count: int) -> float:
        """See Measurements."""
        seconds: float = self._call("connect", count)
        return seconds

    def disconnect(self) -> None:
        """See Measurements."""
        self._call("disconnect")

    def saturate(self, window: int, seconds: float, *, vary: bool) -> Rate:
        """See Measurements."""
        rate: Rate = self._call("saturate", window, seconds, vary)
        return rate

    def pace(self, shares_per_s: float, seconds: float) -> Rate:
        """See Measurements."""
        rate: Rate = self._call("pace", shares_per_s, seconds)
        return rate

    def await_job(self, meanwhile: Callable[[], None]) -> float:
        """See Measurements; what makes the new job is done once the load waits for it."""
        self._pipe.send(("await_job", ()))
        meanwhile()
        seconds: float = self._answer()
        return seconds

    def _call(self, name: str, *arguments: Any) -> Any:
        self._pipe.send((name, arguments))
        return self._answer()

    def _answer(self) -> Any:
        if not self._pipe.poll(_DEADLINE_S):
            raise BenchError("the load generator does not answer")
        try:
            result = self._pipe.recv()
        except EOFError:
            raise BenchError("the load generator has ended: its error is above") from None
        if isinstance(result, BenchError):
            raise result
        return result


def _serve(pipe: Connection, port: int, user: str, front_pids: Sequence[int]) -> None:
    measurements = Measurements(port, user, front_pids)
    while True:
        name, arguments = pipe.recv()
        try:
            pipe.send(getattr(measurements, name)(*arguments))
        except BenchError as error:
            pipe.send(error)
