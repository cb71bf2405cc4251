"""Blocks are followed by header alone: rewarded, matured, reversed and brought back, each exactly once."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Coroutine, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from payouts.money import Msat, Sat
from pool import ledger
from pool.chain.node import ChainInfo, ChainRefused, ChainUnavailable, CoinbaseOutput, HeaderInfo
from pool.errors import LedgerError
from pool.rewards.policy import Policy, Scheme, policy_of
from pool.settle import Change, Settler
from pool.store.database import connect, connect_to_read
from pool.store.ledger import LedgerStore
from pool.store.shares import Found, ShareStore
from pool.store.windows import ShareWindows
from pool.verify import verify
from stratum.ports import Share
from stratum.units import MAX_TARGET, Height, Target

NBITS = 0x207FFFFF
BLOCK = Target(0x7FFFFF << 232)
NOW_MS = 1_800_000_000_000
SCRIPT = b"\x00\x14" + b"\x01" * 20
HASH = "ab" * 32
VALUE = 5_000_000_000  # sat
POLICY = Policy(Fraction(2), 100)
SOLO = Policy(Fraction(8), 50, Scheme.SOLO)


def run(coroutine: Coroutine[Any, Any, Sequence[Change]]) -> list[tuple[str, str]]:
    """Run what never waits; answers (before, after) of each change."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return [(change.before.value, change.block.state.value) for change in done.value]
    raise AssertionError("it waited")


@attrs.define
class FakeChain:
    """A node in memory: blocks and their confirmations, and ways to be of no use."""

    confirmations: dict[str, int] = attrs.field(factory=dict)
    height: int = 10_000
    syncing: bool = False
    down: bool = False
    pruned: bool = False
    asked: list[str] = attrs.field(factory=list)
    fails_after: int = 10**9
    outputs: tuple[CoinbaseOutput, ...] = (
        CoinbaseOutput(SCRIPT, Sat(VALUE)),
        CoinbaseOutput(b"\x6a", Sat(0)),
        CoinbaseOutput(b"\x51", Sat(77)),  # somebody else's
    )

    async def header(self, block_hash: str) -> HeaderInfo | None:
        self.asked.append(block_hash)
        if len(self.asked) > self.fails_after:
            raise ChainUnavailable("the node went away")
        seen = self.confirmations.get(block_hash)
        return None if seen is None else HeaderInfo(block_hash, Height(200), seen, "00" * 32, 0)

    async def block_outputs(self, block_hash: str) -> tuple[CoinbaseOutput, ...]:
        assert block_hash in self.confirmations
        if self.pruned:
            raise ChainRefused(-1, "Block not available (pruned data)")
        return self.outputs

    async def chain_info(self) -> ChainInfo:
        if self.down:
            raise ChainUnavailable("the node does not answer")
        return ChainInfo("regtest", Height(self.height), "00" * 32, self.height, self.syncing)


@attrs.define
class Pool:
    """Real files, a fake chain."""

    directory: Path
    shares: sqlite3.Connection
    books: sqlite3.Connection
    chain: FakeChain
    policy: Policy = POLICY
    now_ms: int = NOW_MS

    @property
    def store(self) -> LedgerStore:
        return LedgerStore(self.books)

    def settler(self) -> Settler:
        windows = ShareWindows(self.shares, chunk_rows=2)
        self.store.adopt({"pool": self.policy, "solo": SOLO}, windows.newest(), self.now_ms)
        return Settler(self.store, windows, self.chain, 100, lambda: self.now_ms)

    def step(self) -> list[tuple[str, str]]:
        return run(self.settler().step())

    def see(self, confirmations: int, block_hash: str = HASH) -> list[tuple[str, str]]:
        self.chain.confirmations[block_hash] = confirmations
        return self.step()

    def balance(self, name: str) -> int:
        return abs(self.store.balance(name))

    def of(self, account: str, part: ledger.Part = "available") -> int:
        return self.balance(ledger.miner(account, part))

    def verified(self) -> None:
        shares = connect_to_read(self.directory, "shares")
        books = connect_to_read(self.directory, "ledger")
        report = verify(shares, books)
        shares.close()
        books.close()
        assert report.differences == ()

    def pay_out(self, account: str, amount: int, number: int = 1) -> None:
        """The miner is paid over Lightning, by its entries alone."""
        store = self.store
        store.post(ledger.deposit(f"d{number}", "lightning", Msat(amount)), self.now_ms)
        store.post(ledger.hold(number, account, Msat(amount)), self.now_ms)
        store.post(ledger.settle(number, account, Msat(amount), Msat(amount), Msat(0)), self.now_ms)


