"""Owners' pages as a browser uses them: settings, cards, wallets' log-ins and proofs of an address."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import unescape
from pathlib import Path
from urllib.parse import urlsplit

import attrs
import lnurl as reference
import pytest
from lnurl import lnurlauth_signature
from twisted.logger import capturedLogs

from payouts.lnurl import read_token
from pool.accounts import hash_secret
from pool.regtest.qr import read_svg
from pool.web.private import LOGINS, LOGINS_EACH, WISHES
from pool.web.visits import SESSION_S, TICKET_S
from tests.pool.test_web_site import outline
from tests.pool.test_wishes import ADDRESS as OWN_ADDRESS
from tests.pool.test_wishes import by_owner
from tests.pool.web_site import FACTS, KEY, NAME, OWN_PAGE, SECRET, Reply, Running

SETTINGS = f"/a/{SECRET}/settings"


@pytest.fixture
def running(tmp_path: Path) -> Running:
    return Running(tmp_path)


@attrs.define
class Browser:
    """Keeps cookies as a browser does, and follows no redirects."""

    running: Running
    jar: dict[str, str] = attrs.Factory(dict)

    def get(self, path: str) -> Reply:
        return self._kept(self.running.ask(path, headers=self._headers()))

    def post(self, path: str, **fields: str) -> Reply:
        return self._kept(self.running.post(path, [*OWN_PAGE, *self._headers()], **fields))

    def _headers(self) -> Sequence[tuple[str, str]]:
        return [("Cookie", "; ".join(f"{name}={value}" for name, value in self.jar.items()))]

    def _kept(self, reply: Reply) -> Reply:
        for cookie in reply.cookies:
            name, _, value = cookie.partition(";")[0].partition("=")
            self.jar.pop(name, None)
            if value:
                self.jar[name] = value
        return reply


def code_on(reply: Reply) -> str:
    """The URL in the QR code of a page."""
    svg = re.search(r"<svg.*?</svg>", reply.text, re.DOTALL)
    assert svg is not None
    [text] = read_svg(svg[0])
    return str(reference.decode(text.partition(":")[2]))


def sign(running: Running, url: str, seed: int = 5) -> Reply:
    """What a wallet does with a scanned log-in code; it keeps the query that was there."""
    parts = urlsplit(url)
    k1 = re.search(r"k1=([0-9a-f]{64})", parts.query)
    assert k1 is not None
    key, signature = lnurlauth_signature(k1[1], bytes([seed]) * 32)
    return running.ask(f"{parts.path}?{parts.query}&sig={signature}&key={key}")


def link_a_wallet(running: Running, seed: int = 5) -> None:
    browser = Browser(running)
    page = browser.get(f"/a/{SECRET}/wallet")
    assert sign(running, code_on(page), seed).json == {"status": "OK"}
    assert browser.get(f"/a/{SECRET}/wallet").headers["Location"] == SETTINGS


def test_a_linked_wallet_opens_the_account_without_the_claim_link(running: Running) -> None:
    running.fill()
    link_a_wallet(running)
    browser = Browser(running)
    assert browser.get("/account").headers["Location"] == "/login"
    page = browser.get("/login")
    url = code_on(page)
    assert url.startswith("https://pool.example/lnurl/login?tag=login&k1=")
    assert url.endswith("&action=login")
    assert f'href="keyauth://{url.partition("://")[2].replace("&", "&amp;")}"' in page.text
    assert code_on(browser.get("/login")) == url  # the page loads itself again, and the code stays
    sign(running, url)
    answered = browser.get("/login")
    assert answered.headers["Location"] == "/account"
    opened = browser.get("/account")
    assert NAME in outline(opened.text).text
    assert "90,000" in opened.text
    assert SECRET not in opened.text
    assert browser.post("/account/settings", do="card").headers["Location"] == "/account/settings"
    browser.post("/account/logout")
    assert browser.get("/account").headers["Location"] == "/login"


def test_cookies_go_to_this_site_alone_and_no_script_reads_them(running: Running) -> None:
    link_a_wallet(running)
    browser = Browser(running)
    page = browser.get("/login")
    sign(running, code_on(page))
    session = next(c for c in browser.get("/login").cookies if "session" in c and "Max-Age=0" not in c)
    for cookie, name, seconds in [
        (page.cookies[0], "__Host-sluice-ticket", TICKET_S),
        (session, "__Host-sluice-session", SESSION_S),
    ]:
        assert cookie.startswith(f"{name}=")
        assert cookie.endswith(f"; Path=/; HttpOnly; SameSite=Lax; Max-Age={seconds}; Secure")


def test_an_onion_site_keeps_cookies_too(tmp_path: Path) -> None:
    onion = attrs.evolve(FACTS, public_url="http://" + "a" * 56 + ".onion")
    [cookie] = Running(tmp_path, onion).ask("/login").cookies
    assert cookie.startswith("sluice-ticket=")
    assert "Secure" not in cookie


def test_who_only_sees_the_code_is_not_logged_in_by_it(running: Running) -> None:
    link_a_wallet(running)
    owner, bystander = Browser(running), Browser(running)
    bystander.get("/login")
    sign(running, code_on(owner.get("/login")))
    assert bystander.get("/login").status == 200
    assert owner.get("/login").headers["Location"] == "/account"


def test_a_session_ends_with_its_time_and_when_the_wallet_is_unlinked(running: Running) -> None:
    link_a_wallet(running)
    browser = Browser(running)
    sign(running, code_on(browser.get("/login")))
    browser.get("/login")
    [key] = [wallet.key for wallet in running.desk.wallets(NAME)]
    running.now_ms += SESSION_S * 1000 - 1
    assert browser.get("/account").status == 200
    running.post(SETTINGS, do="unlink", wallet=key)
    assert browser.get("/account").headers["Location"] == "/login"
    link_a_wallet(running)
    assert browser.get("/account").status == 200
    running.now_ms += 1
    assert browser.get("/account").headers["Location"] == "/login"


def test_a_wallet_that_nobody_linked_is_told_what_to_do(running: Running) -> None:
    browser = Browser(running)
    sign(running, code_on(browser.get("/login")))
    assert "Open your account with its claim link once" in browser.get("/login").text


@pytest.mark.parametrize("ticket", ["", "1.zz", f"{10**12 - 1}.{'0' * 32}", f"1.{'0' * 32}"])
def test_a_ticket_that_we_did_not_give_is_replaced(running: Running, ticket: str) -> None:
    browser = Browser(running, {"__Host-sluice-ticket": ticket})
    browser.get("/login")
    assert browser.jar["__Host-sluice-ticket"] != ticket


def test_a_code_to_log_in_links_no_wallet(running: Running) -> None:
    browser = Browser(running)
    browser.get("/login")
    sign(running, code_on(browser.get("/login")))
    assert browser.get(f"/a/{SECRET}/wallet").status == 200
    assert running.desk.wallets(NAME) == []


def test_a_card_is_made_shown_and_revoked(running: Running) -> None:
    running.payable(1_000)
    assert "does not expire" in running.ask(SETTINGS).text
    assert running.post(SETTINGS, do="card").headers["Location"] == SETTINGS
    url = code_on(running.ask(SETTINGS))
    said = read_token(KEY, url.rpartition("/")[2])
    assert said is not None
    assert (said.account, said.card) == (NAME, running.desk.access.card_number(NAME))
    running.post(SETTINGS, do="no card")
    assert running.desk.access.card_number(NAME) == 0
    assert "<svg" not in running.ask(SETTINGS).text


def test_a_new_claim_link_is_shown_once_and_closes_the_old_one(running: Running) -> None:
    page = running.post(SETTINGS, do="renew")
    [link] = [item["href"] for item in outline(page.text).all("a") if item.get("id") == "claim-link"]
    assert page.headers["Cache-Control"] == "no-store"
    assert page.headers["Referrer-Policy"] == "no-referrer"
    assert running.ask(f"/a/{SECRET}").status == 404
    assert NAME in running.ask(str(link).removeprefix("https://pool.example")).text


def test_another_destination_is_announced_on_the_account_until_it_is_taken_back(running: Running) -> None:
    running.post(SETTINGS, do="redirect", rail="lightning", target="Thief@wallet.example")
    for path in (f"/a/{SECRET}", SETTINGS):
        text = outline(running.ask(path).text).text
        assert "From 2027-01-16 08:00 UTC on, small balances are paid to thief@wallet.example" in text
    number = re.search(r'name="number" value="(\d+)"', running.ask(SETTINGS).text)
    assert number is not None
    running.post(SETTINGS, do="call off", number=number[1])
    assert "change is waiting" not in running.ask(f"/a/{SECRET}").text


def test_a_destination_in_force_is_shown(running: Running) -> None:
    running.post(SETTINGS, do="redirect", rail="onchain", target="bcrt1qexample")
    running.now_ms += 24 * 3_600_000
    assert "Now: bcrt1qexample" in outline(running.ask(SETTINGS).text).text


@pytest.mark.parametrize(
    ("fields", "status", "words"),
    [
        ({"do": "redirect", "rail": "lightning", "target": "nobody"}, 409, "Nothing can be paid there"),
        ({"do": "call off", "number": "7"}, 409, "There is no such change"),
        ({"do": "call off", "number": "x"}, 400, "not one of this page's"),
        ({"do": "give me all"}, 400, "not one of this page's"),
        ({}, 400, "not one of this page's"),
    ],
)
def test_what_cannot_be_done_is_told(
    running: Running, fields: dict[str, str], status: int, words: str
) -> None:
    reply = running.post(SETTINGS, **fields)
    assert reply.status == status
    assert words in unescape(reply.text)


@pytest.mark.parametrize("do", ["card", "renew", "unlink", "redirect"])
@pytest.mark.parametrize("header", [("Sec-Fetch-Site", "cross-site"), ("Origin", "https://evil.example")])
def test_no_other_site_changes_anything(running: Running, do: str, header: tuple[str, str]) -> None:
    reply = running.post(SETTINGS, [header], do=do, rail="lightning", target="thief@wallet.example")
    assert reply.status == 403
    assert running.desk.access.card(NAME) is None
    assert running.desk.waiting(NAME) == []
    assert running.ask(f"/a/{SECRET}").status == 200


def test_wishes_cannot_be_filed_without_bound(running: Running) -> None:
    for _ in range(WISHES.size):
        assert running.post(SETTINGS, do="no card").status == 303
    assert running.post(SETTINGS, do="no card").status == 429
    running.now_ms += 500
    assert running.post(SETTINGS, do="no card").status == 303


def test_an_owner_sees_that_the_cards_wallet_is_told_and_ends_it_with_the_card(running: Running) -> None:
    running.post(SETTINGS, do="card")
    assert "told of new balances" not in running.ask(SETTINGS).text
    card = running.desk.access.card_number(NAME)
    running.ledger.execute(
        "INSERT INTO notice VALUES (?, ?, 'https://t0psecret.example/', 0, 0, 0)", (NAME, card)
    )
    page = running.ask(SETTINGS).text
    assert "told of new balances" in page
    assert "t0psecret" not in page
    running.post(SETTINGS, do="card")
    assert "told of new balances" not in running.ask(SETTINGS).text


def from_(address: str) -> tuple[str, str]:
    return ("X-Forwarded-For", address)


def test_wallets_cannot_log_in_without_bound_and_hear_so_in_their_own_protocol(running: Running) -> None:
    def sign_in(address: str, seed: int) -> dict[str, str]:
        parts = urlsplit(code_on(running.ask("/login")))
        k1 = parts.query.partition("k1=")[2][:64]
        key, signature = lnurlauth_signature(k1, seed.to_bytes(32, "big"))
        path = f"{parts.path}?{parts.query}&sig={signature}&key={key}"
        answer: dict[str, str] = running.ask(path, headers=[from_(address)]).json
        return answer

    ok, too_many = {"status": "OK"}, "too many wallets log in at once: try again in a minute"
    answers = [sign_in("9.9.9.9", seed) for seed in range(1, LOGINS_EACH.size + 2)]
    assert answers == [ok] * LOGINS_EACH.size + [{"status": "ERROR", "reason": too_many}]
    others = [sign_in(f"9.9.8.{number}", number) for number in range(1, LOGINS.size + 1)]
    assert others.count(ok) == LOGINS.size - LOGINS_EACH.size
    running.now_ms += LOGINS_EACH.every_ms
    assert sign_in("9.9.9.9", 99) == ok


def test_signatures_of_an_address_cannot_be_tried_without_bound(running: Running) -> None:
    path, form = f"/prove/{OWN_ADDRESS}", {"secret": SECRET, "until": "1800000000", "signature": "AA=="}
    for _ in range(LOGINS_EACH.size):
        assert running.post(path, [*OWN_PAGE, from_("9.9.9.9")], **form).status == 200
    assert running.post(path, [*OWN_PAGE, from_("9.9.9.9")], **form).status == 429
    assert running.post(path, [*OWN_PAGE, from_("9.9.8.8")], **form).status == 200


def test_a_payer_that_is_away_changes_nothing_and_is_told(running: Running) -> None:
    running.payer_is_away = True
    reply = running.post(SETTINGS, do="card")
    assert reply.status == 503
    assert "nothing was changed" in reply.text
    assert f'<a class="button" href="{SETTINGS}">Back</a>' in reply.text


def fields_of(reply: Reply) -> dict[str, str]:
    return {
        str(item["name"]): str(item["value"])
        for item in outline(reply.text).all("input")
        if item.get("type") == "hidden"
    }


def message_of(reply: Reply) -> str:
    found = re.search(r'id="message">([^<]+)<', reply.text)
    assert found is not None
    return unescape(found[1])


def test_an_address_is_proven_by_a_signature_and_then_withdrawn_from(running: Running) -> None:
    page = running.ask(f"/prove/{OWN_ADDRESS.upper()}")
    message = message_of(page)
    assert message.startswith(f"https://pool.example account {OWN_ADDRESS}: ")
    assert f"/prove/{OWN_ADDRESS}" in running.ask(f"/u/{OWN_ADDRESS}").text
    fields = fields_of(page)
    wrong = running.post(f"/prove/{OWN_ADDRESS}", **fields, signature=by_owner(message + "."))
    assert "not of this address and this message" in wrong.text
    assert message_of(wrong) == message  # the same text again: what was signed is not lost
    done = running.post(f"/prove/{OWN_ADDRESS}", **fields, signature=f" {by_owner(message)}\n")
    [link] = [item["href"] for item in outline(done.text).all("a") if item.get("id") == "claim-link"]
    assert running.desk.account_of_link(hash_secret(fields["secret"])) == OWN_ADDRESS
    opened = running.ask(str(link).removeprefix("https://pool.example"))
    assert OWN_ADDRESS in opened.text
    again = running.post(f"/prove/{OWN_ADDRESS}", **fields, signature=by_owner(message))
    assert again.status == 409
    settings = running.ask(str(link).removeprefix("https://pool.example") + "/settings")
    assert "Bitcoin address" not in settings.text  # it has one
    assert f"/prove/{OWN_ADDRESS}" in settings.text


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"secret": "short", "until": "1800000060"},
        {"secret": "s" * 43, "until": "soon"},
        {"secret": "s" * 43, "until": "-1"},
    ],
)
def test_a_form_that_is_not_ours_proves_nothing(running: Running, fields: dict[str, str]) -> None:
    assert running.post(f"/prove/{OWN_ADDRESS}", **fields, signature="x").status == 404


def test_what_is_no_address_here_cannot_be_proven(running: Running, tmp_path: Path) -> None:
    assert running.ask("/prove/bc1q9vza2e8x573nczrlzms0wvx3gsqjx7vavgkx0l").status == 404
    without = Running(tmp_path / "other", attrs.evolve(FACTS, lightning_minimum=None), lightning=False)
    assert without.ask(f"/prove/{OWN_ADDRESS}").status == 404


def test_owners_pages_are_whole_private_and_need_no_script(running: Running) -> None:
    running.post(SETTINGS, do="card")
    running.post(SETTINGS, do="redirect", rail="lightning", target="me@wallet.example")
    link_a_wallet(running)
    paths = [f"/a/{SECRET}", SETTINGS, f"/a/{SECRET}/wallet", "/login", f"/prove/{OWN_ADDRESS}"]
    for path in paths:
        reply = running.ask(path)
        page = outline(reply.text)
        assert (reply.status, len(page.all("h1")), page.all("script")) == (200, 1, [])
        assert not [attributes for _, attributes in page.tags if "style" in attributes]
        assert reply.headers["Cache-Control"] == "no-store"
        assert "default-src 'none'" in reply.headers["Content-Security-Policy"]
        labelled = {label["for"] for label in page.all("label")}
        named = [item for item in page.all("input") + page.all("textarea") if item.get("type") != "hidden"]
        assert {item["id"] for item in named} == labelled


def test_no_secret_of_an_owner_reaches_a_log(running: Running) -> None:
    with capturedLogs() as events:
        link_a_wallet(running)
        browser = Browser(running)
        url = code_on(browser.get("/login"))
        sign(running, url)
        browser.get("/login")
        page = running.ask(f"/prove/{OWN_ADDRESS}")
        running.post(f"/prove/{OWN_ADDRESS}", **fields_of(page), signature="bad")
        renewed = running.post(SETTINGS, do="renew")
    logged = repr(events)
    link = re.search(r"/a/([\w-]{43})", renewed.text)
    assert link is not None
    k1 = re.search(r"k1=([0-9a-f]{64})", url)
    assert k1 is not None
    secrets = [SECRET, link[1], k1[1], fields_of(page)["secret"], *browser.jar.values()]
    assert len(events) >= 8
    assert [secret for secret in secrets if secret in logged] == []
