"""Blocks are credited early out of the pool's own money, as far as that goes, and the books show the risk."""

# ruff: noqa: S608 - the statements are this file's own constants
from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from signal import SIGKILL

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from payouts.money import Msat, Sat
from payouts.values import Intent, Taken
from pool import config as configuration
from pool import ledger
from pool.advances import Advancer, EarlyCredit, early_credit, exposure, limit, owned
from pool.chain.node import CoinbaseOutput
from pool.errors import ConfigError, LedgerError
from pool.rewards.split import divide
from pool.store.database import connect
from pool.store.flows import FlowReader
from pool.store.operator import OperatorDesk
from pool.store.payments import SqliteBook
from pool.store.reward_checks import RewardChecks
from pool.store.shares import ShareStore
from pool.store.treasury import TreasuryTable
from pool.treasury import Derived
from pool.verify import verify
from tests.contracts.book import NOW_S, claim, k1_hash_for
from tests.pool.test_settle import (
    ANN,
    BOB,
    FEE,
    HASH,
    NOW_MS,
    SCRIPT,
    VALUE,
    FakeChain,
    G,
    Pool,
    fill_shares,
    found,
    pool,
    run,
    share,
)
from tests.pool.test_verify import tamper

__all__ = ["pool"]  # a fixture: a block in the share log, and a chain to show it in

TERMS = EarlyCredit(6, Msat(10 * G))
OTHER, THIRD = "cd" * 32, "ef" * 32


def count_again(pool: Pool, differences: tuple[str, ...] = ()) -> None:
    """As the book does in the background."""
    checks = RewardChecks(pool.books)
    while (reward := checks.next()) is not None:
        checks.write(reward.journal_id, differences, NOW_MS)


def step(pool: Pool, terms: EarlyCredit | None = TERMS) -> None:
    """What the book does at each turn."""
    settler = pool.settler()
    run(settler.step())
    if terms is not None:
        checks, flows = RewardChecks(pool.books), FlowReader(pool.books)
        Advancer(pool.store, checks, flows, terms, lambda: pool.now_ms).step(settler.shown)


def see(pool: Pool, confirmations: int, block_hash: str = HASH, terms: EarlyCredit | None = TERMS) -> None:
    """The chain moves, each reward is counted again, and the book looks twice."""
    pool.chain.confirmations[block_hash] = confirmations
    step(pool, terms)
    count_again(pool)
    step(pool, terms)


def deposit(pool: Pool, amount: int, asset: str = "hot", name: str = "own") -> None:
    pool.store.post(ledger.deposit(name, "hot" if asset == "hot" else "lightning", Msat(amount)), NOW_MS)


def find_another(pool: Pool, block_hash: str, account: str = "zoe") -> None:
    ShareStore(pool.shares, 0).write([share(account, block_hash=block_hash)], {block_hash: found(block_hash)})


def pay(pool: Pool, account: str, amount: int) -> None:
    """Over Lightning, out of a deposit of just so much."""
    deposit(pool, amount, "lightning", f"for {account}")
    book = SqliteBook(pool.books, lambda _: False)
    wish = Intent(claim(1, account, taken=0), "11" * 32, Msat(amount), Msat(0), NOW_S)
    taken = book.take(wish, k1_hash_for, NOW_MS, limit=9)
    assert isinstance(taken, Taken)
    book.settle(1, "11" * 32, Msat(0), NOW_MS)


def exposed(pool: Pool) -> int:
    return pool.balance(ledger.ADVANCED)


def test_what_is_deep_enough_becomes_available_and_the_exposure_is_an_account_of_its_own(pool: Pool) -> None:
    deposit(pool, G)
    see(pool, 5)
    assert (pool.of("ann"), exposed(pool)) == (0, 0)
    see(pool, 6)
    assert (pool.of("ann"), pool.of("bob")) == (ANN, BOB)
    assert pool.of("ann", "immature") == pool.of("bob", "immature") == 0
    assert (exposed(pool), pool.balance(ledger.IMMATURE)) == (ANN + BOB, G - ANN - BOB)
    assert SqliteBook(pool.books, lambda _: False).available("ann") == ANN
    entry = pool.store.entry(f"advance:{HASH}:0")
    assert entry is not None
    assert (entry.memo["cap_msat"], entry.memo["owned_msat"]) == (str(10 * G), str(G))
    see(pool, 7)
    pool.verified()


