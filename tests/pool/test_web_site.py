"""The site's routes, asked as a browser asks: pages, secrets, headers, accounts, API."""

from __future__ import annotations

import json
import re
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import attrs
import pytest
from twisted.logger import capturedLogs
from twisted.web.resource import Resource
from twisted.web.server import Request

from payouts.money import Sat
from pool.accounts import hash_secret
from pool.config import Config
from pool.rewards.fpps import Rate
from pool.rewards.policy import Policy, Scheme
from pool.store.ledger import LedgerStore
from pool.store.rates import rate_entry
from pool.web.ports import facts_of
from pool.web.site import ACCOUNTS, ACCOUNTS_EACH
from tests.pool.test_store_queries import ADDRESS, NOW_MS, add_shares
from tests.pool.web_site import FACTS, NAME, SECRET, Running

PAGES = ["/", "/blocks", "/start", f"/a/{SECRET}", f"/u/{ADDRESS}", "/nowhere"]
VOID = {"meta", "link", "br", "input", "img"}


class Outline(HTMLParser):
    """Checks that tags nest, and gathers what a structural test asks for."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def outline(text: str) -> Outline:
    parsed = Outline()
    parsed.feed(text)
    parsed.close()
    assert parsed.open == []
    return parsed


@pytest.fixture
def running(tmp_path: Path) -> Running:
    return Running(tmp_path)


@pytest.mark.parametrize("path", PAGES)
def test_every_page_is_whole_and_needs_no_script_and_nobody_elses_files(running: Running, path: str) -> None:
    running.fill()
    running.payable(1000)
    reply = running.ask(path)
    page = outline(reply.text)
    assert [page.all("html")[0]["lang"], len(page.all("h1")), len(page.all("title"))] == ["en", 1, 1]
    assert not page.all("script")
    assert not [attributes for _, attributes in page.tags if "style" in attributes]
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    loaded = [item["href"] for item in page.all("link")] + [item["src"] for item in page.all("img")]
    assert all(str(place).startswith(("/static/", "data:")) for place in loaded)
    assert "width=device-width" in str(page.all("meta"))


@pytest.mark.parametrize("path", [*PAGES, "/static/style.css", "/api/v1/pool", "/healthz", "/metrics"])
def test_every_answer_carries_the_headers_that_protect_it(running: Running, path: str) -> None:
    headers = running.ask(path).headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "script" not in policy
    assert "unsafe" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == ("same-origin" if path == "/start" else "no-referrer")


@pytest.mark.parametrize("path", [f"/a/{SECRET}", "/a/unknown", f"/u/{ADDRESS}"])
def test_no_cache_keeps_an_account_page(running: Running, path: str) -> None:
    assert running.ask(path).headers["Cache-Control"] == "no-store"


def test_the_front_page_tells_how_to_connect_and_on_what_terms(running: Running) -> None:
    running.fill()
    page = outline(running.ask("/").text)
    assert "stratum+tcp://pool.example:3333" in page.text
    assert "1.5 % of what a block pays" in page.text
    assert "newest shares worth 8 blocks" in page.text
    assert "TH/s" in page.text
    assert "75 shares" in page.text
    assert "840001" in page.text
    assert {"href": "/start", "class": "button"} in page.all("a")


def test_an_empty_pool_has_a_front_page_too(running: Running) -> None:
    page = outline(running.ask("/").text)
    assert "No block yet" in page.text
    assert "no shares yet" in page.text


def test_the_name_of_the_pool_is_escaped(running: Running) -> None:
    text = running.ask("/").text
    assert "Club &lt;pool&gt;" in text
    assert "<pool>" not in text


def test_a_workers_name_cannot_put_markup_into_a_page(running: Running) -> None:
    add_shares(running.shares, NAME, 1, NOW_MS - 1_000, "<script>alert(1)</script>\"'&")
    text = running.ask(f"/a/{SECRET}").text
    assert "<script" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text


def test_the_blocks_page_shows_state_effort_and_reward(running: Running) -> None:
    running.fill()
    text = outline(running.ask("/blocks").text).text
    assert "immature" in text
    assert "312,500,000" in text
    assert "94 %" in text
    assert "109 %" in text
    assert "Luck: 98 % (" in text
    assert ") over 2 blocks." in text


def test_the_start_page_has_one_button_and_get_makes_nothing(running: Running) -> None:
    page = outline(running.ask("/start").text)
    assert [form["method"] for form in page.all("form")] == ["post"]
    assert len(page.all("button")) == 1
    assert running.accounts.made == 0


def test_the_button_makes_an_account_and_shows_its_claim_link_once(running: Running) -> None:
    reply = running.ask("/start", "POST", [("Sec-Fetch-Site", "same-origin")])
    page = outline(reply.text)
    [link] = [item["href"] for item in page.all("a") if item.get("id") == "claim-link"]
    assert str(link).startswith("https://pool.example/a/")
    assert "m-new1" in page.text
    assert reply.headers["Cache-Control"] == "no-store"
    assert reply.headers["Referrer-Policy"] == "no-referrer"
    opened = running.ask(str(link).removeprefix("https://pool.example"))
    assert opened.status == 200
    assert str(link) not in opened.text


@pytest.mark.parametrize(
    "header",
    [
        ("Sec-Fetch-Site", "cross-site"),
        ("Sec-Fetch-Site", "same-site"),
        ("Origin", "https://evil.example"),
        ("Origin", "null"),
    ],
)
def test_a_form_on_another_site_makes_no_account(running: Running, header: tuple[str, str]) -> None:
    reply = running.ask("/start", "POST", [header])
    assert reply.status == 403
    assert running.accounts.made == 0


def test_accounts_cannot_be_made_without_bound(running: Running) -> None:
    for _ in range(ACCOUNTS.size):
        assert running.ask("/start", "POST").status == 200
    assert running.ask("/start", "POST").status == 429
    running.now_ms += 2_000
    assert running.ask("/start", "POST").status == 200
    assert running.ask("/start", "POST").status == 429


def test_one_address_makes_few_of_them(running: Running) -> None:
    here = [("X-Forwarded-For", "9.9.9.9")]
    for _ in range(ACCOUNTS_EACH.size):
        assert running.ask("/start", "POST", here).status == 200
    assert running.ask("/start", "POST", here).status == 429
    assert running.ask("/start", "POST", [("X-Forwarded-For", "9.9.9.8")]).status == 200


def test_an_account_that_cannot_be_saved_is_not_shown(running: Running) -> None:
    running.accounts.broken = True
    reply = running.ask("/start", "POST")
    assert reply.status == 503
    assert "/a/" not in reply.text


def test_the_account_page_shows_balances_rewards_payments_and_workers(running: Running) -> None:
    running.fill()
    text = outline(running.ask(f"/a/{SECRET}").text).text
    for shown in (NAME, "250,000.123", "90,000", "bitaxe", "21,000", "1.500", "settled", "40 / 100"):
        assert shown in text.replace("\u202f", " ")


def test_a_machine_that_went_silent_is_called_so(running: Running) -> None:
    add_shares(running.shares, NAME, 500, NOW_MS - 1_800_000, "gone")
    add_shares(running.shares, NAME, 1, NOW_MS - 60_000, "there")
    rows = outline(running.ask(f"/a/{SECRET}").text).text
    assert "30 min ago silent" in rows.replace("\n", " ")
    assert "1 min ago silent" not in rows


def test_the_withdraw_code_is_beside_its_links_and_says_how_long_it_lasts(running: Running) -> None:
    running.payable(1234)
    page = outline(running.ask(f"/a/{SECRET}").text)
    links = [str(item["href"]) for item in page.all("a")]
    assert any(link.startswith("lightning:LNURL1") for link in links)
    assert any(link.startswith("lnurlw://pool.example/lnurl/w/") for link in links)
    [code] = [item for item in page.all("span") if item.get("role") == "img"]
    assert "1234 sat" in str(code["aria-label"])
    assert len(page.all("svg")) == 1
    assert "Valid for 10 minutes, until 2027-01-15 08:10 UTC" in page.text
    assert "10 to 1,234 sat" in page.text


def test_without_anything_payable_the_page_says_why_and_when(running: Running) -> None:
    page = outline(running.ask(f"/a/{SECRET}").text)
    assert not page.all("svg")
    assert "the least that is paid is 10 sat" in page.text
    assert "next blocks" in page.text


def test_a_pool_without_lightning_says_so(tmp_path: Path) -> None:
    running = Running(tmp_path, attrs.evolve(FACTS, lightning_minimum=None), lightning=False)
    assert "does not pay over Lightning" in running.ask(f"/a/{SECRET}").text


@pytest.mark.parametrize("secret", ["short", "x" * 43, "%2e%2e", "ä" * 43, SECRET + "x"])
def test_an_unknown_secret_gets_a_friendly_answer_that_repeats_nothing(running: Running, secret: str) -> None:
    reply = running.ask(f"/a/{secret.encode().hex() if not secret.isascii() else secret}")
    assert reply.status == 404
    assert "claim link is complete" in reply.text
    assert secret not in reply.text


def test_a_secret_is_looked_up_by_its_hash(running: Running) -> None:
    assert running.desk.account_of_link(hash_secret(SECRET)) == NAME
    assert NAME in running.ask(f"/a/{SECRET}").text


def test_no_secret_reaches_a_log(running: Running) -> None:
    running.payable(100)
    with capturedLogs() as events:
        page = running.ask(f"/a/{SECRET}?x={SECRET}")
        running.ask(f"/a/{SECRET}/", "POST")
        running.ask(f"/{SECRET}")
        running.ask("/start", "POST")
    token = re.search(r"lnurlw://pool.example/lnurl/w/([\w-]+)", page.text)
    assert token is not None
    logged = repr(events)
    assert len(events) >= 4
    assert SECRET not in logged
    assert token[1] not in logged
    assert f"{1:043d}" not in logged


def test_an_address_page_is_public_and_tells_the_threshold(running: Running) -> None:
    running.fill()
    text = outline(running.ask(f"/u/{ADDRESS.upper()}").text).text
    assert ADDRESS in text
    assert "749,999.877 sat to go" in text
    assert "1,200,000" in text
    assert "on-chain" in text


def test_an_address_that_the_pool_never_saw_is_told_how_to_begin(running: Running) -> None:
    assert "has not seen this address" in outline(running.ask(f"/u/{ADDRESS}").text).text


@pytest.mark.parametrize("name", [NAME, "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq", "x"])
def test_only_addresses_of_the_network_have_a_public_page(running: Running, name: str) -> None:
    running.fill()
    assert running.ask(f"/u/{name}").status == 404
    assert running.ask(f"/api/v1/account/{name}").status == 404


def test_the_api_gives_amounts_as_strings(running: Running) -> None:
    running.fill()
    pool = running.ask("/api/v1/pool").json
    assert pool["threshold_sat"] == "1000000"
    assert pool["hashrate_10min"]["shares"] == 75
    [newest, oldest] = running.ask("/api/v1/blocks").json["blocks"]
    assert (newest["height"], oldest["value_msat"]) == (840_001, "312500000000")
    account = running.ask(f"/api/v1/account/{ADDRESS}")
    assert account.json["available_msat"] == "250000123"
    assert account.json["payments"][0]["amount_msat"] == "1200000000"
    assert account.headers["Content-Type"] == "application/json"
    amounts = re.findall(r'"\w+_m?sat":([^,}]+)', account.text)
    assert amounts
    assert all(amount.startswith('"') or amount == "null" for amount in amounts)


def test_the_api_answers_errors_as_json(running: Running) -> None:
    reply = running.ask("/api/v1/nothing")
    assert (reply.status, reply.json["error"]["code"]) == (404, "not_found")


def test_the_openapi_document_names_every_api_route(running: Running) -> None:
    document = running.ask("/api/v1/openapi.json").json
    routes = {re.sub(r"<(\w+)>", r"{\1}", rule.rule) for rule in running.site.app.url_map.iter_rules()}
    assert set(document["paths"]) == {rule for rule in routes if rule.startswith("/api/")}
    assert json.dumps(document).count('"operationId"') == len(document["paths"])


def fits(value: object, schema: dict[str, Any]) -> bool:
    """Whether a value has the type and exactly the properties that its schema tells."""
    if "enum" in schema:
        return value in schema["enum"]
    types: dict[str, Any] = {
        "string": str,
        "integer": int,
        "number": (int, float),
        "boolean": bool,
        "object": dict,
        "array": list,
    }
    names = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    if value is None:
        return "null" in names
    if isinstance(value, list):
        return "array" in names and all(fits(item, schema["items"]) for item in value)
    if isinstance(value, dict) and "properties" in schema:
        inner = schema["properties"]
        return set(value) == set(inner) and all(fits(value[name], inner[name]) for name in inner)
    return any(isinstance(value, types[name]) for name in names if name != "null")


@pytest.mark.parametrize(
    "path",
    ["/api/v1/pool", "/api/v1/blocks", "/api/v1/terms", "/api/v1/rates", "/api/v1/account/{address}"],
)
def test_the_api_answers_what_its_openapi_document_says(running: Running, path: str) -> None:
    running.fill()
    LedgerStore(running.ledger).adopt({"pool": Policy(8, 100)}, 0, NOW_MS)
    LedgerStore(running.ledger).post(rate_entry(Rate(3, "ab" * 32, (Sat(1), Sat(2)))), NOW_MS)
    described = running.ask("/api/v1/openapi.json").json["paths"][path]["get"]["responses"]
    asked = running.ask(path.format(address=ADDRESS)).json
    assert fits(asked, described["200"]["content"]["application/json"]["schema"])
    refused = running.ask("/api/v1/account/nobody").json
    assert fits(refused, described["404"]["content"]["application/json"]["schema"])


def test_health_turns_bad_when_the_store_cannot_be_read(running: Running, tmp_path: Path) -> None:
    assert running.ask("/healthz").text == "ok\n"
    with capturedLogs():
        running.shares.close()
        for file in tmp_path.glob("shares.db*"):
            file.unlink()
        (tmp_path / "shares.db").write_bytes(b"this is not a database, it is a sentence" * 100)
        running.site._queries.close()
        reply = running.ask("/healthz")
    assert reply.status == 503


def test_metrics_answer_only_when_the_operator_wants_them(running: Running, tmp_path: Path) -> None:
    reply = running.ask("/metrics")
    assert "sluice_ledger_unbalanced_msat 0.0" in reply.text
    quiet = Running(tmp_path / "quiet", attrs.evolve(FACTS, metrics=False))
    assert quiet.ask("/metrics").status == 404


def test_a_method_that_a_page_does_not_take_is_refused(running: Running) -> None:
    assert running.ask("/blocks", "DELETE").status == 405
    assert running.ask("/start", "HEAD").status == 200


def test_a_bug_is_logged_without_the_path_and_told_without_details(running: Running) -> None:
    running.ledger.execute("DROP TABLE access")
    with capturedLogs() as events:
        reply = running.ask(f"/a/{SECRET}")
    assert reply.status == 500
    assert "no such table" not in reply.text
    assert any("log_failure" in event and event["path"] == "/a/…" for event in events)


class Wallets(Resource):
    """Stands for the LNURL routes: answers with the path that it was given."""

    isLeaf = True  # noqa: N815 -- Twisted's spelling

    def render_GET(self, request: Request) -> bytes:
        return b"/".join(request.postpath or [])


def test_the_wallets_routes_get_their_whole_path(tmp_path: Path) -> None:
    running = Running(tmp_path)
    none, wallets = Resource(), Wallets()  # type: ignore[no-untyped-call]
    running.factory.resource = running.site.resource(none, none, wallets)
    assert running.ask("/lnurl/w/token/cb?k1=1").text == "lnurl/w/token/cb"
    assert "No such page" in unescape(running.ask("/x").text)


def test_the_start_page_shows_every_port_what_it_is_for_and_where_difficulty_starts(running: Running) -> None:
    page = outline(running.ask("/start").text)
    ports = re.findall(r"stratum\+(?:tcp|ssl)://\S+ [^:]*difficulty [\d,.]+", page.text)
    assert ports == [
        "stratum+tcp://pool.example:3333 starts at difficulty 10,000",
        "stratum+ssl://mine.example:443 from <abroad>; encrypted (TLS); starts at difficulty 10,000",
        "stratum+tcp://pool.example:3335 for rentals; stays at difficulty 1,000,000",
    ]


def test_the_api_lists_the_ports_as_it_says_it_does(running: Running) -> None:
    document = running.ask("/api/v1/pool").json
    schema = running.ask("/api/v1/openapi.json").json["paths"]["/api/v1/pool"]["get"]["responses"]["200"]
    port = schema["content"]["application/json"]["schema"]["properties"]["stratum_ports"]["items"]
    assert document["stratum_url"] == document["stratum_ports"][0]["url"]
    for told in document["stratum_ports"]:
        assert list(told) == port["required"]
        assert re.fullmatch(port["properties"]["start_difficulty"]["pattern"], told["start_difficulty"])
    assert [told["tls"] for told in document["stratum_ports"]] == [False, True, False]
    assert document["stratum_ports"][2] | {"url": ""} == {
        "url": "",
        "tls": False,
        "start_difficulty": "1000000",
        "minimum_difficulty": "65536",
        "vardiff": False,
        "purpose": "for rentals",
        "terms": "",
    }


def test_facts_come_from_the_configuration() -> None:
    config = Config.model_validate(
        {
            "web": {"public_url": "https://mine.example/", "name": "Ours"},
            "stratum": {"listen": ["ssl:interface=0.0.0.0:port=3334:privateKey=k"]},
        }
    )
    facts = facts_of(config)
    assert facts.public_url == "https://mine.example"
    assert facts.stratum_url == "stratum+ssl://mine.example:3334"
    assert facts.lightning_minimum is None
    assert facts_of(Config()).stratum_url == "stratum+tcp://pool.example:3333"


def test_pages_show_the_moment_they_were_made(running: Running) -> None:
    assert NOW_MS == 1_800_000_000_000
    assert "As of 2027-01-15 08:00 UTC" in running.ask("/").text


def test_blocks_say_whose_they_are_and_changes_of_terms_are_announced(running: Running) -> None:
    running.fill()
    running.shares.execute("UPDATE found SET pot = 'solo' WHERE height = 840001")
    store = LedgerStore(running.ledger)
    store.adopt({"pool": Policy(8, 100), "solo": Policy(8, 50, Scheme.SOLO)}, 0, NOW_MS)
    store.adopt({"pool": Policy(8, 150)}, 75, NOW_MS + 1)
    text = outline(running.ask("/blocks").text).text
    assert "solo" in text
    newest, oldest = text.index("fee 1.5 %"), text.index("fee 1 %")
    assert newest < oldest
    assert "Ports with scheme solo: solo: a block is its finder's alone" in text
    assert Policy(8, 150).hash[:12] in text
    assert [block["pot"] for block in running.ask("/api/v1/blocks").json["blocks"]] == ["solo", "pool"]
