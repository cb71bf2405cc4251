"""Payments and batches in any order: nobody is paid twice, and the audit agrees at every end."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from payouts.errors import PayoutError
from payouts.money import Msat, Sat
from payouts.pushing import TRIES, PushIntent
from payouts.values import Claim, Intent, NotTaken, PaymentState, SignedBatch, Taken
from pool import ledger
from pool.store.destinations import DestinationDesk
from pool.store.ledger import LedgerStore
from pool.store.payments import SqliteBook
from pool.store.schema import LEDGER, SHARES
from pool.verify import verify

ACCOUNTS = ("bcrt1ann", "bcrt1bob")
NOW_MS = 1_800_000_000_000
START = 2_000_000
FUNDS = 3_000_000


class Payouts(RuleBasedStateMachine):
    """A model keeps what each account was paid; available + held + paid never changes."""

    def __init__(self) -> None:
        super().__init__()
        self.connection = memory(LEDGER)
        self.store = LedgerStore(self.connection)
        self.store.post(ledger.deposit("l", "lightning", Msat(FUNDS)), NOW_MS)
        self.store.post(ledger.deposit("h", "hot", Msat(FUNDS)), NOW_MS)
        for account in ACCOUNTS:
            moves = [(ledger.HOT, START), (ledger.miner(account, "available"), -START)]
            self.store.post(ledger.entry(f"earned:{account}", "earned", {}, moves), NOW_MS)
        self.book = SqliteBook(self.connection, lambda account: account.startswith("bcrt1"))
        self.paid = dict.fromkeys(ACCOUNTS, 0)
        self.now_ms = NOW_MS
        self.claims = 0
        self.batches = 0
        self.over: dict[int, PaymentState] = {}

    @rule(
        account=st.sampled_from(ACCOUNTS),
        amount=st.integers(1, START),
        fee=st.integers(0, 9999),
        pool_fee=st.integers(0, 9999),
    )
    def a_wallet_claims(self, account: str, amount: int, fee: int, pool_fee: int) -> None:
        self.claims += 1
        before = self.book.available(account)
        k1 = f"{account} {self.book.claims_taken(account)}"
        filed = Claim(self.claims, account, 0, k1, f"ln{self.claims}", NOW_MS, NOW_MS + 1)
        wish = Intent(filed, f"{self.claims:064x}", Msat(amount), Msat(fee), 0, Msat(pool_fee))
        result = self.book.take(wish, lambda count: f"{account} {count}", NOW_MS, limit=3)
        assert self.book.take(wish, lambda count: f"{account} {count}", NOW_MS, limit=3) == result
        match result:
            case Taken():
                assert self.book.available(account) == before - amount - fee >= 0
            case NotTaken():
                assert self.book.available(account) == before

    @rule(threshold=st.integers(1, START), fee=st.integers(0, 9999), pool_fee=st.integers(0, 9999))
    def whoever_is_due_is_pushed(self, threshold: int, fee: int, pool_fee: int) -> None:
        for due in self.book.pushes_due(Msat(threshold), self.now_ms, 5):
            self.claims += 1
            before = self.book.available(due.account)
            assert before == due.available >= threshold
            amount, number = Msat(max(1, due.available - fee)), f"{self.claims:064x}"
            push = PushIntent(
                due.account, due.target, f"ln{number}", number, amount, Msat(fee), Msat(pool_fee), 0
            )
            result = self.book.take_push(push, self.now_ms)
            held = amount + fee if isinstance(result, Taken) else 0
            assert self.book.available(due.account) == before - held >= 0
            assert isinstance(self.book.take_push(push, self.now_ms), NotTaken)

    @rule(account=st.sampled_from(ACCOUNTS), place=st.sampled_from(["a@b.example", "c@d.example", None]))
    def a_lightning_address_changes(self, account: str, place: str | None) -> None:
        self.now_ms += 1
        desk = DestinationDesk(self.connection)
        desk.ask(account, "lightning", place, by="a test", now_ms=self.now_ms, wait_ms=0)

    @rule(hours=st.integers(1, 48))
    def time_passes(self, hours: int) -> None:
        self.now_ms += hours * 3_600_000

    @invariant()
    def who_is_pushed_is_in_no_batch(self) -> None:
        pushed = {
            due.account for due in self.book.pushes_due(Msat(1), self.now_ms, 5) if due.failures < TRIES
        }
        batched = {output.account for output in self.book.payable_onchain(Sat(1), self.now_ms)}
        assert not pushed & batched

    @precondition(lambda self: self.book.open_payments())
    @rule(data=st.data(), spent=st.integers(0, 9999))
    def a_payment_moves(self, data: st.DataObject, spent: int) -> None:
        payment = data.draw(st.sampled_from(list(self.book.open_payments())))
        move = data.draw(st.sampled_from(["send", "unknown", "settle", "fail"]))
        number = payment.payment_id
        if move == "send" and payment.state is not PaymentState.SENDING:
            self.book.sending(number, NOW_MS)
        elif move == "unknown" and payment.state is not PaymentState.RESERVED:
            self.book.unknown(number, "timed out", NOW_MS)
        elif move == "settle":
            fee = Msat(min(spent, payment.greatest_fee))
            self.book.settle(number, "11" * 32, fee, NOW_MS)
            self.book.settle(number, "11" * 32, fee, NOW_MS)
            self.paid[payment.account] += payment.amount + min(fee, payment.max_fee)
            self.over[number] = PaymentState.SETTLED
        elif move == "fail":
            self.book.fail(number, "no route", NOW_MS)
            self.over[number] = PaymentState.FAILED

    @precondition(lambda self: self.over)
    @rule(data=st.data())
    def what_is_over_stays_over(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self.over)))
        with pytest.raises(PayoutError):
            self.book.sending(number, NOW_MS)
        with pytest.raises(PayoutError):
            self.book.unknown(number, "timed out", NOW_MS)
        settled = self.over[number] is PaymentState.SETTLED
        with pytest.raises(PayoutError):
            self.end_otherwise(number, settled=settled)

    def end_otherwise(self, number: int, *, settled: bool) -> None:
        if settled:
            self.book.fail(number, "no route", NOW_MS)
        else:
            self.book.settle(number, "22" * 32, Msat(0), NOW_MS)

    @rule(threshold=st.integers(1, 1500), fee=st.integers(0, 300))
    def a_batch_is_signed(self, threshold: int, fee: int) -> None:
        outputs = tuple(self.book.payable_onchain(Sat(threshold), self.now_ms))
        self.batches += 1
        signed = SignedBatch(f"{self.batches:064x}", "02", ("a:0",), outputs, Sat(fee))
        result = self.book.take_batch(signed, self.now_ms)
        assert isinstance(result, int) or not outputs or "hot wallet" in result.reason

    @precondition(lambda self: self.book.open_batches())
    @rule(data=st.data(), reject=st.booleans())
    def a_batch_moves(self, data: st.DataObject, *, reject: bool) -> None:
        batch = data.draw(st.sampled_from(list(self.book.open_batches())))
        if batch.state.value == "broadcast":
            self.book.settle_batch(batch.batch_id, NOW_MS)
            for output in batch.signed.outputs:
                self.paid[output.account] += output.amount * 1000
        elif reject:
            self.book.reject_batch(batch.batch_id, "refused", NOW_MS)
        else:
            self.book.broadcasting(batch.batch_id, NOW_MS)

    @invariant()
    def nobodys_money_appears_or_vanishes(self) -> None:
        for account in ACCOUNTS:
            held = -self.store.balance(ledger.miner(account, "held"))
            assert self.book.available(account) + held + self.paid[account] == START

    def teardown(self) -> None:
        shares = memory(SHARES)
        assert verify(shares, self.connection).differences == ()
        shares.close()
        self.connection.close()


def memory(steps: Sequence[str]) -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    for step in steps:
        connection.executescript(step)
    return connection


TestPayouts = Payouts.TestCase
TestPayouts.settings = settings(max_examples=30, stateful_step_count=25, deadline=None)
