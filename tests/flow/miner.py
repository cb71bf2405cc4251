"""A miner that a test steers by hand: one blocking connection, every reply waited for with a deadline."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from pool.miner_link import Link
from pool.miner_task import Task, scan, sha256d, task_from_notify

_DIFFICULTY_1 = 0xFFFF << 208
_DEADLINE_S = 30.0
_NONCES = 1 << 26
Parameters = list[str]


class Silence(Exception):
    """What was waited for did not come in time."""


class Miner:
    """Attributes: extranonce1, hex; jobs: the parameters of every notify so far, oldest first."""

    def __init__(self, port: int, user: str, session_id: str | None = None) -> None:
        """Connect, subscribe (as the owner of an earlier session), authorize, and wait for the first job."""
        self._agent = ["by hand"] if session_id is None else ["by hand", session_id]
        self.user = user
        self.jobs: list[list[Any]] = []
        self._link = Link(("127.0.0.1", port))
        self._answers: deque[dict[str, Any]] = deque()
        self._number = 0
        self._target = 0
        try:
            self._shake_hands()
        except BaseException:
            self.__exit__()
            raise

    def _shake_hands(self) -> None:
        self.extranonce1 = str(self.ask("mining.subscribe", self._agent)["result"][1])
        assert self.ask("mining.authorize", [self.user, "x"])["result"] is True
        self._wait_for_job(1)

    def __enter__(self) -> Miner:
        return self

    def __exit__(self, *_: object) -> None:
        self._link.__exit__()

    def ask(self, method: str, params: Sequence[Any]) -> dict[str, Any]:
        """Send a request; its answer."""
        self.send(method, params)
        return self.answer()

    def send(self, method: str, params: Sequence[Any]) -> None:
        """Send a request and wait for nothing."""
        self._number += 1
        self._link.send(self._number, method, list(params))

    def answer(self) -> dict[str, Any]:
        """The answer to what was sent last."""
        end = time.monotonic() + _DEADLINE_S
        while not self._answers:
            self._hear(end)
        answer = self._answers.popleft()
        assert answer["id"] == self._number
        return answer

    def submit(self, parameters: Parameters) -> int | None:
        """Submit; None when it was accepted, else the error's code."""
        answer = self.ask("mining.submit", parameters)
        return None if answer["result"] is True else int(answer["error"][0])

    def wait_for_jobs(self, more: int) -> None:
        """Wait until so many further jobs have come."""
        self._wait_for_job(len(self.jobs) + more)

    def _wait_for_job(self, number: int) -> None:
        end = time.monotonic() + _DEADLINE_S
        while len(self.jobs) < number:
            self._hear(end)

    def wait_for_tip_other_than(self, prev_hash: str) -> None:
        """Wait for a job on another tip; prev_hash as it stands in a notify."""
        end = time.monotonic() + _DEADLINE_S
        while self.jobs[-1][1] == prev_hash:
            self._hear(end)

    def _hear(self, end: float) -> None:
        if time.monotonic() > end:
            raise Silence
        for message in self._link.receive(0.1):
            match message.get("method"):
                case "mining.notify":
                    self.jobs.append(message["params"])
                case "mining.set_difficulty":
                    self._target = min(int(_DIFFICULTY_1 / Fraction(message["params"][0])), 2**256 - 1)
                case _:
                    self._answers.append(message)

    def task(self, job: list[Any] | None = None) -> Task:
        """What is hashed for a job, by default for the newest."""
        return task_from_notify(job or self.jobs[-1], self._target, bytes.fromhex(self.extranonce1), 8)

    def share(self, job: list[Any] | None = None, *, start: int = 0, target: int | None = None) -> Parameters:
        """The parameters of a submission that meets the difficulty, or another target."""
        task = self.task(job)
        nonce = scan(task.head(task.version, bytes(8)), target or task.target, start, _NONCES)
        assert nonce is not None
        return [self.user, task.job_id, bytes(8).hex(), task.ntime, f"{nonce:08x}"]

    def block(self, *, start: int = 0) -> tuple[Parameters, str]:
        """A submission that is a block on the newest job, and the block's hash; for easy networks only."""
        task = self.task()
        size, mantissa = int(task.nbits[:2], 16), int(task.nbits[2:], 16)
        parameters = self.share(start=start, target=min(mantissa << 8 * (size - 3), task.target))
        head = task.head(task.version, bytes(8)) + bytes.fromhex(parameters[4])[::-1]
        return parameters, sha256d(head)[::-1].hex()
