"""The withdraw link: its QR code holds what a wallet needs, or the page says why there is none."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import attrs
import lnurl as reference
import pytest

from payouts.lnurl import k1, read_token
from payouts.money import Msat, Sat
from payouts.values import WithdrawTerms
from pool.regtest.qr import read_svg
from pool.store.figures import Balances, RewardRow
from pool.web.withdraw import NothingNow, nothing_now, offer, qr_svg
from tests.pool.web_site import FACTS, KEY, NAME, SECRET, Running

NOW_S = 1_800_000_000
TERMS = WithdrawTerms(claims_taken=0, minimum=Sat(10), maximum=Sat(500))
POOR = attrs.evolve(TERMS, maximum=Sat(3))
BOUND = attrs.evolve(POOR, bound="the node can send no more: try later")
CLOSED = attrs.evolve(TERMS, closed="payouts are paused: try again later")
RICH = Msat(600_000)


def immature(confirmations: int) -> RewardRow:
    return RewardRow("a" * 64, 100, "immature", confirmations, Msat(5_000), 0)


def why_not(
    terms: WithdrawTerms | None,
    balances: Balances,
    rewards: list[RewardRow] | None = None,
    *,
    stopped: bool = False,
) -> NothingNow:
    found = nothing_now(FACTS, terms, balances, rewards or [], stopped=stopped)
    assert found is not None
    return found


def test_the_qr_code_of_the_real_page_is_the_withdraw_link(tmp_path: Path) -> None:
    running = Running(tmp_path)
    running.payable(500)
    text = running.ask(f"/a/{SECRET}").text
    svg = re.search(r"<svg.*?</svg>", text, re.DOTALL)
    link = re.search(r'href="lnurlw://([^"]+)"', text)
    assert svg is not None
    assert link is not None
    [code] = read_svg(svg[0])
    assert re.fullmatch(r"LIGHTNING:LNURL1[0-9A-Z]+", code)
    assert str(reference.decode(code.partition(":")[2])) == f"https://{unescape(link[1])}"
    token = read_token(KEY, unescape(link[1]).rpartition("/")[2])
    assert token is not None
    assert (token.account, token.expires_s) == (NAME, NOW_S + 600)


def test_every_way_to_the_wallet_is_the_same_link() -> None:
    made = offer(FACTS, KEY, NAME, TERMS, NOW_S)
    [code] = read_svg(made.svg)
    plain = str(reference.decode(code.partition(":")[2]))
    assert plain == made.lnurlw_link.replace("lnurlw://", "https://")
    fast = urlsplit(str(reference.decode(made.lightning_link.partition(":")[2])))
    assert fast._replace(query="").geturl() == plain


def test_a_wallet_on_this_device_is_given_the_whole_offer_at_once() -> None:
    made = offer(FACTS, KEY, NAME, TERMS, NOW_S)
    fast = urlsplit(str(reference.decode(made.lightning_link.partition(":")[2])))
    token = fast.path.rpartition("/")[2]
    assert dict(parse_qsl(fast.query)) == {
        "tag": "withdrawRequest",
        "callback": f"https://pool.example/lnurl/w/{token}/cb",
        "k1": k1(KEY, token, 0),
        "minWithdrawable": "10000",
        "maxWithdrawable": "500000",
        "defaultDescription": "Club <pool>: mining reward",
    }


def test_an_offer_is_for_whole_sats_within_its_time() -> None:
    made = offer(FACTS, KEY, NAME, TERMS, NOW_S)
    assert (made.minimum, made.maximum, made.expires_s) == (10, 500, NOW_S + 600)


def test_an_onion_site_makes_links_too() -> None:
    onion = attrs.evolve(FACTS, public_url="http://" + "a" * 56 + ".onion")
    made = offer(onion, KEY, NAME, TERMS, NOW_S)
    assert made.lnurlw_link.startswith("lnurlw://" + "a" * 56 + ".onion/lnurl/w/")


def test_the_code_is_dark_on_white_with_a_quiet_zone() -> None:
    svg = qr_svg("LIGHTNING:LNURL1DP68GURN8GHJ7")
    assert 'fill="#fff"' in svg
    assert 'stroke="#000"' in svg
    assert 'd="M4 4.5' in svg
    assert "style=" not in svg


def test_the_link_is_a_secret_that_no_repr_shows() -> None:
    made = offer(FACTS, KEY, NAME, TERMS, NOW_S)
    assert "lnurl" not in repr(made).lower()


@pytest.mark.parametrize(
    ("bound", "by_pool", "note"),
    [
        (
            None,
            False,
            "The network's fee comes off your balance, which is why not all of it can be withdrawn.",
        ),
        (None, True, "The pool pays the network's fee."),
        (
            "it is the most that one withdrawal may take",
            False,
            "It is not all of your balance: it is the most that one withdrawal may take. The network's fee"
            " comes off your balance.",
        ),
        (
            "the node can send no more: try later",
            True,
            "It is not all of your balance: the node can send no more: try later. The pool pays the network's"
            " fee.",
        ),
    ],
)
def test_the_page_says_why_not_all_can_be_withdrawn_and_who_pays_the_network(
    bound: str | None, note: str, *, by_pool: bool
) -> None:
    facts = attrs.evolve(FACTS, fees_by_pool=by_pool)
    assert offer(facts, KEY, NAME, attrs.evolve(TERMS, bound=bound), NOW_S).note == note


def test_the_least_that_is_paid_has_no_fee_to_it_when_the_pool_bears_it() -> None:
    found = nothing_now(attrs.evolve(FACTS, fees_by_pool=True), POOR, Balances(), [], stopped=False)
    assert found is not None
    assert found.why == "You have 0 sat available; the least that is paid is 10 sat."


def test_a_payable_balance_needs_no_excuse() -> None:
    assert nothing_now(FACTS, TERMS, Balances(available=Msat(600_000)), [], stopped=False) is None


@pytest.mark.parametrize(
    ("reason", "why", "when"),
    [
        (why_not(TERMS, Balances(), stopped=True), "The operator has paused payments.", "Nothing is lost"),
        (
            why_not(CLOSED, Balances(available=RICH)),
            "Payouts are paused: try again later.",
            "Nothing is lost",
        ),
        (
            why_not(BOUND, Balances(available=RICH)),
            "cannot be withdrawn just now.",
            "The node can send no more",
        ),
        (why_not(None, Balances()), "being set up", "minute"),
        (why_not(POOR, Balances(held=Msat(9_000))), "held by a payment", "comes back"),
        (why_not(POOR, Balances(available=Msat(3_999))), "You have 3 sat available", "next blocks"),
        (
            why_not(POOR, Balances(immature=Msat(5_000)), [immature(40), immature(97)]),
            "the least that is paid is 10 sat",
            "5 sat are immature; the first of them become available in 3 blocks, about 30 minutes.",
        ),
        (why_not(POOR, Balances(immature=Msat(5_000)), [immature(130)]), "least", "in 1 block, about 10"),
        (why_not(POOR, Balances(immature=Msat(5_000))), "least", "deep enough"),
    ],
)
def test_the_page_says_why_nothing_is_payable_and_when_it_will_be(
    reason: NothingNow, why: str, when: str
) -> None:
    assert why in reason.why
    assert when in reason.when
