"""Which invoices this pool pays: everything that is checked of a decoded invoice before money is held."""

from __future__ import annotations

from typing import Final

import attrs

from payouts.invoice import Hop, Invoice, Network
from payouts.money import MSAT_PER_SAT, Msat, Sat, to_msat
from payouts.planner import FeePolicy, max_fee

# BOLT 9: required (even) features that every node can honour: onion, payment secret, several parts; metadata
# (48) is not among them, since Electrum refuses it and the hold would last until the invoice expires
PAYABLE_FEATURES: Final = frozenset({8, 14, 16})
LONGEST_VALID_S: Final = 366 * 86_400  # while an invoice is valid, its payment may have to be held


@attrs.frozen
class Terms:
    """What an invoice must keep to.

    Attributes:
        network: whose invoices.
        now_s: Unix second.
        minimum: least amount.
        maximum: greatest amount.
        fees: what a payment may cost.
        own_nodes: public keys (66 hex digits) that are ours and never paid.
        margin_s: seconds that the invoice must still be valid.
        max_final_cltv: most blocks that the last hop may ask for: they bound how long money can be stuck.
        max_cltv: most blocks that the last hop and a private route to it may ask for together.
    """

    network: Network
    now_s: int
    minimum: Sat
    maximum: Sat
    fees: FeePolicy
    own_nodes: frozenset[str] = frozenset()
    margin_s: int = 10
    max_final_cltv: int = 1008
    max_cltv: int = 2016


@attrs.frozen
class Good:
    """The invoice may be paid: so much, at the most for this fee."""

    amount: Msat
    max_fee: Msat


@attrs.frozen
class Bad:
    """The invoice is not paid.  Attributes: a reason that a wallet can show to its owner."""

    reason: str


def check(invoice: Invoice, terms: Terms) -> Good | Bad:
    """Hold a decoded invoice against the terms."""
    amount = invoice.amount
    if amount is None:
        return Bad("the invoice names no amount")
    reason = _amount_objection(amount, terms) or _objection(invoice, terms)
    if reason is not None:
        return Bad(reason)
    fee = max_fee(terms.fees, amount)
    reason = _route_objection(invoice, amount, fee, terms)
    return Good(amount, fee) if reason is None else Bad(reason)


def _route_objection(invoice: Invoice, amount: Msat, fee: Msat, terms: Terms) -> str | None:
    """Why none of the private routes will do; one that does is enough, and so is naming none."""
    cheap = [hint for hint in invoice.hints if hint_fee(hint, amount) <= fee]
    if invoice.hints and not cheap:
        return "the invoice's private route costs more than this pool pays in fees"
    longest = terms.max_cltv - invoice.final_cltv
    if cheap and all(sum(hop.cltv_delta for hop in hint) > longest for hint in cheap):
        return "the invoice's private route may lock the payment for too long"
    return None


def _amount_objection(amount: Msat, terms: Terms) -> str | None:
    if amount % MSAT_PER_SAT:
        return "the invoice's amount is no whole number of satoshis"
    if amount < to_msat(terms.minimum):
        return f"the invoice's amount is below the minimum of {terms.minimum} sat"
    if amount > to_msat(terms.maximum):
        return f"the invoice's amount is above the maximum of {terms.maximum} sat"
    return None


def _objection(invoice: Invoice, terms: Terms) -> str | None:
    required = {bit for bit in invoice.features if bit % 2 == 0}
    objections = (
        (invoice.network is not terms.network, "the invoice is for another network"),
        (invoice.expires_s < terms.now_s + terms.margin_s, "the invoice has expired or is about to"),
        (invoice.expires_s > terms.now_s + LONGEST_VALID_S, "the invoice is valid for more than a year"),
        (invoice.final_cltv > terms.max_final_cltv, "the invoice may lock the payment for too long"),
        (invoice.payee in terms.own_nodes, "the invoice is this pool's own"),
        (bool(required - PAYABLE_FEATURES), "the invoice requires a feature that this pool does not know"),
    )
    return next((reason for applies, reason in objections if applies), None)


def hint_fee(hint: tuple[Hop, ...], amount: Msat) -> Msat:
    """What a private route costs on top of an amount: each hop charges for what it forwards (BOLT 7)."""
    carried = int(amount)
    for hop in reversed(hint):
        carried += hop.base + carried * hop.ppm // 1_000_000
    return Msat(carried - amount)
