"""Which invoices are paid: one reason for each that is not."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from payouts.invoice import Hop, Invoice, Network, decode
from payouts.money import Msat, Sat
from payouts.planner import FeePolicy
from payouts.terms import Bad, Good, Terms, check, hint_fee
from tests.payouts.invoices import MADE_S, PAYEE, Draft, write

TERMS = Terms(
    network=Network.REGTEST,
    now_s=MADE_S,
    minimum=Sat(100),
    maximum=Sat(1000),
    fees=FeePolicy(Msat(5000), 10_000),
)
HOP = Hop(PAYEE, 1, base=Msat(1000), ppm=100, cltv_delta=40)


def read(**fields: object) -> Invoice:
    return decode(write(attrs.evolve(Draft(), **fields)))  # type: ignore[arg-type]


def test_an_ordinary_invoice_is_good_with_its_fee_cap() -> None:
    assert check(read(), TERMS) == Good(Msat(1_000_000), Msat(15_000))


def test_the_limits_themselves_are_allowed() -> None:
    assert isinstance(check(read(human="lnbcrt1u"), TERMS), Good)
    assert isinstance(check(read(human="lnbcrt10u"), TERMS), Good)


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"human": "lnbcrt"}, "no amount"),
        ({"human": "lnbcrt990n"}, "minimum of 100 sat"),
        ({"human": "lnbcrt10010n"}, "maximum of 1000 sat"),
        ({"human": "lnbcrt5000010p"}, "whole number"),
        ({"human": "lntb10u"}, "another network"),
        ({"human": "lnbc10u"}, "another network"),
        ({"timestamp_s": MADE_S - 3600}, "expired"),
        ({"timestamp_s": MADE_S - 3591}, "expired"),
        ({"final_cltv": 1009}, "too long"),
        ({"expiry_s": 366 * 86_400 + 1}, "more than a year"),
        ({"timestamp_s": MADE_S + 366 * 86_400, "expiry_s": 1}, "more than a year"),
        ({"features": 1 << 8 | 1 << 14 | 1 << 100}, "feature"),
        ({"features": 1 << 30}, "feature"),
        ({"features": 1 << 48}, "feature"),
    ],
)
def test_what_is_not_paid_has_its_reason(fields: dict[str, object], word: str) -> None:
    answer = check(read(**fields), TERMS)
    assert isinstance(answer, Bad)
    assert word in answer.reason


@pytest.mark.parametrize(
    "fields",
    [
        {"timestamp_s": MADE_S - 3590},
        {"final_cltv": 1008},
        {"features": 1 << 8 | 1 << 14 | 1 << 16},
        {"features": 1 << 149 | 1 << 25},
        {"features": None},
    ],
)
def test_what_is_just_allowed_is_paid(fields: dict[str, object]) -> None:
    assert isinstance(check(read(**fields), TERMS), Good)


def test_our_own_invoice_is_not_paid() -> None:
    answer = check(read(), attrs.evolve(TERMS, own_nodes=frozenset({PAYEE})))
    assert answer == Bad("the invoice is this pool's own")


def test_a_hop_charges_for_what_it_forwards() -> None:
    assert hint_fee((HOP,), Msat(1_000_000)) == 1100
    assert hint_fee((HOP, HOP), Msat(1_000_000)) == 1100 + 1000 + 100


def test_a_fee_siphoning_route_hint_is_refused() -> None:
    greedy = attrs.evolve(HOP, base=Msat(890_000))
    answer = check(read(hints=((greedy,),)), TERMS)
    assert isinstance(answer, Bad)
    assert "private route" in answer.reason
    assert isinstance(check(read(hints=((greedy,), (HOP,))), TERMS), Good)


def test_a_private_route_that_locks_the_payment_for_too_long_is_refused() -> None:
    slow = attrs.evolve(HOP, cltv_delta=1008)
    assert isinstance(check(read(hints=((slow,),), final_cltv=1008), TERMS), Good)
    answer = check(read(hints=((slow, attrs.evolve(HOP, cltv_delta=1)),), final_cltv=1008), TERMS)
    assert isinstance(answer, Bad)
    assert "too long" in answer.reason
    assert isinstance(check(read(hints=((slow, slow), (slow,)), final_cltv=1008), TERMS), Good)


def test_one_private_route_must_be_both_cheap_and_short() -> None:
    cheap_and_slow = attrs.evolve(HOP, cltv_delta=5000)
    dear_and_fast = attrs.evolve(HOP, base=Msat(890_000))
    assert isinstance(check(read(hints=((cheap_and_slow,), (dear_and_fast,))), TERMS), Bad)


HOPS = st.builds(
    Hop,
    node_id=st.just(PAYEE),
    channel=st.integers(0, 2**64 - 1),
    base=st.sampled_from([0, 1, 14_000, 15_000, 15_001, 2**32 - 1]).map(Msat),
    ppm=st.sampled_from([0, 1, 10_000, 15_000, 2**32 - 1]),
    cltv_delta=st.sampled_from([0, 1, 40, 1008, 65_535]),
)


@given(
    human=st.sampled_from(
        ["lnbcrt", "lnbcrt990n", "lnbcrt1u", "lnbcrt10u", "lnbcrt10010n", "lnbc10u", "lntb1u"]
    ),
    age_s=st.sampled_from([-(400 * 86_400), -3600, 0, 3589, 3590, 3591, 3600]),
    expiry_s=st.sampled_from([None, 0, 3600, 366 * 86_400, 2**40]),
    final_cltv=st.sampled_from([None, 0, 1008, 1009, 2**30]),
    features=st.frozensets(st.sampled_from([8, 9, 14, 16, 17, 30, 48, 101]), max_size=4),
    hints=st.lists(st.lists(HOPS, min_size=1, max_size=3).map(tuple), max_size=3).map(tuple),
    ours=st.booleans(),
)
def test_an_invoice_is_good_exactly_when_it_keeps_to_every_term(
    human: str,
    age_s: int,
    expiry_s: int | None,
    final_cltv: int | None,
    features: frozenset[int],
    hints: tuple[tuple[Hop, ...], ...],
    *,
    ours: bool,
) -> None:
    made_s, bits = MADE_S - age_s, sum(1 << bit for bit in features)
    fields = {"human": human, "timestamp_s": made_s, "expiry_s": expiry_s, "final_cltv": final_cltv}
    terms = attrs.evolve(TERMS, own_nodes=frozenset({PAYEE} if ours else ()))
    answer = check(read(**fields, features=bits, hints=hints), terms)
    amount = {"lnbcrt1u": 100_000, "lnbcrt10u": 1_000_000}.get(human)
    left_s = made_s + (3600 if expiry_s is None else expiry_s) - MADE_S
    blocks = 18 if final_cltv is None else final_cltv
    if amount is None or not 10 <= left_s <= 366 * 86_400 or blocks > 1008 or ours or features & {30, 48}:
        assert isinstance(answer, Bad)
        return
    cap = 5000 + amount // 100
    will_do = [
        hint
        for hint in hints
        if hint_fee(hint, Msat(amount)) <= cap and blocks + sum(hop.cltv_delta for hop in hint) <= 2016
    ]
    assert answer == Good(Msat(amount), Msat(cap)) if will_do or not hints else isinstance(answer, Bad)


def test_a_hint_fee_that_looks_negative_when_signed_is_refused() -> None:
    huge = attrs.evolve(HOP, base=Msat(2**32 - 1))
    assert isinstance(check(read(hints=((huge,),)), TERMS), Bad)
