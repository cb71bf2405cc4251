"""FPPS: shares are paid for other blocks' fees by the rate of their height, once, and never by a guess."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from random import Random
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import Logger, capturedLogs, formatEvent

from payouts.money import Msat, Sat
from pool import crediting, ledger
from pool.config import parse
from pool.crediting import Crediting
from pool.errors import ConfigError, LedgerError
from pool.pots import pays_for_fees, policies_of
from pool.recheck import Counting, Rechecker, counted_again
from pool.reserve import reserve_of
from pool.rewards.fpps import FEE_BLOCKS, FEE_TRIM, Rate, fee_part
from pool.rewards.policy import Policy, Scheme, policy_of
from pool.rewards.pps import PaidKind, pay
from pool.rewards.recount import PaidShare, mean_again, paid_again
from pool.roles.base import Context
from pool.roles.book import BookRole
from pool.store.database import connect
from pool.store.flows import FlowReader
from pool.store.ledger import LedgerStore
from pool.store.rates import rate_entry
from pool.store.reward_checks import RewardChecks
from pool.store.shares import ShareStore
from pool.store.windows import ShareWindows
from pool.verify import verify
from pool.web.terms import policy_words
from stratum.ports import Share
from stratum.units import Height
from tests.fakes_node import PASSWORD, USER, StandIn
from tests.fakes_reactor import InlineReactor
from tests.pool.test_crediting import kinds
from tests.pool.test_settle import BLOCK, NBITS, NOW_MS, SCRIPT, FakeChain, Pool, found
from tests.pool.web_site import Running

FPPS = Policy(Fraction(8), 200, Scheme.FPPS, 150, FEE_BLOCKS, FEE_TRIM)
SUBSIDY = 5_000_000_000_000
HASH = "ab" * 32


def rate(height: int, sat: int = 1_000_000, after: str = "00" * 32) -> Rate:
    """A rate of so many sat a block."""
    return Rate(height, after, (Sat(sat),) * min(FEE_BLOCKS, height - 1))


def share(account: str, height: int = 100, block_hash: str | None = None) -> Share:
    return Share(account, "w", BLOCK, NBITS, Height(height), NOW_MS, "1", block_hash, "fpps")


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[Pool]:
    made = Pool(tmp_path, connect(tmp_path, "shares"), connect(tmp_path, "ledger"), FakeChain())
    made.store.add_addresses([("bcrt1qpool", SCRIPT)], NOW_MS)
    made.store.adopt({"fpps": FPPS}, 0, NOW_MS)
    yield made
    assert sum(made.store.balances().values()) == 0
    assert verify(made.shares, made.books).differences == ()
    made.shares.close()
    made.books.close()


def add(pool: Pool, *shares: Share) -> None:
    ShareStore(pool.shares, 0).write(list(shares), {HASH: found(HASH, pot="fpps")})


def book(pool: Pool) -> Crediting:
    """A book that was just started."""
    return Crediting(pool.store, ShareWindows(pool.shares), lambda: pool.now_ms)


def know(pool: Pool, *rates: Rate) -> None:
    for each in rates:
        pool.store.post(rate_entry(each), NOW_MS)


# --------------------------------------------------------------------------------------------------- the rate


def test_a_few_blocks_with_absurd_fees_move_the_rate_by_nothing() -> None:
    usual = [Sat(1_000_000)] * (FEE_BLOCKS - FEE_TRIM)
    for absurd in (0, 8_300_000_000):
        assert fee_part([*usual, *[Sat(absurd)] * FEE_TRIM], FEE_BLOCKS, FEE_TRIM) == 1_000_000_000
    assert fee_part([*usual[:-1], *[Sat(2_000_000)] * (FEE_TRIM + 1)], FEE_BLOCKS, FEE_TRIM) == (
        1_000_000_000 + 1_000_000_000 // 120
    )
    assert fee_part([], FEE_BLOCKS, FEE_TRIM) == 0
    assert fee_part([Sat(1), Sat(2)], FEE_BLOCKS, FEE_TRIM) == 1_500


@given(
    st.lists(st.integers(0, 10**10).map(Sat), max_size=160),
    st.sampled_from([(144, 12), (10, 3), (3, 1), (5, 0)]),
    st.randoms(),
)
def test_the_rate_is_the_same_in_any_order_and_by_either_count_and_lies_among_the_fees(
    fees: list[Sat], rule: tuple[int, int], random: Random
) -> None:
    part = fee_part(fees, *rule)
    assert part == mean_again(fees, *rule)
    assert part == fee_part(random.sample(fees, len(fees)), *rule)
    if fees:
        assert min(fees) * 1000 <= part <= max(fees) * 1000


@given(
    st.dictionaries(kinds, st.integers(1, 20), max_size=8),
    st.integers(0, 10_000),
    st.dictionaries(st.integers(0, 70).map(lambda era: era * 210_000), st.integers(0, 10**12).map(Msat)),
    st.randoms(),
)
def test_pay_is_what_a_count_share_by_share_gives_however_accounts_and_slices_are_cut(
    counts: dict[PaidKind, int], fee_bps: int, some: dict[int, Msat], random: Random
) -> None:
    fees = {kind.height: Msat(7_123_456_789) for kind in counts} | some
    policy = attrs.evolve(FPPS, fee_bps=fee_bps, halving_blocks=210_000)
    paid = pay(counts, policy, fees)
    single = [PaidShare(*kind) for kind, count in counts.items() for _ in range(count)]
    random.shuffle(single)
    assert paid == paid_again(single, fee_bps, 210_000, fees)
    first, second, halves = Counter[PaidKind](), Counter[PaidKind](), Counter[PaidKind]()
    for kind, count in counts.items():
        some_of_it = random.randint(0, count)
        first[kind], second[kind] = some_of_it, count - some_of_it
        halves[kind._replace(account=kind.account + "1")] = some_of_it
        halves[kind._replace(account=kind.account + "2")] = count - some_of_it
    earlier, later, split = pay(first, policy, fees), pay(second, policy, fees), pay(halves, policy, fees)
    for account in ("ann", "bob", "cid"):
        whole = paid.get(account, 0)
        assert whole - 1 <= earlier.get(account, 0) + later.get(account, 0) <= whole
        assert whole - 1 <= split.get(account + "1", 0) + split.get(account + "2", 0) <= whole


# ----------------------------------------------------------------------------------------------- in the books


def test_a_share_is_paid_its_part_of_subsidy_and_fees_by_the_rate_of_its_height(pool: Pool) -> None:
    know(pool, rate(100), rate(150, 3_000_000))
    add(pool, share("ann"), share("bob", 150), share("ann", 150))
    assert book(pool).step() == 1
    early, late = (SUBSIDY + 10**9) * 98 // 100, (SUBSIDY // 2 + 3 * 10**9) * 98 // 100
    assert (pool.of("ann"), pool.of("bob")) == (early + late, late)
    assert pool.store.balance(ledger.RESERVE) == early + 2 * late
    assert book(pool).step() == 0


def test_shares_whose_height_has_no_rate_wait_and_all_behind_them(pool: Pool) -> None:
    know(pool, rate(100))
    add(pool, share("ann"), share("ann"), share("bob", 101), share("ann"), share("cid", 102))
    paying = book(pool)
    assert paying.step() == 1
    assert (pool.of("ann"), pool.of("bob")) == (2 * (SUBSIDY + 10**9) * 98 // 100, 0)
    assert paying.waiting() == {101, 102}
    assert paying.step() == 0
    know(pool, rate(101))
    # no waiting for the next ten minutes: it was not for want of shares
    assert paying.step() == 1
    assert pool.of("bob") == (SUBSIDY + 10**9) * 98 // 100
    assert paying.waiting() == {102}
    know(pool, rate(102))
    assert paying.step() == 1
    assert (paying.waiting(), paying.step()) == (frozenset(), 0)


def test_a_rate_that_is_known_is_not_changed(pool: Pool) -> None:
    know(pool, rate(100), rate(100))
    with pytest.raises(LedgerError, match="rate:100 is in the journal with other content"):
        know(pool, rate(100, after="11" * 32))


def test_a_policy_with_another_rule_is_not_paid_by_these_rates(pool: Pool) -> None:
    know(pool, rate(100))
    pool.store.adopt({"fpps": attrs.evolve(FPPS, fee_trim=0)}, 0, NOW_MS)
    add(pool, share("ann"))
    paying = book(pool)
    assert paying.step() == 0
    assert paying.waiting() == {100}


def test_blocks_go_to_the_reserve_whole_and_a_reorganisation_takes_no_pay_back(pool: Pool) -> None:
    know(pool, rate(200))
    add(pool, share("ann", 200, HASH))
    book(pool).step()
    paid, value = pool.of("ann"), SUBSIDY
    assert paid == (SUBSIDY // 2 + 10**9) * 98 // 100
    pool.see(1)
    assert pool.store.balance(ledger.RESERVE) == paid - value
    assert pool.balance(ledger.POOL_FEE) == 0
    pool.see(-1)
    assert (pool.store.balance(ledger.RESERVE), pool.of("ann")) == (paid, paid)
    pool.see(100)
    assert pool.balance(ledger.HOT) == value


def test_from_pps_to_fpps_and_on_each_share_is_paid_by_its_own_policy(pool: Pool) -> None:
    know(pool, rate(100))
    add(pool, share("ann"))
    pool.store.adopt({"fpps": Policy(Fraction(8), 200, Scheme.PPS, 150)}, 1, NOW_MS)
    add(pool, share("bob", 101))
    assert book(pool).step() == 2
    assert pool.of("ann") - pool.of("bob") == 10**9 * 98 // 100
    pool.store.adopt({"fpps": Policy(Fraction(8), 200, Scheme.PPLNS)}, 2, NOW_MS)
    add(pool, share("cid", 200, HASH))
    pool.see(1)
    assert pool.of("cid", "immature") == SUBSIDY * 98 // 100


def test_what_was_tampered_with_is_named_by_the_audit_and_by_the_second_count(pool: Pool) -> None:
    know(pool, rate(100), rate(101))
    add(pool, share("ann"), share("ann", 101))
    book(pool).step()
    assert counted_again(pool.directory, "shares:fpps:0") == []
    for trigger in ("posting_is_final", "journal_is_final"):
        pool.books.execute(f"DROP TRIGGER {trigger}")

    def differences(change: str) -> tuple[str, ...]:
        pool.books.execute("BEGIN")
        pool.books.execute(change)
        found = verify(pool.shares, pool.books).differences
        pool.books.execute("ROLLBACK")
        return found

    dearest = "UPDATE journal SET memo = json_set(memo, '$.fees_sat[5]', 1000000000) WHERE key = 'rate:100'"
    # it is left out, whatever it was
    assert not any("is not the mean" in each for each in differences(dearest))
    assert any("rate:100: the hash chain breaks" in each for each in differences(dearest))
    all_of_them = "UPDATE journal SET memo = replace(memo, '1000000,', '2000000,') WHERE key = 'rate:100'"
    assert any("rate:100: is not the mean" in each for each in differences(all_of_them))
    higher = "UPDATE journal SET memo = json_set(memo, '$.fees_msat', '1000000001') WHERE key = 'rate:101'"
    assert any("rate:101: is not the mean" in each for each in differences(higher))
    fewer = "UPDATE journal SET memo = json_remove(memo, '$.fees_sat[0]') WHERE key = 'rate:101'"
    assert any("rate:101: names 99 blocks" in each for each in differences(fewer))
    later = "UPDATE journal SET key = 'rate:7' WHERE key = 'rate:101'"
    assert any("names 100 blocks before height 101" in each for each in differences(later))
    gone = "UPDATE journal SET kind = 'x' WHERE key = 'rate:101'"
    assert any("shares of height 101 are paid, which had no rate yet" in each for each in differences(gone))
    pool.books.execute(
        "UPDATE posting SET amount_msat = amount_msat + 1 WHERE account LIKE '%:ann:available'"
    )
    assert any("ann:available has" in each for each in counted_again(pool.directory, "shares:fpps:0"))
    pool.books.execute(
        "UPDATE posting SET amount_msat = amount_msat - 1 WHERE account LIKE '%:ann:available'"
    )


def test_each_paid_slice_is_counted_again_in_its_turn_and_one_millisatoshi_stops_payments(pool: Pool) -> None:
    know(pool, *[rate(height) for height in range(100, 104)])
    for height in range(100, 104):
        add(pool, share("ann", height), share("bob", height))
        book(pool).step()

    async def at_once(counting: Counting, directory: Path, key: str) -> Sequence[str]:
        return counting(directory, key)

    def step() -> str | None:
        """A step of a book that was just started."""
        asyncio.run(Rechecker(pool.directory, pool.books, lambda: NOW_MS, at_once).step())
        return FlowReader(pool.books).stopped()

    checks = RewardChecks(pool.books)
    assert [step(), step(), checks.counts()] == [None, None, (2, 0)]
    pool.books.execute("DROP TRIGGER posting_is_final")
    wrong = "UPDATE posting SET amount_msat = amount_msat {} WHERE id = (SELECT max(id) - 1 FROM posting)"
    pool.books.execute(wrong.format("+ 1"))
    assert step() is None
    stopped = step()
    assert stopped is not None
    assert stopped.startswith("shares:fpps:6 does not pay what its shares say: shares:fpps:6: liabilities:")
    assert checks.counts() == (4, 1)
    pool.books.execute("UPDATE breaker SET resumed_ms = 1")
    assert [step(), checks.counts()] == [None, (4, 1)]
    assert counted_again(pool.directory, "shares:fpps:77") == ["shares:fpps:77: there are no such shares"]
    pool.books.execute(wrong.format("- 1"))


def test_a_long_log_is_paid_in_slices_that_end_where_a_rate_is_missing(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crediting, "MOST_SHARES", 2)
    know(pool, rate(100))
    add(pool, *[share("ann", 100 if number < 5 else 101) for number in range(7)])
    assert book(pool).step() == 3
    assert pool.store.paid_until("fpps") == 5


# ------------------------------------------------------------------------------------------------- for people


def test_its_terms_name_the_rule_of_the_rate_and_can_be_read_again() -> None:
    made = parse({"rewards": {"scheme": "fpps", "reserve_sat": 5}}, "sluice.toml")
    policy = policies_of(made)["pool"]
    assert policy.text == (
        '{"fee_blocks":144,"fee_bps":100,"fee_trim":12,"halving_blocks":210000,"scheme":"fpps"}'
    )
    assert policy_of(policy.terms).terms == policy.terms
    assert policy.hash != attrs.evolve(policy, fee_trim=11).hash
    assert "the last 144 blocks" in policy_words(policy)
    assert pays_for_fees(made)
    assert not pays_for_fees(parse({}, "sluice.toml"))
    with pytest.raises(ConfigError, match="reserve_sat is missing"):
        parse({"rewards": {"scheme": "fpps"}}, "sluice.toml")
    port = {"stratum": {"port": [{"endpoint": "tcp:3334", "scheme": "pps"}]}}
    with pytest.raises(ConfigError, match='"fpps", there is one reserve'):
        parse({**port, "rewards": {"scheme": "fpps", "reserve_sat": 5}}, "sluice.toml")


def test_miners_are_told_the_rates_of_the_last_heights(tmp_path: Path) -> None:
    running = Running(tmp_path)
    assert running.ask("/api/v1/rates").json == {"rates": []}
    store = LedgerStore(running.ledger)
    for height in (150, 9, 152):
        store.post(rate_entry(rate(height, height)), NOW_MS)
    assert running.ask("/api/v1/rates").json["rates"] == [
        {"height": 152, "fees_msat": "152000", "after": "00" * 32, "blocks": 144},
        {"height": 150, "fees_msat": "150000", "after": "00" * 32, "blocks": 144},
        {"height": 9, "fees_msat": "9000", "after": "00" * 32, "blocks": 8},
    ]


def test_the_odds_of_ruin_are_those_of_whole_blocks_at_the_rate_in_force() -> None:
    block = 5_000_000_000 + 250_000_000
    made = parse(
        {
            "node": {"network": "regtest"},
            "rewards": {"scheme": "fpps", "fee_bps": 200, "reserve_sat": block * 1704 // 10},
        },
        "sluice.toml",
    )
    reserve = reserve_of(made, {}, 149, rate(150, 250_000_000))
    assert reserve is not None
    assert (reserve.block, reserve.fees) == (block * 1000, 250_000_000_000)
    assert reserve.ruin == pytest.approx(0.001, rel=0.002)
    assert "170.4 blocks with fees; ever used up with probability 0.0999%" in reserve.words()
    unknown = reserve_of(made, {}, 149)
    assert unknown is not None
    assert unknown.ruin == 1.0
    assert "shares wait until the book knows" in unknown.words()


# ---------------------------------------------------------------------------------------- the whole of a book


class BookReactor(InlineReactor, Clock):
    """Calls to the node are answered at once, time is the test's, and what threads bring is left lying."""

    def callFromThread(self, callable: Callable[..., Any], *args: object, **kwargs: object) -> None:  # noqa: A002
        """Nobody waits here for what comes from elsewhere."""
        if threading.current_thread() is threading.main_thread():
            callable(*args, **kwargs)