def share(
    account: str,
    target: Target = BLOCK,
    block_hash: str | None = None,
    time_ms: int = NOW_MS,
    pot: str = "pool",
) -> Share:
    return Share(account, "w", target, NBITS, Height(200), time_ms, "1", block_hash, pot)


def found(block_hash: str, account: str = "ann", found_ms: int = NOW_MS, pot: str = "pool") -> Found:
    return Found(block_hash, "00" * 32, 200, account, "w", "bcrt1qpool", found_ms, "file", pot)


def fill_shares(connection: sqlite3.Connection, block_hash: str = HASH) -> None:
    """A window of 2 units: ann's half unit and winning unit, half of bob's unit."""
    batch = [
        share("old"),
        share("bob"),
        share("ann", MAX_TARGET),
        share("ann", block_hash=block_hash),
        share("late"),
    ]
    ShareStore(connection, 0).write(batch, {block_hash: found(block_hash)})


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[Pool]:
    shares, books = connect(tmp_path, "shares"), connect(tmp_path, "ledger")
    made = Pool(tmp_path, shares, books, FakeChain())
    made.store.add_addresses([("bcrt1qpool", SCRIPT)], NOW_MS)
    fill_shares(shares)
    yield made
    assert sum(made.store.balances().values()) == 0
    shares.close()
    books.close()


G = VALUE * 1000
FEE = G // 100
ANN = (G - FEE) * 3 // 4
BOB = (G - FEE) // 4


def test_a_block_in_the_chain_is_rewarded_from_its_window(pool: Pool) -> None:
    assert pool.see(1) == [("submitted", "immature")]
    assert (pool.of("ann", "immature"), pool.of("bob", "immature")) == (ANN, BOB)
    assert pool.of("old", "immature") == pool.of("late", "immature") == 0
    assert (pool.balance(ledger.POOL_FEE), pool.balance(ledger.IMMATURE)) == (FEE, G)
    block = pool.store.blocks.get(HASH)
    assert block is not None
    assert (block.value, block.activations, block.confirmations) == (G, 1, 1)
    pool.verified()


def test_only_outputs_to_scripts_of_the_payer_are_divided(pool: Pool) -> None:
    pool.chain.outputs = (CoinbaseOutput(b"\x51", Sat(VALUE)), CoinbaseOutput(SCRIPT, Sat(1000)))
    pool.see(1)
    assert pool.balance(ledger.IMMATURE) == 1_000_000
    pool.verified()


def test_a_block_that_pays_us_nothing_has_an_empty_reward(pool: Pool) -> None:
    pool.chain.outputs = (CoinbaseOutput(b"\x51", Sat(VALUE)),)
    assert pool.see(100) == [("submitted", "immature"), ("immature", "mature")]
    assert pool.see(-1) == [("mature", "orphaned")]
    assert pool.store.balances() == {}
    pool.verified()


def test_at_maturity_what_was_immature_becomes_available(pool: Pool) -> None:
    pool.see(1)
    assert pool.see(99) == []
    assert pool.see(100) == [("immature", "mature")]
    assert (pool.of("ann"), pool.of("bob"), pool.balance(ledger.HOT)) == (ANN, BOB, G)
    assert pool.of("ann", "immature") == pool.balance(ledger.IMMATURE) == 0
    assert pool.see(101) == []
    pool.verified()


def test_a_block_first_seen_deep_is_rewarded_and_matured_in_one_step(pool: Pool) -> None:
    assert pool.see(150) == [("submitted", "immature"), ("immature", "mature")]
    assert pool.of("ann") == ANN
    pool.verified()


