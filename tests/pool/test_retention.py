"""Nothing leaves the log that a block to come, one that is not final, a round or a payment still needs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pool.archiver import Archiver, Pace
from pool.retention import Plan, open_blocks, plan
from pool.rewards.policy import Policy, Scheme
from pool.settle import ORPHAN_WATCH_MS, WATCH_DEPTH
from pool.store.archives import FOLDER, Archives
from pool.store.archiving import ArchivingStore
from pool.store.database import connect
from pool.store.shares import ShareStore
from pool.store.windows import ShareWindows
from pool.verify import verify
from tests.pool.test_settle import HASH, NOW_MS, SCRIPT, SOLO, FakeChain, Pool, fill_shares, found, share

OTHER = "cd" * 32


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[Pool]:
    """Eight shares of one unit each; the window of the pool has 2 units."""
    made = Pool(tmp_path, connect(tmp_path, "shares"), connect(tmp_path, "ledger"), FakeChain())
    made.store.add_addresses([("bcrt1qpool", SCRIPT)], NOW_MS)
    ShareStore(made.shares, 0).write([share("early") for _ in range(8)], {})
    with closing(made.shares), closing(made.books):
        yield made


def planned(pool: Pool, old_id: int = 10**9, now_ms: int = NOW_MS) -> Plan:
    log, store = ShareWindows(pool.shares, chunk_rows=3), pool.store
    return plan(log, store, open_blocks(store.blocks, log, now_ms), log.archives.until(), old_id)


def write(pool: Pool, count: int, pot: str = "pool") -> None:
    ShareStore(pool.shares, 0).write([share("more", pot=pot) for _ in range(count)], {})


def archive(pool: Pool, last_id: int, per_file: int = 4) -> None:
    with closing(connect(pool.directory, "shares")) as connection:
        pace = Pace(lambda _: None, lambda: 0.0)
        list(
            Archiver(ArchivingStore(connection), pool.directory / FOLDER, lambda: 0, pace, per_file).run(
                last_id
            )
        )


def test_what_is_too_young_stays_whatever_else_is_true(pool: Pool) -> None:
    pool.step()
    write(pool, 20)
    assert planned(pool, old_id=3) == Plan(3, None)
    assert planned(pool, old_id=0) == Plan(0, None)


def test_a_pool_without_any_policy_or_share_keeps_what_it_has(tmp_path: Path) -> None:
    made = Pool(tmp_path, connect(tmp_path, "shares"), connect(tmp_path, "ledger"), FakeChain())
    with closing(made.shares), closing(made.books):
        assert planned(made, old_id=0) == Plan(0, None)


def test_the_running_window_stays_at_twice_its_size(pool: Pool) -> None:
    pool.step()  # the policy: a window of 2 units, two shares of one unit each
    write(pool, 12)
    left = planned(pool)
    assert left.last_id == 20 - 4
    assert left.limit is not None
    assert left.limit.what == "the running window of pot pool, at twice its size"


def test_a_window_that_is_not_full_yet_and_takes_all_there_is_lets_nothing_go(pool: Pool) -> None:
    pool.policy = Policy(Fraction(100), 100)
    pool.step()
    write(pool, 12)
    assert planned(pool).last_id == 0


def test_shares_of_another_pot_than_the_one_whose_window_is_not_full_may_go(pool: Pool) -> None:
    pool.policy = Policy(Fraction(100), 100)
    with closing(connect(pool.directory / "solo", "shares")) as shares:
        solo = Pool(pool.directory / "solo", shares, connect(pool.directory / "solo", "ledger"), FakeChain())
        solo.policy = pool.policy
        solo.step()
        write(solo, 10, "solo")
        write(solo, 3)
        assert planned(solo).last_id == 10
        solo.books.close()


def test_a_block_that_may_still_be_divided_keeps_its_window_until_it_is_final(pool: Pool) -> None:
    pool.step()
    fill_shares(pool.shares)  # the block is share 12, and its window begins at 10, in part
    write(pool, 50)
    for confirmations in (None, 1, 100, WATCH_DEPTH - 1):
        if confirmations is not None:
            pool.see(confirmations)
        left = planned(pool)
        assert left.last_id == 9, confirmations
        assert left.limit is not None
        assert left.limit.what == f"block {HASH}, which may still be divided"
    pool.see(WATCH_DEPTH)
    assert planned(pool).last_id == 63 - 4


def test_an_orphan_keeps_its_window_as_long_as_it_may_come_back(pool: Pool) -> None:
    pool.step()
    fill_shares(pool.shares)
    write(pool, 50)
    pool.see(1)
    pool.see(-1)
    assert planned(pool, now_ms=NOW_MS + ORPHAN_WATCH_MS).last_id == 9
    assert planned(pool, now_ms=NOW_MS + ORPHAN_WATCH_MS + 1).last_id == 63 - 4


def test_a_block_that_waits_for_a_policy_keeps_all(pool: Pool) -> None:
    pool.step()
    batch = [share("ann", block_hash=OTHER, pot="tides")]
    ShareStore(pool.shares, 0).write(batch, {OTHER: found(OTHER, pot="tides")})
    write(pool, 50)
    left = planned(pool)
    assert left.last_id == 0
    assert left.limit is not None
    assert left.limit.what.endswith("it waits for a policy")


def test_a_round_stays_since_the_pots_last_block(pool: Pool) -> None:
    pool.policy = Policy(Fraction(1), 100, Scheme.PROP)
    pool.step()
    assert planned(pool).last_id == 0
    fill_shares(pool.shares)
    write(pool, 5)
    pool.see(WATCH_DEPTH)
    left = planned(pool)
    assert (left.last_id, left.limit and left.limit.what) == (12, "the round of pot pool")


def test_shares_that_are_paid_at_once_stay_until_they_are_paid(pool: Pool) -> None:
    pool.policy = Policy(Fraction(1), 100, Scheme.PPS, halving_blocks=150)
    pool.step()
    left = planned(pool)
    assert (left.last_id, left.limit and left.limit.what) == (0, "shares of pot pool that are yet to be paid")
    pool.policy = SOLO
    write(pool, 4)
    pool.step()
    write(pool, 4)
    assert planned(pool).last_id == 0, "those of an earlier policy too"


def test_the_newest_share_never_goes(pool: Pool) -> None:
    pool.policy = SOLO
    pool.step()
    left = planned(pool)
    assert (left.last_id, left.limit and left.limit.what) == (7, "the newest share")


@settings(max_examples=12, deadline=None)
@given(
    shares=st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), min_size=4, max_size=40),
    window=st.sampled_from([Fraction(1, 2), Fraction(3), Fraction(9)]),
    scheme=st.sampled_from([Scheme.PPLNS, Scheme.TIDES, Scheme.PROP]),
    early=st.booleans(),
)
def test_a_block_is_divided_the_same_with_all_archived_that_may_go_and_with_all_that_there_is(
    tmp_path_factory: pytest.TempPathFactory,
    shares: list[tuple[str, bool]],
    window: Fraction,
    scheme: Scheme,
    early: bool,
) -> None:
    """Archived before the block was found, or all but its share against all reason: it is the same."""
    balances = []
    for archived in (None, "what may go", "all"):
        directory = tmp_path_factory.mktemp("pool")
        made = Pool(directory, connect(directory, "shares"), connect(directory, "ledger"), FakeChain())
        made.policy = Policy(window, 100, scheme)
        with closing(made.shares), closing(made.books):
            made.store.add_addresses([("bcrt1qpool", SCRIPT)], NOW_MS)
            made.step()
            batch = [
                share(account, block_hash=HASH if n == 3 and early else None)
                for n, (account, _) in enumerate(shares)
            ]
            ShareStore(made.shares, 0).write(batch, {HASH: found(HASH)})
            if early:
                made.see(WATCH_DEPTH)
            if archived is not None:
                archive(made, planned(made).last_id if archived == "what may go" else len(shares) - 1)
            ShareStore(made.shares, 0).write([share("z", block_hash=OTHER)], {OTHER: found(OTHER)})
            made.see(120, OTHER)
            balances.append(made.store.balances())
            if archived == "what may go":
                first = made.shares.execute("SELECT min(id) FROM share").fetchone()[0]
                assert first == Archives(made.shares).until() + 1
            assert verify(made.shares, made.books).differences == ()
    assert balances[0] == balances[1] == balances[2]


def test_a_block_waits_for_a_file_that_its_window_needs_and_keeps_no_other_block_waiting(pool: Pool) -> None:
    pool.step()
    fill_shares(pool.shares)
    archive(pool, 12)  # against all reason: the window of the block is in the third file
    write(pool, 1)
    ShareStore(pool.shares, 0).write(
        [share("zoe", block_hash=OTHER, pot="solo")], {OTHER: found(OTHER, "zoe", pot="solo")}
    )
    file = pool.directory / FOLDER / "shares-000000000009-000000000012.xz"
    away = file.rename(file.with_suffix(".away"))
    pool.chain.confirmations[HASH] = 1
    assert pool.see(1, OTHER) == [("submitted", "immature")]
    assert pool.step() == []
    away.rename(file)
    assert pool.step() == [("submitted", "immature")]
    assert pool.of("bob", "immature") * 3 == pool.of("ann", "immature")
    pool.verified()
