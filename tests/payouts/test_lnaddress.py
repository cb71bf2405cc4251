"""Lightning Addresses: what is one, what a service may say, and that only the invoice asked for is paid."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from payouts.lnaddress import (
    Asked,
    Declined,
    Offer,
    callback_url,
    document_url,
    normal,
    push_amount,
    push_intent,
    read_invoice,
    read_offer,
)
from payouts.money import Msat, Sat
from payouts.planner import FeePolicy, max_fee
from payouts.pushing import pause_ms
from tests.payouts.fakes import TERMS
from tests.payouts.invoices import MADE_S, PAYEE, Draft, invoice, payment_hash, write

METADATA = '[["text/plain","sats for ünï"],["text/identifier","a@ln.example.com"]]'
HASH_OF_IT = sha256(METADATA.encode()).digest()
OFFER = Offer("https://ln.example.com/cb?x=1", Msat(1_000), Msat(100_000_000), METADATA)
ASKED = Asked("alice", "a@ln.example.com", OFFER, Msat(1_000_000))
FEES = FeePolicy(Msat(5000), 10_000)
DOCUMENT = {
    "tag": "payRequest",
    "callback": "https://ln.example.com/cb?x=1",
    "minSendable": 1_000,
    "maxSendable": 100_000_000,
    "metadata": METADATA,
    "commentAllowed": 32,
    "allowsNostr": True,
}


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("a@ln.example.com", "a@ln.example.com"),
        (" Alice.B-c_d+tag@LN.Example.COM ", "alice.b-c_d+tag@ln.example.com"),
        ("a@" + "b" * 56 + ".onion", "a@" + "b" * 56 + ".onion"),
    ],
)
def test_an_address_is_kept_in_one_form(text: str, kept: str) -> None:
    assert normal(text) == kept


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "@b.c",
        "a@b",
        "a@b..cd",
        "a@-b.cd",
        "a b@c.de",
        "a@b.cd/x",
        "a@b.cd:444",
        "a@b@c.de",
        "ä@b.cd",
    ],
)
def test_what_is_no_address_is_not_kept(text: str) -> None:
    assert normal(text) is None


def test_an_address_leads_to_its_document() -> None:
    assert document_url("a+b@ln.example.com") == "https://ln.example.com/.well-known/lnurlp/a+b"
    assert document_url("a@" + "b" * 56 + ".onion").startswith("http://" + "b" * 56 + ".onion/.well-known/")


def test_an_offer_is_read_whatever_else_the_document_says() -> None:
    assert read_offer(DOCUMENT) == OFFER


@pytest.mark.parametrize(
    "change",
    [
        {"tag": "withdrawRequest"},
        {"callback": None},
        {"metadata": ["text/plain"]},
        {"minSendable": "1000"},
        {"minSendable": 0},
        {"maxSendable": True},
        {"maxSendable": 1.5},
        {"status": "ERROR", "reason": "on holiday"},
    ],
)
def test_a_document_that_is_no_offer_is_declined(change: dict[str, Any]) -> None:
    assert isinstance(read_offer({**DOCUMENT, **change}), Declined)


def test_what_a_service_says_is_passed_on_short_and_printable() -> None:
    said = read_invoice({"status": "error", "reason": "no\x1b[31m\n" + "x" * 1000})
    assert isinstance(said, Declined)
    assert said.reason.isprintable()
    assert len(said.reason) < 150


@pytest.mark.parametrize("document", [None, [], "pr", 7, {"pr": 7}, {}])
def test_without_an_invoice_there_is_nothing_to_pay(document: object) -> None:
    assert isinstance(read_invoice(document), Declined)


def test_the_callbacks_own_query_is_kept() -> None:
    assert callback_url(OFFER, Msat(5_000)) == "https://ln.example.com/cb?x=1&amount=5000"
    plain = attrs.evolve(OFFER, callback="https://ln.example.com/cb#part")
    assert callback_url(plain, Msat(5_000)) == "https://ln.example.com/cb?amount=5000"


@given(
    st.integers(0, 10**12),
    st.integers(1, 10**9),
    st.integers(1, 10**12),
    st.integers(1, 10**7),
    st.booleans(),
)
def test_a_push_is_whole_satoshis_that_balance_service_and_pool_allow(
    available: int, least: int, most: int, cap: int, by_pool: bool
) -> None:
    fees = attrs.evolve(FEES, by_pool=by_pool)
    offer = Offer("https://x.example/", Msat(least), Msat(most), "")
    amount = push_amount(Msat(available), offer, fees, Sat(cap))
    if isinstance(amount, Declined):
        return
    assert amount % 1000 == 0
    assert least <= amount <= min(most, cap * 1000)
    assert amount + (0 if by_pool else max_fee(fees, amount)) <= available


def check(text: str, asked: Asked = ASKED) -> Any:
    return push_intent(text, asked, TERMS.at(MADE_S * 1000, frozenset()), second_decoder=True)


def test_the_invoice_that_was_asked_for_is_paid_with_or_without_the_metadatas_hash() -> None:
    for draft in (Draft(), Draft(description=None, description_hash=HASH_OF_IT)):
        intent = check(write(draft))
        assert (intent.account, intent.target) == ("alice", "a@ln.example.com")
        assert (intent.amount, intent.payment_hash) == (1_000_000, payment_hash(1))
        assert intent.max_fee == max_fee(FEES, Msat(1_000_000))


@pytest.mark.parametrize(
    "draft",
    [
        Draft(human="lnbcrt10001n"),
        Draft(human="lnbcrt9990n"),
        Draft(human="lnbcrt"),
        Draft(human="lnbc10u"),
        Draft(description=None, description_hash=sha256(b"another").digest()),
        Draft(timestamp_s=MADE_S - 7200),
        Draft(final_cltv=5000),
        Draft(features=1 << 8 | 1 << 14 | 1 << 30),
        Draft(secret=None),
    ],
)
def test_any_other_invoice_is_declined(draft: Draft) -> None:
    assert isinstance(check(write(draft)), Declined)


def test_our_own_invoice_is_declined() -> None:
    terms = TERMS.at(MADE_S * 1000, frozenset({PAYEE}))
    assert isinstance(push_intent(invoice(1), ASKED, terms, second_decoder=True), Declined)


@given(st.text(max_size=60))
def test_no_text_is_taken_for_an_invoice(text: str) -> None:
    assert isinstance(check(text), Declined)


@given(st.integers(0, 10_000))
def test_pauses_grow_from_a_minute_to_six_hours(failures: int) -> None:
    assert 60_000 <= pause_ms(failures) <= pause_ms(failures + 1) <= 6 * 3_600_000