@pytest.mark.parametrize("early", [True, False])
def test_maturing_closes_an_advance_to_what_it_would_have_been_without(pool: Pool, early: bool) -> None:
    deposit(pool, G)
    see(pool, 6, terms=TERMS if early else None)
    assert bool(exposed(pool)) is early
    see(pool, 100)
    balances = {name: amount for name, amount in pool.store.balances().items() if amount}
    assert balances == {
        ledger.HOT: 2 * G,
        ledger.DEPOSITS: -G,
        ledger.POOL_FEE: -FEE,
        ledger.miner("ann", "available"): -ANN,
        ledger.miner("bob", "available"): -BOB,
    }
    pool.verified()


def test_nothing_is_credited_early_before_its_second_count_or_after_a_wrong_one(pool: Pool) -> None:
    deposit(pool, 3 * G)
    find_another(pool, OTHER)
    pool.chain.confirmations.update({HASH: 9, OTHER: 7})
    step(pool)
    step(pool)
    assert exposed(pool) == 0
    wrong, right = RewardChecks(pool.books), RewardChecks(pool.books)
    newest = right.next()
    assert newest is not None
    right.write(newest.journal_id, (), NOW_MS)
    step(pool)
    assert exposed(pool) == 0  # the older one comes first, and has not been counted
    oldest = wrong.next()
    assert oldest is not None
    wrong.write(oldest.journal_id, ("it is wrong",), NOW_MS)
    step(pool)
    assert (pool.of("ann"), exposed(pool) > 0) == (pool.of("ann"), True)
    assert pool.store.entry(f"advance:{HASH}:0") is None
    assert pool.store.entry(f"advance:{OTHER}:0") is not None


def test_only_what_the_node_shows_now_is_credited_early(pool: Pool) -> None:
    deposit(pool, G)
    see(pool, 50, terms=None)
    usual = pool.chain
    for useless in (
        attrs.evolve(usual, syncing=True),
        attrs.evolve(usual, down=True),
        attrs.evolve(usual, confirmations={}),
        attrs.evolve(usual, confirmations={HASH: -1}, height=201),
    ):
        pool.chain = useless
        step(pool)
        assert exposed(pool) == 0
    pool.chain = usual
    step(pool)
    assert exposed(pool) == ANN + BOB


def test_while_sending_is_stopped_nothing_is_credited_early(pool: Pool) -> None:
    deposit(pool, G)
    book = SqliteBook(pool.books, lambda _: False)
    book.stop_sending("drift: the node has less than the books", NOW_MS)
    see(pool, 50)
    assert exposed(pool) == 0
    OperatorDesk(pool.books).resume("it was booked", NOW_MS)
    see(pool, 51)
    assert exposed(pool) == ANN + BOB


