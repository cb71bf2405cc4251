"""The withdraw link of an account page: its QR code, or why there is none and when there will be."""

from __future__ import annotations

from typing import Final

import attrs
import segno
from markupsafe import Markup

from payouts.lnurl import Offered, bech32_link, fast_url, k1, lud17_link, make_token, qr_text
from payouts.login import Purpose, login_path
from payouts.money import Sat, floor_sat
from payouts.values import WithdrawTerms
from pool.store.figures import Balances, RewardRow
from pool.store.queries import Queries
from pool.web import words
from pool.web.ports import Facts

QUIET_ZONE: Final = 4
REWARDS_LOOKED_AT: Final = 20


@attrs.frozen
class Offer:
    """A withdraw link that a wallet can use now.

    Attributes:
        minimum: the least it pays.
        maximum: the most it pays.
        note: why it is not all of the balance, and who pays the network, in sentences.
        expires_s: Unix second from which it is void.
        lightning_link: ``lightning:LNURL1…`` with the whole offer in it (LUD-08), for a wallet right here.
        lnurlw_link: the plain link by LUD-17.
        svg: QR code of ``LIGHTNING:LNURL1…``.
    """

    minimum: Sat
    maximum: Sat
    note: str
    expires_s: int
    lightning_link: str = attrs.field(repr=False)
    lnurlw_link: str = attrs.field(repr=False)
    svg: Markup = attrs.field(repr=False)


@attrs.frozen
class NothingNow:
    """No link now.  Attributes: why, and when there will be one, each a sentence."""

    why: str
    when: str


def offer(facts: Facts, key: bytes, account: str, terms: WithdrawTerms, now_s: int) -> Offer:
    """Make a withdraw link that is valid for ``facts.link_minutes`` from now.

    Args:
        facts: of the site.
        key: the server key that authenticates tokens.
        account: whose balance it pays from.
        terms: what is payable now.
        now_s: Unix seconds.
    """
    expires_s = now_s + facts.link_minutes * 60
    token = make_token(key, account, expires_s)
    url = f"{facts.public_url}/lnurl/w/{token}"
    offered = Offered(
        callback=f"{url}/cb",
        secret=k1(key, token, terms.claims_taken),
        description=facts.withdraw_text,
        minimum=terms.minimum,
        maximum=terms.maximum,
    )
    return Offer(
        minimum=terms.minimum,
        maximum=terms.maximum,
        note=_note(facts, terms),
        expires_s=expires_s,
        lightning_link=f"lightning:{bech32_link(fast_url(url, offered))}",
        lnurlw_link=lud17_link(url, "lnurlw"),
        svg=qr_svg(qr_text(url)),
    )


@attrs.frozen
class Code:
    """A link to scan or to open: its QR code, it as ``lightning:LNURL1…``, and the plain one by LUD-17."""

    svg: Markup = attrs.field(repr=False)
    lightning_link: str = attrs.field(repr=False)
    plain_link: str = attrs.field(repr=False)


def card_code(facts: Facts, key: bytes, account: str, number: int) -> Code:
    """The withdraw link of an account's card."""
    url = f"{facts.public_url}/lnurl/w/{make_token(key, account, 0, number)}"
    return Code(qr_svg(qr_text(url)), f"lightning:{bech32_link(url)}", lud17_link(url, "lnurlw"))


def login_code(facts: Facts, challenge: str, purpose: Purpose) -> Code:
    """The code that a wallet scans to log in, or to be linked (LUD-04)."""
    url = facts.public_url + login_path(challenge, purpose)
    return Code(qr_svg(qr_text(url)), f"lightning:{bech32_link(url)}", lud17_link(url, "keyauth"))


def qr_svg(text: str) -> Markup:
    """A QR code as inline SVG, dark on white in every colour scheme: inverted ones confuse many scanners."""
    code = segno.make(text, error="m", micro=False)
    svg: str = code.svg_inline(
        scale=1, border=QUIET_ZONE, dark="#000", light="#fff", omitsize=True, svgclass="qr"
    )
    return Markup(svg)  # noqa: S704 -- made by segno from numbers; the text itself is not in it


def nothing_now(
    facts: Facts,
    terms: WithdrawTerms | None,
    balances: Balances,
    rewards: list[RewardRow],
    *,
    stopped: bool,
) -> NothingNow | None:
    """Why the account cannot withdraw now; None when it can."""
    if facts.lightning_minimum is None:
        return NothingNow(
            "This pool does not pay over Lightning.",
            "Your balance is kept until the operator connects a Lightning node.",
        )
    if terms is None:
        return NothingNow("This account is being set up.", "Look again in a minute.")
    if terms.closed is not None or stopped:
        why = _sentence(terms.closed or "the operator has paused payments")
        return NothingNow(why, "Nothing is lost; withdrawing works again once they resume.")
    if terms.maximum >= max(terms.minimum, 1):
        return None
    return _not_payable(facts, terms, balances, rewards)


def _not_payable(
    facts: Facts, terms: WithdrawTerms, balances: Balances, rewards: list[RewardRow]
) -> NothingNow:
    if terms.bound is not None:
        return NothingNow("Your balance cannot be withdrawn just now.", _sentence(terms.bound))
    if balances.held:
        return NothingNow(
            "Your balance is held by a payment that is under way.",
            "What it does not use comes back when it ends, mostly within a minute.",
        )
    return _too_little(facts, terms, balances, rewards)


def _sentence(words: str) -> str:
    return f"{words[:1].upper()}{words[1:]}."


def _note(facts: Facts, terms: WithdrawTerms) -> str:
    by_pool = facts.fees_by_pool
    fee = "The pool pays the network's fee" if by_pool else "The network's fee comes off your balance"
    if terms.bound is not None:
        return f"It is not all of your balance: {terms.bound}. {fee}."
    return f"{fee}." if by_pool else f"{fee}, which is why not all of it can be withdrawn."


def why_not(facts: Facts, queries: Queries, account: str, terms: WithdrawTerms) -> str | None:
    """What a wallet is told when nothing is payable: why, and when that will change."""
    if terms.maximum >= max(terms.minimum, 1):
        return None
    balances, rewards = queries.balances(account), queries.rewards(account, REWARDS_LOOKED_AT)
    found = nothing_now(facts, terms, balances, rewards, stopped=False)
    return None if found is None else f"{found.why} {found.when}"


def _too_little(
    facts: Facts, terms: WithdrawTerms, balances: Balances, rewards: list[RewardRow]
) -> NothingNow:
    least = f"{terms.minimum:,} sat" + ("" if facts.fees_by_pool else " and the network's fee")
    why = f"You have {floor_sat(balances.available):,} sat available; the least that is paid is {least}."
    if not balances.immature:
        return NothingNow(why, "Your part of the pool's next blocks is added here.")
    left = [
        max(1, facts.maturity - (reward.confirmations or 0))
        for reward in rewards
        if reward.state == "immature" and reward.early_msat < reward.amount_msat
    ]
    if not left:
        return NothingNow(why, "Your immature rewards become available when their blocks are deep enough.")
    return NothingNow(
        why,
        f"{words.sat(balances.immature)} sat are immature; the first of them become available in"
        f" {min(left)} block{'s' if min(left) > 1 else ''}, {words.wait(min(left))}"
        f"{'' if facts.early is None else ', or earlier'}.",
    )
