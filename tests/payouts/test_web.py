"""The LNURL routes as a wallet sees them."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import attrs
import pytest
from lnurl import lnurlauth_signature
from treq.client import HTTPClient
from treq.testing import RequestTraversalAgent
from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs

from payouts import lnurl, login
from payouts.claims import ClaimTerms
from payouts.login import Challenge, Purpose
from payouts.money import Msat, Sat
from payouts.values import Answer, PaymentState, WithdrawTerms
from payouts.web import LnurlRoutes, WithdrawOptions
from tests.payouts.fakes import KEY, TERMS
from tests.payouts.invoices import MADE_S, invoice

TOKEN = lnurl.make_token(KEY, "alice", MADE_S + 600)
BASE = "https://pool.example"


@attrs.define
class FakeDesk:
    """Terms of one account, and claims in a list; answers as it is told."""

    claims_taken: int = 0
    maximum: int = 5000
    filed: list[dict[str, Any]] = attrs.Factory(list)
    takes: bool = True
    refusal: str | None = None
    silent: bool = False
    state: PaymentState = PaymentState.RESERVED
    answers: dict[str, Answer] = attrs.Factory(dict)
    card: int = 0
    closed: str | None = None
    nothing: str | None = None
    signed_by: dict[str, str] = attrs.Factory(dict)

    def terms(self, account: str) -> WithdrawTerms | None:
        if account != "alice":
            return None
        return WithdrawTerms(
            self.claims_taken,
            Sat(10),
            Sat(self.maximum),
            closed=self.closed,
            card=self.card,
            balance=Msat(7_000_000),
            nothing=self.nothing,
        )

    def signed(self, k1_hash: str, wallet: str, signature: str) -> bool:
        return self.signed_by.setdefault(k1_hash, signature) is signature

    def answered(self, k1_hash: str) -> Answer | None:
        found = self.answers.get(k1_hash)
        return attrs.evolve(found, state=self.state, reason=self.refusal) if found else None

    async def file(
        self,
        *,
        account: str,
        token_expires_s: int,
        k1_hash: str,
        invoice: str,
        card: int = 0,
        notify: str | None = None,
    ) -> Answer | None:
        asked = {"account": account, "expires_s": token_expires_s, "invoice": invoice}
        extras = {name: value for name, value in (("card", card), ("notify", notify)) if value}
        self.filed.append({**asked, **extras})
        if self.silent:
            return None
        if not self.takes:
            return Answer(invoice, taken=False, state=None, reason=self.refusal)
        self.claims_taken += 1
        self.answers[k1_hash] = Answer(invoice, taken=True, state=self.state, reason=None)
        return self.answers[k1_hash]


@attrs.define
class Wallet:
    """A wallet that talks to the routes."""

    desk: FakeDesk = attrs.Factory(FakeDesk)
    now_s: int = MADE_S
    terms: ClaimTerms = TERMS
    admitted: bool = True

    def get(self, path: str) -> tuple[dict[str, Any], Any]:
        """The JSON answered, and the response."""
        routes = LnurlRoutes(
            self.desk,
            lambda: self.now_s * 1000,
            WithdrawOptions(BASE, "Sluice payout", self.terms),
            self.desk,
            lambda _: self.admitted,
        )
        agent = RequestTraversalAgent(routes.resource())  # type: ignore[no-untyped-call]
        results: list[tuple[dict[str, Any], Any]] = []

        async def ask() -> None:
            response = await HTTPClient(agent).get(BASE + path)
            agent.flush()  # type: ignore[no-untyped-call]
            results.append((json.loads(await response.content()), response))

        asked = Deferred.fromCoroutine(ask())
        agent.flush()  # type: ignore[no-untyped-call]
        failures: list[Any] = []
        asked.addErrback(failures.append)
        assert not failures, failures
        return results[0]

    def offer(self, token: str = TOKEN) -> dict[str, Any]:
        return self.get(f"/lnurl/w/{token}")[0]

    def claim(self, k1: str, text: str, token: str = TOKEN) -> dict[str, Any]:
        return self.get(f"/lnurl/w/{token}/cb?k1={k1}&pr={quote(text)}")[0]

    def login(self, k1: str, wallet: str, signature: str) -> dict[str, Any]:
        return self.get(f"{login.login_path(k1, Purpose.LOGIN)}&sig={signature}&key={wallet}")[0]


@pytest.fixture
def wallet() -> Wallet:
    return Wallet()


OK = {"status": "OK"}


def test_a_link_offers_what_there_is(wallet: Wallet) -> None:
    assert wallet.offer() == {
        "tag": "withdrawRequest",
        "callback": f"{BASE}/lnurl/w/{TOKEN}/cb",
        "k1": lnurl.k1(KEY, TOKEN, 0),
        "defaultDescription": "Sluice payout",
        "minWithdrawable": 10_000,
        "maxWithdrawable": 5_000_000,
    }
    assert wallet.desk.filed == []


def test_answers_are_not_stored_and_name_nobody(wallet: Wallet) -> None:
    for path in (f"/lnurl/w/{TOKEN}", f"/lnurl/w/{TOKEN}/cb?k1=a&pr=b"):
        headers = wallet.get(path)[1].headers
        assert headers.getRawHeaders("cache-control") == ["no-store"]
        assert headers.getRawHeaders("referrer-policy") == ["no-referrer"]
        assert headers.getRawHeaders("access-control-allow-origin") == ["*"]
        assert headers.getRawHeaders("content-type") == ["application/json"]


def test_a_forged_link_is_refused(wallet: Wallet) -> None:
    forged = lnurl.make_token(b"another key", "alice", MADE_S + 600)
    assert wallet.offer(forged) == {"status": "ERROR", "reason": "this withdraw link is not valid"}


def test_a_link_of_an_account_that_is_gone_is_refused(wallet: Wallet) -> None:
    assert wallet.offer(lnurl.make_token(KEY, "carol", MADE_S + 600))["status"] == "ERROR"


def test_an_expired_link_is_refused(wallet: Wallet) -> None:
    wallet.now_s = MADE_S + 600
    assert "expired" in wallet.offer()["reason"]


def test_too_small_a_balance_is_told(wallet: Wallet) -> None:
    wallet.desk.maximum = 9
    assert "minimum of 10 sat" in wallet.offer()["reason"]


def test_an_invoice_is_claimed_with_the_k1_of_the_offer(wallet: Wallet) -> None:
    assert wallet.claim(wallet.offer()["k1"], invoice(1)) == OK
    assert wallet.desk.filed == [{"account": "alice", "expires_s": MADE_S + 600, "invoice": invoice(1)}]


def test_upper_case_and_a_scheme_are_taken(wallet: Wallet) -> None:
    assert wallet.claim(wallet.offer()["k1"], "LIGHTNING:" + invoice(1).upper()) == OK
    assert wallet.desk.filed[0]["invoice"] == invoice(1)


def test_the_same_request_again_is_ok_again_and_files_nothing(wallet: Wallet) -> None:
    k1 = wallet.offer()["k1"]
    assert wallet.claim(k1, invoice(1)) == OK
    assert wallet.claim(k1, invoice(1)) == OK
    assert len(wallet.desk.filed) == 1


def test_another_invoice_for_a_used_k1_is_refused(wallet: Wallet) -> None:
    k1 = wallet.offer()["k1"]
    wallet.claim(k1, invoice(1))
    assert "was used" in wallet.claim(k1, invoice(2))["reason"]
    assert len(wallet.desk.filed) == 1


def test_the_link_offers_a_new_k1_after_each_claim(wallet: Wallet) -> None:
    first = wallet.offer()["k1"]
    wallet.claim(first, invoice(1))
    second = wallet.offer()["k1"]
    assert second != first
    assert wallet.claim(second, invoice(2)) == OK


def test_after_a_definite_failure_the_old_k1_answers_the_reason(wallet: Wallet) -> None:
    k1 = wallet.offer()["k1"]
    wallet.claim(k1, invoice(1))
    wallet.desk.state, wallet.desk.refusal = PaymentState.FAILED, "no route was found"
    assert "no route was found" in wallet.claim(k1, invoice(1))["reason"]


def test_a_k1_of_nobody_is_refused(wallet: Wallet) -> None:
    assert "was used" in wallet.claim("0" * 64, invoice(1))["reason"]
    assert wallet.desk.filed == []


def test_the_payers_refusal_is_told(wallet: Wallet) -> None:
    wallet.desk.takes, wallet.desk.refusal = False, "the balance is too small"
    assert wallet.claim(wallet.offer()["k1"], invoice(1)) == {
        "status": "ERROR",
        "reason": "the balance is too small",
    }


def test_a_payer_that_is_silent_means_nothing_was_paid(wallet: Wallet) -> None:
    wallet.desk.silent = True
    assert "nothing was paid" in wallet.claim(wallet.offer()["k1"], invoice(1))["reason"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("lnbcrt1nonsense", "bech32"),
        (invoice(1, sat=5001), "above the maximum of 5000 sat"),
        (invoice(1, sat=9), "below the minimum of 10 sat"),
        (invoice(1, made_s=MADE_S - 4000), "expired"),
        (invoice(1)[:-8] + invoice(1)[-8:].upper(), "bech32"),
    ],
)
def test_an_invoice_that_cannot_be_paid_is_refused_before_it_is_filed(
    wallet: Wallet, text: str, reason: str
) -> None:
    assert reason in wallet.claim(wallet.offer()["k1"], text)["reason"]
    assert wallet.desk.filed == []


@pytest.mark.parametrize(
    "query", ["", "k1=a", "pr=b", "k1=a&k1=b&pr=c", "k1=a&pr=b&pr=c", "k1=%ff&pr=b", "k1=a&pr=" + "q" * 2000]
)
def test_a_malformed_callback_is_refused(wallet: Wallet, query: str) -> None:
    answer = wallet.get(f"/lnurl/w/{TOKEN}/cb?{query}")[0]
    assert answer == {"status": "ERROR", "reason": "k1 and pr must each be given once"}


def test_what_the_routes_show_of_themselves_holds_no_key() -> None:
    assert KEY.decode() not in repr(WithdrawOptions(BASE, "x", TERMS))


def test_a_card_is_kept_by_the_wallet_until_it_is_revoked(wallet: Wallet) -> None:
    wallet.desk.card = 7
    card = lnurl.make_token(KEY, "alice", 0, 7)
    wallet.now_s = MADE_S + 600  # when the page's code has long expired, and the invoice has not
    offer = wallet.offer(card)
    assert offer["balanceCheck"] == f"{BASE}/lnurl/w/{card}"
    assert offer["currentBalance"] == 7_000_000
    assert wallet.claim(offer["k1"], invoice(1), card) == OK
    assert wallet.desk.filed == [{"account": "alice", "expires_s": 0, "invoice": invoice(1), "card": 7}]
    wallet.desk.card = 8
    assert "revoked" in wallet.offer(card)["reason"]
    assert "revoked" in wallet.claim("0" * 64, invoice(2), card)["reason"]


WAKE = "https://wallet.example/wake?token=t0psecret&x=1"


@pytest.mark.parametrize(
    ("asked", "card", "notify", "kept"),
    [
        (f"&balanceNotify={quote(WAKE, safe='')}", 7, True, WAKE),
        (f"&balanceNotify={quote(WAKE, safe='')}", 7, False, None),  # switched off
        (f"&balanceNotify={quote(WAKE, safe='')}", 0, True, None),  # the page's code does not last
        ("&balanceNotify=http%3A%2F%2F127.0.0.1%2F", 7, True, None),
        ("&balanceNotify=https%3A%2F%2Fa.example%2F&balanceNotify=https%3A%2F%2Fb.example%2F", 7, True, None),
        (f"&balanceNotify=https%3A%2F%2Fa.example%2F{'x' * 500}", 7, True, None),
        ("&balanceNotify=", 7, True, None),
    ],
)
def test_a_url_for_news_is_filed_with_a_cards_claim_or_goes_unheard_and_is_no_reason_to_pay_nobody(
    wallet: Wallet, asked: str, card: int, kept: str | None, *, notify: bool
) -> None:
    wallet.terms, wallet.desk.card = attrs.evolve(TERMS, notify=notify), card
    token = lnurl.make_token(KEY, "alice", 0, 7) if card else TOKEN
    k1 = wallet.offer(token)["k1"]
    with capturedLogs() as events:
        answer, _ = wallet.get(f"/lnurl/w/{token}/cb?k1={k1}&pr={invoice(1)}{asked}")
    assert answer == OK
    assert wallet.desk.filed[0].get("notify") == kept
    assert "t0psecret" not in repr(events)


def test_a_code_of_the_page_makes_no_card_of_itself(wallet: Wallet) -> None:
    wallet.desk.card = 7
    assert not {"balanceCheck", "currentBalance"} & set(wallet.offer())


def test_a_wallet_hears_why_nothing_can_be_withdrawn(wallet: Wallet) -> None:
    wallet.desk.maximum, wallet.desk.nothing = 9, "It is all held; wait a minute."
    assert wallet.offer()["reason"] == "It is all held; wait a minute."
    wallet.desk.maximum, wallet.desk.closed = 5000, "The operator has paused payments."
    assert wallet.offer()["reason"] == "The operator has paused payments."
    assert wallet.claim(lnurl.k1(KEY, TOKEN, 0), invoice(1))["reason"] == "The operator has paused payments."


def test_a_wallet_logs_in_once_with_each_challenge(wallet: Wallet) -> None:
    k1 = login.make_k1(KEY, Challenge(Purpose.LOGIN, MADE_S + 60), "ticket")
    key, signature = lnurlauth_signature(k1, b"\x05" * 32)
    assert wallet.login(k1, key.upper(), signature) == OK
    assert list(wallet.desk.signed_by) == [lnurl.k1_hash(k1)]
    assert "was used" in wallet.login(k1, key, signature)["reason"]


@pytest.mark.parametrize(
    ("until_s", "key", "seed", "reason"),
    [
        (MADE_S, KEY, 5, "out of date"),
        (MADE_S + 60, b"another key", 5, "out of date"),
        (MADE_S + 60, KEY, 6, "not of this key"),
    ],
)
def test_a_log_in_that_proves_nothing_is_refused(
    wallet: Wallet, until_s: int, key: bytes, seed: int, reason: str
) -> None:
    k1 = login.make_k1(key, Challenge(Purpose.LOGIN, until_s), "ticket")
    public, _ = lnurlauth_signature(k1, b"\x05" * 32)
    _, signature = lnurlauth_signature(k1, bytes([seed]) * 32)
    assert reason in wallet.login(k1, public, signature)["reason"]
    assert wallet.desk.signed_by == {}


def test_a_log_in_with_something_missing_is_refused(wallet: Wallet) -> None:
    assert "given once" in wallet.get(f"/lnurl/login?tag=login&k1={'0' * 64}&key=02")[0]["reason"]


class BrokenDesk(FakeDesk):
    """The database is locked."""

    def terms(self, account: str) -> WithdrawTerms | None:
        raise OSError("the database is locked")


def test_a_fault_of_ours_is_told_in_the_wallets_own_protocol() -> None:
    document, _ = Wallet(BrokenDesk()).get(f"/lnurl/w/{TOKEN}")
    assert document["status"] == "ERROR"
    assert "try again" in document["reason"]
    assert "locked" not in document["reason"]
