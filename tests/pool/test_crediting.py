"""PPS: every share is paid once and at once, from a reserve that blocks fill; the audit counts it again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payouts.money import Msat, Sat
from pool import crediting, ledger
from pool.chain.node import CoinbaseOutput
from pool.config import Config, parse
from pool.crediting import EVERY_MS, Crediting
from pool.errors import ConfigError, LedgerError
from pool.pots import declared_reserve, policies_of
from pool.reserve import reserve_of
from pool.rewards.policy import Policy, Scheme
from pool.rewards.pps import PaidKind, pay
from pool.rewards.recount import PaidShare, paid_again
from pool.store.database import connect
from pool.store.shares import ShareStore
from pool.store.windows import ShareWindows
from pool.verify import verify
from stratum.ports import Share
from stratum.units import MAX_TARGET, Height, Target
from tests.pool.test_settle import BLOCK, NBITS, NOW_MS, SCRIPT, FakeChain, Pool, found

PPS = Policy(Fraction(8), 200, Scheme.PPS, 150)
UNIT_MSAT = 5_000_000_000_000 * 98 // 100
"""What a share that is a whole block's work is paid before the first halving."""
HASH = "ab" * 32


def share(account: str, target: Target = BLOCK, height: int = 100, block_hash: str | None = None) -> Share:
    return Share(account, "w", target, NBITS, Height(height), NOW_MS, "1", block_hash, "pps")


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[Pool]:
    made = Pool(tmp_path, connect(tmp_path, "shares"), connect(tmp_path, "ledger"), FakeChain())
    made.store.add_addresses([("bcrt1qpool", SCRIPT)], NOW_MS)
    made.store.adopt({"pps": PPS}, 0, NOW_MS)
    yield made
    assert sum(made.store.balances().values()) == 0
    assert verify(made.shares, made.books).differences == ()
    made.shares.close()
    made.books.close()


def add(pool: Pool, *shares: Share) -> None:
    ShareStore(pool.shares, 0).write(list(shares), {HASH: found(HASH, pot="pps")})


def credit(pool: Pool) -> int:
    """A step of a book that was just started."""
    return Crediting(pool.store, ShareWindows(pool.shares), lambda: pool.now_ms).step()


