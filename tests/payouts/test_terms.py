"""Which invoices are paid: one reason for each that is not."""

from __future__ import annotations

import attrs
import pytest

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


def test_a_hint_fee_that_looks_negative_when_signed_is_refused() -> None:
    huge = attrs.evolve(HOP, base=Msat(2**32 - 1))
    assert isinstance(check(read(hints=((huge,),)), TERMS), Bad)
