"""Whether a claim deserves to be taken: token, k1, invoice and fees, checked by the one who pays."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from payouts import lnurl, notices
from payouts.errors import InvoiceMalformed
from payouts.invoice import Network, decode, second_opinion
from payouts.money import Sat
from payouts.planner import FeePolicy, bearers
from payouts.terms import Bad, Terms, check
from payouts.values import Claim, Intent, NotTaken


@attrs.frozen
class ClaimTerms:
    """What a claim must keep to, whoever filed it.

    Attributes:
        server_key: authenticates withdraw tokens and k1; never in the databases.
        network: whose invoices are paid.
        minimum: least amount of a withdrawal.
        maximum: greatest amount of a withdrawal.
        fees: what a payment may cost.
        margin_s: seconds that an invoice must still be valid.
        max_final_cltv: most blocks that an invoice's last hop may ask for.
        second_decoder: whether a second decoder must read the same; for nodes that have none of their own.
        notify: whether wallets are told of a new balance where they have said (LUD-15).
    """

    server_key: bytes = attrs.field(repr=False)
    network: Network
    minimum: Sat
    maximum: Sat
    fees: FeePolicy
    margin_s: int = 10
    max_final_cltv: int = 1008
    second_decoder: bool = True
    notify: bool = False

    def at(self, now_ms: int, own_nodes: frozenset[str] = frozenset()) -> Terms:
        """The terms for an invoice at a moment."""
        return Terms(
            network=self.network,
            now_s=now_ms // 1000,
            minimum=self.minimum,
            maximum=self.maximum,
            fees=self.fees,
            own_nodes=own_nodes,
            margin_s=self.margin_s,
            max_final_cltv=self.max_final_cltv,
        )


@attrs.frozen
class Judged:
    """A claim in order: what it asks to send, and how the book tells whether its k1 is the right one."""

    intent: Intent
    k1_hash_for: Callable[[int], str] = attrs.field(repr=False)


def judge(claim: Claim, terms: ClaimTerms, own_nodes: frozenset[str], now_ms: int) -> Judged | NotTaken:
    """Check everything of a claim that can be checked without the book.

    Args:
        claim: as filed; not trusted.
        terms: see ClaimTerms.
        own_nodes: public keys that are ours.
        now_ms: Unix milliseconds.
    """
    if not claim.card and now_ms // 1000 > claim.token_expires_s:
        return NotTaken("the withdraw link has expired")
    try:
        invoice = decode(claim.invoice)
    except InvoiceMalformed as malformed:
        return NotTaken(str(malformed))
    checked = check(invoice, terms.at(now_ms, own_nodes))
    if isinstance(checked, Bad):
        return NotTaken(checked.reason)
    if terms.second_decoder and not second_opinion(claim.invoice, invoice):
        return NotTaken("the invoice can be read in more than one way")
    max_fee, pool_fee = bearers(terms.fees, checked.max_fee)
    intent = Intent(
        claim=claim,
        payment_hash=invoice.payment_hash,
        amount=checked.amount,
        max_fee=max_fee,
        invoice_expires_s=invoice.expires_s,
        pool_fee=pool_fee,
        notify=notices.accepted(claim.notify) if terms.notify and claim.card else None,
    )
    token = lnurl.make_token(terms.server_key, claim.account, claim.token_expires_s, claim.card)
    return Judged(intent, lambda taken: lnurl.k1_hash(lnurl.k1(terms.server_key, token, taken)))
