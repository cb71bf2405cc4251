"""An Electrum daemon as the Lightning node that pays: its JSON-RPC, and what its answers really mean.

Electrum tells the truth about a payment in ``get_invoice`` only: ``lnpay`` may answer ``success: false``
while an HTLC is unresolved, and its error for a payment already under way looks like any other.  So whatever
``lnpay`` said, the state is asked for by hash, and only *paid* and *failed* are believed at once.  *Unpaid*,
*expired* and *not found* are a failure only once the invoice cannot be paid any more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Any, Final

import attrs
from treq.client import HTTPClient
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from payouts.errors import NodeUnavailable, RpcRefused
from payouts.invoice import proves
from payouts.lightning.fees import SharedReading
from payouts.lightning.fields import document, hash_hex, integer, parse, rows, text
from payouts.lightning.reading import network_name
from payouts.money import Msat, Sat, to_msat
from payouts.values import PayFailed, PayOutcome, PaySettled, PayUnknown

EXPIRY_MARGIN_S: Final = 120  # after its expiry an unpaid invoice is given so long before it counts as failed
_NOT_FOUND: Final = "Request not found"
_NEVER: Final = 1 << 62  # an expiry that no clock reaches


class Status(IntEnum):
    """Electrum's invoice states (``electrum.invoices``), as far as they matter."""

    UNPAID = 0
    EXPIRED = 1
    PAID = 3
    INFLIGHT = 4
    FAILED = 5


@attrs.frozen
class ElectrumOptions:
    """Where the daemon listens and how long it may take.

    Attributes:
        url: e.g. ``http://127.0.0.1:7777``.
        user: RPC user.
        password: RPC password.
        timeout_s: of every call but lnpay.
        pay_timeout_s: of lnpay; the payment goes on after it.
        max_cltv: most blocks that a payment may be locked for, the last hop's included.
    """

    url: str = attrs.field(repr=False)
    user: str = attrs.field(repr=False)
    password: str = attrs.field(repr=False)
    timeout_s: float = 15.0
    pay_timeout_s: float = 60.0
    max_cltv: int = 2016