def test_a_block_without_room_waits_and_holds_up_those_behind_it(pool: Pool) -> None:
    deposit(pool, 9 * G)
    terms = attrs.evolve(TERMS, cap=Msat(G + G // 2))
    find_another(pool, OTHER)
    small = THIRD
    find_another(pool, small, "tim")
    pool.chain.confirmations[OTHER] = 8
    pool.chain.confirmations[small] = 7
    see(pool, 9, terms=terms)
    assert exposed(pool) == ANN + BOB
    assert pool.store.entry(f"advance:{OTHER}:0") is pool.store.entry(f"advance:{small}:0") is None
    see(pool, 100, terms=terms)
    assert pool.store.entry(f"advance:{OTHER}:0") is not None
    assert pool.store.entry(f"advance:{small}:0") is None
    assert 0 < exposed(pool) <= terms.cap
    pool.verified()


def test_a_block_larger_than_there_can_be_room_for_is_credited_in_exact_part(pool: Pool) -> None:
    deposit(pool, 9 * G)
    cap = 1_000_001
    see(pool, 6, terms=attrs.evolve(TERMS, cap=Msat(cap)))
    whole = ANN + BOB
    assert (pool.of("ann"), pool.of("bob")) == (ANN * cap // whole, BOB * cap // whole)
    assert exposed(pool) == pool.of("ann") + pool.of("bob") <= cap
    assert pool.of("ann") + pool.of("ann", "immature") == ANN
    see(pool, 7, terms=TERMS)
    assert exposed(pool) <= cap  # once, whatever the cap is later
    see(pool, 100)
    assert (pool.of("ann"), pool.of("bob"), exposed(pool)) == (ANN, BOB, 0)
    pool.verified()


def test_an_operator_who_owns_nothing_cannot_lend_and_miners_money_is_not_lent(pool: Pool) -> None:
    see(pool, 50)
    assert exposed(pool) == 0
    see(pool, 100)  # hot has a block's worth now, all but the fee of it the miners'
    find_another(pool, OTHER)
    see(pool, 6, OTHER)
    assert exposed(pool) == owned(pool.store.balances()) == FEE
    pool.verified()


def test_neither_the_reserve_of_shares_nor_what_is_left_over_nor_the_treasury_is_lent() -> None:
    balances = {ledger.HOT: 500, ledger.LIGHTNING: 400, ledger.TREASURY: 10_000}
    assert owned(balances) == 900
    balances |= {"liabilities:miners:a:available": -100, "liabilities:miners:a:held": -50}
    balances |= {"liabilities:miners:a:immature": -7_000, ledger.IMMATURE: 9_000, ledger.RESIDUAL: -1}
    assert owned(balances) == 749
    assert owned(balances, Msat(300)) == 449
    assert owned({**balances, ledger.RESERVE: 200}, Msat(300)) == 649
    assert owned({**balances, ledger.RESERVE: 400}, Msat(300)) == 749
    assert owned({**balances, ledger.ADVANCED: 51}) == 800
    assert limit(EarlyCredit(1, Msat(100)), balances) == 100
    assert limit(EarlyCredit(1, Msat(9_999)), balances) == 749
    assert (owned({}), exposure({})) == (0, 0)


def test_what_miners_have_spent_of_an_orphan_that_was_credited_early_is_the_pools_loss(pool: Pool) -> None:
    deposit(pool, G)
    see(pool, 6)
    pay(pool, "ann", 1_000_000)
    see(pool, -1)
    assert (pool.of("ann"), pool.of("bob"), exposed(pool)) == (0, 0, 0)
    assert pool.of("ann", "immature") == pool.balance(ledger.IMMATURE) == 0
    assert pool.store.balance(ledger.ORPHAN_LOSS) == 1_000_000
    pool.verified()
    see(pool, 6)  # it comes back: what ann kept comes off her part, and the loss is made good
    assert pool.store.entry(f"advance:{HASH}:1") is not None
    assert (pool.of("ann"), pool.of("bob")) == (ANN - 1_000_000, BOB)
    assert pool.store.balance(ledger.ORPHAN_LOSS) == 0
    see(pool, 100)
    assert (pool.of("ann"), pool.of("bob"), exposed(pool)) == (ANN - 1_000_000, BOB, 0)
    pool.verified()


def test_a_matured_advance_that_is_orphaned_is_reversed_like_any_other(pool: Pool) -> None:
    deposit(pool, G)
    see(pool, 6)
    see(pool, 100)
    pay(pool, "bob", 5_000)
    see(pool, -1)
    assert (pool.of("ann"), pool.of("bob"), pool.balance(ledger.HOT)) == (0, 0, G)
    assert pool.store.balance(ledger.ORPHAN_LOSS) == 5_000
    pool.verified()


@pytest.mark.parametrize(
    "after", [None, attrs.evolve(TERMS, cap=Msat(1)), attrs.evolve(TERMS, confirmations=50)]
)
@pytest.mark.parametrize("end", [100, -1])
def test_terms_that_change_take_nothing_back_and_end_as_they_would_have(
    pool: Pool, after: EarlyCredit | None, end: int
) -> None:
    deposit(pool, G)
    see(pool, 6)
    pay(pool, "ann", 700)
    see(pool, 9, terms=after)
    assert exposed(pool) == ANN + BOB
    see(pool, end, terms=after)
    assert exposed(pool) == 0
    assert pool.of("ann") == (ANN - 700 if end == 100 else 0)
    pool.verified()


def test_a_treasury_s_coins_are_bought_last_and_mature_into_the_treasury(pool: Pool) -> None:
    cold = Derived(0, "bcrt1qcold", b"\x00\x14" + b"\x07" * 20)
    table = TreasuryTable(pool.books)
    table.add("wpkh(…)", 1)
    table.stock(1, [cold], 1)
    pool.chain.outputs = (
        CoinbaseOutput(cold.script, Sat(VALUE // 2)),
        CoinbaseOutput(SCRIPT, Sat(VALUE // 2)),
    )
    deposit(pool, G)
    see(pool, 6)
    assert (pool.balance(ledger.IMMATURE), pool.balance(ledger.TREASURY_IMMATURE)) == (0, FEE)
    pool.verified()
    see(pool, 100)
    assert (pool.balance(ledger.HOT), pool.balance(ledger.TREASURY)) == (G + G // 2, G // 2)
    assert exposed(pool) == 0
    pool.verified()


def test_a_block_whose_miners_got_nothing_is_passed_over(pool: Pool) -> None:
    lone = "ee" * 32
    ShareStore(pool.shares, 0).write_without_share(found(lone, "ann", NOW_MS - 1))
    deposit(pool, 9 * G)
    see(pool, 20, lone)
    see(pool, 6)
    assert pool.store.entry(f"advance:{lone}:0") is None
    assert pool.store.entry(f"advance:{HASH}:0") is not None
    # its miners get more than the block pays, but it is the block's coins that pay an advance back
    assert pool.of("ann") + pool.of("ann", "immature") + pool.of("bob") + pool.of("bob", "immature") > G
    assert G - 2 < exposed(pool) <= G
    pool.verified()


accounts = st.text("abc", min_size=1, max_size=2)


@given(
    st.dictionaries(accounts, st.integers(1, 10**6), min_size=1), st.integers(0, 10**12), st.integers(0, 999)
)
def test_parts_of_an_advance_are_in_proportion_and_never_more_than_there_are(
    weights: dict[str, int], value: int, thousandths: int
) -> None:
    rewarded = ledger.reward(HASH, 0, divide(Msat(value), 100, weights, Msat(0)), {})
    amount = Msat(ledger.lendable(rewarded) * thousandths // 999)
    sides = {each.account: each.amount for each in ledger.advance(HASH, 0, rewarded, amount).postings}
    early = sides.get(ledger.ADVANCED, 0)
    assert amount - len(weights) < early <= amount
    assert early == -sides.get(ledger.IMMATURE, 0)
    if thousandths == 999:
        assert early == amount
    with pytest.raises(LedgerError, match="cannot be credited early"):
        ledger.advance(HASH, 0, rewarded, Msat(ledger.lendable(rewarded) + 1))


def open_pool(directory: Path) -> Pool:
    return Pool(directory, connect(directory, "shares"), connect(directory, "ledger"), FakeChain())


def killed_after(directory: Path, statements: int) -> bool:
    """Live a block's life in another process, which is killed at a statement; False if it ended before."""
    child = os.fork()
    if child == 0:
        try:
            made = open_pool(directory)
            left = iter(range(statements))

            def count(_: str) -> None:
                if next(left, None) is None:
                    os.kill(os.getpid(), SIGKILL)

            made.books.set_trace_callback(count)
            for confirmations in (6, 100, -1):
                see(made, confirmations)
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def test_kill_9_anywhere_in_the_life_of_an_advance_and_a_restart_end_in_the_same_books(
    tmp_path: Path,
) -> None:
    kills = 0
    for statements in range(30, 400, 14):
        directory = tmp_path / str(statements)
        directory.mkdir()
        made = open_pool(directory)
        made.store.add_addresses([("bcrt1qpool", SCRIPT)], NOW_MS)
        fill_shares(made.shares)
        deposit(made, G)
        made.shares.close()
        made.books.close()
        if not killed_after(directory, statements):
            break
        kills += 1
        made = open_pool(directory)
        made.verified()
        see(made, 6)
        assert (made.of("ann"), made.of("bob")) == (ANN, BOB)
        see(made, 100)
        assert (made.of("ann"), made.of("bob"), exposed(made)) == (ANN, BOB, 0)
        assert made.balance(ledger.HOT) == 2 * G
        made.verified()
        made.shares.close()
        made.books.close()
    assert 8 < kills < 27


KEY = f"advance:{HASH}:0"
NOTED = f"UPDATE journal SET memo = json_set(memo, '$.{{}}_msat', '{{}}') WHERE key = '{KEY}'"
MORE = "UPDATE posting SET amount_msat = amount_msat - 5 WHERE account LIKE '%ann:available'"
TAMPERED = {
    MORE: f"{KEY}: liabilities:miners:ann:available has",
    NOTED.format("owned", 1): f"{KEY}: its memo names other amounts",
    NOTED.format("cap", 1000): f"{KEY}: assets:advanced has {ANN + BOB} msat, not 1000",
    NOTED.format(
        "reserve", G
    ): f"{KEY}: its memo does not say how it was computed (there was no room for it)",
    f"UPDATE journal SET key = 'advance:{HASH}:7' WHERE key = '{KEY}'": (
        f"block {HASH} is immature: advance:{HASH}:7 should not be there"
    ),
    f"UPDATE journal SET kind = 'mature' WHERE key = '{KEY}'": f"{KEY}: there is no reward before it",
}


def test_an_advance_that_was_tampered_with_or_had_no_room_is_named(pool: Pool) -> None:
    deposit(pool, G)
    see(pool, 6)
    for statement, expected in TAMPERED.items():
        tampered = sqlite3.connect(":memory:", isolation_level=None)
        pool.books.backup(tampered)
        tamper(tampered, statement)
        differences = verify(pool.shares, tampered).differences
        assert any(each.startswith(expected) for each in differences), differences
        tampered.close()


def test_the_configuration_names_depth_and_cap_together_and_a_depth_before_maturity(tmp_path: Path) -> None:
    def terms(**rewards: object) -> EarlyCredit | None:
        return early_credit(configuration.parse({"rewards": rewards}, "sluice.toml"))

    assert terms() is None
    assert terms(credit_confirmations=12, credit_cap_sat=7) == EarlyCredit(12, Msat(7_000))
    pps = {"scheme": "pps", "reserve_sat": 9, "credit_confirmations": 1, "credit_cap_sat": 7}
    assert terms(**pps) == EarlyCredit(1, Msat(7_000), Msat(9_000))
    for wrong, words in (
        ({"credit_confirmations": 6}, "needs credit_cap_sat"),
        ({"credit_cap_sat": 6}, "without credit_confirmations"),
        ({"credit_confirmations": 100, "credit_cap_sat": 6}, "is not before maturity"),
        ({"credit_confirmations": 0, "credit_cap_sat": 6}, "rewards.credit_confirmations"),
    ):
        with pytest.raises(ConfigError, match=words):
            terms(**wrong)


def test_a_depth_that_was_reached_while_the_book_was_away_is_matured_not_advanced(pool: Pool) -> None:
    deposit(pool, G)
    see(pool, 150)
    assert pool.store.entry(f"advance:{HASH}:0") is None
    assert pool.of("ann") == ANN
