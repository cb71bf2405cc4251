"""The share log behind the door: acknowledged after the commit, in a thread when the disk is slow."""

import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import attrs
import pytest
from msgspec import structs
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from pool.chain.node import Accepted
from pool.chain.saved import SavedBlock
from pool.errors import StoreBusy
from pool.sharelog import AGAIN_S, SIBLING_S, SLOW_IN_A_ROW, TRIED_AGAIN_AFTER, Pace, ShareLog
from pool.store.database import connect, transaction
from pool.store.shares import Found, ShareStore
from stratum.jobs import Job
from stratum.ports import Share, Solution
from stratum.units import Height, Target

SHARE = Share("alice", "rig", Target(1 << 250), 0x207FFFFF, Height(7), 1_000, "01")
WINNER = structs.replace(SHARE, block_hash="ab" * 32)
JOB = Job("01", Height(7), bytes(32), 1, 0x207FFFFF, 1, 0, 2, b"", b"", (), Target(1 << 255), clean=True)
SOLUTION = Solution(JOB, bytes(80), b"", "ab" * 32, WINNER, "alice", "rig")
SAVED = SavedBlock(
    "ab" * 32, Height(7), "cd" * 32, "bcrt1q", "alice", "rig", 1_000, "01", WINNER, block=bytes(80)
)