def test_an_orphaned_block_leaves_the_books_as_they_were(pool: Pool) -> None:
    pool.see(1)
    assert pool.see(-1) == [("immature", "orphaned")]
    assert all(amount == 0 for amount in pool.store.balances().values())
    assert pool.see(-1) == []
    pool.verified()


def test_a_block_that_was_never_in_the_chain_is_orphaned_without_an_entry(pool: Pool) -> None:
    assert pool.see(-1) == [("submitted", "orphaned")]
    assert pool.store.balances() == {}
    pool.verified()


def test_an_orphan_that_comes_back_is_rewarded_again(pool: Pool) -> None:
    pool.see(1)
    pool.see(-1)
    pool.policy = Policy(Fraction(1), 500)
    assert pool.see(3) == [("orphaned", "immature")]
    assert (pool.of("ann", "immature"), pool.of("bob", "immature")) == (ANN, BOB)
    assert pool.store.entry(f"reward:{HASH}:1") is not None
    assert pool.see(100) == [("immature", "mature")]
    pool.verified()


def test_a_mature_block_is_reversed_as_far_as_the_money_is_there(pool: Pool) -> None:
    pool.see(100)
    pool.pay_out("ann", 1_000_000)
    assert pool.see(-1) == [("mature", "orphaned")]
    assert (pool.of("ann"), pool.of("bob"), pool.balance(ledger.HOT)) == (0, 0, 0)
    assert pool.store.balance(ledger.ORPHAN_LOSS) == 1_000_000


def test_a_miner_who_kept_the_money_is_not_paid_twice_when_the_block_comes_back(pool: Pool) -> None:
    pool.see(100)
    pool.pay_out("ann", 1_000_000)
    pool.see(-1)
    assert pool.see(100) == [("orphaned", "immature"), ("immature", "mature")]
    assert (pool.of("ann"), pool.of("bob")) == (ANN - 1_000_000, BOB)
    assert pool.store.balance(ledger.ORPHAN_LOSS) == 0
    pool.see(-1)
    pool.see(1)
    assert pool.of("ann", "immature") == ANN - 1_000_000


@pytest.mark.parametrize("confirmations", [1, 100])
def test_a_node_that_is_behind_down_or_ignorant_orphans_nothing(pool: Pool, confirmations: int) -> None:
    pool.see(confirmations)
    before = pool.store.balances()
    pool.chain.confirmations[HASH] = -1
    pool.chain.height = 199
    assert pool.step() == []
    pool.chain.height, pool.chain.syncing = 10_000, True
    assert pool.step() == []
    pool.chain.syncing, pool.chain.down = False, True
    assert pool.step() == []
    pool.chain.down = False
    pool.chain.confirmations.clear()
    assert pool.step() == []
    assert pool.see(0) == []
    assert pool.store.balances() == before


def test_a_block_whose_coinbase_cannot_be_read_waits_and_holds_up_no_other(pool: Pool) -> None:
    other = "cd" * 32
    ShareStore(pool.shares, 0).write([share("zoe", block_hash=other)], {other: found(other, "zoe")})
    pool.chain.pruned = True
    assert pool.see(1) == []
    assert pool.see(-1, other) == [("submitted", "orphaned")]
    pool.chain.pruned = False
    assert pool.step() == [("submitted", "immature")]
    pool.verified()


def test_the_window_of_a_block_without_a_share_ends_with_the_newest_share_then(pool: Pool) -> None:
    lone = "ef" * 32
    writer = ShareStore(pool.shares, 0)
    writer.write([share("zoe", time_ms=NOW_MS + 50)], {})
    writer.write_without_share(found(lone, "ann", NOW_MS + 60))
    writer.write([share("yan", time_ms=NOW_MS + 70)], {})
    assert pool.see(1, lone) == [("submitted", "immature")]
    assert pool.of("zoe", "immature") == pool.of("late", "immature") == (G - FEE) // 2
    pool.verified()


