"""phoenixd's HTTP interface as the Lightning node that pays: no fee cap, no time-out, one fixed price.

phoenixd pays through ACINQ's trampoline node for 4 sat and 0.4 % and can be told no cap, so a payment whose
cap is lower is not sent.  It refuses a hash that was paid or is being paid (lightning-kmp 753), but answers
such a refusal like any failure: whatever ``payinvoice`` said, the state is asked for by hash, and a payment
has failed only when it is listed there as completed and not paid.  A hash that it does not know may be on
its way, and phoenixd itself does not look at an invoice's expiry, so it has failed only an hour after that:
by then a request that was sent before has been seen or been lost.  Some releases call each completed payment
*paid*, so each must show a preimage that proves it.

Sources: ``Api.kt`` and ``json/JsonSerializers.kt`` of phoenixd 0.5 and later; Basic authentication, any user;
``http-password-limited-access`` cannot pay.  Fees are in msat, other amounts in sat, times in ms.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlencode

import attrs
from twisted.logger import Logger

from payouts.errors import NodeUnavailable
from payouts.invoice import Invoice, decode, proves
from payouts.lightning.fields import amount, document, is_hash, number, public_key, rows, text
from payouts.lightning.http import Answer, Ask, NodeHttp
from payouts.lightning.reading import Reading, network_name, objection
from payouts.money import Msat, Sat, to_msat
from payouts.values import PayFailed, PayOutcome, PaySettled, PayUnknown

EXPIRY_MARGIN_S: Final = (
    3600  # after its expiry a payment never seen is given so long before it counts as failed
)
FEE_BASE: Final = Sat(4)
FEE_PPM: Final = 4_000
_BAD_REQUEST: Final = 400
_NOT_FOUND: Final = 404
_LONGEST_MS: Final = 21 * 86_400_000  # no payment is under way for longer
_PAGE: Final = 1_000


@attrs.frozen
class PhoenixdOptions:
    """How long phoenixd may take.

    Attributes:
        timeout_s: of every call but a payment.
        pay_timeout_s: of a payment; it goes on after it.
    """

    timeout_s: float = 15.0
    pay_timeout_s: float = 60.0


class PhoenixdNode:
    """An InspectableNode (see payouts.lightning.reading) over phoenixd's HTTP interface.

    Args:
        http: with the header ``Authorization``.
        options: see PhoenixdOptions.
    """

    log = Logger()

    def __init__(self, http: NodeHttp, options: PhoenixdOptions) -> None:
        self._http = http
        self._options = options

    async def node_id(self) -> str:
        """See LightningNode."""
        return public_key(await self._get("getinfo", "/getinfo"), "nodeId")

    async def network(self) -> str:
        """See InspectableNode."""
        return network_name(text(await self._get("getinfo", "/getinfo"), "chain"))

    async def behind(self) -> None:
        """See InspectableNode: phoenixd only tells a height, and what that should be is not its business."""

    async def pay(self, invoice: str, payment_hash: str, max_fee: Msat) -> PayOutcome:
        """See LightningNode; nothing is sent unless phoenixd's price is within the cap."""
        reason = await objection(self, invoice) or _objection(decode(invoice), max_fee)
        if reason is not None:
            return PayUnknown(reason)  # nothing was sent by this call, but perhaps by one before
        try:
            said = await self._send(invoice)
        except NodeUnavailable as unavailable:
            said = str(unavailable)
        try:
            return await self._state(payment_hash, None, 0, said)
        except NodeUnavailable as unavailable:
            return PayUnknown(str(unavailable))

    async def _send(self, invoice: str) -> str:
        """Start the payment, wait for its end, and tell how it went, in words only."""
        ask = Ask("payinvoice", "/payinvoice", form={"invoice": invoice})
        answer = await self._http.ask(ask, self._options.pay_timeout_s)
        if isinstance(answer.document, Mapping) and "reason" in answer.document:
            return str(answer.document["reason"])
        return f"phoenixd answered payinvoice with HTTP status {answer.status}"

    async def lookup(self, payment_hash: str, invoice_expires_s: int, now_s: int) -> PayOutcome:
        """See LightningNode."""
        return await self._state(payment_hash, invoice_expires_s, now_s, "phoenixd never heard of it")

    async def _state(self, payment_hash: str, expires_s: int | None, now_s: int, said: str) -> PayOutcome:
        ask = Ask("outgoingbyhash", f"/payments/outgoingbyhash/{payment_hash}")
        answer = await self._http.ask(ask, self._options.timeout_s)
        if answer.status == _NOT_FOUND:
            await self._insist_on_the_call()
            if expires_s is not None and now_s > expires_s + EXPIRY_MARGIN_S:
                return PayFailed("the invoice expired before it could be paid")
            return PayUnknown(said, idle=True)
        payment = _whole(answer, "outgoingbyhash")
        if payment.get("paymentHash") != payment_hash:
            raise NodeUnavailable("phoenixd told of another payment than it was asked about")
        if payment.get("preimage") is not None or payment.get("isPaid") is True:
            return self._settled(payment, payment_hash, said)
        if payment.get("isPaid") is False and payment.get("completedAt") is not None:
            return PayFailed(said)
        return PayUnknown("the payment is in progress")

    async def _insist_on_the_call(self) -> None:
        """See that *not found* meant the payment: a release without the call answers all of it with 404.

        One that has it refuses what is no hash with 400.
        """
        ask = Ask("outgoingbyhash", "/payments/outgoingbyhash/none")
        if (await self._http.ask(ask, self._options.timeout_s)).status != _BAD_REQUEST:
            raise NodeUnavailable("this phoenixd cannot look payments up by hash: update it")

    async def may_pay(self) -> bool:
        """Whether the password is the full one: asked by paying nothing, which is refused either way.

        Raises:
            NodeUnavailable: phoenixd does not answer.
        """
        answer = await self._http.ask(Ask("payinvoice", "/payinvoice", form={}), self._options.timeout_s)
        return answer.status == _BAD_REQUEST

    def _settled(self, payment: Mapping[str, Any], payment_hash: str, said: str) -> PayOutcome:
        preimage = payment.get("preimage")
        if preimage is None and payment.get("completedAt") is not None:
            return PayUnknown(
                said
            )  # a failed one, in the releases that call it paid; or one that lost its proof
        if not isinstance(preimage, str) or not proves(preimage, payment_hash):
            self.log.error("phoenixd showed a wrong preimage for {hash}", hash=payment_hash)
            return PayUnknown("the node says paid, but shows no preimage that proves it")
        return PaySettled(preimage, Msat(amount(payment, "fees")))

    async def decode(self, invoice: str) -> Reading:
        """See InspectableNode; phoenixd does not tell the payee."""
        ask = Ask("decodeinvoice", "/decodeinvoice", form={"invoice": invoice})
        found = _whole(await self._http.ask(ask, self._options.timeout_s), "decodeinvoice")
        made_s = number(found, "timestampSeconds")
        expiry_s = found.get("expirySeconds")
        return Reading(
            payment_hash=text(found, "paymentHash"),
            amount=Msat(amount(found, "amount")) if found.get("amount") is not None else None,
            made_s=made_s,
            expires_s=None if expiry_s is None else made_s + number(found, "expirySeconds"),
            payee=None,
        )

    async def sent_hashes(self, since_s: int) -> Sequence[str]:
        """See LightningNode: page after page of what was sent or is pending."""
        found: list[str] = []
        offset = 0
        while True:
            query = {"from": max(0, since_s * 1000 - _LONGEST_MS), "limit": _PAGE, "offset": offset}
            ask = Ask("outgoing", f"/payments/outgoing?{urlencode(query)}")
            answer = await self._http.ask(ask, self._options.timeout_s)
            if answer.status != 200:
                raise NodeUnavailable(f"phoenixd answered outgoing with HTTP status {answer.status}")
            page = rows(answer.document, "outgoing")
            found += [text(payment, "paymentHash") for payment in page if _is_sent(payment, since_s)]
            if len(page) < _PAGE:
                return list(dict.fromkeys(found))
            offset += _PAGE

    async def outbound(self) -> Msat:
        """See LightningNode: phoenixd tells whole sats."""
        return await self.balance()

    async def balance(self) -> Msat:
        """See LightningNode: phoenixd tells whole sats, without the channel's reserve."""
        return to_msat(Sat(amount(await self._get("getbalance", "/getbalance"), "balanceSat")))

    async def _get(self, what: str, path: str) -> Mapping[str, Any]:
        return _whole(await self._http.ask(Ask(what, path), self._options.timeout_s), what)


def price(paid: Msat) -> Msat:
    """What phoenixd charges for a payment: 4 sat and 0.4 %, rounded up."""
    return Msat(to_msat(FEE_BASE) - (-paid * FEE_PPM // 1_000_000))


def _objection(invoice: Invoice, max_fee: Msat) -> str | None:
    if invoice.amount is None or max_fee < price(invoice.amount):
        return "the fee cap is below phoenixd's price of 4 sat and 0.4 %"
    return None


def _whole(answer: Answer, what: str) -> Mapping[str, Any]:
    if answer.status != 200:
        raise NodeUnavailable(f"phoenixd answered {what} with HTTP status {answer.status}")
    return document(answer.document, what)


def _is_sent(payment: Mapping[str, Any], since_s: int) -> bool:
    """Whether a Lightning payment was paid at or after a Unix second, or is in flight."""
    if not is_hash(payment.get("paymentHash")):
        return False  # what left on-chain
    ended_ms = payment.get("completedAt")
    return ended_ms is None or number(payment, "completedAt") // 1000 >= since_s
