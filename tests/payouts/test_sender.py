"""The payer: every outcome of a payment, every moment of a crash; money leaves once or stays held."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import attrs
import pytest
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher

from payouts.money import Msat
from payouts.sender import Sender, SenderOptions
from payouts.values import PaymentState, PayOutcome
from tests.payouts.fake_book import FakeBook
from tests.payouts.fakes import (
    KEY,
    OWN_NODE,
    TERMS,
    FakeInbox,
    FakeNode,
    Life,
    Mortal,
    Plan,
    Time,
    claim,
)
from tests.payouts.invoices import MADE_S, PAYEE, Draft, invoice, payment_hash, preimage, write

START = 5_000_000  # msat in each account
COST = 1_000_000 + 7  # a payment of 1000 sat and the fake node's fee
HELD = 1_000_000 + 15_000  # the same with the worst fee
HASH = payment_hash(1)


@attrs.define
class House:
    """Everything that survives the payer's death."""

    book: FakeBook = attrs.Factory(lambda: FakeBook.with_balances({"alice": START, "bob": START}))
    node: FakeNode = attrs.Factory(FakeNode)
    time: Time = attrs.Factory(Time)
    inbox: FakeInbox = attrs.field()
    payers: list[Sender] = attrs.Factory(list)

    @inbox.default
    def _inbox(self) -> FakeInbox:
        return FakeInbox(self.book)

    def payer(self, **options: object) -> Sender:
        settings = attrs.evolve(SenderOptions(TERMS), **options)  # type: ignore[arg-type]
        sender = Sender(self.book, self.inbox, self.node, self.time.clock, self.time.now_ms, settings)
        self.payers.append(sender)
        sender.start()
        return sender

    def mortal_payer(self, life: Life) -> Sender:
        sender = Sender(
            Mortal(self.book, life),
            Mortal(self.inbox, life),
            Mortal(self.node, life),
            self.time.clock,
            self.time.now_ms,
            SenderOptions(TERMS),
        )
        self.payers.append(sender)
        sender.start()
        return sender

    def file(self, text: str | None = None, *, number: int = 1, account: str = "alice") -> None:
        text = invoice(number) if text is None else text
        now_s = self.time.now_ms() // 1000
        self.inbox.claims.append(claim(self.book, text, account=account, number=number, now_s=now_s))

    def state(self, number: int = 1) -> PaymentState:
        return self.book.payments[number].state

    def refusal(self, number: int = 1) -> str | None:
        answer = self.book.answer(self.inbox.claims[number - 1])
        assert answer is not None
        assert not answer.taken
        return answer.reason

    def stop(self) -> None:
        for sender in self.payers:
            sender.stop()
        self.payers.clear()


@attrs.define
class LockedOnce:
    """A proxy around a book: each of these methods finds the database locked the first time."""

    real: FakeBook
    locked: set[str] = attrs.Factory(lambda: {"take", "sending", "settle", "stopped"})

    def __getattr__(self, name: str) -> Any:
        if name in self.locked:
            self.locked.remove(name)
            raise OSError("database is locked")
        return getattr(self.real, name)


@pytest.fixture
def house() -> Iterator[House]:
    made = House()
    yield made
    made.stop()
    assert not made.time.clock.getDelayedCalls(), "a stopped payer waits for nothing"


@pytest.fixture
def events() -> Iterator[list[LogEvent]]:
    seen: list[LogEvent] = []
    observer = cast(ILogObserver, seen.append)
    globalLogPublisher.addObserver(observer)
    yield seen
    globalLogPublisher.removeObserver(observer)


# ------------------------------------------------------------------------------------------------- outcomes


def test_a_claim_is_paid_and_debited_with_its_real_fee(house: House) -> None:
    house.payer()
    house.file()
    house.time.pass_s(1)
    assert house.state() is PaymentState.SETTLED
    assert house.book.payments[1].preimage == preimage(1)
    assert house.book.balances["alice"] == START - COST
    assert house.node.paid == {HASH: COST}


def test_a_definite_failure_gives_the_money_back(house: House) -> None:
    house.node.plan = Plan.REFUSE
    house.payer()
    house.file()
    house.time.pass_s(1)
    assert house.state() is PaymentState.FAILED
    assert house.book.balances["alice"] == START