def test_a_block_with_no_share_before_it_leaves_all_but_the_fee_over(pool: Pool) -> None:
    lone = "ef" * 32
    ShareStore(pool.shares, 0).write_without_share(found(lone, "ann", NOW_MS - 1))
    pool.see(1, lone)
    assert pool.store.residual() == G - FEE
    pool.see(1)
    assert pool.of("ann", "immature") == (G - FEE) * 2 * 3 // 4
    # the first block's money is another's by now: its reversal is the pool's loss
    pool.see(-1, lone)
    assert pool.store.balance(ledger.ORPHAN_LOSS) == G - FEE
    pool.verified()


def test_deep_blocks_and_old_orphans_are_not_asked_for_any_more(pool: Pool) -> None:
    pool.see(2016)
    assert pool.store.blocks.watched(2016, 0) == []
    assert pool.see(-1) == []
    other = "cd" * 32
    ShareStore(pool.shares, 0).write([share("zoe", block_hash=other)], {other: found(other, "zoe")})
    pool.see(-1, other)
    pool.now_ms += 28 * 24 * 3_600_000
    assert pool.see(5, other) == [("orphaned", "immature")]
    pool.see(-1, other)
    pool.now_ms += 1
    assert pool.see(5, other) == []


def test_blocks_are_asked_for_again_only_when_tip_or_log_changed(pool: Pool) -> None:
    pool.chain.confirmations[HASH] = 5
    settler = pool.settler()
    assert run(settler.step()) == [("submitted", "immature")]
    asked = len(pool.chain.asked)
    assert run(settler.step()) == []
    assert len(pool.chain.asked) == asked
    pool.chain.height, pool.chain.confirmations[HASH] = 10_001, 6
    assert run(settler.step()) == []
    block = pool.store.blocks.get(HASH)
    assert block is not None
    assert block.confirmations == 6
    other = "cd" * 32
    pool.chain.confirmations[other] = 1
    ShareStore(pool.shares, 0).write([share("zoe", block_hash=other)], {other: found(other, "zoe")})
    assert run(settler.step()) == [("submitted", "immature")]


def test_a_node_that_goes_away_in_the_middle_is_asked_again(pool: Pool) -> None:
    other = "cd" * 32
    ShareStore(pool.shares, 0).write([share("zoe", block_hash=other)], {other: found(other, "zoe")})
    pool.chain.confirmations.update({HASH: 1, other: 1})
    pool.chain.fails_after = 1
    settler = pool.settler()
    assert run(settler.step()) == [("submitted", "immature")]
    pool.chain.fails_after = 10**9
    assert run(settler.step()) == [("submitted", "immature")]
    pool.verified()


def test_a_rewarded_block_without_its_journal_entry_stops_everything(pool: Pool) -> None:
    pool.step()
    pool.books.execute("UPDATE block SET state = 'immature', activations = 1")
    with pytest.raises(LedgerError, match="no reward 0"):
        pool.see(100)


class MeddlingChain(FakeChain):
    """Lets something happen while the coinbase is read."""

    meddle: Callable[[], object] = staticmethod(lambda: None)

    async def block_outputs(self, block_hash: str) -> tuple[CoinbaseOutput, ...]:
        self.meddle()
        return self.outputs


def test_two_settlers_on_one_block_write_one_reward(pool: Pool) -> None:
    pool.chain.confirmations[HASH] = 1
    chain = MeddlingChain(confirmations={HASH: 1})
    chain.meddle = pool.step
    pool.settler()  # which writes the policies down
    first = Settler(pool.store, ShareWindows(pool.shares), chain, 100, lambda: NOW_MS)
    assert run(first.step()) == []
    assert pool.of("ann", "immature") == ANN
    pool.verified()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from([-1, 1, 2, 99, 100, 101]), max_size=8), st.integers(1, 100))
