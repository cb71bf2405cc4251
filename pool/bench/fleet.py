"""Thousands of miners in one loop: raw sockets, lines counted rather than parsed, so that they cost little.

At the benchmark's difficulty all but one of 65,536 hashes are shares, so a miner need not look for one: what
it sends is judged like any other, and the few that are none are counted as refused.
"""

from __future__ import annotations

import errno
import json
import select
import socket
import struct
from collections.abc import Callable, Iterable
from typing import Final

from pool.bench.process import BenchError

_RESET: Final = struct.pack("ii", 1, 0)  # SO_LINGER: close at once, and leave no port waiting
_READ_BYTES: Final = 65_536
_ACCEPTED: Final = b'"result":true,"error":null}\n'
_SUBMIT: Final = b'{"id":%d,"method":"mining.submit","params":["%s","%s","%%016x","%s","%%08x"]}\n'
_NUMBER: Final = 7
"""Of every submission: a miner here only counts its replies."""
_MOST_JOBS: Final = 64
_BETWEEN_LOOKS: Final = 64
_PATIENCE_S: Final = 30.0


class Miner:
    """One connection.

    Attributes:
        user: its name, as it goes into submissions.
        hello: what it says first.
        form: its submissions on its newest job, but for extranonce2 and nonce.
        notify: the line that told it that job.
        link: its socket.
        jobs: how many jobs it was told.
        waiting: submissions without a reply.
        sent_at: when its newest submission went out.
    """

    __slots__ = ("form", "hello", "jobs", "link", "notify", "rest", "sent_at", "user", "waiting")

    def __init__(self, user: str) -> None:
        self.user = user.encode()
        self.hello = _hello(user)
        self.link = socket.socket()
        self.link.settimeout(0)
        self.link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.jobs = self.waiting = 0
        self.sent_at = 0.0
        self.rest = self.form = self.notify = b""


class Fleet:
    """Miners on one front.

    Attributes:
        miners: by file descriptor.
        accepted: replies that said true.
        refused: all other replies to submissions.
        told_at: when each notify came, in the order of coming.
        vary: whether each share has an extranonce2 of its own, or only a nonce.
    """

    def __init__(self, port: int, user: str, clock: Callable[[], float]) -> None:
        self.miners: dict[int, Miner] = {}
        self.accepted = self.refused = 0
        self.vary = True
        self._address = ("127.0.0.1", port)
        self._user = user
        self._clock = clock
        self._epoll = select.epoll()
        self._number = 100
        self._working = 0  # miners that have a job: looking through all of them would slow the load down
        self.told_at: list[float] = []
        # what was read out of each notify: job and ntime; every front has jobs of its own
        self._jobs: dict[bytes, tuple[bytes, bytes]] = {}

    def connect(self, count: int) -> None:
        """Connect so many, and wait until each has a job."""
        for number in range(count):
            miner = Miner(f"{self._user}.m{number}")
            result = miner.link.connect_ex(self._address)
            if result not in (0, errno.EINPROGRESS):
                raise BenchError(f"connection {number} failed: {errno.errorcode[result]}")
            self.miners[miner.link.fileno()] = miner
            self._epoll.register(miner.link.fileno(), select.EPOLLOUT)
            if number % _BETWEEN_LOOKS == 0:
                self.look(0)
        self.until(lambda: self._working >= len(self.miners), "every miner has a job")

    def disconnect(self) -> None:
        """Cut all connections off."""
        for miner in self.miners.values():
            miner.link.close()
        self.miners.clear()
        self._working = 0

    def until(self, is_so: Callable[[], bool], what: str) -> None:
        """Look until it is so.

        Raises:
            BenchError: it was not so in time.
        """
        end = self._clock() + _PATIENCE_S
        while not is_so():
            self.look(0.05)
            if self._clock() > end:
                raise BenchError(f"{what}: not within {_PATIENCE_S:g} s")

    def submit(self, miner: Miner, count: int) -> None:
        """Send so many fresh shares at once."""
        lines = []
        for _ in range(count):
            self._number = number = self._number + 1
            extranonce2 = number if self.vary else 0
            lines.append(miner.form % (extranonce2, number))
        miner.waiting += count
        miner.sent_at = self._clock()
        miner.link.send(b"".join(lines))

    def look(self, timeout_s: float) -> list[tuple[Miner, int]]:
        """Read what has come; answers who got how many replies to submissions."""
        heard = []
        for descriptor, events in self._epoll.poll(timeout_s):
            miner = self.miners.get(descriptor)
            if miner is None:
                continue
            if events & select.EPOLLOUT:
                miner.link.send(miner.hello)
                self._epoll.modify(descriptor, select.EPOLLIN)
                continue
            replies = self._read(miner)
            if replies:
                heard.append((miner, replies))
        return heard

    def _read(self, miner: Miner) -> int:
        try:
            data = miner.link.recv(_READ_BYTES)
        except OSError as error:
            raise BenchError(f"the front cut a connection off: {error}") from error
        if not data:
            raise BenchError("the front closed a connection")
        if miner.rest:
            data = miner.rest + data
            miner.rest = b""
        if data[-1] != 0x0A:
            data, _, miner.rest = data.rpartition(b"\n")
            data += b"\n"
        if b'"method"' in data:
            data = b"".join(self._told(miner, data.splitlines(keepends=True)))
        if not miner.waiting:
            return 0
        replies, accepted = data.count(b"\n"), data.count(_ACCEPTED)
        miner.waiting -= replies
        self.accepted += accepted
        self.refused += replies - accepted
        return replies

    def _told(self, miner: Miner, lines: Iterable[bytes]) -> Iterable[bytes]:
        """Take jobs out of what came; yields the rest."""
        for line in lines:
            if b'"mining.notify","params"' in line:
                self._working += not miner.jobs
                miner.jobs += 1
                self.told_at.append(self._clock())
                if line != miner.notify:
                    self._take(miner, line)
            elif b'"method"' not in line:
                yield line

    def _take(self, miner: Miner, line: bytes) -> None:
        if line not in self._jobs:
            params = json.loads(line)["params"]
            if len(self._jobs) >= _MOST_JOBS:
                self._jobs.clear()
            self._jobs[line] = params[0].encode(), params[7].encode()
        job, ntime = self._jobs[line]
        miner.notify, miner.form = line, _SUBMIT % (_NUMBER, miner.user, job, ntime)

    def drain(self) -> None:
        """Wait until every submission was answered."""
        self.until(lambda: not any(miner.waiting for miner in self.miners.values()), "every reply is there")


def _hello(user: str) -> bytes:
    requests: list[tuple[str, list[str]]] = [
        ("mining.subscribe", ["sluice-bench/1"]),
        ("mining.authorize", [user, "x"]),
    ]
    return b"".join(
        json.dumps({"id": number, "method": method, "params": params}).encode() + b"\n"
        for number, (method, params) in enumerate(requests)
    )
