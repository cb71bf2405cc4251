"""Blocks, reorganisations, payouts and early credit in any order: no money appears, vanishes or doubles."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from payouts.money import Msat, Sat
from payouts.values import Claim, Intent, SignedBatch
from pool import ledger
from pool.adjustments import Adjustment, Kind
from pool.advances import Advancer, EarlyCredit, exposure, limit
from pool.store.adjusting import AdjustmentDesk
from pool.store.blocks import Block, BlockState
from pool.store.flows import FlowReader
from pool.store.journal import JournalReader
from pool.store.ledger import LedgerStore
from pool.store.payments import SqliteBook
from pool.store.reward_checks import RewardChecks
from pool.store.schema import LEDGER, SHARES
from pool.store.shares import ShareStore
from pool.verify import verify
from stratum.units import MAX_TARGET
from tests.pool.test_settle import BLOCK, NOW_MS, SCRIPT, FakeChain, G, Pool, found, run, share
from tests.pool.test_store_payments_stateful import memory

ACCOUNTS = ("bcrt1ann", "bob", "cid")  # the first is paid on-chain
MATURITY = 100
TERMS = st.one_of(
    st.none(),
    st.builds(EarlyCredit, st.sampled_from([1, 2, 50, 99]), st.integers(1, 3 * G).map(Msat)),
    st.just(EarlyCredit(1, Msat(3 * G))),
)


MOSTLY = st.sampled_from([True, True, True, False])


class Books(RuleBasedStateMachine):
    """The real settler, advancer and payment book over one ledger; a model of what each account was paid."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = Pool(Path("nowhere"), memory(SHARES), memory(LEDGER), FakeChain())
        self.store, self.shares = self.pool.store, ShareStore(self.pool.shares, 0)
        self.store.add_addresses([("bcrt1qpool", SCRIPT)], NOW_MS)
        self.book = SqliteBook(self.pool.books, lambda account: account.startswith("bcrt1"))
        self.checks = RewardChecks(self.pool.books)
        self.desk = AdjustmentDesk(self.pool.books)
        self.settler = self.pool.settler()
        self.terms: EarlyCredit | None = None
        self.paid: Counter[str] = Counter()
        self.hashes: list[str] = []
        self.count = 0

    @initialize(terms=TERMS, own=st.integers(0, 3 * G), finder=st.sampled_from(ACCOUNTS))
    def a_pool_opens(self, terms: EarlyCredit | None, own: int, finder: str) -> None:
        self.terms = terms
        self.deposit("lightning", own + 1)
        self.a_block_is_found(finder, 2, looked_at=True)

    def number(self) -> int:
        self.count += 1
        return self.count

    # -------------------------------------------------------------------------------------- mining, the chain

    @rule(miners=st.lists(st.tuples(st.sampled_from(ACCOUNTS), st.sampled_from([BLOCK, MAX_TARGET]))))
    def shares_come(self, miners: list[tuple[str, int]]) -> None:
        batch = [share(name, BLOCK if target == BLOCK else MAX_TARGET) for name, target in miners]
        self.shares.write(batch, {})

    @precondition(lambda self: len(self.hashes) < 6)
    @rule(finder=st.sampled_from(ACCOUNTS), depth=st.sampled_from([-1, 1, 60, MATURITY]), looked_at=MOSTLY)
    def a_block_is_found(self, finder: str, depth: int, *, looked_at: bool) -> None:
        block_hash = f"{self.number():064x}"
        self.shares.write([share(finder, block_hash=block_hash)], {block_hash: found(block_hash, finder)})
        self.hashes.append(block_hash)
        self.pool.chain.confirmations[block_hash] = depth
        self.the_chain_has_moved(looked_at=looked_at)

    @rule(blocks=st.sampled_from([1, 5, 48, MATURITY]), looked_at=MOSTLY)
    def the_chain_grows(self, blocks: int, *, looked_at: bool) -> None:
        for block_hash, depth in self.pool.chain.confirmations.items():
            if depth > 0:
                self.pool.chain.confirmations[block_hash] = depth + blocks
        self.the_chain_has_moved(looked_at=looked_at)

    @rule(data=st.data(), depth=st.sampled_from([-1, -1, 1, 2, 99, MATURITY]), looked_at=MOSTLY)
    def the_chain_is_reorganised(self, data: st.DataObject, depth: int, *, looked_at: bool) -> None:
        self.pool.chain.confirmations[data.draw(st.sampled_from(self.hashes))] = depth
        self.the_chain_has_moved(looked_at=looked_at)

    def the_chain_has_moved(self, *, looked_at: bool) -> None:
        self.pool.chain.height += 101
        if looked_at:
            self.the_book_turns(restarted=False, counted=True)

    # ----------------------------------------------------------------------------------------------- the book

    @rule(restarted=st.booleans(), counted=MOSTLY)
    def the_book_turns(self, *, restarted: bool, counted: bool) -> None:
        if restarted:
            self.settler = self.pool.settler()
        run(self.settler.step())
        if counted:
            self.rewards_are_counted_again()
        self.the_book_credits_early()

    def rewards_are_counted_again(self) -> None:
        while (reward := self.checks.next()) is not None:
            self.checks.write(reward.journal_id, (), NOW_MS)

    def the_book_credits_early(self) -> None:
        before = self.store.balances()
        if self.terms is not None:
            flows = FlowReader(self.pool.books)
            Advancer(self.store, self.checks, flows, self.terms, lambda: NOW_MS).step(self.settler.shown)
        after = self.store.balances()
        if exposure(after) != exposure(before):
            assert self.terms is not None
            assert exposure(before) < exposure(after) <= limit(self.terms, after) == limit(self.terms, before)
            owed = [name for name in after if ledger.miner_of(name)]
            assert sum(after[name] for name in owed) == sum(before.get(name, 0) for name in owed)

    @rule(terms=TERMS)
    def the_operator_changes_the_terms(self, terms: EarlyCredit | None) -> None:
        self.terms = terms

    # ------------------------------------------------------------------------------------ money in, money out

    @rule(asset=st.sampled_from(["hot", "lightning"]), amount=st.integers(0, 2 * G))
    def the_operator_deposits_or_takes_out_all_that_is_the_pools_own(self, asset: str, amount: int) -> None:
        if amount:
            self.deposit(asset, amount)
            return
        there = self.store.balance(ledger.HOT if asset == "hot" else ledger.LIGHTNING)
        own = Msat(min(self.desk.own(), there - self.desk.promised(asset)))
        if own > 0:
            said = Adjustment(Kind.WITHDRAWAL, str(self.number()), asset, own, "mine")
            assert self.desk.book(said, NOW_MS)

    def deposit(self, asset: str, amount: int) -> None:
        name = str(self.number())
        entry = ledger.deposit(name, "hot" if asset == "hot" else "lightning", Msat(amount))
        assert self.store.post(entry, NOW_MS)

    @precondition(lambda self: self.withdrawable())
    @rule(data=st.data(), part=st.integers(1, 4))
    def a_miner_withdraws(self, data: st.DataObject, part: int) -> None:
        account = data.draw(st.sampled_from(sorted(self.withdrawable())))
        self.withdraw(account, max(1, self.withdrawable()[account] // part))

    @precondition(lambda self: self.credited_early())
    @rule(data=st.data(), part=st.integers(1, 4))
    def a_block_is_orphaned_that_miners_have_spent_of(self, data: st.DataObject, part: int) -> None:
        block_hash = data.draw(st.sampled_from(self.credited_early()))
        for account in list(self.withdrawable()):
            self.withdraw(account, max(1, self.withdrawable().get(account, 0) // part))
        self.pool.chain.confirmations[block_hash] = -1
        self.the_chain_has_moved(looked_at=True)

    def withdrawable(self) -> dict[str, int]:
        there = self.store.balance(ledger.LIGHTNING) - self.desk.promised("lightning")
        most = {account: min(there, self.book.available(account)) for account in ACCOUNTS[1:]}
        return {account: amount for account, amount in most.items() if amount}

    def withdraw(self, account: str, amount: int) -> None:
        def k1_of(taken: int) -> str:
            return f"{account} {taken}"

        number, k1 = self.number(), k1_of(self.book.claims_taken(account))
        filed = Claim(number, account, 0, k1, f"l{number}", NOW_MS, NOW_MS + 1)
        wish = Intent(filed, f"{number:064x}", Msat(amount), Msat(0), 0)
        self.book.take(wish, k1_of, NOW_MS, limit=9)

    @precondition(lambda self: self.book.open_payments())
    @rule(data=st.data(), settles=MOSTLY)
    def a_payment_ends(self, data: st.DataObject, *, settles: bool) -> None:
        payment = data.draw(st.sampled_from(list(self.book.open_payments())))
        if settles:
            self.book.settle(payment.payment_id, "11" * 32, Msat(0), NOW_MS)
            self.paid[payment.account] += payment.amount
        else:
            self.book.fail(payment.payment_id, "no route", NOW_MS)

    @rule(settles=MOSTLY)
    def whoever_is_due_is_paid_on_chain(self, *, settles: bool) -> None:
        outputs = tuple(self.book.payable_onchain(Sat(1), NOW_MS))
        signed = SignedBatch(f"{self.number():064x}", "02", ("a:0",), outputs, Sat(3))
        result = self.book.take_batch(signed, NOW_MS)
        if isinstance(result, int) and settles:
            self.book.broadcasting(result, NOW_MS)
            self.book.settle_batch(result, NOW_MS)
            self.paid.update({output.account: output.amount * 1000 for output in outputs})
        elif isinstance(result, int):
            self.book.reject_batch(result, "refused", NOW_MS)

    # --------------------------------------------------------------------------------------- what never fails

    @invariant()
    def all_balances_are_zero_together(self) -> None:
        assert sum(self.store.balances().values()) == 0

    def credited_early(self) -> list[str]:
        found = [self.store.blocks.get(block_hash) for block_hash in self.hashes]
        immature = [block for block in found if block is not None and block.state is BlockState.IMMATURE]
        return [block.found.hash for block in immature if self.store.entry(_advance_key(block))]

    @invariant()
    def the_exposure_is_what_immature_blocks_were_credited(self) -> None:
        out = 0
        for block_hash in self.credited_early():
            block = self.store.blocks.get(block_hash)
            assert block is not None
            out += _moved(self.store.entry(_advance_key(block)))[ledger.ADVANCED]
        assert exposure(self.store.balances()) == out

    @invariant()
    def each_account_has_and_had_what_its_blocks_gave_and_what_it_kept_of_orphans(self) -> None:
        earned, kept = Counter(dict.fromkeys(ACCOUNTS, 0)), Counter(dict.fromkeys(ACCOUNTS, 0))
        for block_hash in self.hashes:
            block = self.store.blocks.get(block_hash)
            for n in range(block.activations if block else 0):
                rewarded = self.store.entry(f"reward:{block_hash}:{n}")
                reversal = self.store.entry(f"reverse:{block_hash}:{n}")
                assert rewarded is not None
                kept.subtract(_amounts(rewarded, "recovered_msat"))
                if reversal is None:
                    earned.update(_credits(rewarded) + Counter(_amounts(rewarded, "recovered_msat")))
                else:
                    kept.update(_amounts(rewarded, "recovered_msat"))
                    kept.update(_amounts(reversal, "short_msat"))
        balances = self.store.balances()
        for account in ACCOUNTS:
            owed = -sum(balances.get(ledger.miner(account, part), 0) for part in ledger.PARTS)
            assert owed + self.paid[account] == earned[account] + kept[account]

    def teardown(self) -> None:
        self.rewards_are_counted_again()
        for block_hash in self.hashes:
            self.pool.chain.confirmations[block_hash] = MATURITY
        self.pool.chain.height += 1
        run(self.settler.step())
        assert exposure(self.store.balances()) == 0
        assert verify(self.pool.shares, self.pool.books).differences == ()
        self.replay()
        self.pool.shares.close()
        self.pool.books.close()

    def replay(self) -> None:
        """The entries alone, posted to empty books, make the same ledger; posted again, nothing."""
        again = LedgerStore(memory(LEDGER))
        rows = list(JournalReader(self.pool.books).entries())
        for row in rows + rows:
            entry = self.store.entry(row.key)
            assert entry is not None
            again.post(entry, row.time_ms)
        assert (again.balances(), again.head()) == (self.store.balances(), self.store.head())
        again._connection.close()


def _advance_key(block: Block) -> str:
    return f"advance:{block.found.hash}:{block.activations - 1}"


def _moved(entry: ledger.Entry | None) -> dict[str, int]:
    return {} if entry is None else {posting.account: posting.amount for posting in entry.postings}


def _amounts(entry: ledger.Entry, key: str) -> dict[str, int]:
    return {name: int(amount) for name, amount in cast(Mapping[str, str], entry.memo[key]).items()}


def _credits(rewarded: ledger.Entry) -> Counter[str]:
    owners = ((ledger.miner_of(account), amount) for account, amount in _moved(rewarded).items())
    return Counter({owner[0]: -amount for owner, amount in owners if owner is not None})


TestBooks = Books.TestCase
TestBooks.settings = settings(max_examples=30, stateful_step_count=30, deadline=None)


LIVES = st.lists(st.tuples(st.integers(0, 2), st.sampled_from([-1, 1, 7, 30, 99, MATURITY])), max_size=10)


def books_after(lives: list[tuple[int, int]], terms: EarlyCredit | None, own: int) -> Mapping[str, int]:
    """What the books come to when three blocks have lived these lives and are all mature at last."""
    made = Pool(Path("nowhere"), memory(SHARES), memory(LEDGER), FakeChain())
    made.store.add_addresses([("bcrt1qpool", SCRIPT)], NOW_MS)
    made.store.post(ledger.deposit("own", "hot", Msat(own)), NOW_MS)
    hashes = [f"{number:064x}" for number in range(3)]
    for number, block_hash in enumerate(hashes):
        batch = [share(ACCOUNTS[number]), share("zoe", MAX_TARGET), share("ann", block_hash=block_hash)]
        ShareStore(made.shares, 0).write(batch, {block_hash: found(block_hash)})
        made.see(1, block_hash)  # in this order, so that residuals go the same way
    checks = RewardChecks(made.books)
    for number, depth in [*lives, *((number, MATURITY) for number in range(3))]:
        made.chain.confirmations[hashes[number]] = depth
        settler = made.settler()
        run(settler.step())
        while (reward := checks.next()) is not None:
            checks.write(reward.journal_id, (), NOW_MS)
        if terms is not None:
            flows = FlowReader(made.books)
            Advancer(made.store, checks, flows, terms, lambda: NOW_MS).step(settler.shown)
    assert verify(made.shares, made.books).differences == ()
    balances = {name: amount for name, amount in made.store.balances().items() if amount}
    made.shares.close()
    made.books.close()
    return balances


@settings(max_examples=15, deadline=None)
@given(LIVES, TERMS, st.integers(1, 3 * G))
def test_early_credit_changes_when_money_is_available_and_nothing_in_the_end(
    lives: list[tuple[int, int]], terms: EarlyCredit | None, own: int
) -> None:
    assert books_after(lives, terms, own) == books_after(lives, None, own)
