"""Ceilings refuse, large ones wait, what is out of all proportion stops everything; nothing else does."""

from __future__ import annotations

import attrs
from hypothesis import given
from hypothesis import strategies as st

from payouts.limits import (
    NO_LIMITS,
    PAUSED,
    Fine,
    Kind,
    Limits,
    NotNow,
    TooMuch,
    Tripped,
    alarms,
    allowed,
    told_to_wallets,
    too_fast,
    weigh,
)
from payouts.money import Msat
from payouts.values import Flow, Past

amounts = st.integers(1, 10**12).map(Msat)
sums = st.integers(0, 10**12).map(Msat)
maybe = st.none() | amounts
flows = st.builds(Flow, day=sums, hour=sums, open_count=st.integers(0, 20), open_amount=sums)
limits = st.builds(
    Limits,
    account_day=maybe,
    day=maybe,
    in_flight=maybe,
    approve_above=maybe,
    hour_free=maybe,
    hour_times=st.integers(1, 20),
)
NO_FLOW = Flow(Msat(0), Msat(0), 0, Msat(0))
QUIET = Past(Msat(0), Msat(0), Msat(0), Msat(0))


@given(amounts, sums, flows, sums, sums, limits)
def test_what_is_fine_keeps_below_every_ceiling_and_what_is_not_passes_one(
    amount: Msat, fee: int, flow: Flow, account_day: Msat, usual: Msat, limits: Limits
) -> None:
    cost = Msat(amount + fee)
    weighed = weigh(amount, cost, flow, account_day, usual, limits)
    above_account = limits.account_day is not None and account_day + amount > limits.account_day
    above_day = limits.day is not None and flow.day + amount > limits.day
    fast = too_fast(Msat(flow.hour + amount), usual, limits) is not None
    crowded = limits.in_flight is not None and flow.open_amount + cost > limits.in_flight
    assert isinstance(weighed, TooMuch) or not (above_account or above_day)
    assert isinstance(weighed, Fine) == (not (above_account or above_day or fast or crowded))
    if isinstance(weighed, Fine):
        large = limits.approve_above is not None and amount > limits.approve_above
        assert (weighed.held_back is not None) == large
    if isinstance(weighed, Tripped):
        assert fast
    if isinstance(weighed, NotNow):
        assert limits.in_flight is not None
        assert cost <= limits.in_flight  # else waiting would be for ever


@given(amounts, sums, flows, sums, sums)
def test_without_limits_everything_is_fine(
    amount: Msat, fee: int, flow: Flow, account_day: Msat, usual: Msat
) -> None:
    assert weigh(amount, Msat(amount + fee), flow, account_day, usual, NO_LIMITS) == Fine()
    assert allowed(flow, account_day, NO_LIMITS) is None


@given(flows, sums, limits, amounts)
def test_what_is_allowed_passes_no_ceiling_and_one_more_msat_does(
    flow: Flow, account_day: Msat, limits: Limits, amount: Msat
) -> None:
    slow = attrs.evolve(limits, hour_free=None)
    most = allowed(flow, account_day, slow)
    if most is None:
        assert isinstance(weigh(amount, amount, flow, account_day, Msat(0), slow), Fine)
        return
    more = Msat(most + 1)
    assert not isinstance(weigh(more, more, flow, account_day, Msat(0), slow), Fine)
    if most:
        assert isinstance(weigh(most, most, flow, account_day, Msat(0), slow), Fine)


@given(st.lists(amounts, max_size=30), limits)
def test_however_claims_come_no_more_leaves_in_a_day_than_the_ceiling(
    wished: list[Msat], limits: Limits
) -> None:
    flow, account_day = NO_FLOW, Msat(0)
    for amount in wished:
        if isinstance(weigh(amount, amount, flow, account_day, Msat(0), limits), Fine):
            flow = Flow(
                Msat(flow.day + amount),
                Msat(flow.hour + amount),
                flow.open_count + 1,
                Msat(flow.open_amount + amount),
            )
            account_day = Msat(account_day + amount)
    for ceiling in (limits.account_day, limits.day, limits.in_flight, limits.hour_free):
        assert ceiling is None or flow.day <= ceiling


@given(flows, sums, limits, st.tuples(amounts, amounts))
def test_what_leaves_never_widens_what_may_leave(
    flow: Flow, account_day: Msat, limits: Limits, more: tuple[Msat, Msat]
) -> None:
    grown = attrs.evolve(flow, day=Msat(flow.day + more[0]), open_amount=Msat(flow.open_amount + more[1]))
    before, after = allowed(flow, account_day, limits), allowed(grown, account_day, limits)
    assert (before is None) == (after is None)
    assert before is None or after is None or 0 <= after <= before


