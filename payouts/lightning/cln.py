"""Core Lightning's clnrest as the Lightning node that pays: ``xpay`` pays, ``listpays`` tells the truth.

One payment hash may have several attempts, and each of them several parts.  ``xpay`` can end with an error
while a part is still held somewhere (issue 8046), and until lately ``listpays`` said *failed* of an attempt
that was only between two tries (``plugins/xpay/listpays.c`` asks ``attempt_ongoing`` since).  So a payment
has failed only when ``xpay`` itself has ended with one of its four definite errors and no part is pending,
or when all attempts are *failed* and the time is over in which an ``xpay`` could still be at work.  It is
not sent again in that time, since two ``xpay`` of one invoice do not know of each other.  ``xpay`` refuses
expired invoices, so a payment that the node never heard of has failed once its invoice has expired.

Sources: ``doc/schemas/xpay.json`` (24.11 and later), ``listpays.json``; clnrest answers 201 with the result,
else ``{"code", "message", "data"}``; header ``Rune``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from payouts.errors import NodeUnavailable, RpcRefused
from payouts.invoice import proves
from payouts.lightning.fields import amount, document, integer, is_hash, number, public_key, rows, text
from payouts.lightning.http import Ask, NodeHttp
from payouts.lightning.reading import Reading, network_name, objection
from payouts.money import Msat
from payouts.values import PayFailed, PayOutcome, PaySettled, PayUnknown

EXPIRY_MARGIN_S: Final = (
    120  # after its expiry a payment never seen is given so long before it counts as failed
)
NEEDS: Final = ("decode", "getinfo", "listpays", "listpeerchannels", "xpay")
"""The methods that a rune for this adapter must allow, and no other."""

_ENDED: Final = {
    203: "the receiver refused the payment",
    205: "no route was found",
    207: "the invoice has expired",
    209: "no route was found in time",
}
"""Errors with which xpay has stopped trying; its own words tell of the pool's channels: for the log only."""

_UNKNOWN_METHOD: Final = 404
_ENDING_S: Final = 30.0  # an xpay ends so soon after its retry_for, unless a part is held
_REMEMBERED: Final = 1_000  # hashes whose last xpay is known


@attrs.frozen
class ClnOptions:
    """How long Core Lightning may take, and how a payment may go.

    Attributes:
        timeout_s: of every call but a payment.
        pay_timeout_s: xpay starts no new attempt after it; parts under way go on.
        max_cltv: most blocks that a payment may be locked for.
    """

    timeout_s: float = 15.0
    pay_timeout_s: float = 60.0
    max_cltv: int = 2016

    @property
    def quiet_s(self) -> float:
        """After so long no xpay of a payment can be at work any more."""
        return self.pay_timeout_s + 2 * _ENDING_S


