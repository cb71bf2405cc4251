"""A block's reward over a share log of full size: the book's time and memory, and whether it is right.

The log is written by the front's own writer, the block is settled by the book's own code from the database on
disk, in a process of its own; only the node is a stand-in.  Then every share is counted again, one by one.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from time import perf_counter, process_time
from typing import Final, cast

import attrs

from payouts.money import Sat
from pool import ledger
from pool.bench.process import BenchError
from pool.chain.node import ChainInfo, CoinbaseOutput, HeaderInfo
from pool.rewards.policy import Policy
from pool.rewards.recount import recount, shares_of
from pool.settle import Settler
from pool.shares import score
from pool.store.audit import Audit
from pool.store.chunk_sums import ChunkSums
from pool.store.database import connect, connect_to_read
from pool.store.ledger import LedgerStore
from pool.store.pot_chunks import PREPARED_CHUNKS
from pool.store.shares import Found, ShareStore
from pool.store.windows import ShareWindows
from stratum.options import POOL
from stratum.ports import Share
from stratum.units import Difficulty, Height, target_from_difficulty

Figures = dict[str, float | int | bool]
_BATCH: Final = 100_000
_NBITS: Final = (0x17030000, 0x1702E000)  # a retarget inside the window; difficulties of some 10^14
_DIFFICULTIES: Final = tuple(
    target_from_difficulty(Difficulty(Fraction(1 << bits))) for bits in range(25, 30)
)
_HASH: Final = "0b" * 32
_HEIGHT: Final = Height(900_000)
_SCRIPT: Final = bytes.fromhex("0014") + bytes(20)
_VALUE: Final = Sat(315_000_000)
_VALUE_MSAT: Final = _VALUE * 1000
_FEE_BPS: Final = 100
_FEE_MSAT: Final = _VALUE_MSAT * _FEE_BPS // 10_000
_NOW_MS: Final = 1_800_000_000_000
_MIB: Final = 1 << 20
RUNNING: Final = "running"
STARTED: Final = "started"
UNSUMMED: Final = "unsummed"


@attrs.frozen
class Plan:
    """How large the log is.

    Attributes:
        shares: all of them, the winning one included.
        accounts: all equally busy, which makes the most slices.
        seed: the same one makes the same log.
    """

    shares: int = 10_000_000
    accounts: int = 10_000
    seed: int = 1


@attrs.frozen
class Settled:
    """What one process measured.

    Attributes:
        seconds: from the found block to its committed journal entry.
        cpu_seconds: of them, CPU time.
        prepare_seconds: all that the book had summed before, step by step while the log grew.
        peak_rss_mb: of the process, in MiB.
    """

    seconds: float
    cpu_seconds: float
    prepare_seconds: float
    peak_rss_mb: float


class _Chain:
    """The node: it knows the one block, and its coinbase pays the one script."""

    async def header(self, block_hash: str) -> HeaderInfo | None:
        return HeaderInfo(block_hash, _HEIGHT, 1, "00" * 32, _NOW_MS // 1000)

    async def block_outputs(self, block_hash: str) -> tuple[CoinbaseOutput, ...]:
        return (CoinbaseOutput(_SCRIPT, _VALUE),)

    async def chain_info(self) -> ChainInfo:
        return ChainInfo("main", _HEIGHT, _HASH, _HEIGHT, syncing=False)


def measure(plan: Plan, say: Callable[[str], None], directory: Path | None = None) -> Figures:
    """Write the log, settle a block over nearly all of it in books of three kinds, count it again.

    Args:
        plan: how large the log is.
        say: told what is being done.
        directory: for the databases, on the disk to be measured; a share takes some 100 bytes.  None takes a
            temporary one.

    Returns:
        The figures by name, as docs/benchmarks.md explains them.

    Raises:
        BenchError: a process ended without a result.
    """
    with tempfile.TemporaryDirectory(prefix="sluice-bench-", dir=directory) as place:
        here = Path(place)
        size = write_log(plan, here, say)
        say("summing chunks as a book does while the log grows, then settling")
        running = _in_a_process(here, size, RUNNING)
        say("settling in a book that has just been started")
        started = _in_a_process(here, size, STARTED)
        say("settling with nothing summed before")
        unsummed = _in_a_process(here, size, UNSUMMED)
        say("counting the window again, share by share")
        began = perf_counter()
        matches = matches_recount(here, size, RUNNING, STARTED, UNSUMMED)
        return {
            "shares": plan.shares,
            "accounts": plan.accounts,
            "seconds": round(started.seconds, 3),
            "cpu_seconds": round(started.cpu_seconds, 3),
            "seconds_running": round(running.seconds, 3),
            "seconds_cold": round(unsummed.seconds, 3),
            "prepare_seconds": round(running.prepare_seconds, 3),
            "recount_seconds": round(perf_counter() - began, 3),
            "peak_rss_mb": round(max(each.peak_rss_mb for each in (running, started, unsummed)), 1),
            "matches_brute_force": matches,
        }


def write_log(plan: Plan, directory: Path, say: Callable[[str], None]) -> Fraction:
    """Write all shares but the winning one.

    Returns:
        A window's size, in units, that reaches back over all but a thousandth of the log: its border lies in
        the oldest chunk, which is read share by share then.
    """
    rng = random.Random(plan.seed)  # noqa: S311 -- a reproducible log, nothing secret
    names = [f"bc1q{rng.getrandbits(152):038x}" for _ in range(plan.accounts)]
    connection = connect(directory, "shares")
    store = ShareStore(connection, 0)
    counts: Counter[tuple[int, int]] = Counter()
    for done, batch in _batches(plan, names, rng):
        store.write(batch, {})
        counts.update((share.nbits, _DIFFICULTIES.index(share.target)) for share in batch)
        if done % (10 * _BATCH) < _BATCH:
            say(f"{done:,} of {plan.shares:,} shares are written")
    connection.close()
    total = sum((n * score(nbits, _DIFFICULTIES[at]) for (nbits, at), n in counts.items()), Fraction(0))
    return Fraction(int(total * 999_000_000), 1_000_000_000)


def _batches(plan: Plan, names: list[str], rng: random.Random) -> Iterator[tuple[int, list[Share]]]:
    """Shares in batches, each with the count of those before it; a fifth are of the account's other miner."""
    for start in range(0, plan.shares - 1, _BATCH):
        nbits = _NBITS[start > plan.shares // 2]
        kinds = [
            Share(name, worker, _DIFFICULTIES[(at + extra) % 5], nbits, _HEIGHT, _NOW_MS + start, "1")
            for at, name in enumerate(names)
            for worker, extra in (("a", 0), ("a", 0), ("b", 0), ("b", 0), ("c", 1))
        ]
        yield start, rng.choices(kinds, k=min(_BATCH, plan.shares - 1 - start))


def _in_a_process(directory: Path, size: Fraction, books: str) -> Settled:
    """Settle in a fresh process, whose memory is only that."""
    with multiprocessing.get_context("spawn").Pool(1) as processes:
        try:
            return processes.apply(settle, (directory, size, books))
        except OSError as error:
            raise BenchError(f"the block could not be settled: {error}") from error


def settle(directory: Path, size: Fraction, name: str) -> Settled:
    """Settle the block as the book does.

    Args:
        directory: holds the share log; the books are below it.
        size: the window's.
        name: of the books.  RUNNING: they were open while the log grew, and the winning share comes now; a
            copy from just before it are the books STARTED.  Others are opened now, and made if need be.
    """
    books = connect(directory / name, "ledger")
    store = LedgerStore(books)
    store.add_addresses([("bench", _SCRIPT)], _NOW_MS)
    windows = ShareWindows(connect_to_read(directory, "shares"), ChunkSums(books))
    store.adopt({POOL: Policy(size, _FEE_BPS)}, 0, _NOW_MS)
    settler = Settler(store, windows, _Chain(), 100, lambda: _NOW_MS)
    began = perf_counter()
    if name == RUNNING:
        for _ in range(PREPARED_CHUNKS + 1):
            _step(settler)
    prepare_seconds = perf_counter() - began
    if name == RUNNING:
        with closing(connect(directory / STARTED, "ledger")) as copy:
            books.backup(copy)
        _write_winning(directory)
    # a real log has been written over days: the book's one sync is not to wait for a gigabyte of it here
    os.sync()
    began, cpu_began = perf_counter(), process_time()
    changes = _step(settler)
    seconds, cpu_seconds = perf_counter() - began, process_time() - cpu_began
    if changes != 1:
        raise BenchError("the block was not settled")
    return Settled(seconds, cpu_seconds, prepare_seconds, _peak_rss_bytes() / _MIB)


def _step(settler: Settler) -> int:
    """One step of the book, which never waits here; answers how many blocks changed."""
    try:
        settler.step().send(None)
    except StopIteration as done:
        return len(done.value)
    raise BenchError("the stand-in for the node waits")


def _write_winning(directory: Path) -> None:
    connection = connect(directory, "shares")
    share = Share("winner", "", _DIFFICULTIES[0], _NBITS[1], _HEIGHT, _NOW_MS, "1", _HASH)
    found = Found(_HASH, "00" * 32, _HEIGHT, "winner", "", "bench", _NOW_MS, "none")
    ShareStore(connection, 0).write([share], {_HASH: found})
    connection.close()


def matches_recount(directory: Path, size: Fraction, *books: str) -> bool:
    """Whether rewards are what a walk over the single shares gives: window, border and every posting.

    Args:
        directory: holds the share log.
        size: the window's.
        books: directories of books below it, each with the reward of the one block.
    """
    shares = connect_to_read(directory, "shares")
    audit = Audit(shares, shares)  # of which only the share log is read
    last_id = next(iter(audit.found().values())).share_id
    counted = recount(audit.pot(POOL).shares(last_id or 0), size)
    shares.close()
    border = counted.border and {"share_id": counted.border[0], "part": str(counted.border[1])}
    window = {
        "last_id": last_id,
        "first_id": counted.first_id,
        "full": True,
        "score": str(size),
        "border": border,
    }
    expected = _expected(shares_of(_VALUE_MSAT - _FEE_MSAT, counted.scores))
    return counted.full and all(_written(directory / name) == (window, expected) for name in books)


def _expected(parts: Mapping[str, int]) -> dict[str, int]:
    """The postings of the reward, by ledger account."""
    sides = {ledger.miner(name, "immature"): -part for name, part in parts.items()}
    sides[ledger.IMMATURE] = _VALUE_MSAT
    sides[ledger.POOL_FEE] = -_FEE_MSAT
    sides[ledger.RESIDUAL] = sum(parts.values()) + _FEE_MSAT - _VALUE_MSAT
    return {account: amount for account, amount in sides.items() if amount}


def _written(books: Path) -> tuple[object, dict[str, int]] | None:
    """Window and postings of the reward in these books."""
    opened = connect_to_read(books, "ledger")
    entry = LedgerStore(opened).entry(f"reward:{_HASH}:0")
    opened.close()
    if entry is None:
        return None
    (part,) = cast(Sequence[Mapping[str, object]], entry.memo["parts"])
    return part["window"], {posting.account: posting.amount for posting in entry.postings}


def _peak_rss_bytes() -> int:
    """The most memory that this process ever held: getrusage would count its parent's before the exec."""
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise BenchError("/proc/self/status does not say how much memory was used")
