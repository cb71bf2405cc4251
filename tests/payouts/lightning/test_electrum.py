"""The Electrum adapter against a stand-in daemon: what each of its answers is taken for."""

from __future__ import annotations

import json
from collections.abc import Coroutine, Iterator
from itertools import count
from typing import Any, TypeVar, cast

import attrs
import pytest
from treq.client import HTTPClient
from treq.testing import StubTreq
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.web.http import Request
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from payouts.errors import NodeUnavailable
from payouts.invoice import decode
from payouts.lightning.electrum import ElectrumNode, ElectrumOptions
from payouts.lightning.reading import InspectableNode
from payouts.money import Msat
from payouts.values import PayFailed, PayOutcome, PaySettled, PayUnknown
from tests.contracts.lightning import InspectableContract, InspectableRig
from tests.payouts.invoices import MADE_S, invoice, payment_hash, preimage

T = TypeVar("T")
HASH = payment_hash(1)
PASSWORD = "an RPC password"
BASIC = "Basic dXNlcjphbiBSUEMgcGFzc3dvcmQ="
NODE_ID = "02" + "ab" * 32


class Refusal(Exception):
    """A JSON-RPC error."""


@attrs.define(slots=False)
class Daemon(Resource):
    """Electrum's JSON-RPC as the facts have it: states by hash, a history of what settled."""

    isLeaf = True  # noqa: N815 - Twisted's spelling
    pays: bool = True
    hangs: bool = False
    status: int | None = None  # HTTP
    garbage: bytes | None = None
    told: dict[str, Any] = attrs.Factory(dict)  # answers that override
    invoices: dict[str, dict[str, Any]] = attrs.Factory(dict)
    history: list[dict[str, Any]] = attrs.Factory(list)
    calls: list[tuple[str, dict[str, Any]]] = attrs.Factory(list)
    local_sat: int = 1_000_000
    preimages: dict[str, str] = attrs.Factory(lambda: {payment_hash(n): preimage(n) for n in range(100)})

    def __attrs_post_init__(self) -> None:
        Resource.__init__(self)  # type: ignore[no-untyped-call]

    def render_POST(self, request: Request) -> bytes | int:
        if request.getHeader("authorization") != BASIC:
            request.setResponseCode(401)
            return b"Unauthorized"
        assert request.content is not None
        asked = json.loads(request.content.read())
        self.calls.append((asked["method"], asked["params"]))
        if self.status is not None:
            request.setResponseCode(self.status)
            return b"Invalid Request"
        if self.garbage is not None:
            return self.garbage
        if self.hangs and asked["method"] == "lnpay":
            return NOT_DONE_YET
        answer: dict[str, Any] = {"id": asked["id"], "jsonrpc": "2.0"}
        try:
            answer["result"] = self._answer(asked["method"], asked["params"])
        except Refusal as refusal:
            answer["error"] = {"code": 1, "message": str(refusal)}
        return json.dumps(answer).encode()

    def _answer(self, method: str, params: dict[str, Any]) -> Any:
        if method in self.told:
            told = self.told[method]
            if isinstance(told, Refusal):
                raise told
            return told
        return getattr(self, method)(**params)

    def getinfo(self) -> dict[str, Any]:
        return {"network": "regtest", "connected": True, "version": "4.8.4"}

    def nodeid(self) -> str:
        return f"{NODE_ID}@127.0.0.1:9735"

    def lnpay(self, invoice: str, max_fee_msat: int, max_cltv: int) -> dict[str, Any]:
        read = decode(invoice)
        saved = self.invoices.setdefault(
            read.payment_hash, {"status": 0, "amount_msat": read.amount, "invoice_id": read.payment_hash}
        )
        saved["is_lightning"] = True
        if saved["status"] == 3:
            raise Refusal("This invoice has been paid already")
        if not self.pays or read.payment_hash not in self.preimages:
            saved["status"] = 5
            return {"payment_hash": read.payment_hash, "success": False, "preimage": None, "log": []}
        assert read.amount is not None
        self.settle(read.payment_hash, read.amount, fee=3)
        return {"payment_hash": read.payment_hash, "success": True, "preimage": "as it may be", "log": []}

    def settle(self, payment_hash: str, amount: int, fee: int) -> None:
        self.invoices[payment_hash].update(status=3, preimage=self.preimages[payment_hash])
        self.local_sat -= -(-(amount + fee) // 1000)
        self.history.append(
            {
                "type": "payment",
                "payment_hash": payment_hash,
                "amount_msat": -(amount + fee),
                "fee_msat": fee,
                "timestamp": MADE_S,
            }
        )

    def get_invoice(self, invoice_id: str) -> dict[str, Any]:
        if invoice_id not in self.invoices:
            raise Refusal("Request not found")
        return self.invoices[invoice_id]

    def export_lightning_preimage(self, payment_hash: str) -> str | None:
        return self.preimages.get(payment_hash)

    def lightning_history(self) -> list[dict[str, Any]]:
        return self.history

    def list_invoices(self) -> list[dict[str, Any]]:
        return list(self.invoices.values())

    def list_channels(self) -> list[dict[str, Any]]:
        ours = {"local_balance": self.local_sat, "local_reserve": 10_000}
        return [
            {"state": "OPEN", "peer_state": "GOOD", **ours},
            {"state": "OPEN", "peer_state": "DISCONNECTED", "local_balance": 500, "local_reserve": 100},
            {"state": "CLOSED", "peer_state": "GOOD", "local_balance": 77, "local_reserve": 0},
        ]


@attrs.define
class Bench:
    """The adapter on a stand-in daemon."""

    daemon: Daemon = attrs.Factory(Daemon)
    clock: Clock = attrs.Factory(Clock)
    node: InspectableNode = attrs.field()
    password: str = PASSWORD
    numbers: Iterator[int] = attrs.field(factory=lambda: count(1))
    agent: Any = attrs.field(init=False)

    @node.default
    def _node(self) -> InspectableNode:
        return self.connect(PASSWORD)

    def connect(self, password: str) -> InspectableNode:
        self.agent = StubTreq(self.daemon)  # type: ignore[no-untyped-call]
        options = ElectrumOptions("http://127.0.0.1:7777", "user", password)
        return ElectrumNode(cast(HTTPClient, self.agent), self.clock, options)

    def run(self, coroutine: Coroutine[Any, Any, T], wait_s: float = 0) -> T:
        results: list[T] = []
        failures: list[BaseException] = []
        asked = Deferred.fromCoroutine(coroutine)
        asked.addCallbacks(results.append, lambda failure: failures.append(failure.value))
        for _ in range(20):
            self.agent.flush()
        self.clock.advance(wait_s)
        for _ in range(20):
            self.agent.flush()
        if failures:
            raise failures[0]
        return results[0]

    def pay(self, wait_s: float = 0) -> PayOutcome:
        return self.run(self.node.pay(invoice(1), HASH, Msat(15_000)), wait_s)

    def lookup(self, now_s: int = MADE_S) -> PayOutcome:
        return self.run(self.node.lookup(HASH, MADE_S + 3600, now_s))

    def saved(self, **state: Any) -> None:
        self.daemon.invoices[HASH] = {"status": 0, "amount_msat": 1_000_000, **state}

    def invoice(self, amount_sat: int, expiry_s: int = 3600) -> str:
        return invoice(next(self.numbers), sat=amount_sat, expiry_s=expiry_s)

    def unpayable(self, amount_sat: int) -> str:
        return invoice(1000, sat=amount_sat)


class TestElectrumContract(InspectableContract):
    def make_rig(self) -> InspectableRig:
        return Bench()


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_payment_is_asked_for_with_its_caps(bench: Bench) -> None:
    assert bench.pay() == PaySettled(preimage(1), Msat(3))
    asked = {"invoice": invoice(1), "max_fee_msat": 15_000, "max_cltv": 2016}
    assert bench.daemon.calls[0] == ("lnpay", asked)


def test_a_timeout_of_lnpay_is_not_a_failure(bench: Bench) -> None:
    bench.daemon.hangs = True
    bench.saved(status=4)
    outcome = bench.pay(wait_s=61)
    assert isinstance(outcome, PayUnknown)
    assert not outcome.idle


def test_a_timeout_then_settled_is_settled(bench: Bench) -> None:
    bench.daemon.hangs = True
    bench.saved()
    bench.daemon.settle(HASH, 1_000_000, fee=9)
    assert bench.pay(wait_s=61) == PaySettled(preimage(1), Msat(9))


def test_success_false_with_an_unresolved_htlc_is_unknown(bench: Bench) -> None:
    bench.saved(status=4)
    bench.daemon.told["lnpay"] = {"success": False}
    assert isinstance(bench.pay(), PayUnknown)


def test_success_true_is_not_believed_without_a_preimage(bench: Bench) -> None:
    bench.saved(status=4)
    bench.daemon.told["lnpay"] = {"success": True, "preimage": preimage(1)}
    assert isinstance(bench.pay(), PayUnknown)


def test_a_payment_already_under_way_is_unknown(bench: Bench) -> None:
    bench.saved(status=4)
    bench.daemon.told["lnpay"] = Refusal("A payment was already initiated for this invoice")
    assert isinstance(bench.pay(), PayUnknown)


def test_no_route_is_a_definite_failure(bench: Bench) -> None:
    bench.daemon.pays = False
    assert bench.pay() == PayFailed("no route was found")


@pytest.mark.parametrize("status", [0, 1, None])
def test_unpaid_expired_and_not_found_fail_only_past_expiry_and_margin(
    bench: Bench, status: int | None
) -> None:
    if status is not None:
        bench.saved(status=status)
    at_margin = bench.lookup(MADE_S + 3600 + 120)
    assert isinstance(at_margin, PayUnknown)
    assert at_margin.idle
    assert isinstance(bench.lookup(MADE_S + 3600 + 121), PayFailed)


def test_in_progress_stays_unknown_for_ever(bench: Bench) -> None:
    bench.saved(status=4)
    outcome = bench.lookup(MADE_S + 10**8)
    assert isinstance(outcome, PayUnknown)
    assert not outcome.idle


def test_a_wallet_that_is_not_loaded_is_not_a_payment_not_found(bench: Bench) -> None:
    bench.daemon.told["get_invoice"] = Refusal("wallet not loaded")
    with pytest.raises(NodeUnavailable):
        bench.lookup(MADE_S + 10**8)


@pytest.mark.parametrize("shown", [preimage(2), "zz", 17, None])
def test_a_preimage_that_does_not_prove_the_hash_is_not_a_settlement(bench: Bench, shown: object) -> None:
    bench.saved(status=3, preimage=shown)
    bench.daemon.told["export_lightning_preimage"] = shown
    assert isinstance(bench.lookup(), PayUnknown)


def test_a_preimage_is_exported_when_the_invoice_does_not_show_it(bench: Bench) -> None:
    bench.saved()
    bench.daemon.settle(HASH, 1_000_000, fee=2)
    del bench.daemon.invoices[HASH]["preimage"]
    assert bench.lookup() == PaySettled(preimage(1), Msat(2))


def test_a_settlement_waits_for_its_fee(bench: Bench) -> None:
    bench.saved(status=3, preimage=preimage(1))
    assert isinstance(bench.lookup(), PayUnknown)


def test_a_fee_that_is_not_told_is_the_amount_beyond_the_invoices(bench: Bench) -> None:
    bench.saved()
    bench.daemon.settle(HASH, 1_000_000, fee=12)
    bench.daemon.history[0]["fee_msat"] = None
    assert bench.lookup() == PaySettled(preimage(1), Msat(12))


@pytest.mark.parametrize("fee", ["3", 1.5])
def test_a_fee_that_makes_no_sense_is_nonsense(bench: Bench, fee: object) -> None:
    bench.saved()
    bench.daemon.settle(HASH, 1_000_000, fee=2)
    bench.daemon.history[0]["fee_msat"] = fee
    with pytest.raises(NodeUnavailable):
        bench.lookup()


def test_a_payment_whose_parts_have_not_all_settled_waits_for_its_fee(bench: Bench) -> None:
    bench.saved()
    bench.daemon.settle(HASH, 1_000_000, fee=-400_000)
    assert isinstance(bench.lookup(), PayUnknown)


def test_in_flight_payments_count_as_sent_whenever_they_began(bench: Bench) -> None:
    bench.daemon.invoices[HASH] = {"status": 4, "is_lightning": True, "invoice_id": HASH}
    assert bench.run(bench.node.sent_hashes(MADE_S + 10**6)) == [HASH]


def test_received_payments_are_not_sent_ones(bench: Bench) -> None:
    received = {"type": "payment", "payment_hash": HASH, "amount_msat": 5, "timestamp": MADE_S}
    bench.daemon.history.append(received)
    assert bench.run(bench.node.sent_hashes(0)) == []


def test_only_open_channels_with_a_peer_can_send(bench: Bench) -> None:
    assert bench.run(bench.node.outbound()) == 990_000_000
    assert bench.run(bench.node.balance()) == 1_000_500_000


@pytest.mark.parametrize(
    "garbage",
    [b"", b"not json", b"[]", b"{}", b'{"result": 5}', b'{"error": "x"}', b'{"error": {"code": "x"}}'],
)
def test_nonsense_is_an_unavailable_node_and_an_unknown_payment(bench: Bench, garbage: bytes) -> None:
    bench.daemon.garbage = garbage
    with pytest.raises(NodeUnavailable):
        bench.run(bench.node.node_id())
    with pytest.raises(NodeUnavailable):
        bench.lookup()
    assert isinstance(bench.pay(), PayUnknown)


def test_an_http_error_is_an_unavailable_node(bench: Bench) -> None:
    bench.daemon.status = 500
    with pytest.raises(NodeUnavailable, match="HTTP status 500"):
        bench.run(bench.node.balance())
    assert isinstance(bench.pay(), PayUnknown)


def test_a_wrong_password_is_an_unavailable_node_and_is_not_shown(bench: Bench) -> None:
    node = bench.connect("a wrong password")
    with pytest.raises(NodeUnavailable, match="HTTP status 401") as caught:
        bench.run(node.node_id())
    assert "wrong password" not in repr(caught.value) + str(caught.value)


def test_credentials_are_in_no_repr(bench: Bench) -> None:
    options = ElectrumOptions("http://user:secret@127.0.0.1:7777", "user", PASSWORD)
    assert PASSWORD not in repr(options) + repr(bench.node)
    assert "secret" not in repr(options)