class ClnNode:
    """An InspectableNode (see payouts.lightning.reading) over clnrest.

    Args:
        http: with the header ``Rune``.
        clock: tells how long ago a payment was sent.
        options: see ClnOptions.
    """

    log = Logger()

    def __init__(self, http: NodeHttp, clock: IReactorTime, options: ClnOptions) -> None:
        self._http = http
        self._clock = clock
        self._options = options
        self._began_s = clock.seconds()
        self._sent_s: dict[str, float] = {}  # when the last xpay of a hash may have begun

    async def node_id(self) -> str:
        """See LightningNode."""
        return public_key(await self._ask("getinfo"), "id")

    async def network(self) -> str:
        """See InspectableNode."""
        return network_name(text(await self._ask("getinfo"), "network"))

    async def behind(self) -> str | None:
        """See InspectableNode."""
        found = await self._ask("getinfo")
        warnings = [found.get(name) for name in ("warning_bitcoind_sync", "warning_lightningd_sync")]
        return next((text for text in warnings if isinstance(text, str)), None)

    async def pay(self, invoice: str, payment_hash: str, max_fee: Msat) -> PayOutcome:
        """See LightningNode; nothing is sent while an earlier xpay may be at work."""
        try:
            before = await self._state(payment_hash)
        except NodeUnavailable as unavailable:
            return PayUnknown(str(unavailable))
        if before is not None:
            return before
        if (reason := await objection(self, invoice)) is not None:
            return PayUnknown(reason)
        if self._may_be_at_work(payment_hash, None):  # from here on nothing is awaited until it is remembered
            return PayUnknown("an earlier attempt may still be at work")
        return await self._send(invoice, payment_hash, max_fee)

    async def _send(self, invoice: str, payment_hash: str, max_fee: Msat) -> PayOutcome:
        self._remember(payment_hash)
        terms = {
            "invstring": invoice,
            "maxfee": max_fee,
            "retry_for": max(1, int(self._options.pay_timeout_s)),
            "maxdelay": self._options.max_cltv,
        }
        failed, said = None, "the node's answer is not in its list yet"
        try:
            await self._call("xpay", terms, self._options.pay_timeout_s + _ENDING_S)
        except RpcRefused as refused:
            failed, said = _ENDED.get(refused.code), f"xpay ended with {refused.code}"
            self.log.info("Core Lightning gave up on {hash}: {said}", hash=payment_hash, said=refused.message)
        except NodeUnavailable as unavailable:
            said = str(unavailable)
        try:
            state = await self._state(payment_hash)
        except NodeUnavailable as unavailable:
            return PayUnknown(str(unavailable))
        if state is None and failed is not None:
            self._sent_s.pop(payment_hash, None)  # xpay has ended, and nothing of it is left
            return PayFailed(failed)
        return state or PayUnknown(said)

    async def lookup(self, payment_hash: str, invoice_expires_s: int, now_s: int) -> PayOutcome:
        """See LightningNode."""
        attempts = await self._attempts(payment_hash)
        state = self._definite(attempts, payment_hash)
        if state is not None:
            return state
        if self._may_be_at_work(payment_hash, self._began_s):
            return PayUnknown("an attempt may still be at work")
        if attempts:
            return PayFailed("all attempts failed")
        if now_s > invoice_expires_s + EXPIRY_MARGIN_S:
            return PayFailed("the invoice expired before it could be paid")
        return PayUnknown("Core Lightning never heard of it", idle=True)

    def _may_be_at_work(self, payment_hash: str, otherwise_s: float | None) -> bool:
        """Whether an xpay of a payment may be running.

        Args:
            payment_hash: whose.
            otherwise_s: when one may have begun that a process before this one has asked for.
        """
        sent_s = self._sent_s.get(payment_hash, otherwise_s)
        return sent_s is not None and self._clock.seconds() < sent_s + self._options.quiet_s

    def _remember(self, payment_hash: str) -> None:
        self._sent_s.pop(payment_hash, None)
        self._sent_s[payment_hash] = self._clock.seconds()
        if len(self._sent_s) > _REMEMBERED:
            del self._sent_s[next(iter(self._sent_s))]

    async def _state(self, payment_hash: str) -> PayOutcome | None:
        return self._definite(await self._attempts(payment_hash), payment_hash)

    async def _attempts(self, payment_hash: str) -> list[Mapping[str, Any]]:
        attempts = rows((await self._ask("listpays", payment_hash=payment_hash)).get("pays"), "listpays")
        if any(attempt.get("payment_hash") != payment_hash for attempt in attempts):
            raise NodeUnavailable("the node told of another payment than it was asked about")
        return attempts

    def _definite(self, attempts: Sequence[Mapping[str, Any]], payment_hash: str) -> PayOutcome | None:
        """Paid or in progress; None when no part of any attempt is either."""
        states = {text(attempt, "status"): attempt for attempt in attempts}
        if "complete" in states:
            return self._settled(states["complete"], payment_hash)
        if states.keys() - {"failed"}:
            return PayUnknown("the payment is in progress")
        return None

    def _settled(self, attempt: Mapping[str, Any], payment_hash: str) -> PayOutcome:
        preimage = attempt.get("preimage")
        if not isinstance(preimage, str) or not proves(preimage, payment_hash):
            self.log.error("Core Lightning showed a wrong preimage for {hash}", hash=payment_hash)
            return PayUnknown("the node says paid, but shows no preimage that proves it")
        fee = amount(attempt, "amount_sent_msat") - amount(attempt, "amount_msat")
        if fee < 0:
            raise NodeUnavailable("Core Lightning told a fee that makes no sense")
        return PaySettled(preimage, Msat(fee))

    async def decode(self, invoice: str) -> Reading:
        """See InspectableNode."""
        found = await self._ask("decode", string=invoice)
        if found.get("type") != "bolt11 invoice" or found.get("valid") is not True:
            raise NodeUnavailable("Core Lightning does not take the invoice for a valid one")
        made_s = number(found, "created_at")
        return Reading(
            payment_hash=text(found, "payment_hash"),
            amount=Msat(amount(found, "amount_msat")) if "amount_msat" in found else None,
            made_s=made_s,
            expires_s=made_s + number(found, "expiry"),
            payee=text(found, "payee"),
        )

    async def sent_hashes(self, since_s: int) -> Sequence[str]:
        """See LightningNode."""
        found = []
        for status in ("complete", "pending"):
            for pay in rows((await self._ask("listpays", status=status)).get("pays"), "listpays"):
                ended_s = number(pay, "completed_at" if "completed_at" in pay else "created_at")
                if not is_hash(pay.get("payment_hash")):
                    raise NodeUnavailable("Core Lightning listed a payment without a hash")
                if status == "pending" or ended_s >= since_s:
                    found.append(text(pay, "payment_hash"))
        return list(dict.fromkeys(found))

    async def outbound(self) -> Msat:
        """See LightningNode: what connected channels say that they can spend."""
        usable = [channel for channel in await self._channels() if channel.get("peer_connected") is True]
        return Msat(sum(amount(channel, "spendable_msat") for channel in usable))

    async def balance(self) -> Msat:
        """See LightningNode."""
        return Msat(sum(amount(channel, "to_us_msat") for channel in await self._channels()))

    async def _channels(self) -> list[Mapping[str, Any]]:
        channels = rows((await self._ask("listpeerchannels")).get("channels"), "listpeerchannels")
        return [channel for channel in channels if channel.get("state") == "CHANNELD_NORMAL"]

    async def _ask(self, method: str, **params: object) -> Mapping[str, Any]:
        """A call that has no business being refused."""
        try:
            return await self._call(method, params, self._options.timeout_s)
        except RpcRefused as refused:
            raise NodeUnavailable(f"Core Lightning refused {method}: {refused}") from None

    async def _call(self, method: str, params: Mapping[str, object], timeout_s: float) -> Mapping[str, Any]:
        answer = await self._http.ask(Ask(method, f"/v1/{method}", json=params), timeout_s)
        if answer.status in (200, 201):
            return document(answer.document, method)
        if not isinstance(answer.document, Mapping):
            raise NodeUnavailable(f"Core Lightning answered {method} with HTTP status {answer.status}")
        if answer.status == _UNKNOWN_METHOD:
            raise NodeUnavailable(f"Core Lightning has no {method}: 24.11 is the oldest that will do")
        raise RpcRefused(integer(answer.document, "code"), str(answer.document.get("message")))
