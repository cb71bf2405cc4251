"""Withdraw tokens, k1 and the documents."""

from __future__ import annotations

import json
from urllib.parse import parse_qsl, urlsplit

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lnurl import decode as lnurl_decode

from payouts import lnurl
from payouts.money import Msat, Sat

KEY = b"k" * 32
names = st.text(min_size=1, max_size=40).filter(lambda name: name.isprintable())
moments = st.integers(0, 2**40 - 1)


@given(names, moments, st.binary(min_size=16, max_size=32))
def test_a_token_is_read_as_it_was_made(account: str, expires_s: int, key: bytes) -> None:
    token = lnurl.make_token(key, account, expires_s)
    if len(token) <= 200:
        assert lnurl.read_token(key, token) == lnurl.TokenFor(account, expires_s)
    assert lnurl.make_token(key, account, expires_s) == token


@given(names, moments, st.binary(min_size=16, max_size=32))
def test_a_token_of_another_key_is_nothing(account: str, expires_s: int, key: bytes) -> None:
    assert lnurl.read_token(KEY + key, lnurl.make_token(key, account, expires_s)) is None


@given(st.text(max_size=300))
def test_no_text_is_a_token_by_chance(text: str) -> None:
    assert lnurl.read_token(KEY, text) is None


@given(st.data())
def test_a_token_with_one_letter_changed_is_nothing(data: st.DataObject) -> None:
    token = lnurl.make_token(KEY, "alice", 1_800_000_000)
    place = data.draw(st.integers(0, len(token) - 1))
    letter = data.draw(st.sampled_from([c for c in "abcXYZ019-_+/=é" if c != token[place]]))
    assert lnurl.read_token(KEY, token[:place] + letter + token[place + 1 :]) is None


def test_a_token_fits_a_url_path() -> None:
    token = lnurl.make_token(KEY, "bcrt1q" + "z" * 56, 1_800_000_000)
    assert token.replace("-", "").replace("_", "").isalnum()
    assert lnurl.read_token(KEY, token) is not None


def test_each_claim_changes_k1() -> None:
    token = lnurl.make_token(KEY, "alice", 1_800_000_000)
    seen = {lnurl.k1(KEY, token, taken) for taken in range(100)}
    assert len(seen) == 100
    assert all(len(bytes.fromhex(secret)) == 32 for secret in seen)


def test_k1_depends_on_key_and_token() -> None:
    first, second = (lnurl.make_token(KEY, name, 1_800_000_000) for name in ("alice", "bob"))
    assert len({lnurl.k1(KEY, first, 0), lnurl.k1(KEY, second, 0), lnurl.k1(b"other", first, 0)}) == 3


def test_what_is_stored_of_a_k1_does_not_tell_it() -> None:
    assert lnurl.k1_hash("00") == "f1534392279bddbf9d43dde8701cb5be14b82f76ec6607bf8d6ad557f60f304e"


OFFERED = lnurl.Offered(
    callback="https://pool.example/lnurl/w/t/cb",
    secret="ab",
    description="Sluice: mining reward",
    minimum=Sat(10),
    maximum=Sat(25),
)


def test_the_withdraw_document_has_no_nulls_and_tells_msat() -> None:
    assert json.loads(lnurl.withdraw_document(OFFERED)) == {
        "tag": "withdrawRequest",
        "callback": "https://pool.example/lnurl/w/t/cb",
        "k1": "ab",
        "defaultDescription": "Sluice: mining reward",
        "minWithdrawable": 10_000,
        "maxWithdrawable": 25_000,
    }


def test_a_cards_document_says_where_a_wallet_may_look_again_and_what_it_would_find() -> None:
    url = "https://pool.example/lnurl/w/t"
    document = json.loads(lnurl.withdraw_document(attrs.evolve(OFFERED, again=url, balance=Msat(30_500))))
    assert (document["balanceCheck"], document["currentBalance"]) == (url, 30_500)


def test_the_fast_link_holds_the_whole_offer_and_is_still_the_link() -> None:
    url = "https://pool.example/lnurl/w/t"
    parts = urlsplit(lnurl.fast_url(url, OFFERED))
    assert parts._replace(query="").geturl() == url
    asked = {name: int(value) if value.isdigit() else value for name, value in parse_qsl(parts.query)}
    assert asked == json.loads(lnurl.withdraw_document(OFFERED))


def test_an_offer_that_ends_below_its_beginning_is_a_bug() -> None:
    with pytest.raises(ValueError, match="maxWithdrawable"):
        lnurl.withdraw_document(attrs.evolve(OFFERED, minimum=Sat(2), maximum=Sat(1)))


def test_no_repr_shows_what_can_be_claimed_with() -> None:
    assert "ab" not in repr(attrs.evolve(OFFERED, callback="x", again="https://pool.example/ab"))


@given(names, st.integers(1, 2**40 - 1))
def test_a_cards_token_is_read_as_it_was_made_and_is_no_other_links(account: str, number: int) -> None:
    token = lnurl.make_token(KEY, account, 0, number)
    if len(token) <= 200:
        assert lnurl.read_token(KEY, token) == lnurl.TokenFor(account, 0, number)
    assert token != lnurl.make_token(KEY, account, number)


def test_a_link_by_lud_17_is_the_same_url() -> None:
    assert lnurl.lud17_link("https://pool.example/x?a=1", "keyauth") == "keyauth://pool.example/x?a=1"


def test_errors_and_success_are_as_lud_01_says() -> None:
    assert json.loads(lnurl.error_document('no "x"')) == {"status": "ERROR", "reason": 'no "x"'}
    assert json.loads(lnurl.success_document()) == {"status": "OK"}


def test_the_qr_holds_upper_case_that_decodes_to_the_url() -> None:
    url = "https://pool.example/lnurl/w/abc_DEF-123"
    text = lnurl.qr_text(url)
    assert text == text.upper()
    assert text.startswith("LIGHTNING:LNURL1")
    assert str(lnurl_decode(text.removeprefix("LIGHTNING:"))) == url


@pytest.mark.parametrize("url", ["http://pool.example/x", "ftp://pool.example/x", "nothing"])
def test_a_url_that_wallets_refuse_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        lnurl.bech32_link(url)
