"""Who mines how fast: the newest hour of the share log as counts per minute, read forward as it grows.

The log has no index by time and needs none: its ids rise with time, so the start of the hour is found by
bisection, and every later look reads only the rows that came since.
"""

from __future__ import annotations

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Final

import attrs

from pool.luck import SILENT_ODDS, poisson_interval, silence_odds
from stratum.units import Target, Work, work_from_target

SLICE_MS: Final = 60_000
KEPT_SLICES: Final = 61
_FIRST: Final = (
    "SELECT coalesce((SELECT min(oldest_ms) FROM archive), (SELECT time_ms FROM share ORDER BY id LIMIT 1))"
)
SILENT_AFTER_S: Final = 120.0
"""Nobody is called silent sooner: a machine that has just begun may wait for its first heavier share."""


@attrs.frozen
class Hashrate:
    """An estimate of hashes per second from the work of some shares.

    Attributes:
        hps: the estimate.
        low_hps: lower end of the 95 % interval.
        high_hps: upper end of it.
        shares: how many shares it rests on.
        span_s: seconds that they were found in.
    """

    hps: float
    low_hps: float
    high_hps: float
    shares: int
    span_s: float


@attrs.frozen
class Worker:
    """One machine of an account.

    Attributes:
        name: as it calls itself; may be empty.
        hashrate: over the window that was asked for.
        last_share_ms: Unix milliseconds.
        silent: it sends nothing any more, for longer than chance would have it.
    """

    name: str
    hashrate: Hashrate
    last_share_ms: int
    silent: bool = False


def estimate(counts: Iterable[tuple[Work, int]], span_s: float) -> Hashrate:
    """Estimate a hashrate from (work of a share, number of such shares) over a span.

    The interval is the exact Poisson interval; for shares of mixed work that of the effective number,
    (Σw)² / Σw².
    """
    pairs = list(counts)
    total = sum(work * count for work, count in pairs)
    shares = sum(count for _, count in pairs)
    if total == 0 or span_s <= 0:
        return Hashrate(0.0, 0.0, 0.0, shares, span_s)
    effective = total**2 / sum(work**2 * count for work, count in pairs)
    low, high = poisson_interval(effective)
    rate = total / span_s
    return Hashrate(rate, rate * low / effective, rate * high / effective, shares, span_s)


_Accounts = defaultdict[str, defaultdict[tuple[str, int], int]]
"""By account: how many shares of (worker, target id)."""


def _none() -> defaultdict[int, int]:
    return defaultdict(int)


def _accounts() -> _Accounts:
    return defaultdict(lambda: defaultdict(int))