pasts = st.builds(Past, sums, sums, sums, sums)
watched = st.builds(
    Limits,
    hour_free=maybe,
    hour_times=st.integers(1, 20),
    fee_ppm=st.none() | st.integers(0, 10**6),
    fee_least=amounts,
    drift=maybe,
    float_most=maybe,
)


@given(flows, pasts, sums, watched)
def test_each_alarm_has_its_cause_and_each_cause_its_alarm(
    flow: Flow, past: Past, balance: Msat, limits: Limits
) -> None:
    told = {alarm.kind: alarm for alarm in alarms(flow, past, balance, limits)}
    assert all(alarm.stops == (kind is not Kind.FLOAT) for kind, alarm in told.items())
    free = limits.hour_free
    fast = free is not None and flow.hour > free and flow.hour > limits.hour_times * past.busiest_hour
    assert (Kind.VELOCITY in told) == fast
    dear = limits.fee_ppm is not None and (past.fees * 10**6 >= (limits.fee_ppm + 1) * past.settled)
    assert (Kind.FEES in told) == (dear and past.settled >= limits.fee_least)
    short = limits.drift is not None and balance + flow.open_amount + limits.drift < past.books
    assert (Kind.DRIFT in told) == short
    assert (Kind.FLOAT in told) == (limits.float_most is not None and balance > limits.float_most)


def test_the_past_weeks_busiest_hour_is_the_measure_of_too_fast() -> None:
    limits = Limits(hour_free=Msat(1000), hour_times=3)
    assert too_fast(Msat(1000), Msat(0), limits) is None
    assert too_fast(Msat(1001), Msat(0), limits) is not None
    assert too_fast(Msat(3000), Msat(1000), limits) is None
    assert too_fast(Msat(3001), Msat(1000), limits) is not None


def test_fees_out_of_proportion_stop_sending_once_enough_was_paid() -> None:
    limits = Limits(fee_ppm=10_000, fee_least=Msat(1_000_000))
    dear = attrs.evolve(QUIET, settled=Msat(1_000_000), fees=Msat(10_000))
    assert [(a.kind, a.stops) for a in alarms(NO_FLOW, dear, Msat(0), limits)] == []
    dear = attrs.evolve(dear, fees=Msat(10_001))
    (alarm,) = alarms(NO_FLOW, dear, Msat(0), limits)
    assert (alarm.kind, alarm.stops) == (Kind.FEES, True)
    few = attrs.evolve(dear, settled=Msat(999_999))
    assert alarms(NO_FLOW, few, Msat(0), limits) == ()


def test_a_node_that_has_less_than_the_books_beyond_what_is_on_its_way_stops_sending() -> None:
    limits = Limits(drift=Msat(100))
    past = attrs.evolve(QUIET, books=Msat(10_000))
    flow = attrs.evolve(NO_FLOW, open_amount=Msat(400))
    assert alarms(flow, past, Msat(9_500), limits) == ()
    (alarm,) = alarms(flow, past, Msat(9_499), limits)
    assert (alarm.kind, alarm.stops) == (Kind.DRIFT, True)
    assert alarms(flow, past, Msat(1_000_000), limits) == ()  # more than the books is no danger


def test_too_much_in_the_hot_node_is_told_and_stops_nothing() -> None:
    limits = Limits(float_most=Msat(1_000))
    (alarm,) = alarms(NO_FLOW, QUIET, Msat(2_001), limits)
    assert (alarm.kind, alarm.stops) == (Kind.FLOAT, False)
    assert "2 sat more" in alarm.reason


def test_wallets_hear_no_hashes_and_no_figures_of_why_sending_is_stopped() -> None:
    reasons = [
        f"{PAUSED}moving the channel of 0.5 BTC",
        str(too_fast(Msat(10**9), Msat(0), Limits(hour_free=Msat(1)))),
        "the node has sent 1 payments that the ledger lacks: " + "ab" * 32,
        "drift: the node has 77 sat less than the books say",
    ]
    told = [told_to_wallets(reason) for reason in reasons]
    assert all(text.startswith("payouts are paused") for text in told)
    assert not any(character.isdecimal() for text in told for character in text)
    assert len(set(told)) == 3
