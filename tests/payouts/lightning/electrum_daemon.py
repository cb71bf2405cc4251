"""An Electrum daemon's JSON-RPC on loopback, with the payments of a simulated node behind it."""

from __future__ import annotations

import json
from typing import Any

import attrs
from treq.client import HTTPClient
from twisted.internet.task import Clock
from twisted.web.http import Request

from payouts.invoice import decode
from payouts.lightning.electrum import ElectrumNode, ElectrumOptions
from tests.payouts.lightning.simulator import NODE_ID, Bench, Paid, Simulator, agent, listening

PASSWORD = "an RPC password"
BASIC = "Basic dXNlcjphbiBSUEMgcGFzc3dvcmQ="
STATES = {"pending": 4, "paid": 3, "failed": 5}
Refused = tuple[int, str]


@attrs.define(slots=False, eq=False)
class Electrum(Simulator):
    """Electrum 4.8: one path, calls by name; states by hash, fees in the history of all that settled."""

    def may_enter(self, request: Request) -> bool:
        return request.getHeader("authorization") == BASIC

    def named(self, path: str, body: bytes) -> str:
        return str(json.loads(body)["method"])

    def answer(self, what: str, request: Request, body: bytes) -> tuple[int, bytes] | None:
        asked = json.loads(body)
        params = asked["params"]
        if what == "lnpay":
            return self._lnpay(request, params)
        calls: dict[str, Any] = {
            "getinfo": lambda: {"network": "regtest", "connected": True, "version": "4.8.4"},
            "nodeid": lambda: f"{NODE_ID}@127.0.0.1:9735",
            "get_invoice": lambda: self.invoice(params["invoice_id"]),
            "export_lightning_preimage": lambda: self.preimages.get(params["payment_hash"]),
            "lightning_history": lambda: [self.row(p) for p in self.payments.values() if p.state == "paid"],
            "list_invoices": lambda: [self.saved(paid) for paid in self.payments.values()],
            "list_channels": self._channels,
        }
        return said(calls[what]())

    def _lnpay(self, request: Request, params: dict[str, Any]) -> tuple[int, bytes] | None:
        read = decode(params["invoice"])
        known = self.payments.get(read.payment_hash)
        if known is not None and known.state == "paid":
            return said((1, "This invoice has been paid already"))
        if known is not None and known.state == "pending":
            return said((1, "A payment was already initiated for this invoice"))
        paid = self.start(params["invoice"], params["max_fee_msat"])
        if paid is not None and paid.state == "pending":
            self.later(request, lambda: self._ended(paid)[1])
        return None if paid is None or paid.state == "pending" else self._ended(paid)

    def _ended(self, paid: Paid) -> tuple[int, bytes]:
        success = paid.state == "paid"
        return said({"payment_hash": paid.payment_hash, "success": success, "preimage": None, "log": []})

    def invoice(self, hash_hex: str) -> Any:
        """What ``get_invoice`` answers."""
        paid = self.payments.get(hash_hex)
        return (1, "Request not found") if paid is None else self.saved(paid)

    def saved(self, paid: Paid) -> dict[str, Any]:
        """An invoice as it is kept."""
        found = {"is_lightning": True, "invoice_id": paid.payment_hash, "amount_msat": paid.amount}
        found["status"] = STATES[paid.state]
        return found | ({"preimage": self.preimages[paid.payment_hash]} if paid.state == "paid" else {})

    def row(self, paid: Paid) -> dict[str, Any]:
        """A payment as the history has it."""
        return {
            "type": "payment",
            "payment_hash": paid.payment_hash,
            "amount_msat": -(paid.amount + paid.fee),
            "fee_msat": paid.fee,
            "timestamp": paid.ended_s,
        }

    def _channels(self) -> list[dict[str, Any]]:
        ours = {"local_balance": self.msat // 1000, "local_reserve": 10_000}
        return [{"state": "OPEN", "peer_state": "GOOD", **ours}]


def said(answer: Any) -> tuple[int, bytes]:
    """JSON-RPC: a pair is an error's code and words, anything else a result."""
    if isinstance(answer, tuple):
        told = {"error": {"code": answer[0], "message": answer[1]}}
    else:
        told = {"result": answer}
    return 200, json.dumps({"id": 1, "jsonrpc": "2.0", **told}).encode()


def bench_of(password: str = PASSWORD) -> Bench:
    """An adapter on a daemon."""
    simulator, clock = Electrum(), Clock()
    port, url = listening(simulator)
    node = ElectrumNode(HTTPClient(agent()), clock, ElectrumOptions(url, "user", password))
    return Bench(simulator, node, clock, port)
