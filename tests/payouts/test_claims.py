"""A claim is judged by what it proves, not by who filed it."""

from __future__ import annotations

import attrs
import pytest

from payouts import lnurl
from payouts.claims import Judged, judge
from payouts.values import NotTaken
from tests.payouts.fake_book import FakeBook
from tests.payouts.fakes import KEY, OWN_NODE, TERMS, claim
from tests.payouts.invoices import MADE_S, Draft, invoice, payment_hash, write

NOW_MS = MADE_S * 1000
OWN = frozenset({OWN_NODE})
BOOK = FakeBook.with_balances({"alice": 0})
ORDINARY = claim(BOOK, invoice(1))


def test_an_honest_claim_becomes_an_intent() -> None:
    judged = judge(ORDINARY, TERMS, OWN, NOW_MS)
    assert isinstance(judged, Judged)
    assert judged.intent.claim is ORDINARY
    assert judged.intent.payment_hash == payment_hash(1)
    assert (judged.intent.amount, judged.intent.max_fee) == (1_000_000, 15_000)
    assert judged.intent.invoice_expires_s == MADE_S + 3600


def test_k1_is_held_against_the_books_own_count() -> None:
    judged = judge(ORDINARY, TERMS, OWN, NOW_MS)
    assert isinstance(judged, Judged)
    assert judged.k1_hash_for(0) == ORDINARY.k1_hash
    assert judged.k1_hash_for(1) != ORDINARY.k1_hash


@pytest.mark.parametrize(
    "forgery", [{"account": "bob"}, {"token_expires_s": MADE_S + 601}, {"k1_hash": "0" * 64}]
)
def test_a_claim_that_was_tampered_with_has_no_k1_that_fits(forgery: dict[str, object]) -> None:
    forged = attrs.evolve(ORDINARY, **forgery)  # type: ignore[arg-type]
    judged = judge(forged, TERMS, OWN, NOW_MS)
    assert isinstance(judged, Judged)
    assert forged.k1_hash not in {judged.k1_hash_for(taken) for taken in range(50)}


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "bech32"),
        (write(Draft(human="lnbcrt")), "no amount"),
        (write(Draft(human="lnbc10u")), "network"),
        (invoice(1, made_s=MADE_S - 3595), "expired"),
        (write(Draft(payee=None, description=None)), "more than one way"),
    ],
)
def test_a_bad_invoice_is_refused_with_its_reason(text: str, word: str) -> None:
    refused = judge(attrs.evolve(ORDINARY, invoice=text), TERMS, OWN, NOW_MS)
    assert isinstance(refused, NotTaken)
    assert word in refused.reason


def test_an_expired_link_is_refused_whatever_the_web_let_through() -> None:
    assert isinstance(judge(ORDINARY, TERMS, OWN, NOW_MS + 600_000), Judged)
    assert isinstance(judge(ORDINARY, TERMS, OWN, NOW_MS + 601_000), NotTaken)


def test_a_cards_k1_is_its_own_and_has_no_end() -> None:
    token = lnurl.make_token(KEY, "alice", 0, 7)
    filed = attrs.evolve(ORDINARY, token_expires_s=0, card=7, k1_hash=lnurl.k1_hash(lnurl.k1(KEY, token, 0)))
    judged = judge(filed, TERMS, OWN, NOW_MS)
    assert isinstance(judged, Judged)
    assert judged.k1_hash_for(0) == filed.k1_hash
    other = judge(attrs.evolve(filed, card=8), TERMS, OWN, NOW_MS)
    assert isinstance(other, Judged)
    assert other.k1_hash_for(0) != filed.k1_hash


@pytest.mark.parametrize(
    ("notify", "card", "on", "kept"),
    [
        ("https://Wallet.example/wake?token=1", 7, True, "https://wallet.example/wake?token=1"),
        ("https://wallet.example/wake", 7, False, None),
        ("https://wallet.example/wake", 0, True, None),
        ("https://10.0.0.1/", 7, True, None),
        ("file:///etc/passwd", 7, True, None),
        (None, 7, True, None),
    ],
)
def test_a_wallets_url_for_news_is_checked_again_whatever_the_web_let_through(
    notify: str | None, card: int, kept: str | None, *, on: bool
) -> None:
    filed = attrs.evolve(ORDINARY, card=card, notify=notify)
    judged = judge(filed, attrs.evolve(TERMS, notify=on), OWN, NOW_MS)
    assert isinstance(judged, Judged)
    assert judged.intent.notify == kept
    assert "wake" not in repr(judged)


def test_the_server_key_and_k1_are_in_no_repr() -> None:
    assert KEY.decode() not in repr(TERMS) + repr(judge(ORDINARY, TERMS, OWN, NOW_MS))