def test_a_timeout_that_was_a_payment_is_found_out(house: House) -> None:
    house.node.plan = Plan.LOSE_ANSWER
    house.payer()
    house.file()
    house.time.pass_s(0.3)
    assert house.state() is PaymentState.UNKNOWN
    assert house.book.balances["alice"] == START - HELD
    house.time.pass_s(2)
    assert house.state() is PaymentState.SETTLED
    assert house.book.balances["alice"] == START - COST


def test_a_lost_request_is_sent_again_with_the_same_invoice(house: House) -> None:
    house.node.plan = Plan.IGNORE
    house.payer()
    house.file()
    house.time.pass_s(0.3)
    assert house.state() is PaymentState.UNKNOWN
    house.node.plan = Plan.PAY
    house.time.pass_s(5)
    assert house.state() is PaymentState.SETTLED
    assert house.node.paid == {HASH: COST}


def test_a_stuck_payment_keeps_its_hold_far_past_the_invoices_expiry(house: House) -> None:
    house.node.plan = Plan.HANG
    house.payer()
    house.file()
    house.time.pass_s(1)
    house.time.pass_s(100_000, step_s=1000)
    assert house.book.balances["alice"] == START - HELD
    house.node.finish(HASH, paid=False)
    house.time.pass_s(1)
    assert house.state() is PaymentState.FAILED
    assert house.book.balances["alice"] == START


def test_a_payment_that_never_went_out_fails_only_when_its_invoice_is_long_expired(house: House) -> None:
    house.node.plan = Plan.IGNORE
    house.payer()
    house.file()
    house.time.pass_s(1)
    house.time.pass_s(3600 + 60, step_s=30)
    assert house.book.balances["alice"] == START - HELD
    house.time.pass_s(300, step_s=30)
    assert house.state() is PaymentState.FAILED
    assert house.book.balances["alice"] == START


def test_an_expired_invoice_is_not_sent_again(house: House) -> None:
    house.node.plan = Plan.IGNORE
    house.payer()
    house.file()
    house.time.pass_s(1)
    house.time.pass_s(3590, step_s=30)
    house.time.pass_s(60, step_s=30)
    sent = house.node.calls.count("pay")
    house.time.pass_s(400, step_s=30)
    assert house.node.calls.count("pay") == sent


# ---------------------------------------------------------------------------------------------- concurrency


def test_payments_of_several_accounts_go_out_at_once(house: House) -> None:
    house.node.plan = Plan.HANG
    house.payer()
    house.file(number=1)
    house.file(number=2, account="bob")
    house.time.pass_s(1)
    assert len(house.node.in_flight) == 2


def test_an_account_has_no_more_under_way_than_it_may(house: House) -> None:
    house.node.plan = Plan.HANG
    house.payer(open_per_account=1)
    house.file(number=1)
    house.time.pass_s(1)
    house.file(number=2)
    house.time.pass_s(1)
    assert house.refusal(2) == "too many payments are under way"


def test_no_claim_is_taken_while_everything_is_busy(house: House) -> None:
    house.node.plan = Plan.HANG
    sender = house.payer(open_in_all=1)
    house.file(number=1)
    house.file(number=2, account="bob")
    house.time.pass_s(1)
    assert sender.under_way == 1
    assert len(house.book.payments) == 1
    house.node.plan = Plan.PAY
    house.node.finish(HASH, paid=True)
    house.time.pass_s(1)
    assert house.state(2) is PaymentState.SETTLED


# ------------------------------------------------------------------------------------------------- refusals


def test_a_broken_invoice_is_refused(house: House) -> None:
    house.payer()
    house.file("lnbcrt1nonsense")
    house.time.pass_s(1)
    assert house.refusal() == "the invoice is not valid bech32"
    assert "pay" not in house.node.calls


def test_an_invoice_with_a_required_feature_unknown_to_us_is_refused(house: House) -> None:
    house.payer()
    house.file(write(Draft(features=1 << 8 | 1 << 14 | 1 << 30)))
    house.time.pass_s(1)
    assert "feature" in str(house.refusal())