def test_any_course_of_reorganisations_ends_where_the_last_word_says(
    tmp_path_factory: pytest.TempPathFactory, course: list[int], last: int
) -> None:
    directory = tmp_path_factory.mktemp("pool")
    shares, books = connect(directory, "shares"), connect(directory, "ledger")
    made = Pool(directory, shares, books, FakeChain())
    made.store.add_addresses([("bcrt1qpool", SCRIPT)], NOW_MS)
    fill_shares(shares)
    for confirmations in course:
        made.see(confirmations)
        made.step()
    made.see(-1)
    assert all(amount == 0 for amount in made.store.balances().values())
    made.see(last)
    assert made.of("ann", "immature") + made.of("ann") == ANN
    assert made.of("bob", "immature") + made.of("bob") == BOB
    made.verified()
    shares.close()
    books.close()


KILLED = """
import os, signal, sys
from pathlib import Path
from pool.store.database import connect
from tests.pool.test_settle import FakeChain, HASH, Pool

directory = Path(sys.argv[1])
pool = Pool(directory, connect(directory, "shares"), connect(directory, "ledger"), FakeChain())
left = int(sys.argv[2])

def count(statement):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)

pool.books.set_trace_callback(count)
pool.see(1)
pool.see(100)
pool.see(-1)
"""


@pytest.mark.parametrize("statements", [2, 5, 9, 12, 16, 20, 25, 30, 36, 42, 50, 58])
def test_kill_9_anywhere_and_a_restart_end_in_the_same_books(pool: Pool, statements: int) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", KILLED, str(pool.directory), str(statements)]
    child = subprocess.run(command, env=environment, check=False, capture_output=True)
    assert child.returncode == -signal.SIGKILL, child.stderr.decode()
    pool.verified()
    pool.see(100)
    pool.step()
    assert (pool.of("ann"), pool.of("bob"), pool.balance(ledger.HOT)) == (ANN, BOB, G)
    pool.verified()


def find_solo(pool: Pool, account: str, block_hash: str) -> None:
    """A share of the pool's port, then a block through the solo port, then another share of the pool's."""
    solo = share(account, block_hash=block_hash, pot="solo")
    batch = [share("yan"), share(account, pot="solo"), solo, share("xia")]
    ShareStore(pool.shares, 0).write(
        batch, {block_hash: attrs.evolve(found(block_hash, account), pot="solo")}
    )


def test_a_block_of_the_solo_port_is_its_finders_whole_and_counts_in_nobodys_window(pool: Pool) -> None:
    other = "cd" * 32
    find_solo(pool, "zoe", other)
    pool.see(1, other)
    assert pool.of("zoe", "immature") == G - G // 200
    assert pool.balance(ledger.POOL_FEE) == G // 200
    assert [pool.of(name, "immature") for name in ("ann", "bob", "yan", "xia")] == [0, 0, 0, 0]
    pool.verified()

    last = "ef" * 32
    ShareStore(pool.shares, 0).write([share("ann", block_hash=last)], {last: found(last)})
    pool.see(1, last)
    assert pool.of("xia", "immature") == pool.of("ann", "immature") == (G - FEE) // 2
    assert pool.of("zoe", "immature") == G - G // 200
    pool.see(-1, other)
    assert pool.of("zoe", "immature") == 0
    pool.see(100, other)
    assert pool.of("zoe") == G - G // 200
    pool.verified()


def test_what_the_pool_left_over_is_not_given_to_a_solo_miner(pool: Pool) -> None:
    lone, other = "ef" * 32, "cd" * 32
    ShareStore(pool.shares, 0).write_without_share(found(lone, "ann", NOW_MS - 1))
    pool.see(1, lone)
    assert pool.store.residual() == G - FEE
    find_solo(pool, "zoe", other)
    pool.see(1, other)
    assert pool.of("zoe", "immature") == G - G // 200
    assert (pool.store.residual(), pool.store.residual("solo")) == (G - FEE, 0)
    pool.verified()


def test_a_late_block_of_the_solo_port_that_earned_no_share_is_its_finders_all_the_same(pool: Pool) -> None:
    lone = "ef" * 32
    ShareStore(pool.shares, 0).write_without_share(attrs.evolve(found(lone, "zoe"), pot="solo"))
    pool.see(1, lone)
    assert pool.of("zoe", "immature") == G - G // 200
    pool.verified()