class ThreadedClock(Clock):
    """A clock that hands calls from threads over when it is asked to."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[Callable[[], object]] = []

    def callFromThread(self, function: Callable[..., object], *args: object) -> None:
        self.waiting.append(lambda: function(*args))

    def deliver(self) -> None:
        until = time.monotonic() + 5
        while not self.waiting and time.monotonic() < until:
            time.sleep(0.001)
        while self.waiting:
            self.waiting.pop(0)()


class Times:
    def __init__(self) -> None:
        self.seconds: list[float] = []

    def commit_seconds(self, seconds: float) -> None:
        self.seconds.append(seconds)


class Unwell(ShareStore):
    """A store whose disk is slow or full for a while."""

    slow_s = busy_s = 0.0
    refuses = 0
    elapsed_s = worked_s = 0.0

    def write(self, batch: Sequence[Share], found: Mapping[str, Found], *, wait: bool = True) -> bool:
        if self.refuses:
            self.refuses -= 1
            raise StoreBusy("the disk is full")
        self.elapsed_s += self.slow_s + self.busy_s
        self.worked_s += self.busy_s
        return super().write(batch, found, wait=wait)


@attrs.define
class Bench:
    store: Unwell
    clock: ThreadedClock
    log: ShareLog
    connection: sqlite3.Connection

    def rows(self, table: str = "share") -> int:
        return int(self.connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])  # noqa: S608


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    connection = connect(tmp_path, "shares")
    store, clock = Unwell(connection, 0), ThreadedClock()
    log = ShareLog(store, clock, lambda: 5, Times(), lambda: store.elapsed_s, lambda: store.worked_s)
    log.save_with(lambda _: SAVED)
    yield Bench(store, clock, log, connection)
    log.close()
    connection.close()


def fired(deferred: Deferred[None]) -> bool:
    failures: list[object] = []
    deferred.addErrback(failures.append)
    return bool(deferred.called) and not failures


def test_a_quick_disk_is_written_at_once(bench: Bench) -> None:
    assert fired(bench.log.append([SHARE, SHARE]))
    assert bench.rows() == 2


def test_a_slow_disk_is_written_in_a_thread_and_acknowledged_after_the_commit(bench: Bench) -> None:
    bench.store.slow_s = 0.01
    for _ in range(SLOW_IN_A_ROW):  # these found out
        assert fired(bench.log.append([SHARE]))
    answer = bench.log.append([SHARE])
    assert not answer.called
    bench.clock.deliver()
    assert fired(answer)
    assert bench.rows() == SLOW_IN_A_ROW + 1


def test_a_commit_that_computes_for_long_is_not_a_slow_disk(bench: Bench) -> None:
    bench.store.busy_s = 0.01
    for _ in range(2 * SLOW_IN_A_ROW):
        assert fired(bench.log.append([SHARE]))


def after(pace: Pace, *waits_s: float) -> bool:
    for wait_s in waits_s:
        pace.waited(wait_s)
    return pace.slow


def test_one_long_wait_makes_no_slow_disk() -> None:
    assert not after(Pace(), *[0.01] * (SLOW_IN_A_ROW - 1), 0.001)
    assert after(Pace(), *[0.01] * SLOW_IN_A_ROW)


def test_a_disk_that_was_slow_is_tried_again_and_then_trusted_or_not() -> None:
    pace = Pace()
    assert after(pace, *[0.01] * SLOW_IN_A_ROW)
    for _ in range(TRIED_AGAIN_AFTER):
        assert after(pace)
        pace.handed_over()
    assert not after(pace)
    assert after(pace, 0.01)


def test_a_full_disk_fails_the_batch_and_credits_nothing(bench: Bench) -> None:
    bench.store.refuses = 1
    assert not fired(bench.log.append([SHARE]))
    assert bench.rows() == 0
    assert fired(bench.log.append([SHARE]))


def test_a_block_is_logged_in_one_transaction_with_its_share(bench: Bench) -> None:
    bench.log.solved(SOLUTION)
    assert bench.rows("found") == 0
    assert fired(bench.log.append([SHARE, WINNER]))
    assert bench.connection.execute("SELECT share_id FROM found").fetchone() == (2,)


def test_a_block_whose_share_could_not_be_written_is_logged_later(bench: Bench) -> None:
    bench.log.solved(SOLUTION)
    bench.store.refuses = 2
    assert not fired(bench.log.append([WINNER]))
    bench.clock.advance(1)
    assert bench.rows("found") == 0
    bench.clock.advance(1)
    assert (bench.rows("found"), bench.rows()) == (1, 1)


def test_a_block_that_earned_no_share_is_logged_without_one(bench: Bench) -> None:
    bench.log.solved(attrs.evolve(SOLUTION, share=None))
    assert bench.connection.execute("SELECT share_id FROM found").fetchone() == (None,)


def test_making_a_saved_block_good_twice_credits_it_once(bench: Bench) -> None:
    bench.log.log_saved(SAVED)
    bench.log.log_saved(SAVED)
    assert (bench.rows("found"), bench.rows()) == (1, 1)


def test_a_block_that_is_sent_again_is_neither_saved_nor_credited_again(bench: Bench) -> None:
    solved: list[Solution] = []

    def solve(solution: Solution) -> SavedBlock:
        solved.append(solution)
        return SAVED

    bench.log.save_with(solve)
    bench.store.refuses = 1
    bench.log.solved(SOLUTION)
    assert not fired(bench.log.append([WINNER]))  # its miner is told so, and sends it again
    bench.clock.advance(1)  # meanwhile it was written after all
    bench.log.solved(SOLUTION)
    assert fired(bench.log.append([WINNER]))
    assert len(solved) == 1
    assert (bench.rows("found"), bench.rows()) == (1, 1)


def test_a_sibling_that_is_writing_is_waited_for_without_holding_up_the_reactor_or_blaming_the_disk(
    bench: Bench, tmp_path: Path
) -> None:
    sibling = connect(tmp_path, "shares")
    answers = []
    for _ in range(2 * SLOW_IN_A_ROW):
        with transaction(sibling):
            answers.append(bench.log.append([SHARE]))
            bench.clock.pump([AGAIN_S] * 20)
            assert not answers[-1].called
        bench.clock.advance(AGAIN_S)
        assert fired(answers[-1])
    assert bench.rows() == 2 * SLOW_IN_A_ROW
    sibling.close()


def test_what_else_is_logged_of_a_block_waits_for_a_sibling_without_holding_up_the_reactor(
    bench: Bench, tmp_path: Path
) -> None:
    stale = attrs.evolve(SOLUTION, share=None)
    bench.log.save_with(lambda _: SAVED)
    sibling = connect(tmp_path, "shares")
    with transaction(sibling):
        began_s = time.monotonic()
        bench.log.solved(stale)
        bench.log.submitted("ab" * 32, "node", Accepted())
        bench.clock.pump([AGAIN_S] * 20)
        assert time.monotonic() - began_s < 1
        assert (bench.rows("found"), bench.rows("submission")) == (0, 0)
    bench.clock.advance(AGAIN_S)
    assert (bench.rows("found"), bench.rows("submission")) == (1, 1)

    with transaction(sibling):
        bench.log.submitted("ab" * 32, "node", Accepted())
        bench.clock.pump([1.0] * int(SIBLING_S))
    assert not bench.clock.getDelayedCalls()  # given up, and said so
    sibling.close()


def test_a_sibling_that_has_stalled_fails_the_batch_in_time_and_the_next_one_is_written_after_it(
    bench: Bench, tmp_path: Path
) -> None:
    sibling = connect(tmp_path, "shares")
    with transaction(sibling):
        answer = bench.log.append([SHARE])
        bench.clock.pump([1.0] * int(SIBLING_S))
        assert answer.called
        assert not fired(answer)
    assert fired(bench.log.append([SHARE]))
    assert bench.rows() == 1
    sibling.close()