def test_an_invoice_that_the_second_decoder_reads_otherwise_is_refused(house: House) -> None:
    house.payer()
    house.file(write(Draft(description=None, extra=(("d", (31,) * 1023),))).upper().lower())
    house.time.pass_s(1)
    assert house.refusal()


def test_more_than_the_node_can_send_is_refused_in_time_before_the_wallet_hears_ok(house: House) -> None:
    house.node.balance_msat = 999_999  # the invoice asks for 1000 sat
    house.payer()
    house.file()
    left_ms = house.inbox.claims[0].answer_by_ms - house.time.now_ms()
    house.time.pass_s(left_ms / 1000 - 1)
    assert house.refusal() == "the pool cannot send so much over Lightning now: try less, or later"
    assert house.book.balances["alice"] == START
    assert house.node.paid == {}


def test_a_channel_that_is_back_in_time_pays_the_claim_that_waited_for_it(house: House) -> None:
    house.node.balance_msat = 0
    house.payer()
    house.file()
    house.time.pass_s(1)
    assert house.book.answer(house.inbox.claims[0]) is None
    house.node.balance_msat = 10**12
    house.time.pass_s(1)
    assert house.state() is PaymentState.SETTLED


def test_a_claim_with_a_forged_k1_is_refused(house: House) -> None:
    house.payer()
    house.file()
    house.inbox.claims[0] = attrs.evolve(house.inbox.claims[0], account="bob")
    house.time.pass_s(1)
    assert house.refusal() == "the link was used"


def test_a_claim_on_an_expired_link_is_refused(house: House) -> None:
    house.payer()
    old = claim(house.book, invoice(1), now_s=MADE_S - 601)
    house.inbox.claims.append(attrs.evolve(old, answer_by_ms=house.time.now_ms() + 5000))
    house.time.pass_s(1)
    assert house.refusal() == "the withdraw link has expired"


def test_our_own_invoice_is_refused(house: House) -> None:
    house.node.own_id = PAYEE
    house.payer()
    house.file()
    house.time.pass_s(1)
    assert house.refusal() == "the invoice is this pool's own"


def test_the_same_invoice_claimed_by_another_is_refused(house: House) -> None:
    house.payer()
    house.file(invoice(1), number=1)
    house.time.pass_s(1)
    house.file(invoice(1), number=2, account="bob")
    house.time.pass_s(1)
    assert house.refusal(2) == "this invoice was seen before"
    assert house.book.balances["bob"] == START


def test_a_balance_that_does_not_cover_the_worst_fee_is_refused(house: House) -> None:
    house.book.balances["alice"] = HELD - 1
    house.payer()
    house.file()
    house.time.pass_s(1)
    assert house.refusal() == "the balance is too small"


# ---------------------------------------------------------------------------------------------- the breaker


def test_nothing_is_sent_when_the_node_knows_a_payment_that_the_book_lacks(house: House) -> None:
    house.node.foreign = ["ee" * 32]
    house.payer()
    house.file()
    house.time.pass_s(2)
    assert "ee" * 32 in str(house.book.stopped())
    assert house.refusal() == "payouts are paused: try again later"
    assert "pay" not in house.node.calls


@attrs.define
class TrippingNode(FakeNode):
    """Sending is stopped as soon as it has paid once."""

    book: FakeBook | None = None

    async def pay(self, invoice: str, payment_hash: str, max_fee: Msat) -> PayOutcome:
        assert self.book is not None
        self.book.stop_sending("a test", 0)
        return await super().pay(invoice, payment_hash, max_fee)


def test_of_claims_that_wait_together_one_is_sent_before_the_next_is_considered(house: House) -> None:
    house.node = TrippingNode(book=house.book)
    house.file()
    house.file(number=2, account="bob")
    house.payer()
    house.time.pass_s(1)
    assert house.state() is PaymentState.SETTLED
    assert house.refusal(2) == "payouts are paused: try again later"
    assert house.book.balances["bob"] == START


def test_a_pause_that_is_on_at_the_start_does_not_hide_what_the_book_lacks(house: House) -> None:
    house.book.stop_sending("by the operator: tea", 0)
    house.node.foreign = ["ee" * 32]
    house.payer()
    house.time.pass_s(2)
    assert any("ee" * 32 in reason for reason in house.book.reasons)