def test_a_change_of_policy_leaves_blocks_before_it_alone_and_older_shares_their_promise(pool: Pool) -> None:
    pool.step()
    pool.policy = Policy(Fraction(4), 500)
    later = "cd" * 32
    pool.settler()
    ShareStore(pool.shares, 0).write([share("zoe", block_hash=later)], {later: found(later, "zoe")})
    pool.see(1)
    assert (pool.of("ann", "immature"), pool.of("bob", "immature")) == (ANN, BOB)
    pool.see(1, later)
    # of the old window of 2 units one is left: the share after the block; the new one has the other half
    assert pool.of("late", "immature") == (G // 2) * 99 // 100
    assert pool.of("zoe", "immature") == (G // 2) * 95 // 100
    entry = pool.store.entry(f"reward:{later}:0")
    assert entry is not None
    hashes = [part["policy_hash"] for part in cast(list[dict[str, object]], entry.memo["parts"])]
    assert hashes == [POLICY.hash, pool.policy.hash]
    pool.see(-1, later)
    pool.policy = Policy(Fraction(1), 0, Scheme.SOLO)
    pool.see(1, later)
    assert pool.of("zoe", "immature") == (G // 2) * 95 // 100
    pool.verified()


def test_a_policy_is_written_once_and_only_when_it_differs(pool: Pool) -> None:
    assert len(pool.store.adopt({"pool": POLICY, "solo": SOLO}, 5, NOW_MS)) == 2
    assert pool.store.adopt({"pool": POLICY, "solo": SOLO}, 9, NOW_MS) == []
    (change,) = pool.store.adopt({"pool": Policy(Fraction(3), 100)}, 9, NOW_MS + 1)
    assert (change.pot, change.term.after_share, change.from_ms) == ("pool", 9, NOW_MS + 1)
    assert [term.after_share for term in pool.store.terms("pool")] == [0, 9]
    assert [term.policy for term in pool.store.terms("solo")] == [policy_of(SOLO.terms)]


def test_a_block_of_a_pot_without_a_policy_waits_for_one_and_holds_up_no_other(pool: Pool) -> None:
    other = "cd" * 32
    batch = [share("zoe", block_hash=other, pot="tides")]
    ShareStore(pool.shares, 0).write(batch, {other: attrs.evolve(found(other, "zoe"), pot="tides")})
    pool.chain.confirmations[HASH] = 1
    assert pool.see(1, other) == [("submitted", "immature")]
    pool.store.adopt({"tides": Policy(Fraction(2), 0, Scheme.TIDES)}, 0, NOW_MS)
    assert pool.step() == [("submitted", "immature")]
    assert pool.of("zoe", "immature") == G
    pool.verified()


def test_books_from_before_policies_were_written_down_are_still_right(pool: Pool) -> None:
    pool.see(1)
    entry = pool.store.entry(f"reward:{HASH}:0")
    assert entry is not None
    (part,) = cast(list[dict[str, object]], entry.memo["parts"])
    noted = {**entry.memo, "scheme": "unit-pplns", "window": part["window"]}
    old = attrs.evolve(entry, memo={**noted, "policy": {"window": "2", "fee_bps": 100}})
    for newer in ("parts", "sum_root", "sum_total_msat"):
        del old.memo[newer]  # type: ignore[attr-defined]
    directory = pool.directory / "old"
    books = connect(directory, "ledger")
    made = Pool(pool.directory, pool.shares, books, pool.chain, Policy(Fraction(1), 0))
    made.store.add_addresses([("bcrt1qpool", SCRIPT)], NOW_MS)
    block = pool.store.blocks.get(HASH)
    assert block is not None
    made.store.blocks.add(block.found, NOW_MS)
    made.store.post(old, NOW_MS)
    made.store.blocks.write(block, NOW_MS)
    made.see(-1)
    assert made.see(1) == [("orphaned", "immature")]
    assert (made.of("ann", "immature"), made.of("bob", "immature")) == (ANN, BOB)
    assert verify(pool.shares, books).differences == ()
    books.close()
