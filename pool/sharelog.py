"""The durable share log behind the miners' door: a batch is acknowledged when its transaction is on disk.

A commit inside the reactor costs half of what handing it to a thread does, but a slow disk must not stall
every miner: what commits wait for is timed, and while they wait long they are made in a thread of their own.
A sibling that is writing is no slow disk: the reactor goes on, and looks again at once.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from pool.chain import saved
from pool.chain.node import SubmitResult, word_for
from pool.chain.saved import SavedBlock
from pool.errors import StoreBusy, StoreError
from pool.store.shares import Found, ShareStore
from stratum.ports import Share, Solution

SLOW_COMMIT_S: Final = 0.003
"""A commit that waits so long for the disk is slow; fsync on a good SSD takes a tenth of it."""
SLOW_IN_A_ROW: Final = 3
"""After so many slow ones commits go to a thread: a single one may have waited for a processor."""
TRIED_AGAIN_AFTER: Final = 200
"""So many batches later, the disk is given another chance."""
RETRY_S: Final = 1.0
AGAIN_S: Final = 0.0005
"""Until a look at whether the sibling front is through; its commits take about as long."""
SIBLING_S: Final = 10.0
"""A sibling that is in the middle of one for so long has stalled: the batch is refused, the next is tried."""
STALLED: Final = "another front has been writing for too long: has its process stalled?"
REMEMBERED: Final = 1_000
"""Blocks whose facts are kept, so that a share that is sent again is known as the block that it was."""


class CommitTimes(Protocol):
    """Where the duration of each commit is told."""

    def commit_seconds(self, seconds: float) -> None:
        """One commit took so long."""
        ...


class Pace:
    """Whether the disk is too slow for commits inside the reactor."""

    def __init__(self) -> None:
        self._slow_in_a_row = 0
        self._in_thread = 0

    @property
    def slow(self) -> bool:
        """Whether the next commit belongs into a thread."""
        return self._slow_in_a_row >= SLOW_IN_A_ROW

    def waited(self, seconds: float) -> None:
        """A commit inside the reactor did nothing but wait for so long."""
        self._slow_in_a_row = self._slow_in_a_row + 1 if seconds > SLOW_COMMIT_S else 0

    def handed_over(self) -> None:
        """A commit went to the thread.  Its time tells nothing: it waits for the interpreter as well."""
        self._in_thread += 1
        if self._in_thread >= TRIED_AGAIN_AFTER:
            self._in_thread, self._slow_in_a_row = 0, SLOW_IN_A_ROW - 1


class ShareLog:
    """A stratum.ports.ShareSink on a ShareStore."""

    def __init__(
        self,
        store: ShareStore,
        reactor: Any,
        now_ms: Callable[[], int],
        times: CommitTimes,
        timer: Callable[[], float] = time.perf_counter,
        cpu_timer: Callable[[], float] = time.thread_time,
    ) -> None:
        """Wire it; ``save_with`` completes it.

        Args:
            store: writes.
            reactor: to leave a slow disk's thread by, and to wait with.
            now_ms: Unix milliseconds.
            times: told how long each commit took.
            timer: measures that, in seconds.
            cpu_timer: how much of it was not waiting, in seconds of the calling thread's CPU time.
        """
        self._log = Logger()
        self._store = store
        self._reactor = reactor
        self._now_ms = now_ms
        self._times = times
        self._timer = timer
        self._cpu_timer = cpu_timer
        self._threads = ThreadPool(1, 1, "commit")
        self._in_thread = 0
        self._pace = Pace()
        self._solve: Callable[[Solution], SavedBlock | None] = lambda _: None
        self._found: dict[str, Found] = {}

    def save_with(self, solve: Callable[[Solution], SavedBlock | None]) -> None:
        """Where solutions are saved and submitted: Work.solve, which in turn reports to ``submitted``."""
        self._solve = solve

    def append(self, batch: Sequence[Share]) -> Deferred[None]:
        """See stratum.ports.ShareSink."""
        if self._pace.slow or self._in_thread:
            return self._append_in_thread(batch)
        done: Deferred[None] = Deferred()
        self._append_here(batch, done, self._reactor.seconds() + SIBLING_S)
        return done

    def _append_here(self, batch: Sequence[Share], done: Deferred[None], until_s: float) -> None:
        """Write now, or look again soon: waiting in place would keep the miners of this front waiting too."""
        worked = self._cpu_timer()
        try:
            took = self._commit(batch, wait=False)
            if took is None and self._reactor.seconds() >= until_s:
                raise StoreBusy(STALLED)
        except (StoreError, sqlite3.Error) as error:
            self._failed(batch, error)
            done.errback(error)
            return
        if took is None:
            self._reactor.callLater(AGAIN_S, self._append_here, batch, done, until_s)
            return
        self._pace.waited(took - (self._cpu_timer() - worked))
        done.callback(None)

    def _append_in_thread(self, batch: Sequence[Share]) -> Deferred[None]:
        if not self._threads.started:
            self._threads.start()
        self._in_thread += 1
        self._pace.handed_over()
        done: Deferred[float | None] = deferToThreadPool(
            self._reactor, self._threads, self._commit, batch, wait=True
        )

        def ended(result: float | Failure | None) -> Failure | None:
            self._in_thread -= 1
            if not isinstance(result, Failure):
                return None
            self._failed(batch, result.value)
            return result

        return done.addBoth(ended)

    def _commit(self, batch: Sequence[Share], *, wait: bool) -> float | None:
        """Seconds that it took; None when a sibling is writing, and we do not wait for it."""
        began = self._timer()
        found = {s.block_hash: self._found[s.block_hash] for s in batch if s.block_hash in self._found}
        if not self._store.write(batch, found, wait=wait):
            return None
        took = self._timer() - began
        self._times.commit_seconds(took)
        return took

    def _failed(self, batch: Sequence[Share], error: BaseException | None) -> None:
        self._log.error("{count} shares could not be written: {error}", count=len(batch), error=str(error))
        for share in batch:
            if share.block_hash is not None:
                # its miner was told that the share did not count, yet the block is real: keep trying
                self._reactor.callLater(RETRY_S, self.append, [share])

    def solved(self, solution: Solution) -> None:
        """See stratum.ports.ShareSink.  A miner that sends its block again costs nothing."""
        if solution.block_hash in self._found:
            return
        block = self._solve(solution)
        if block is None:
            return
        found = self._found[block.hash] = _found(block)
        while len(self._found) > REMEMBERED:
            del self._found[next(iter(self._found))]
        if solution.share is not None:
            return  # it goes to the log in one transaction with its share
        what = f"Block {block.hash}"
        self._write_soon(what, lambda: self._store.write_without_share(found, wait=False))

    def log_saved(self, block: SavedBlock) -> None:
        """Log a block that an earlier run saved, with its share; once, however often it is called."""
        if block.share is None:
            self._store.write_without_share(_found(block))
        else:
            self._store.write([block.share], {block.hash: _found(block)})

    def submitted(self, block_hash: str, node: str, result: SubmitResult) -> None:
        """Record what a node said to a block."""
        said, now_ms = word_for(result), self._now_ms()
        self._write_soon(
            f"The answer to {block_hash}",
            lambda: self._store.record_submission(block_hash, node, said, now_ms, wait=False),
        )

    def _write_soon(self, what: str, write: Callable[[], bool], until_s: float | None = None) -> None:
        """Write now, or look again soon, as with shares: the miners of this front wait for nobody."""
        until_s = self._reactor.seconds() + SIBLING_S if until_s is None else until_s
        try:
            if write():
                return
            if self._reactor.seconds() >= until_s:
                raise StoreBusy(STALLED)
        except (StoreError, sqlite3.Error) as error:
            self._log.error("{what} could not be logged: {error}", what=what, error=str(error))
        else:
            self._reactor.callLater(AGAIN_S, self._write_soon, what, write, until_s)

    def close(self) -> None:
        """Let the thread go, after what it has to write."""
        if self._threads.started:
            self._threads.stop()


def _found(block: SavedBlock) -> Found:
    return Found(
        hash=block.hash,
        prev_hash=block.prev_hash,
        height=block.height,
        account=block.account,
        worker=block.worker,
        address=block.address,
        found_ms=block.found_ms,
        file=saved.path_of(Path(), block).name,
        pot=block.pot,
    )
