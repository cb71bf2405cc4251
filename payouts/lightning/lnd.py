"""LND's REST interface as the Lightning node that pays: streams of payments, and what their states mean.

LND keeps one payment a hash, on disk before its first attempt, and starts it only when there is none or the
last one has failed (``payments/db/payment_status.go``).  FAILED is said only once no HTLC is left and the
payment was given up, so it is definite; INITIATED and IN_FLIGHT may still become anything, and LND refuses to
start such a payment again.  A hash that it does not know, it may still come to know: a request can be on its
way.  LND refuses expired invoices, so such a payment has failed once its invoice has expired, and not before.

Sources: ``routerrpc/router.proto`` (SendPaymentV2, TrackPaymentV2), ``lightning.proto``, grpc-gateway v2: a
stream is one ``{"result": …}`` or ``{"error": {"code", "message"}}`` a line, 64-bit integers are strings.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlencode

import attrs
from twisted.logger import Logger

from payouts.errors import NodeUnavailable
from payouts.invoice import proves
from payouts.lightning.fields import amount, document, integer, is_hash, number, public_key, rows, text
from payouts.lightning.http import Ask, NodeHttp
from payouts.lightning.reading import Reading, network_name, objection
from payouts.money import Msat, Sat, to_msat
from payouts.values import PayFailed, PayOutcome, PaySettled, PayUnknown

EXPIRY_MARGIN_S: Final = (
    120  # after its expiry a payment never seen is given so long before it counts as failed
)
NEEDS: Final = (
    "/lnrpc.Lightning/ChannelBalance",
    "/lnrpc.Lightning/DecodePayReq",
    "/lnrpc.Lightning/GetInfo",
    "/lnrpc.Lightning/ListChannels",
    "/lnrpc.Lightning/ListPayments",
    "/routerrpc.Router/SendPaymentV2",
    "/routerrpc.Router/TrackPaymentV2",
)
"""The methods that a macaroon for this adapter must allow, and no other."""

_NOT_FOUND: Final = 5  # gRPC's code
_FINAL: Final = ("SUCCEEDED", "FAILED")
_LONGEST_S: Final = 21 * 86_400  # no HTLC of ours lives as long: max_cltv blocks, and a week
_PAGE: Final = 1_000
_ENDING_S: Final = 5.0  # LND answers so soon after its own time-out, unless an HTLC is held


@attrs.frozen
class LndOptions:
    """How long LND may take, and how a payment may go.

    Attributes:
        timeout_s: of every call but a payment.
        pay_timeout_s: LND starts no new attempt after it; HTLCs under way go on.
        max_cltv: most blocks that a payment may be locked for, the last hop's included.
        max_parts: most parts that a payment is split into.
        has_account: whether the macaroon has an account of litd, whose balance LND tells as the channels'.
    """

    timeout_s: float = 15.0
    pay_timeout_s: float = 60.0
    max_cltv: int = 2016
    max_parts: int = 16
    has_account: bool = False


class LndNode:
    """An InspectableNode (see payouts.lightning.reading) over LND's REST interface.

    Args:
        http: with the header ``Grpc-Metadata-macaroon``.
        options: see LndOptions.
    """

    log = Logger()

    def __init__(self, http: NodeHttp, options: LndOptions) -> None:
        self._http = http
        self._options = options

    async def node_id(self) -> str:
        """See LightningNode."""
        return public_key(await self._get("getinfo", "/v1/getinfo"), "identity_pubkey")

    async def network(self) -> str:
        """See InspectableNode."""
        chains = rows((await self._get("getinfo", "/v1/getinfo")).get("chains"), "getinfo")
        if len(chains) != 1:
            raise NodeUnavailable("the node is on no chain, or on several")
        return network_name(text(chains[0], "network"))

    async def behind(self) -> str | None:
        """See InspectableNode."""
        synced = (await self._get("getinfo", "/v1/getinfo")).get("synced_to_chain") is True
        return None if synced else "LND is not synced to the chain yet"

    async def pay(self, invoice: str, payment_hash: str, max_fee: Msat) -> PayOutcome:
        """See LightningNode; nothing is sent unless LND reads the invoice as the pool does."""
        if (reason := await objection(self, invoice)) is not None:
            return PayUnknown(reason)  # nothing was sent by this call, but perhaps by one before
        try:
            said = await self._send(invoice, max_fee)
        except NodeUnavailable as unavailable:
            said = str(unavailable)
        try:  # whatever the stream said or did not say, the state by hash is what counts
            return await self._state(payment_hash, None, 0, said)
        except NodeUnavailable as unavailable:
            return PayUnknown(str(unavailable))

    async def _send(self, invoice: str, max_fee: Msat) -> str:
        """Start the payment, wait for its end, and tell how it went, in words only."""
        timeout_s = self._options.pay_timeout_s
        terms = {
            "payment_request": invoice,
            "fee_limit_msat": str(max_fee),  # 0 means routes without a fee
            "timeout_seconds": max(1, int(timeout_s)),
            "cltv_limit": self._options.max_cltv,
            "max_parts": self._options.max_parts,
            "no_inflight_updates": True,
            "allow_self_payment": False,
        }
        ask = Ask("router/send", "/v2/router/send", json=terms)
        told = (await self._http.follow(ask, timeout_s + _ENDING_S, _is_final)).document
        if isinstance(told, Mapping) and isinstance(told.get("error"), Mapping):
            return str(told["error"].get("message", "LND refused the payment"))
        return "LND's stream ended"

    async def lookup(self, payment_hash: str, invoice_expires_s: int, now_s: int) -> PayOutcome:
        """See LightningNode."""
        return await self._state(payment_hash, invoice_expires_s, now_s, "LND never heard of it")

    async def _state(self, payment_hash: str, expires_s: int | None, now_s: int, said: str) -> PayOutcome:
        """What TrackPaymentV2 says first, which is the state now."""
        key = urlsafe_b64encode(bytes.fromhex(payment_hash)).decode()
        ask = Ask("router/track", f"/v2/router/track/{key}?no_inflight_updates=false")
        told = (await self._http.follow(ask, self._options.timeout_s, lambda _: True)).document
        found = document(told, "router/track")
        if isinstance(found.get("error"), Mapping):  # the gateway's own errors are not within "error"
            if integer(found["error"], "code") != _NOT_FOUND:
                raise NodeUnavailable(f"LND refused router/track: {found['error'].get('message')}")
            if expires_s is not None and now_s > expires_s + EXPIRY_MARGIN_S:
                return PayFailed("the invoice expired before it could be paid")
            return PayUnknown(said, idle=True)
        return self._outcome(document(found.get("result"), "router/track"), payment_hash)

    def _outcome(self, payment: Mapping[str, Any], payment_hash: str) -> PayOutcome:
        if payment.get("payment_hash") != payment_hash:
            raise NodeUnavailable("LND told of another payment than it was asked about")
        match text(payment, "status"):
            case "SUCCEEDED":
                preimage = payment.get("payment_preimage")
                if not isinstance(preimage, str) or not proves(preimage, payment_hash):
                    self.log.error("LND showed a wrong preimage for {hash}", hash=payment_hash)
                    return PayUnknown("the node says paid, but shows no preimage that proves it")
                return PaySettled(preimage, Msat(amount(payment, "fee_msat")))
            case "FAILED":
                reason = str(payment.get("failure_reason", ""))
                return PayFailed(_WORDS.get(reason, "LND gave up"))
            case status:
                return PayUnknown(f"the payment is in progress ({status})")

    async def decode(self, invoice: str) -> Reading:
        """See InspectableNode; LND refuses invoices of other networks by itself."""
        found = await self._get("payreq", f"/v1/payreq/{invoice}")
        told, made_s = amount(found, "num_msat"), number(found, "timestamp")
        return Reading(
            payment_hash=text(found, "payment_hash"),
            amount=Msat(told) if told else None,
            made_s=made_s,
            expires_s=made_s + number(found, "expiry"),
            payee=text(found, "destination"),
        )

    async def sent_hashes(self, since_s: int) -> Sequence[str]:
        """See LightningNode: page after page, since LND can only be asked for when payments began."""
        found, offset = [], 0
        while True:
            query = {
                "include_incomplete": "true",
                "creation_date_start": max(0, since_s - _LONGEST_S),
                "index_offset": offset,
                "max_payments": _PAGE,
            }
            page = await self._get("payments", f"/v1/payments?{urlencode(query)}")
            payments = rows(page.get("payments"), "payments")
            found += [payment for payment in payments if _is_sent(payment, since_s)]
            if len(payments) < _PAGE:
                return list(dict.fromkeys(text(payment, "payment_hash") for payment in found))
            if (after := number(page, "last_index_offset")) <= offset:
                raise NodeUnavailable("LND's pages of payments do not end")
            offset = after

    async def outbound(self) -> Msat:
        """See LightningNode: what is above the reserve of active channels; whole sats."""
        if self._options.has_account:
            return await self.balance()  # an account is shown no channels
        channels = rows(
            (await self._get("channels", "/v1/channels?active_only=true")).get("channels"), "channels"
        )
        spare = 0
        for channel in channels:
            reserve = amount(document(channel.get("local_constraints"), "channels"), "chan_reserve_sat")
            spare += max(0, amount(channel, "local_balance") - reserve)
        return to_msat(Sat(spare))

    async def balance(self) -> Msat:
        """See LightningNode."""
        found = await self._get("balance", "/v1/balance/channels")
        return Msat(amount(document(found.get("local_balance"), "balance"), "msat"))

    async def _get(self, what: str, path: str) -> Mapping[str, Any]:
        answer = await self._http.ask(Ask(what, path), self._options.timeout_s)
        if answer.status != 200:
            words = answer.document.get("message") if isinstance(answer.document, Mapping) else None
            raise NodeUnavailable(f"LND answered {what} with HTTP status {answer.status}: {words}")
        return document(answer.document, what)


_WORDS: Final = {
    "FAILURE_REASON_TIMEOUT": "no route was found in time",
    "FAILURE_REASON_NO_ROUTE": "no route was found",
    "FAILURE_REASON_ERROR": "LND gave up",
    "FAILURE_REASON_INCORRECT_PAYMENT_DETAILS": "the receiver refused the payment",
    "FAILURE_REASON_INSUFFICIENT_BALANCE": "the pool's channels do not hold enough",
    "FAILURE_REASON_CANCELED": "the payment was cancelled",
}


def _is_final(told: Any) -> bool:
    if not isinstance(told, Mapping) or "error" in told:
        return True
    result = told.get("result")
    return isinstance(result, Mapping) and result.get("status") in _FINAL


def _is_sent(payment: Mapping[str, Any], since_s: int) -> bool:
    """Whether a payment is in flight, or was paid at or after a Unix second."""
    if not is_hash(payment.get("payment_hash")):
        raise NodeUnavailable("LND listed a payment without a hash")
    match text(payment, "status"):
        case "FAILED":
            return False
        case "SUCCEEDED":
            ends = [number(part, "resolve_time_ns") for part in rows(payment.get("htlcs"), "payments")]
            return max([*ends, number(payment, "creation_time_ns")]) // 10**9 >= since_s
        case _:
            return True
