"""The payer under limits: what is refused, what waits for an operator, and what stops it."""

from __future__ import annotations

import attrs
import pytest
from twisted.logger import LogEvent

from payouts.limits import PAUSED, Limits
from payouts.money import Msat
from payouts.values import PaymentState, Ruling
from tests.payouts.fakes import TERMS, Plan
from tests.payouts.invoices import invoice
from tests.payouts.test_sender import COST, HASH, HELD, START, House, events, house

__all__ = ["events", "house"]

BIG = Limits(approve_above=Msat(500_000))
AMOUNT = Msat(1_000_000)


# --------------------------------------------------------------------------------------- liquidity, ceilings


def test_claims_of_one_round_are_not_taken_beyond_what_the_node_can_send(house: House) -> None:
    house.node.plan = Plan.HANG
    house.node.balance_msat = 2 * AMOUNT - 1
    house.file(number=1)
    house.file(number=2, account="bob")
    house.payer()
    house.time.pass_s(0.5)
    assert len(house.book.payments) == 1
    assert len(house.node.in_flight) == 1
    house.time.pass_s(10)
    assert house.refusal(2) == "the pool cannot send so much over Lightning now: try less, or later"


def test_an_account_gets_no_more_in_a_day_than_it_may_and_again_a_day_later(house: House) -> None:
    house.payer(limits=Limits(account_day=Msat(1_999_999)))
    house.file(number=1)
    house.time.pass_s(1)
    house.file(number=2)
    house.file(number=3, account="bob")
    house.time.pass_s(1)
    assert "in 24 hours: 999 sat are left" in str(house.refusal(2))
    assert house.state(2) is PaymentState.SETTLED  # of bob
    house.time.pass_s(86_400, step_s=600)
    house.file(invoice(4, made_s=house.time.now_ms() // 1000), number=4)
    house.time.pass_s(1)
    assert house.state(3) is PaymentState.SETTLED


def test_what_crowds_the_way_waits_for_a_moment_and_is_paid_when_there_is_room(house: House) -> None:
    house.node.plan = Plan.HANG
    house.payer(limits=Limits(in_flight=Msat(HELD)))
    house.file(number=1)
    house.time.pass_s(0.5)
    house.file(number=2, account="bob")
    house.time.pass_s(1)
    assert house.book.answer(house.inbox.claims[1]) is None
    house.node.plan = Plan.PAY
    house.node.finish(HASH, paid=True)
    house.time.pass_s(1.5)
    assert house.state(2) is PaymentState.SETTLED


# -------------------------------------------------------------------------------------------- the breakers


def test_a_drain_within_an_hour_trips_the_breaker_at_the_claim_that_is_too_much(house: House) -> None:
    house.payer(limits=Limits(hour_free=Msat(2_500_000)))
    for number in range(1, 5):
        house.file(number=number, account="alice" if number % 2 else "bob")
        house.time.pass_s(0.5)
    assert len(house.book.payments) == 2
    assert str(house.book.stopped()).startswith("velocity: 3000 sat within an hour")
    assert "far more than usual" in str(house.refusal(3))
    assert "far more than usual" in str(house.refusal(4))
    assert len(house.book.reasons) == 1


def test_a_node_that_has_lost_money_stops_sending_once_and_payments_under_way_are_seen_to_their_end(
    house: House,
) -> None:
    house.book.books_msat = house.node.balance_msat
    house.node.plan = Plan.HANG
    house.payer(limits=Limits(drift=Msat(1_000)))
    house.file()
    house.time.pass_s(1)
    house.node.balance_msat -= 5_000_000
    house.time.pass_s(61)
    assert "drift: the node has 39" in str(house.book.stopped())
    house.time.pass_s(300, step_s=1)
    assert len(house.book.reasons) == 1
    house.node.finish(HASH, paid=True)
    house.time.pass_s(1)
    assert house.state() is PaymentState.SETTLED


def test_after_a_resume_the_same_trouble_trips_the_breaker_anew(house: House) -> None:
    house.book.books_msat = house.node.balance_msat + 1_000_000
    house.payer(limits=Limits(drift=Msat(1_000)))
    house.time.pass_s(1)
    assert len(house.book.reasons) == 1
    house.book.reasons.clear()  # as `sluice payouts resume` does
    house.time.pass_s(130, step_s=1)
    assert len(house.book.reasons) == 1


def test_too_much_in_the_node_is_said_once_and_stops_nothing(house: House, events: list[LogEvent]) -> None:
    house.payer(limits=Limits(float_most=Msat(1_000_000)))
    house.time.pass_s(300, step_s=1)
    said = [event for event in events if "limits were passed" in str(event.get("log_format"))]
    assert len(said) == 1
    assert house.book.stopped() is None
    assert house.book.node_seen == (10**12, 10**12)


def test_a_wallet_hears_of_a_pause_in_words_of_its_own(house: House) -> None:
    house.book.stop_sending(f"{PAUSED}the safe is open", 0)
    house.payer()
    house.file()
    house.time.pass_s(1)
    assert house.refusal() == "payouts are paused by the pool's operator: try again later"


# ---------------------------------------------------------------------------------- looked at again and again


def test_a_payment_that_the_book_lacks_is_noticed_while_the_payer_runs(house: House) -> None:
    house.payer()
    house.time.pass_s(5)
    assert house.book.stopped() is None
    house.node.foreign = ["ee" * 32]
    house.time.pass_s(60)
    assert "ee" * 32 in str(house.book.stopped())
    house.file()
    house.time.pass_s(1)
    assert "paused" in str(house.refusal())


def test_what_an_operator_has_looked_into_stops_nothing_again(house: House) -> None:
    house.node.paid["ee" * 32] = 1
    house.payer()
    house.time.pass_s(3)
    assert house.book.stopped() is not None
    house.book.reasons.clear()
    house.book.resumed = house.time.now_ms() // 1000
    house.time.pass_s(200, step_s=1)
    assert house.book.stopped() is None


@pytest.mark.parametrize("step_s", [-7200, 7200])
def test_a_clock_that_is_set_hides_no_payment_and_pays_none_twice(house: House, step_s: int) -> None:
    house.node.plan = Plan.LOSE_ANSWER
    house.payer()
    house.file()
    house.time.pass_s(0.3)
    house.time.start_ms += step_s * 1000
    house.time.pass_s(130, step_s=1)
    assert house.state() is PaymentState.SETTLED
    assert house.node.paid == {HASH: COST}
    assert house.book.balances["alice"] == START - COST
    house.node.paid_at_s = house.time.now_ms() // 1000
    house.node.paid["ee" * 32] = 1  # by somebody else, at the time that the node's own clock shows
    house.time.pass_s(61)
    assert "ee" * 32 in str(house.book.stopped())


@pytest.mark.parametrize("where", ["since_s", "resumed"])
def test_a_beginning_that_a_clock_ahead_has_written_hides_nothing_that_the_node_sent(
    house: House, where: str
) -> None:
    now_s = house.time.now_ms() // 1000
    house.node.paid["ee" * 32] = 1
    house.node.paid_at_s = now_s
    if where == "resumed":
        house.book.resumed = now_s + 5 * 3600
        house.payer()
    else:
        house.payer(since_s=now_s + 5 * 3600)
    house.time.pass_s(1)
    assert "ee" * 32 in str(house.book.stopped())


@pytest.mark.parametrize("hours", [-5, 5, 30])
@pytest.mark.parametrize("plan", [Plan.PAY, Plan.LOSE_ANSWER, Plan.IGNORE, Plan.HANG])
def test_whenever_the_clock_is_set_and_set_right_again_money_leaves_once_or_comes_back(
    hours: int, plan: str
) -> None:
    """Before the claim is looked at, while it is paid, or while it is asked about."""
    for moment_s in (0, 0.1, 0.2, 1.0):
        house = House()
        house.node.plan = plan
        house.payer()
        house.file()
        house.time.pass_s(moment_s)
        house.time.start_ms += hours * 3_600_000
        house.time.pass_s(30, step_s=0.5)
        house.time.start_ms -= hours * 3_600_000
        house.time.pass_s(5)
        if HASH in house.node.in_flight:
            assert house.book.balances["alice"] == START - HELD
            house.node.finish(HASH, paid=True)
        house.node.plan = Plan.PAY
        house.time.pass_s(140, step_s=1)
        if house.book.payments:
            assert house.state() in {PaymentState.SETTLED, PaymentState.FAILED}
        assert house.book.balances["alice"] == START - house.node.paid.get(HASH, 0)
        house.stop()


def test_a_clock_that_is_set_forward_and_back_makes_no_limit_looser(house: House) -> None:
    house.payer(limits=Limits(account_day=Msat(1_999_999)))
    house.time.start_ms += 30 * 3_600_000
    house.file(invoice(1, made_s=house.time.now_ms() // 1000))
    house.time.pass_s(1)
    house.time.start_ms -= 30 * 3_600_000
    house.file(number=2)
    house.time.pass_s(6)
    assert "in 24 hours: 999 sat are left" in str(house.refusal(2))


def test_a_payment_without_outcome_is_put_before_the_operator_once(
    house: House, events: list[LogEvent]
) -> None:
    house.node.plan = Plan.HANG
    house.payer(overdue_s=600)
    house.file()
    house.time.pass_s(1)
    house.time.pass_s(500, step_s=10)
    assert not [event for event in events if "too long" in str(event.get("log_format"))]
    house.time.pass_s(3_000, step_s=10)
    (event,) = [event for event in events if "too long" in str(event.get("log_format"))]
    assert event["number"] == "L1"
    assert house.book.balances["alice"] == START - HELD


# ---------------------------------------------------------------------------------------------- the operator


def test_a_large_payment_waits_for_approval_and_then_goes(house: House) -> None:
    sender = house.payer(limits=BIG)
    house.file()
    house.time.pass_s(30)
    assert house.state() is PaymentState.RESERVED
    assert house.book.balances["alice"] == START - HELD
    assert sender.under_way == 0  # it takes no place of others
    assert "pay" not in house.node.calls
    house.book.rule(1, Ruling.APPROVED)
    house.time.pass_s(2)
    assert house.state() is PaymentState.SETTLED


def test_a_large_payment_that_is_refused_is_given_back_and_was_never_sent(house: House) -> None:
    house.payer(limits=BIG)
    house.file()
    house.time.pass_s(1)
    house.book.rule(1, Ruling.REFUSED)
    house.time.pass_s(2)
    assert house.state() is PaymentState.FAILED
    assert house.book.balances["alice"] == START
    assert "pay" not in house.node.calls


def test_a_large_payment_that_nobody_looks_at_is_given_back_after_its_invoice(house: House) -> None:
    house.payer(limits=BIG)
    house.file()
    house.time.pass_s(1)
    house.stop()
    house.payer(limits=BIG)  # a restart is no approval
    house.time.pass_s(4_000, step_s=10)
    assert house.state() is PaymentState.FAILED
    assert house.book.balances["alice"] == START
    assert "pay" not in house.node.calls


def test_a_large_claim_whose_invoice_cannot_wait_is_refused_with_the_reason(house: House) -> None:
    house.payer(limits=BIG)
    house.file(invoice(1, expiry_s=60))
    house.time.pass_s(1)
    assert house.refusal() == (
        "it is above 500 sat, so the operator looks first: use an invoice that lasts longer"
    )


def test_while_sending_is_stopped_an_approved_payment_waits_too(house: House) -> None:
    house.payer(limits=BIG)
    house.file()
    house.time.pass_s(1)
    house.book.stop_sending("a test", 0)
    house.book.rule(1, Ruling.APPROVED)
    house.time.pass_s(60)
    assert house.state() is PaymentState.RESERVED
    house.book.reasons.clear()
    house.time.pass_s(60)
    assert house.state() is PaymentState.SETTLED


def test_giving_up_waits_for_the_invoices_end_and_the_nodes_last_word(house: House) -> None:
    house.node.plan = Plan.HANG
    house.payer()
    house.file()
    house.time.pass_s(1)
    house.book.rule(1, Ruling.GIVEN_UP)
    house.time.pass_s(3_600, step_s=10)
    assert house.book.balances["alice"] == START - HELD
    house.node.in_flight[HASH][1].cancel()  # the call that pays has been given up too
    house.time.pass_s(1_000, step_s=10)
    assert house.state() is PaymentState.FAILED
    assert house.book.balances["alice"] == START


def test_giving_up_does_not_take_back_what_the_node_has_paid(house: House) -> None:
    house.node.plan = Plan.LOSE_ANSWER
    house.payer()
    house.file()
    house.time.pass_s(0.3)
    house.book.rule(1, Ruling.GIVEN_UP)
    house.time.start_ms += 10_000_000
    house.time.pass_s(61)
    assert house.state() is PaymentState.SETTLED
    assert house.book.balances["alice"] == START - COST


# ------------------------------------------------------------------------------------------ who bears the fee


def test_when_the_pool_bears_the_fee_the_miner_can_claim_to_the_last_satoshi(house: House) -> None:
    house.book.balances["alice"] = AMOUNT
    terms = attrs.evolve(TERMS, fees=attrs.evolve(TERMS.fees, by_pool=True))
    house.payer(terms=terms)
    house.file()
    house.time.pass_s(1)
    assert house.state() is PaymentState.SETTLED
    assert house.book.balances["alice"] == 0
    assert house.book.pool_paid_fees == 7
    assert house.book.payments[1].pool_fee == HELD - AMOUNT


# ------------------------------------------------------------------------------------ a web that is not ours


def test_whoever_holds_the_webs_key_gets_no_more_than_an_hour_allows_and_no_invoice_of_other_terms(
    house: House,
) -> None:
    """The web can file any claim, with k1s that are right: what it may not is decide.  The payer does."""
    house.book.balances |= dict.fromkeys((f"m-{n}" for n in range(20)), START)
    house.payer(limits=Limits(hour_free=Msat(5_500_000)))
    for number in range(1, 21):
        house.file(number=number, account=f"m-{number - 1}")
        house.time.pass_s(0.3)
    assert sum(house.node.paid.values()) == 5 * COST
    assert str(house.book.stopped()).startswith("velocity:")
    assert all(house.book.balances[f"m-{n}"] == START for n in range(5, 20))


def test_claims_that_the_web_made_up_are_refused_one_by_one(house: House) -> None:
    house.payer()
    for number, change in enumerate(
        (
            {"account": "nobody"},
            {"k1_hash": "00" * 32},
            {"answer_by_ms": 0},
            {"token_expires_s": 0},
            {"invoice": invoice(3, sat=1_000_001)},
            {"invoice": invoice(3, made_s=1)},
        ),
        start=1,
    ):
        house.file(number=number)
        house.inbox.claims[-1] = attrs.evolve(house.inbox.claims[-1], **change)  # type: ignore[arg-type]
        house.time.pass_s(6)
        assert house.refusal(number)
    assert house.book.payments == {}
    assert "pay" not in house.node.calls