class ElectrumNode:
    """An InspectableNode (see payouts.lightning.reading) over an Electrum daemon's JSON-RPC."""

    log = Logger()

    def __init__(self, http: HTTPClient, clock: IReactorTime, options: ElectrumOptions) -> None:
        self._http = http
        self._clock = clock
        self._options = options
        self._history = SharedReading(self._read_history)

    async def network(self) -> str:
        """See InspectableNode."""
        return network_name(text(document(await self._ask("getinfo"), "getinfo"), "network"))

    async def behind(self) -> str | None:
        """See InspectableNode: whether its server answers, and whether it has followed that to the tip."""
        found = document(await self._ask("getinfo"), "getinfo")
        if found.get("connected") is not True:
            return "Electrum is connected to no server"
        ours, theirs = (found.get(name) for name in ("blockchain_height", "server_height"))
        follows = not isinstance(ours, int) or not isinstance(theirs, int) or ours >= theirs
        return None if follows else f"Electrum is at height {ours}, its server at {theirs}"

    async def decode(self, invoice: str) -> None:
        """See InspectableNode: a running daemon fails at ``decode_invoice`` (4.8.4), so it has no reading."""

    async def node_id(self) -> str:
        """See LightningNode."""
        answer = await self._ask("nodeid")
        if not isinstance(answer, str) or len(answer.partition("@")[0]) != 66:
            raise NodeUnavailable("Electrum did not name its node: does its wallet have Lightning enabled?")
        return answer.partition("@")[0]

    async def pay(self, invoice: str, payment_hash: str, max_fee: Msat) -> PayOutcome:
        """See LightningNode; ``max_fee`` must be what ``payouts.planner.max_fee`` allows."""
        terms = {"invoice": invoice, "max_fee_msat": max_fee, "max_cltv": self._options.max_cltv}
        said = "no route was found"
        try:
            await self._call("lnpay", terms, self._options.pay_timeout_s)
        except RpcRefused as refused:
            said = refused.message
        except NodeUnavailable as unavailable:
            said = str(unavailable)
        try:
            return await self._state(payment_hash, _NEVER, 0, said)
        except NodeUnavailable as unavailable:
            return PayUnknown(str(unavailable))

    async def lookup(self, payment_hash: str, invoice_expires_s: int, now_s: int) -> PayOutcome:
        """See LightningNode."""
        return await self._state(payment_hash, invoice_expires_s, now_s, "the node gave up")

    async def _state(self, payment_hash: str, expires_s: int, now_s: int, said: str) -> PayOutcome:
        try:
            found = await self._call("get_invoice", {"invoice_id": payment_hash}, self._options.timeout_s)
        except RpcRefused as refused:
            if refused.message != _NOT_FOUND:  # code 1 is also "no wallet loaded" and the like
                raise NodeUnavailable(f"Electrum refused get_invoice: {refused}") from None
            found = {"status": Status.UNPAID}
        match integer(document(found, "get_invoice"), "status"):
            case Status.PAID:
                return await self._settled(payment_hash, found)
            case Status.FAILED:
                return PayFailed(said)
            case Status.UNPAID | Status.EXPIRED:
                if now_s > expires_s + EXPIRY_MARGIN_S:
                    return PayFailed("the invoice expired before it could be paid")
                return PayUnknown(said, idle=True)
            case other:
                return PayUnknown(f"the payment is in progress (status {other})")

    async def _settled(self, payment_hash: str, found: Mapping[str, Any]) -> PayOutcome:
        preimage = found.get("preimage") or await self._ask(
            "export_lightning_preimage", payment_hash=payment_hash
        )
        if not isinstance(preimage, str) or not proves(preimage, payment_hash):
            self.log.error("Electrum showed a wrong preimage for {payment_hash}", payment_hash=payment_hash)
            return PayUnknown("the node says paid, but shows no preimage that proves it")
        history = await self._history.rows()
        fee = next((_fee(row, found) for row in history if row.get("payment_hash") == payment_hash), None)
        if fee is None:  # the history lags behind for a moment
            return PayUnknown("paid, but the fee is not known yet")
        return PaySettled(preimage, fee)

    async def sent_hashes(self, since_s: int) -> Sequence[str]:
        """See LightningNode: from the history what was paid, from the saved invoices what is in flight."""
        paid = [
            hash_hex(item, "payment_hash")
            for item in await self._history.rows()
            if item.get("type") == "payment"
            and item.get("payment_hash")
            and integer(item, "amount_msat") < 0
            and integer(item, "timestamp") >= since_s
        ]
        invoices = await self._ask("list_invoices")
        in_flight = [
            hash_hex(invoice, "invoice_id")
            for invoice in rows(invoices, "list_invoices")
            if invoice.get("is_lightning") and integer(invoice, "status") == Status.INFLIGHT
        ]
        return list(dict.fromkeys(paid + in_flight))

    async def outbound(self) -> Msat:
        """See LightningNode: what is above the reserve of channels whose peer is there; whole sats."""
        usable = [c for c in await self._channels() if c.get("peer_state") == "GOOD"]
        sats = [max(0, integer(c, "local_balance") - integer(c, "local_reserve")) for c in usable]
        return to_msat(Sat(sum(sats)))

    async def balance(self) -> Msat:
        """See LightningNode: Electrum tells whole sats."""
        return to_msat(Sat(sum(integer(c, "local_balance") for c in await self._channels())))

    async def _channels(self) -> list[Mapping[str, Any]]:
        channels = rows(await self._ask("list_channels"), "list_channels")
        return [channel for channel in channels if channel.get("state") == "OPEN"]

    async def _read_history(self) -> list[Mapping[str, Any]]:
        return rows(await self._ask("lightning_history"), "lightning_history")

    async def _ask(self, method: str, **params: object) -> Any:
        """A call that has no business being refused."""
        try:
            return await self._call(method, params, self._options.timeout_s)
        except RpcRefused as refused:
            raise NodeUnavailable(f"Electrum refused {method}: {refused}") from None

    async def _call(self, method: str, params: Mapping[str, object], timeout_s: float) -> Any:
        exchange = Deferred.fromCoroutine(self._exchange(method, params))
        try:
            answer = await exchange.addTimeout(timeout_s, self._clock)
        except (CancelledError, NodeUnavailable):
            raise
        except Exception as error:  # noqa: BLE001 - whatever HTTP and JSON can fail with; texts may hold the URL
            raise NodeUnavailable(f"Electrum did not answer {method} ({type(error).__name__})") from None
        if not isinstance(answer, dict) or not answer.keys() & {"result", "error"}:
            raise NodeUnavailable(f"Electrum answered {method} with no JSON-RPC document")
        refusal: object = answer.get("error")
        if refusal is None:
            return answer.get("result")
        if not isinstance(refusal, dict):
            raise NodeUnavailable(f"Electrum answered {method} with a malformed error")
        raise RpcRefused(integer(refusal, "code"), str(refusal.get("message")))

    async def _exchange(self, method: str, params: Mapping[str, object]) -> Any:
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        login = self._options.user, self._options.password
        # a redirect would carry the password away
        response = await self._http.post(self._options.url, json=request, auth=login, allow_redirects=False)
        body = await response.content()
        if response.code != 200:
            raise NodeUnavailable(f"Electrum answered {method} with HTTP status {response.code}")
        return parse(body)


def _fee(row: Mapping[str, Any], found: Mapping[str, Any]) -> Msat | None:
    """What the payment cost beyond its amount, which the history's amount includes; None while parts lack.

    A row counts only what has settled, so that it shows less than the amount until the last part has.
    """
    if row.get("fee_msat") is None:
        fee = -integer(row, "amount_msat") - integer(found, "amount_msat")
    else:
        fee = integer(row, "fee_msat")
    return Msat(fee) if fee >= 0 else None
