"""Logging in with a wallet: challenges that only we make, signatures that only the wallet makes, sessions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lnurl import lnurlauth_signature

from payouts import login
from payouts.login import Challenge, Purpose

KEY = b"k" * 32
SECRET = b"\x09" * 32
UNTIL = Challenge(Purpose.LOGIN, 1_800_000_600)
purposes = st.sampled_from(Purpose)
moments = st.integers(0, 2**40 - 1)


@given(purposes, moments, st.text(max_size=20), st.text(max_size=20))
def test_a_challenge_is_read_as_it_was_made(
    purpose: Purpose, until_s: int, ticket: str, account: str
) -> None:
    made = login.make_k1(KEY, Challenge(purpose, until_s), ticket, account)
    assert login.read_k1(KEY, made) == Challenge(purpose, until_s)
    assert login.read_k1(KEY + b"x", made) is None
    assert made == login.make_k1(KEY, Challenge(purpose, until_s), ticket, account)


def test_each_browser_and_each_account_has_a_challenge_of_its_own() -> None:
    made = {
        login.make_k1(KEY, UNTIL, *who) for who in [("a",), ("b",), ("a", "alice"), ("a", "bob"), ("ab", "")]
    }
    assert len(made) == 5


@given(st.text(max_size=80))
def test_no_text_is_a_challenge_by_chance(text: str) -> None:
    assert login.read_k1(KEY, text) is None


@given(st.integers(0, 63), st.sampled_from("0123456789abcdefX"))
def test_a_challenge_with_a_digit_changed_is_nothing(place: int, digit: str) -> None:
    made = login.make_k1(KEY, UNTIL, "ticket")
    changed = made[:place] + digit + made[place + 1 :]
    assert changed == made or login.read_k1(KEY, changed) is None


def test_a_wallets_signature_is_good_for_its_challenge_alone() -> None:
    made, other = login.make_k1(KEY, UNTIL, "one"), login.make_k1(KEY, UNTIL, "two")
    wallet, signature = lnurlauth_signature(made, SECRET)
    stranger, _ = lnurlauth_signature(made, b"\x0a" * 32)
    assert login.is_signed(made, wallet, signature)
    assert not login.is_signed(other, wallet, signature)
    assert not login.is_signed(made, stranger, signature)


@pytest.mark.parametrize("wallet", ["", "02" + "f" * 64, "04" + "1" * 64, "02" + "g" * 64, "zz"])
def test_what_is_no_key_signs_nothing(wallet: str) -> None:
    made = login.make_k1(KEY, UNTIL, "one")
    assert not login.is_signed(made, wallet, lnurlauth_signature(made, SECRET)[1])


@given(st.text(alphabet="0123456789abcdef", max_size=160))
def test_no_digits_are_a_signature_by_chance(signature: str) -> None:
    made = login.make_k1(KEY, UNTIL, "one")
    assert not login.is_signed(made, lnurlauth_signature(made, SECRET)[0], signature)


def test_the_link_says_what_lud_04_asks_for() -> None:
    made = login.make_k1(KEY, UNTIL, "one")
    assert login.login_path(made, Purpose.LINK) == f"/lnurl/login?tag=login&k1={made}&action=link"


def test_a_session_is_its_wallets_until_it_is_over() -> None:
    wallet, _ = lnurlauth_signature("00" * 32, SECRET)
    session = login.make_session(KEY, wallet, 1_000)
    assert login.read_session(KEY, session, 999) == wallet
    assert login.read_session(KEY, session, 1_000) is None
    assert login.read_session(b"other", session, 0) is None


@given(st.text(max_size=120))
def test_no_text_is_a_session_by_chance(text: str) -> None:
    assert login.read_session(KEY, text, 0) is None
