"""Lightning Addresses (LUD-16) and the conversation behind them (LUD-06), without HTTP; nothing is trusted.

``user@domain`` leads to a document, the document to a callback, the callback to an invoice.  Each is written
by a stranger.  An invoice is good when it asks for exactly the amount, keeps to the same terms as a miner's
own, and, if it carries a description hash, carries that of the metadata.  LUD-06 used to demand the hash and
does so no more (luds pull request 234), since several wallets cannot make it: it may be absent, not wrong.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final, cast

import attrs

from payouts.errors import InvoiceMalformed
from payouts.invoice import decode, second_opinion
from payouts.money import MSAT_PER_SAT, Msat, Sat, floor_sat
from payouts.planner import FeePolicy, bearers, max_withdrawable
from payouts.pushing import PushIntent
from payouts.terms import Bad, Terms, check
from payouts.testimony import accepted

_ADDRESS: Final = re.compile(
    r"([a-z0-9._+-]{1,64})@((?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9-]{2,63})"
)
_MOST: Final = 21_000_000 * 10**11  # msat; there is no more bitcoin than that
_REASON: Final = 120  # characters of a stranger's reason that are passed on


@attrs.frozen
class Offer:
    """What a service takes, as its document says (LUD-06's payRequest).

    Attributes:
        callback: where an invoice is to be had.
        least: smallest amount.
        most: greatest amount.
        metadata: the text whose hash an invoice may carry.
    """

    callback: str
    least: Msat
    most: Msat
    metadata: str


@attrs.frozen
class Declined:
    """There is nothing to be paid.  Attributes: a reason for the operator and the account's owner."""

    reason: str


def normal(text: str) -> str | None:
    """A Lightning Address in the form in which it is kept; None when it is none."""
    folded = text.strip().lower()
    return folded if _ADDRESS.fullmatch(folded) and len(folded) <= 254 else None


def document_url(address: str) -> str:
    """Where an address's document is (LUD-16).

    Args:
        address: from ``normal``.
    """
    user, _, domain = address.partition("@")
    return f"{'http' if domain.endswith('.onion') else 'https'}://{domain}/.well-known/lnurlp/{user}"


def read_offer(document: object) -> Offer | Declined:
    """A service's first document."""
    refusal = _refusal(document)
    if refusal is not None:
        return refusal
    told = cast(Mapping[str, Any], document)
    callback, metadata, least, most = (
        told.get(key) for key in ("callback", "metadata", "minSendable", "maxSendable")
    )
    if told.get("tag") != "payRequest" or not isinstance(callback, str) or not isinstance(metadata, str):
        return Declined("the service's document is no payRequest")
    if not _amount(least) or not _amount(most):
        return Declined("the service's limits are no amounts")
    return Offer(callback, Msat(cast(int, least)), Msat(min(cast(int, most), _MOST)), metadata)


def _amount(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _refusal(document: object) -> Declined | None:
    if not isinstance(document, Mapping):
        return Declined("the service's answer is no document")
    if str(document.get("status", "")).upper() == "ERROR":
        said = "".join(c for c in str(document.get("reason", "")) if c.isprintable())[:_REASON]
        return Declined(f"the service says: {said or 'no'}")
    return None


def push_amount(available: Msat, offer: Offer, fees: FeePolicy, cap: Sat) -> Msat | Declined:
    """How much to send: as much as balance, service and pool allow, in whole satoshis.

    Args:
        available: the account's balance.
        offer: of the service.
        fees: what it may cost.
        cap: the most that one payment may be.
    """
    amount = Msat(max_withdrawable(available, fees, Sat(min(cap, floor_sat(offer.most)))) * MSAT_PER_SAT)
    if amount < offer.least or amount <= 0:
        return Declined("the balance is below the least that the service takes")
    return amount


def callback_url(offer: Offer, amount: Msat) -> str:
    """The callback with the amount added to whatever query it has already."""
    base, _, _ = offer.callback.partition("#")
    return f"{base}{'&' if '?' in base else '?'}amount={amount}"


@attrs.frozen
class Given:
    """What a service gave.

    Attributes:
        invoice: as text.
        verify: where it would say whether that was paid (LUD-21), if it does and we would ask there.
    """

    invoice: str
    verify: str | None = attrs.field(default=None, repr=False)


def read_invoice(document: object) -> Given | Declined:
    """A service's second document: the invoice in it."""
    refusal = _refusal(document)
    if refusal is not None:
        return refusal
    told = cast(Mapping[str, Any], document)
    invoice = told.get("pr")
    if not isinstance(invoice, str):
        return Declined("the service gave no invoice")
    return Given(invoice, accepted(told.get("verify")))


@attrs.frozen
class Asked:
    """What an invoice was asked for; ``verify`` came with it."""

    account: str
    target: str
    offer: Offer
    amount: Msat
    verify: str | None = attrs.field(default=None, repr=False)


def push_intent(text: str, asked: Asked, terms: Terms, *, second_decoder: bool) -> PushIntent | Declined:
    """Hold the invoice that came back against what was asked for.

    Args:
        text: the invoice.
        asked: see Asked.
        terms: the same as for invoices of wallets.
        second_decoder: whether a second decoder must read the same.
    """
    try:
        invoice = decode(text.lower() if text.isupper() else text)
    except InvoiceMalformed as malformed:
        return Declined(str(malformed))
    if invoice.amount != asked.amount:
        return Declined("the invoice asks for another amount than was offered")
    of_metadata = sha256(asked.offer.metadata.encode("utf-8", "surrogatepass")).hexdigest()
    if invoice.description_hash not in {None, of_metadata}:
        return Declined("the invoice is for something else: its description hash is not that of the metadata")
    checked = check(invoice, terms)
    if isinstance(checked, Bad):
        return Declined(checked.reason)
    if second_decoder and not second_opinion(text, invoice):
        return Declined("the invoice can be read in more than one way")
    max_fee, pool_fee = bearers(terms.fees, checked.max_fee)
    return PushIntent(
        account=asked.account,
        target=asked.target,
        invoice=text,
        payment_hash=invoice.payment_hash,
        amount=asked.amount,
        max_fee=max_fee,
        pool_fee=pool_fee,
        invoice_expires_s=invoice.expires_s,
        verify=asked.verify,
    )