def test_payments_before_the_ledger_began_are_not_the_pools(house: House) -> None:
    house.node.paid["ee" * 32] = 1
    house.node.paid_at_s = MADE_S - 10
    house.payer(since_s=MADE_S)
    house.time.pass_s(1)
    assert house.book.stopped() is None


def test_a_breaker_stops_sending_but_not_reconciling(house: House) -> None:
    house.node.plan = Plan.LOSE_ANSWER
    house.payer()
    house.file()
    house.time.pass_s(0.3)
    house.book.stop_sending("an operator said so", 0)
    house.time.pass_s(2)
    assert house.state() is PaymentState.SETTLED


def test_a_breaker_keeps_an_idle_payment_from_being_sent_again(house: House) -> None:
    house.node.plan = Plan.IGNORE
    house.payer()
    house.file()
    house.time.pass_s(0.3)
    house.book.stop_sending("an operator said so", 0)
    house.node.plan = Plan.PAY
    house.time.pass_s(60)
    assert house.state() is PaymentState.UNKNOWN
    assert house.node.paid == {}


def test_the_open_payments_are_asked_about_before_anything_is_sent(house: House) -> None:
    house.node.plan = Plan.HANG
    first = house.payer()
    house.file()
    house.time.pass_s(1)
    first.stop()
    assert house.state() is PaymentState.SENDING
    house.node.in_flight[HASH][1].addErrback(lambda _: None)
    house.node.finish(HASH, paid=True)
    house.node.calls.clear()
    house.payer()
    house.time.pass_s(1)
    assert "pay" not in house.node.calls
    assert house.state() is PaymentState.SETTLED


# ---------------------------------------------------------------------------------------------- a lost node


def test_while_the_node_is_down_nothing_is_taken_and_it_is_said_once(
    house: House, events: list[LogEvent]
) -> None:
    house.node.up = False
    house.payer()
    house.file()
    house.time.pass_s(4)
    assert house.book.claims == {}
    said = [event for event in events if "was lost" in str(event.get("log_format"))]
    assert len(said) == 1
    house.node.up = True
    house.inbox.claims.clear()
    house.time.pass_s(10)
    house.file()
    house.time.pass_s(2)
    assert house.state() is PaymentState.SETTLED


def test_a_node_that_dies_under_a_payment_leaves_it_unknown_until_it_is_back(house: House) -> None:
    house.node.plan = Plan.LOSE_ANSWER
    house.payer()
    house.file()
    house.time.pass_s(0.3)
    house.node.up = False
    house.time.pass_s(30)
    assert house.state() is PaymentState.UNKNOWN
    assert house.book.balances["alice"] == START - HELD
    house.node.up = True
    house.time.pass_s(70)
    assert house.state() is PaymentState.SETTLED


def test_a_locked_book_is_tried_again(house: House) -> None:
    book = LockedOnce(house.book)
    clock, now_ms = house.time.clock, house.time.now_ms
    sender = Sender(book, house.inbox, house.node, clock, now_ms, SenderOptions(TERMS))
    house.payers.append(sender)
    sender.start()
    house.file()
    house.time.pass_s(15)
    assert book.locked == set()
    assert house.state() is PaymentState.SETTLED
    assert house.node.paid == {HASH: COST}


# -------------------------------------------------------------------------------------------------- crashes


@pytest.mark.parametrize("steps", range(40))
def test_a_payer_that_crashes_again_and_again_still_pays_once(steps: int) -> None:
    house = House()
    house.node.plan = Plan.LOSE_ANSWER
    house.file()
    for life in range(steps, 0, -7):
        house.mortal_payer(Life(life))
        house.time.pass_s(1)
        house.stop()
    house.payer()
    house.time.pass_s(70)
    paid = house.node.paid.get(HASH, 0)
    assert paid in {0, COST}
    assert house.book.balances["alice"] == START - paid


def test_secrets_are_in_no_log_and_no_repr(house: House, events: list[LogEvent]) -> None:
    sender = house.payer()
    house.file()
    house.time.pass_s(1)
    told = repr(events) + repr(TERMS) + repr(sender) + repr(SenderOptions(TERMS))
    assert preimage(1) not in told
    assert KEY.decode() not in told
    assert OWN_NODE not in told