def test_a_book_learns_rates_beside_its_other_work_and_pays_when_it_may_ask_again(pool: Pool) -> None:
    connect(pool.directory, "inbox").close()
    with StandIn() as node:
        node.chain.active = [attrs.evolve(node.chain.tip, height=0)]
        node.chain.blocks = {each.hash: each for each in node.chain.active}
        for _ in range(3):
            node.chain.grow()
        node.chain.fees = {node.chain.tip.hash: 3_000_000}
        user = {"user": USER, "password": PASSWORD}
        made = parse(
            {
                "node": {"network": "regtest", "url": node.url, "book": user},
                "store": {"directory": str(pool.directory)},
                "stratum": {"port": [{"endpoint": "tcp:3334", "scheme": "fpps"}]},
                "rewards": {"port": {"fpps": {"fee_bps": 200, "reserve_sat": 5}}, "commit": False},
            },
            "sluice.toml",
        )
        reactor = BookReactor()
        gave_up: list[Exception] = []
        wall_s = NOW_MS / 1000
        log = Logger()
        role = BookRole(Context(made, reactor, lambda: wall_s + reactor.seconds(), log, gave_up.append))
        add(pool, share("ann", 4), share("bob", 5))
        with capturedLogs() as events:
            Deferred.fromCoroutine(role.start())
            assert pool.store.rates.parts([4, 5], FPPS) == {4: 1_000_000_000}
            reactor.advance(crediting.EVERY_MS / 1000)
            assert (pool.of("ann"), pool.of("bob")) == ((SUBSIDY + 10**9) * 98 // 100, 0)

            node.chain.forbidden = {"getblockstats"}
            node.chain.grow()
            for _ in range(20):
                reactor.advance(1)
            assert pool.of("bob") == 0
            node.chain.forbidden = set()
            for _ in range(12):
                reactor.advance(1)
            assert pool.of("bob") == (SUBSIDY + 750_000_000) * 98 // 100
            Deferred.fromCoroutine(role.stop())
        texts = [formatEvent(event) for event in events]
        assert sum("Learning what blocks bring in fees failed" in each for each in texts) == 1
        assert any("forbids getblockstats to user 'front' of role book" in each for each in texts)
        assert any("Learning what blocks bring in fees works again" in each for each in texts)
        assert gave_up == []
