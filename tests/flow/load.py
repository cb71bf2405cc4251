"""A load generator: many miners on one front, each with real proof of work, each counting its own replies.

It knows the protocol from the CPU miner, not from the pool's own door.  What a miner sent, what was accepted
and what was refused is counted by job, so that a share log can be held against it.  By itself:
``python -m tests.flow.load --port 3333 --user alpha --connections 50 --seconds 10`` prints counts as JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

from pool.miner_task import Task, scan, task_from_notify

_DIFFICULTY_1 = 0xFFFF << 208
_AGAIN_S = 0.02
_NONCES = 1 << 20  # far more than a share takes: the generator is for tiny difficulties


class LoadMiner:
    """One miner with one name; it connects again whenever it is cut off.

    Attributes:
        user: ``account.worker``.
        sent: submissions by job.
        accepted: acknowledged shares by job.
        refused: refusals by error code.
        connections: how often it was connected.
        fronts: the front id of each connection, as its extranonce1 begins.
    """

    def __init__(self, port: int, user: str, window: int) -> None:
        self.user = user
        self.sent: Counter[str] = Counter()
        self.accepted: Counter[str] = Counter()
        self.refused: Counter[int] = Counter()
        self.connections = 0
        self.fronts: list[int] = []
        self._port = port
        self._window = window
        self._number = 10
        self._outstanding: dict[int, str] = {}
        self._draining = False
        self._forget()

    def _forget(self) -> None:
        self._outstanding.clear()
        self._extranonce1 = b""
        self._target = 0
        self._task: Task | None = None
        self._head = b""
        self._nonce = 0

    async def run(self) -> None:
        """Mine until cancelled, or until drained."""
        loop = asyncio.get_running_loop()
        while not self._draining:
            with socket.socket() as link:
                link.setblocking(False)
                try:
                    await loop.sock_connect(link, ("127.0.0.1", self._port))
                except OSError:
                    await asyncio.sleep(_AGAIN_S)
                    continue
                self.connections += 1
                await self._converse(loop, link)
            self._forget()

    def drain(self) -> None:
        """Send nothing more; ``run`` ends when everything has been answered, or the front hangs up."""
        self._draining = True

    async def _converse(self, loop: asyncio.AbstractEventLoop, link: socket.socket) -> None:
        hello = _line(1, "mining.subscribe", ["sluice-load/1"])
        sending = await _send(loop, link, hello + _line(2, "mining.authorize", [self.user, "x"]))
        rest = b""
        while not (self._draining and not self._outstanding):
            try:
                data = await loop.sock_recv(link, 1 << 16)
            except OSError:
                return
            if not data:
                return
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                self._heard(json.loads(line))
            # a front that has hung up may have answered before: what it said is still to be read
            if sending and self._task is not None and not self._draining:
                sending = await _send(loop, link, self._submissions(self._task))

    def _heard(self, message: dict[str, Any]) -> None:
        method, number = message.get("method"), message.get("id")
        if method == "mining.set_difficulty":
            self._target = min(int(_DIFFICULTY_1 / Fraction(message["params"][0])), 2**256 - 1)
        elif method == "mining.notify":
            self._task = task_from_notify(message["params"], self._target, self._extranonce1, 8)
            self._head, self._nonce = self._task.head(self._task.version, bytes(8)), 0
        elif number == 1:
            self._extranonce1 = bytes.fromhex(message["result"][1])
            self.fronts.append(self._extranonce1[0])
        elif number == 2:
            assert message["result"] is True, message
        elif number is not None:
            self._answered(self._outstanding.pop(number), message)

    def _answered(self, job: str, message: dict[str, Any]) -> None:
        if message["result"] is True:
            self.accepted[job] += 1
        else:
            self.refused[message["error"][0]] += 1

    def _submissions(self, task: Task) -> bytes:
        """As many fresh shares as the window has room for."""
        lines = []
        while len(self._outstanding) < self._window:
            nonce = scan(self._head, task.target, self._nonce, _NONCES)
            assert nonce is not None, "the difficulty is too high for a load test"
            self._nonce = nonce + 1
            self._number += 1
            self._outstanding[self._number] = task.job_id
            self.sent[task.job_id] += 1
            params = [self.user, task.job_id, bytes(8).hex(), task.ntime, f"{nonce:08x}"]
            lines.append(_line(self._number, "mining.submit", params))
        return b"".join(lines)


async def _send(loop: asyncio.AbstractEventLoop, link: socket.socket, data: bytes) -> bool:
    """Whether the peer still takes something."""
    try:
        await loop.sock_sendall(link, data)
    except OSError:
        return False
    return True


def _line(number: int, method: str, params: list[Any]) -> bytes:
    return json.dumps({"id": number, "method": method, "params": params}).encode() + b"\n"


class Load:
    """Many of them, in tasks of the running loop; an asynchronous context that cancels what is left."""

    def __init__(self, port: int, users: Sequence[str], window: int = 4) -> None:
        self.miners = [LoadMiner(port, user, window) for user in users]
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Load:
        self._tasks = [asyncio.create_task(miner.run()) for miner in self.miners]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def accepted(self) -> int:
        """Shares acknowledged so far."""
        return sum(miner.accepted.total() for miner in self.miners)

    def refused(self) -> Counter[int]:
        """Refusals so far, by error code."""
        return sum((miner.refused for miner in self.miners), Counter[int]())

    def sent_by_worker_and_job(self) -> Counter[tuple[str, str]]:
        """Submissions for each (user, job)."""
        return Counter({(m.user, job): count for m in self.miners for job, count in m.sent.items()})

    def accepted_by_worker_and_job(self) -> Counter[tuple[str, str]]:
        """Acknowledged shares for each (user, job)."""
        return Counter({(m.user, job): count for m in self.miners for job, count in m.accepted.items()})

    async def until_accepted(self, count: int, deadline_s: float = 30.0) -> None:
        """Wait until so many shares more have been acknowledged.

        Raises:
            TimeoutError: not by the deadline.
            AssertionError: a miner was told something that makes no sense.
        """
        goal = self.accepted() + count
        await self._until(lambda: self.accepted() >= goal, deadline_s)

    async def until_all_connected(self, times: int, deadline_s: float = 30.0) -> None:
        """Wait until every miner has been connected so often, counted from the beginning.

        Raises:
            TimeoutError, AssertionError: as above.
        """
        await self._until(lambda: all(miner.connections >= times for miner in self.miners), deadline_s)

    async def _until(self, probe: Callable[[], bool], deadline_s: float) -> None:
        async with asyncio.timeout(deadline_s):
            while not probe():
                await asyncio.sleep(_AGAIN_S)
                self._complain()

    async def drained(self, deadline_s: float = 30.0) -> None:
        """Send nothing more, and wait until everything has been answered or cut off."""
        for miner in self.miners:
            miner.drain()
        async with asyncio.timeout(deadline_s):
            await asyncio.gather(*self._tasks)

    def _complain(self) -> None:
        for task in self._tasks:
            if task.done():
                task.result()


async def _main(port: int, users: Sequence[str], window: int, seconds: float) -> dict[str, Any]:
    async with Load(port, users, window) as load:
        await load.until_accepted(1)
        before, began = load.accepted(), time.monotonic()
        await asyncio.sleep(seconds)
        accepted, took_s = load.accepted() - before, time.monotonic() - began
        await load.drained()
        return {
            "connections": len(users),
            "accepted": accepted,
            "accepted_per_s": round(accepted / took_s),
            "refused": dict(load.refused()),
        }


def main() -> None:
    """Load a front that is there, and print what came of it."""
    parser = argparse.ArgumentParser(description="miners with real proof of work at a tiny difficulty")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--user", required=True, help="an account; workers are numbered")
    parser.add_argument("--connections", type=int, default=50)
    parser.add_argument("--window", type=int, default=4, help="unanswered submissions per connection")
    parser.add_argument("--seconds", type=float, default=10.0)
    given = parser.parse_args()
    users = [f"{given.user}.load{number}" for number in range(given.connections)]
    outcome = asyncio.run(_main(given.port, users, given.window, given.seconds))
    sys.stdout.write(json.dumps(outcome) + "\n")


if __name__ == "__main__":
    main()