def test_each_share_is_paid_its_part_of_the_subsidy_once(pool: Pool) -> None:
    add(pool, share("ann"), share("bob", MAX_TARGET), share("ann", height=150))
    assert credit(pool) == 1
    assert (pool.of("ann"), pool.of("bob")) == (UNIT_MSAT * 3 // 2, UNIT_MSAT // 2)
    assert pool.store.balance(ledger.RESERVE) == UNIT_MSAT * 2
    assert credit(pool) == 0
    add(pool, share("bob"))
    assert credit(pool) == 1
    assert pool.of("bob") == UNIT_MSAT * 3 // 2


def test_shares_wait_to_be_paid_together(pool: Pool) -> None:
    book = Crediting(pool.store, ShareWindows(pool.shares), lambda: pool.now_ms)
    add(pool, share("ann"))
    assert book.step() == 1
    add(pool, share("ann"))
    pool.now_ms += EVERY_MS - 1
    assert book.step() == 0
    pool.now_ms += 1
    assert book.step() == 1
    assert pool.of("ann") == 2 * UNIT_MSAT


def test_a_long_log_is_paid_in_slices_of_which_none_comes_twice(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crediting, "MOST_SHARES", 2)
    add(pool, *[share("ann") for _ in range(5)])
    assert credit(pool) == 3
    assert pool.of("ann") == 5 * UNIT_MSAT
    again = crediting.paid_entry("pps", pool.store.terms("pps")[0], 2, 5, {"ann": Msat(1)})
    with pytest.raises(LedgerError, match="shares:pps:2 is in the journal with other content"):
        pool.store.post(again, NOW_MS)


def test_a_block_fills_the_reserve_and_an_orphan_empties_it(pool: Pool) -> None:
    add(pool, share("ann", block_hash=HASH))
    credit(pool)
    pool.see(1)
    value = 5_000_000_000_000
    assert pool.store.balance(ledger.RESERVE) == UNIT_MSAT - value
    assert pool.balance(ledger.IMMATURE) == value
    assert pool.balance(ledger.POOL_FEE) == pool.of("ann", "immature") == 0
    pool.see(-1)
    assert pool.store.balance(ledger.RESERVE) == UNIT_MSAT
    pool.see(100)
    assert pool.balance(ledger.HOT) == value
    assert pool.of("ann") == UNIT_MSAT


def test_in_pps_plus_the_subsidy_is_paid_at_once_and_fees_when_there_are_any(pool: Pool) -> None:
    pool.store.adopt({"pps": Policy(Fraction(1), 200, Scheme.PPS_PLUS, 150)}, 0, NOW_MS)
    pool.chain.outputs = (CoinbaseOutput(SCRIPT, Sat(2_500_001_000)),)
    add(pool, share("bob"), share("ann", height=200, block_hash=HASH))
    credit(pool)
    pool.see(1)
    # the block is at height 200: half of the first subsidy, and 1000 sat of fees for its window of one unit
    assert (pool.of("bob"), pool.of("ann")) == (UNIT_MSAT, UNIT_MSAT // 2)
    assert pool.of("ann", "immature") == 980_000
    assert pool.of("bob", "immature") == 0
    assert pool.balance(ledger.POOL_FEE) == 20_000
    assert pool.store.balance(ledger.RESERVE) == UNIT_MSAT * 3 // 2 - 2_500_000_000_000


def test_at_a_change_of_policy_older_shares_are_paid_by_the_older_one(pool: Pool) -> None:
    add(pool, share("ann"), share("bob"))
    newest = ShareWindows(pool.shares).newest()
    pool.store.adopt({"pps": Policy(Fraction(8), 300, Scheme.PPS, 150)}, newest, NOW_MS)
    add(pool, share("ann"))
    assert credit(pool) == 2
    assert pool.of("bob") == UNIT_MSAT
    assert pool.of("ann") == UNIT_MSAT + UNIT_MSAT * 97 // 98
    newest = ShareWindows(pool.shares).newest()
    add(pool, share("ann"))
    pool.store.adopt({"pps": Policy(Fraction(8), 0, Scheme.SOLO)}, newest + 1, NOW_MS)
    add(pool, share("bob"))
    # what was mined under the last paying policy is paid without waiting; what came after it is not
    assert credit(pool) == 1
    assert pool.of("bob") == UNIT_MSAT


def test_pay_that_was_tampered_with_is_named(pool: Pool) -> None:
    add(pool, share("ann"), share("bob"))
    credit(pool)
    for trigger in ("posting_is_final", "journal_is_final"):
        pool.books.execute(f"DROP TRIGGER {trigger}")
    pool.shares.execute("INSERT INTO target (id, target) VALUES (2, ?)", (MAX_TARGET.to_bytes(32, "big"),))
    pool.shares.execute("BEGIN")
    pool.shares.execute("UPDATE share SET target_id = 2 WHERE account = 'ann'")
    report = verify(pool.shares, pool.books)
    assert any("ann:available has -4900000000000 msat, not" in each for each in report.differences)
    assert any("shares:pps:0: says it pays" in each for each in report.differences)
    pool.shares.execute("ROLLBACK")
    pool.books.execute("BEGIN")
    pool.books.execute("UPDATE journal SET memo = json_set(memo, '$.after_share', 1) WHERE kind = 'shares'")
    report = verify(pool.shares, pool.books)
    assert any("shares:pps:0: pays shares 1 to 2, but the next one" in each for each in report.differences)
    pool.books.execute("ROLLBACK")


kinds = st.builds(
    PaidKind,
    st.sampled_from(["ann", "bob", "cid"]),
    st.sampled_from([NBITS, 0x1702C4E4]),
    st.sampled_from([MAX_TARGET, BLOCK, Target(1 << 200), Target(1)]),
    st.integers(0, 70).map(lambda era: era * 210_000),
)


@given(st.dictionaries(kinds, st.integers(1, 20), max_size=8), st.integers(0, 10_000), st.randoms())
def test_pay_is_what_a_count_share_by_share_gives_in_any_order_and_however_accounts_are_split(
    counts: dict[PaidKind, int], fee_bps: int, random: Random
) -> None:
    policy = Policy(Fraction(1), fee_bps, Scheme.PPS, 210_000)
    paid = pay(counts, policy)
    single = [
        PaidShare(kind.account, kind.nbits, kind.target, kind.height + random.randrange(210_000))
        for kind, count in counts.items()
        for _ in range(count)
    ]
    random.shuffle(single)
    assert paid == paid_again(single, fee_bps, 210_000)
    halves: Counter[PaidKind] = Counter()
    for kind, count in counts.items():
        first = random.randint(0, count)
        halves[kind._replace(account=kind.account + "1")] += first
        halves[kind._replace(account=kind.account + "2")] += count - first
    split = pay(halves, policy)
    for account in ("ann", "bob", "cid"):
        both = split.get(account + "1", 0) + split.get(account + "2", 0)
        assert both <= paid.get(account, 0) <= both + 1


# ------------------------------------------------------------------------------------------------ the reserve


def config(reserve_sat: int | None = 300, fee_bps: int = 200) -> Config:
    rewards = {"scheme": "pps", "fee_bps": fee_bps}
    if reserve_sat is not None:
        rewards["reserve_sat"] = reserve_sat
    return parse({"node": {"network": "regtest"}, "rewards": rewards}, "sluice.toml")


def test_a_pool_that_pays_at_once_refuses_to_start_without_a_declared_reserve() -> None:
    with pytest.raises(ConfigError, match=r"toml: rewards.reserve_sat is missing"):
        config(None)
    port = {"stratum": {"port": [{"endpoint": "tcp:3334", "scheme": "pps"}]}}
    with pytest.raises(ConfigError, match=r"toml: rewards.reserve_sat is missing"):
        parse(port, "sluice.toml")
    made = parse({**port, "rewards": {"port": {"pps": {"reserve_sat": 5, "fee_bps": 300}}}}, "sluice.toml")
    assert declared_reserve(made) == ("pps", Sat(5), 300)
    assert policies_of(made)["pps"].halving_blocks == 210_000
    assert declared_reserve(Config()) is None
    both = {"scheme": "pps+", "reserve_sat": 5}
    with pytest.raises(ConfigError, match=r'choose one of "pps", "pps\+" and "fpps"'):
        parse({**port, "rewards": both}, "sluice.toml")
    assert declared_reserve(parse({"rewards": both}, "sluice.toml")) == ("pool", Sat(5), 100)
    assert reserve_of(Config(), {}, 1) is None


def test_the_odds_of_ruin_are_the_published_ones_and_follow_the_luck() -> None:
    block = 5_000_000_000
    reserve = reserve_of(config(block * 1704 // 10), {}, 149)
    assert reserve is not None
    assert reserve.ruin == pytest.approx(0.001, rel=0.002)
    assert "170.4 subsidies; ever used up with probability 0.0999%" in reserve.words()
    five = reserve_of(config(block * 3, fee_bps=2000), {ledger.RESERVE: -2 * block * 1000}, 149)
    assert five is not None
    assert five.ruin == pytest.approx(0.0982, abs=0.0001)
    # the subsidy is halved: the same money is worth more blocks
    later = reserve_of(config(block * 3, fee_bps=2000), {ledger.RESERVE: -2 * block * 1000}, 150)
    assert later is not None
    assert later.ruin == pytest.approx(0.0982**2, abs=0.0002)
    for spent in (reserve_of(config(5), {ledger.RESERVE: 5000}, 1), reserve_of(config(5, fee_bps=0), {}, 1)):
        assert spent is not None
        assert spent.ruin == 1.0
