"""PhoenixdNode on a simulated phoenixd: what its answers, its 404 and its *paid* really mean."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs

import attrs
import pytest
from twisted.internet.task import Clock
from twisted.web.http import Request

from payouts.errors import NodeUnavailable
from payouts.invoice import decode
from payouts.lightning.http import NodeHttp
from payouts.lightning.phoenixd import PhoenixdNode, PhoenixdOptions, price
from payouts.money import Msat
from payouts.values import PayFailed, PaySettled, PayUnknown
from tests.contracts.lightning import InspectableContract, InspectableRig
from tests.payouts.invoices import MADE_S, invoice, payment_hash, preimage
from tests.payouts.lightning.simulator import (
    EXPIRES_S,
    HASH,
    NODE_ID,
    Bench,
    Paid,
    Plan,
    Simulator,
    agent,
    listening,
)
from tests.regtest.payer_reactor import rest, run

PASSWORD, LIMITED = "the full password", "the limited one"
Answered = tuple[int, bytes] | None


def pretty(document: Any) -> tuple[int, bytes]:
    return 200, json.dumps(document, indent=4).encode()


@attrs.define(slots=False, eq=False)
class Phoenixd(Simulator):
    """phoenixd 0.6: pretty-printed JSON without nulls, texts for errors, 404 for what it does not have."""

    looks_up_by_hash: bool = True
    calls_failed_paid: bool = False  # as some releases do

    def may_enter(self, request: Request) -> bool:
        header = request.getHeader("Authorization")
        allowed = {"full": PASSWORD, "limited": LIMITED}
        known = {name: f"Basic {b64encode(f':{word}'.encode()).decode()}" for name, word in allowed.items()}
        return header == known["full"] or (header == known["limited"] and request.path != b"/payinvoice")

    def named(self, path: str, body: bytes) -> str:
        return "byhash" if path.startswith("/payments/outgoingbyhash/") else path.strip("/")

    def answer(self, what: str, request: Request, body: bytes) -> Answered:
        form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        args = {name.decode(): values[0].decode() for name, values in (request.args or {}).items()}
        last = (request.path or b"").decode().rpartition("/")[2]
        answers: dict[str, Callable[[], Answered]] = {
            "payinvoice": lambda: self._pay(request, form),
            "byhash": lambda: self._by_hash(last),
            "decodeinvoice": lambda: self._decode(form["invoice"]),
            "payments/outgoing": lambda: self._list(args),
            "getinfo": lambda: pretty({"nodeId": NODE_ID, "channels": [], "chain": "regtest"}),
            "getbalance": lambda: pretty({"balanceSat": self.msat // 1000, "feeCreditSat": 0}),
        }
        return answers[what]() if what in answers else (404, b"Unknown endpoint (check api doc)")

    def _pay(self, request: Request, form: dict[str, str]) -> Answered:
        if "invoice" not in form:
            return 400, b"Request parameter invoice is missing"
        read = decode(form["invoice"])
        known = self.payments.get(read.payment_hash)
        if known is not None and known.state != "failed":
            words = "already been paid" if known.state == "paid" else "already being paid"
            return pretty({"paymentHash": read.payment_hash, "reason": f"this invoice has {words}"})
        paid = self.start(form["invoice"])
        if paid is not None and paid.state == "pending":
            self.later(request, lambda: b"{}")
        if paid is None or paid.state == "pending":
            return None
        if paid.state == "failed":
            return pretty({"paymentHash": paid.payment_hash, "reason": "recipient node is not reachable"})
        proof = {"paymentHash": paid.payment_hash, "paymentPreimage": self.preimages[paid.payment_hash]}
        return pretty({"recipientAmountSat": paid.amount // 1000, "routingFeeSat": 0, **proof})

    def row(self, paid: Paid) -> dict[str, Any]:
        row: dict[str, Any] = {
            "paymentId": "4d8ae2e0-5f5e-4d2e-9d8b-0f3c8a1b2c3d",
            "paymentHash": paid.payment_hash,
            "isPaid": paid.state == "paid" or (self.calls_failed_paid and paid.state == "failed"),
            "sent": (paid.amount + paid.fee) // 1000,
            "fees": paid.fee,
            "invoice": paid.invoice,
            "createdAt": paid.began_s * 1000,
        }
        if paid.state != "pending":
            row["completedAt"] = paid.ended_s * 1000
        if paid.state == "paid":
            row["preimage"] = self.preimages.get(paid.payment_hash, "11" * 32)
        return row

    def _by_hash(self, hash_hex: str) -> Answered:
        if not self.looks_up_by_hash or (len(hash_hex) == 64 and hash_hex not in self.payments):
            return 404, b"Unknown endpoint (check api doc)"
        if len(hash_hex) != 64:
            return 400, b"Request parameter paymentHash couldn't be parsed/converted to hex32"
        return pretty(self.row(self.payments[hash_hex]))

    def _list(self, args: dict[str, str]) -> Answered:
        rows = [p for p in self.payments.values() if p.began_s * 1000 >= int(args["from"])]
        rows = [paid for paid in rows if paid.state != "failed"]
        first, size = int(args["offset"]), int(args["limit"])
        onchain = [{"txId": "aa" * 32, "isPaid": True, "completedAt": MADE_S * 1000}]
        return pretty(
            [self.row(paid) for paid in rows[first : first + size]] + (onchain if first == 0 else [])
        )

    def _decode(self, text: str) -> Answered:
        read = decode(text)
        document: dict[str, Any] = {
            "chain": "regtest",
            "amount": read.amount,
            "paymentHash": read.payment_hash,
            "description": read.description,
            "minFinalCltvExpiryDelta": read.final_cltv,
            "expirySeconds": read.expires_s - read.timestamp_s,
            "extraHops": [],
            "timestampSeconds": read.timestamp_s,
        }
        return pretty(document)


def bench_of(password: str = PASSWORD) -> Bench:
    simulator, clock = Phoenixd(), Clock()
    port, url = listening(simulator)
    basic = f"Basic {b64encode(f':{password}'.encode()).decode()}"
    node = PhoenixdNode(NodeHttp(agent(), clock, url, {"Authorization": basic}), PhoenixdOptions())
    return Bench(simulator, node, clock, port)


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = bench_of()
    yield made
    made.port.stopListening()


@pytest.fixture
def phoenixd(bench: Bench) -> Phoenixd:
    assert isinstance(bench.simulator, Phoenixd)
    return bench.simulator


@pytest.fixture(scope="module", autouse=True)
def _threads_end() -> Iterator[None]:
    yield
    rest()


class TestPhoenixdContract(InspectableContract):
    @pytest.fixture(autouse=True)
    def _listening(self, bench: Bench) -> None:
        self._bench = bench

    def make_rig(self) -> InspectableRig:
        return self._bench


def test_the_price_is_four_sat_and_four_in_a_thousand_rounded_up() -> None:
    assert price(Msat(1_000_000)) == 8_000
    assert price(Msat(1)) == 4_001


def test_nothing_is_sent_under_a_cap_below_the_price(bench: Bench) -> None:
    outcome = run(bench.node.pay(invoice(1), HASH, Msat(7_999)))
    assert isinstance(outcome, PayUnknown)
    assert "price" in outcome.reason
    assert bench.asked("payinvoice") == []
    assert isinstance(run(bench.node.pay(invoice(1), HASH, Msat(8_000))), PaySettled)


def test_a_payment_that_is_completed_and_not_paid_has_failed(bench: Bench, phoenixd: Phoenixd) -> None:
    phoenixd.plan = Plan.REFUSE
    assert bench.pay() == PayFailed("recipient node is not reachable")


def test_a_failure_that_is_called_paid_and_shows_no_preimage_is_neither(
    bench: Bench, phoenixd: Phoenixd
) -> None:
    phoenixd.plan, phoenixd.calls_failed_paid = Plan.REFUSE, True
    outcome = bench.pay()
    assert isinstance(outcome, PayUnknown)
    assert not outcome.idle


def test_a_release_that_cannot_look_up_by_hash_is_no_payment_not_found(
    bench: Bench, phoenixd: Phoenixd
) -> None:
    phoenixd.looks_up_by_hash = False
    with pytest.raises(NodeUnavailable, match="update it"):
        bench.lookup(EXPIRES_S + 10**8)


@pytest.mark.parametrize(
    "change",
    [
        {"isPaid": "true", "preimage": None},
        {"isPaid": None, "preimage": None},
        {"paymentHash": payment_hash(2)},
        {"preimage": preimage(2)},
        {"preimage": 17},
        {"fees": -1},
        {"fees": None},
    ],
)
def test_a_success_with_anything_wrong_is_no_settlement_and_no_failure(
    bench: Bench, phoenixd: Phoenixd, change: dict[str, Any]
) -> None:
    phoenixd.told["byhash"] = {**phoenixd.row(Paid(HASH, 1_000_000, invoice(1), state="paid")), **change}
    try:
        outcome = bench.lookup(EXPIRES_S + 10**8)
    except NodeUnavailable:
        return
    assert isinstance(outcome, PayUnknown)
    assert not outcome.idle


@pytest.mark.parametrize("change", [{"amount": 2_000_000}, {"timestampSeconds": 5}, {"expirySeconds": 1}])
def test_nothing_is_sent_when_the_node_reads_the_invoice_differently(
    bench: Bench, phoenixd: Phoenixd, change: dict[str, Any]
) -> None:
    answered = phoenixd._decode(invoice(1))
    assert answered is not None
    phoenixd.told["decodeinvoice"] = {**json.loads(answered[1]), **change}
    assert bench.pay() == PayUnknown("the node reads the invoice differently")
    assert bench.asked("payinvoice") == []


def test_payments_are_listed_page_after_page_without_those_on_chain(bench: Bench, phoenixd: Phoenixd) -> None:
    for number in range(1, 1502):
        paid = Paid(f"{number:064x}", 1000, "", state="paid", began_s=MADE_S, ended_s=MADE_S + number)
        phoenixd.payments[paid.payment_hash] = paid
    assert run(bench.node.sent_hashes(MADE_S + 5)) == [f"{number:064x}" for number in range(5, 1502)]


def test_the_limited_password_is_told_from_the_full_one(bench: Bench) -> None:
    assert isinstance(bench.node, PhoenixdNode)
    assert run(bench.node.may_pay())
    limited = bench_of(LIMITED)
    assert isinstance(limited.node, PhoenixdNode)
    assert not run(limited.node.may_pay())
    assert bench.simulator.payments == {}
    limited.port.stopListening()