class Activity:
    """The newest hour of a share log.  Not safe for two threads at once; ``Queries`` holds a lock."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Args: connection: shares.db, opened for reading."""
        self._connection = connection
        self._cursor: int | None = None
        self._first_ms: int | None = None
        self._slices: defaultdict[int, _Accounts] = defaultdict(_accounts)
        self._totals: defaultdict[int, defaultdict[int, int]] = defaultdict(_none)
        self._last_ms: defaultdict[str, dict[str, int]] = defaultdict(dict)
        self._work: dict[int, Work] = {}

    def follow(self, now_ms: int) -> None:
        """Read what the log has got since the last call, and forget what is older than an hour."""
        oldest = now_ms // SLICE_MS - KEPT_SLICES + 1
        if self._cursor is None:
            self._cursor = self._last_id_before(oldest * SLICE_MS)
        # counted here, row by row: SQLite would sort all of them to group them, and takes longer
        for share_id, account, worker, target_id, time_ms in self._connection.execute(
            "SELECT id, account, worker, target_id, time_ms FROM share WHERE id > ? ORDER BY id",
            (self._cursor,),
        ):
            self._cursor = share_id
            self._count(account, worker, target_id, time_ms)
        for slice_ in [slice_ for slice_ in self._slices if slice_ < oldest]:
            del self._slices[slice_], self._totals[slice_]
        self._forget_idle(oldest * SLICE_MS)

    def _count(self, account: str, worker: str, target_id: int, time_ms: int) -> None:
        slice_ = time_ms // SLICE_MS
        self._totals[slice_][target_id] += 1
        self._slices[slice_][account][worker, target_id] += 1
        workers = self._last_ms[account]
        if time_ms > workers.get(worker, 0):
            workers[worker] = time_ms

    def pool(self, now_ms: int, window_s: int) -> Hashrate:
        """The hashrate of everybody."""
        oldest = self._oldest_slice(now_ms, window_s)
        counts: Counter[int] = Counter()
        for slice_, found in self._totals.items():
            if slice_ >= oldest:
                counts.update(found)
        return self._estimate(counts, now_ms, window_s)

    def account(self, account: str, now_ms: int, window_s: int) -> Hashrate:
        """The hashrate of one account."""
        counts: Counter[int] = Counter()
        for accounts in self._recent(now_ms, window_s):
            for (_, target_id), count in accounts.get(account, {}).items():
                counts[target_id] += count
        return self._estimate(counts, now_ms, window_s)

    def workers(self, account: str, now_ms: int, window_s: int) -> list[Worker]:
        """The machines of an account that found a share within the hour, by name."""
        last = self._last_ms.get(account, {})
        counts: dict[str, Counter[int]] = {name: Counter() for name in sorted(last)}
        for accounts in self._recent(now_ms, window_s):
            for (name, target_id), count in accounts.get(account, {}).items():
                counts[name][target_id] += count
        silent = self._silent(account, now_ms)
        return [
            Worker(name, self._estimate(found, now_ms, window_s), last[name], name in silent)
            for name, found in counts.items()
        ]

    def _silent(self, account: str, now_ms: int) -> set[str]:
        """Machines that would not be so quiet by chance, going by their work of the whole hour.

        In shares of the heaviest work: many light ones say little about a machine whose difficulty has risen.
        """
        work: Counter[str] = Counter()
        heaviest: Counter[str] = Counter()
        first: dict[str, int] = {}
        for slice_ in sorted(self._slices):
            for (name, target_id), count in self._slices[slice_].get(account, {}).items():
                each = self._work_of(target_id)
                work[name] += count * each
                heaviest[name] = max(heaviest[name], each)
                first.setdefault(name, slice_ * SLICE_MS)
        silent = set()
        for name, last_ms in self._last_ms.get(account, {}).items():
            shares, silence_s = work[name] / heaviest[name] - 1, (now_ms - last_ms) / 1000
            odds = silence_odds(shares, (now_ms - first[name]) / 1000, silence_s)
            if silence_s >= SILENT_AFTER_S and odds < SILENT_ODDS:
                silent.add(name)
        return silent

    def active(self, now_ms: int, window_s: int) -> tuple[int, int]:
        """How many accounts, and how many machines, found a share within the window."""
        since_ms = self._oldest_slice(now_ms, window_s) * SLICE_MS
        machines = [
            sum(last_ms >= since_ms for last_ms in workers.values()) for workers in self._last_ms.values()
        ]
        return sum(count > 0 for count in machines), sum(machines)

    def _recent(self, now_ms: int, window_s: int) -> list[_Accounts]:
        oldest = self._oldest_slice(now_ms, window_s)
        return [accounts for slice_, accounts in self._slices.items() if slice_ >= oldest]

    @staticmethod
    def _oldest_slice(now_ms: int, window_s: int) -> int:
        return now_ms // SLICE_MS - window_s * 1000 // SLICE_MS

    def _estimate(self, counts: Counter[int], now_ms: int, window_s: int) -> Hashrate:
        start_ms = self._oldest_slice(now_ms, window_s) * SLICE_MS
        if self._first_ms is None:
            row = self._connection.execute(_FIRST).fetchone()
            self._first_ms = row[0] if row else None
        if self._first_ms is not None:
            # a pool that is younger than the window is not to look slow
            start_ms = max(start_ms, min(self._first_ms, now_ms - SLICE_MS))
        pairs = [(self._work_of(target_id), count) for target_id, count in counts.items()]
        return estimate(pairs, (now_ms - start_ms) / 1000)

    def _work_of(self, target_id: int) -> Work:
        if target_id not in self._work:
            row = self._connection.execute("SELECT target FROM target WHERE id = ?", (target_id,)).fetchone()
            self._work[target_id] = work_from_target(Target(int.from_bytes(row[0], "big")))
        return self._work[target_id]

    def _last_id_before(self, time_ms: int) -> int:
        """The greatest id whose share is older than the moment; 0 when there is none."""
        low, high = 0, self._connection.execute("SELECT COALESCE(MAX(id), 0) FROM share").fetchone()[0]
        while low < high:
            middle = (low + high + 1) // 2
            row = self._connection.execute(
                "SELECT time_ms FROM share WHERE id >= ? ORDER BY id LIMIT 1", (middle,)
            ).fetchone()
            if row[0] < time_ms:
                low = middle
            else:
                high = middle - 1
        return int(low)

    def _forget_idle(self, since_ms: int) -> None:
        for account, workers in list(self._last_ms.items()):
            for name in [name for name, last_ms in workers.items() if last_ms < since_ms]:
                del workers[name]
            if not workers:
                del self._last_ms[account]
