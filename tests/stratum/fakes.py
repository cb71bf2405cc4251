"""A job feed, share sink, authorizer and observer under the test's control, and a miner that can be trusted.

The miner builds its headers with code of its own, straight from the protocol's description, so that the
judge is tested against a second opinion.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from typing import Any

import attrs
from twisted.internet.defer import Deferred, fail, succeed

from stratum.errors import Code
from stratum.jobs import Job
from stratum.ports import Authorized, Refused, Share, Solution
from stratum.units import Height, Target, target_from_nbits

HARD_NBITS = 0x1D00FFFF
REGTEST_NBITS = 0x207FFFFF
NTIME = 1_700_000_000


def job(name: str = "1", *, tip: int = 1, nbits: int = HARD_NBITS, **changes: Any) -> Job:
    """A job on the tip of this number; its coinbase is unique to its name."""
    plain = Job(
        id=name,
        height=Height(100 + tip),
        prev_hash=bytes([tip]) + bytes(range(1, 32)),
        version=0x20000000,
        nbits=nbits,
        ntime=NTIME,
        min_ntime=NTIME - 600,
        max_ntime=NTIME + 7000,
        coinb1=b"coinbase of job " + name.encode() + b": ",
        coinb2=b" and its end",
        branches=(bytes(range(32)), bytes(range(100, 132))),
        network_target=target_from_nbits(nbits),
        clean=False,
    )
    return attrs.evolve(plain, **changes)


class FakeFeed:
    """Jobs when the test says so."""

    def __init__(self, current: Job | None = None) -> None:
        self._current = current
        self._listeners: list[Callable[[Job], None]] = []
        self.extras = 0
        self.offers_extra = True

    def current(self) -> Job | None:
        return self._current

    def watch(self, listener: Callable[[Job], None]) -> None:
        self._listeners.append(listener)

    def extra(self) -> Job | None:
        if self._current is None or not self.offers_extra:
            return None
        self.extras += 1
        name = f"{self._current.id}e{self.extras}"
        return attrs.evolve(self._current, id=name, coinb1=b"extra " + name.encode())

    def new(self, fresh: Job) -> None:
        self._current = fresh
        for listener in self._listeners:
            listener(fresh)


class FakeSink:
    """A disk that is instant, slow (answers when told to) or broken."""

    def __init__(self) -> None:
        self.stored: list[Share] = []
        self.batches: list[list[Share]] = []
        self.solutions: list[Solution] = []
        self.events: list[str] = []
        self.slow = False
        self.broken = False
        self._waiting: list[tuple[Deferred[None], list[Share]]] = []

    def append(self, batch: Sequence[Share]) -> Deferred[None]:
        self.events.append("append")
        self.batches.append(list(batch))
        if self.broken:
            return fail(OSError("disk full"))
        if self.slow:
            waiting: Deferred[None] = Deferred()
            self._waiting.append((waiting, list(batch)))
            return waiting
        self.stored.extend(batch)
        return succeed(None)

    def finish(self) -> None:
        """The oldest waiting batch is on disk."""
        waiting, batch = self._waiting.pop(0)
        self.stored.extend(batch)
        waiting.callback(None)

    def solved(self, solution: Solution) -> None:
        self.events.append("solved")
        self.solutions.append(solution)


class FakeAuthorizer:
    """Everybody but the banned; counts how often it is asked."""

    def authorize(self, username: str) -> Authorized | Refused:
        if username.startswith("banned"):
            return Refused("this account is banned: “ask”")
        account, _, worker = username.partition(".")
        return Authorized(account, worker)


class FakeObserver:
    """Keeps what it was told."""

    def __init__(self) -> None:
        self.shares = 0
        self.refused: list[Code] = []
        self.live: list[int] = []
        self.told: list[tuple[int, float]] = []

    def accepted(self, shares: int) -> None:
        self.shares += shares

    def rejected(self, code: Code) -> None:
        self.refused.append(code)

    def connections(self, live: int) -> None:
        self.live.append(live)

    def job_told(self, connections: int, seconds: float) -> None:
        self.told.append((connections, seconds))


def line(method: str, *params: Any, request_id: Any = 1) -> bytes:
    """A request as a miner sends it."""
    return json.dumps({"id": request_id, "method": method, "params": list(params)}).encode() + b"\n"


def lines(data: bytes) -> list[dict[str, Any]]:
    """What the pool wrote, parsed with another parser than the pool's."""
    return [json.loads(text) for text in data.splitlines()]


def _twice(data: bytes) -> bytes:
    return hashlib.sha256(hashlib.sha256(data).digest()).digest()


def header_of(
    notified: list[Any], extranonce1: str, extranonce2: str, ntime: str, nonce: str, version: int
) -> bytes:
    """The 80 bytes that a miner hashes, from the wire's own hex."""
    _, prev, coinb1, coinb2, branches, _, nbits, _, _ = notified
    root = _twice(bytes.fromhex(coinb1 + extranonce1 + extranonce2 + coinb2))
    for branch in branches:
        root = _twice(root + bytes.fromhex(branch))
    swapped = b"".join(bytes.fromhex(prev[at : at + 8])[::-1] for at in range(0, 64, 8))
    return (
        version.to_bytes(4, "little")
        + swapped
        + root
        + bytes.fromhex(ntime)[::-1]
        + bytes.fromhex(nbits)[::-1]
        + bytes.fromhex(nonce)[::-1]
    )


def hash_value(header: bytes) -> int:
    return int.from_bytes(_twice(header), "little")


def find_nonce(
    notified: list[Any],
    extranonce1: str,
    wanted: Callable[[int], bool],
    *,
    extranonce2: str = "00" * 8,
    start: int = 0,
) -> str:
    """The first nonce from ``start`` whose header's hash is wanted."""
    for nonce in range(start, start + 1_000_000):
        text = f"{nonce:08x}"
        header = header_of(notified, extranonce1, extranonce2, notified[7], text, int(notified[5], 16))
        if wanted(hash_value(header)):
            return text
    raise AssertionError("no such nonce")


def easier(value: Target) -> Callable[[int], bool]:
    return lambda found: found <= value
