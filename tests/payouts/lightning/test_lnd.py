"""LndNode on a simulated LND: the exact spellings of its REST interface, and what each state is taken for."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import pytest
from twisted.internet.task import Clock
from twisted.web.http import Request

from payouts.errors import NodeUnavailable
from payouts.invoice import decode
from payouts.lightning.http import NodeHttp
from payouts.lightning.lnd import LndNode, LndOptions
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

MACAROON = "0201036c6e64"
STATES = {"pending": "IN_FLIGHT", "paid": "SUCCEEDED", "failed": "FAILED"}


def chunk(document: Any) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode() + b"\n"


def failure(code: int, message: str) -> bytes:
    return chunk({"error": {"code": code, "message": message, "details": []}})


@attrs.define(slots=False, eq=False)
class Lnd(Simulator):
    """LND 0.20 behind its grpc-gateway: proto names, 64-bit integers as strings, defaults written out."""

    macaroon: str = MACAROON
    reason: str = "FAILURE_REASON_NO_ROUTE"
    repeats: int = 1  # how often a stream says everything

    def may_enter(self, request: Request) -> bool:
        return request.getHeader("Grpc-Metadata-macaroon") == self.macaroon

    def named(self, path: str, body: bytes) -> str:
        if path.startswith("/v1/payreq/"):
            return "payreq"
        return "track" if path.startswith("/v2/router/track/") else path.strip("/")

    def answer(self, what: str, request: Request, body: bytes) -> tuple[int, bytes] | None:
        args = {name.decode(): values[0].decode() for name, values in (request.args or {}).items()}
        last = (request.path or b"").decode().rpartition("/")[2]
        answers: dict[str, Callable[[], tuple[int, bytes] | None]] = {
            "v2/router/send": lambda: self._send(request, json.loads(body)),
            "track": lambda: self._track(urlsafe_b64decode(last).hex(), args),
            "payreq": lambda: self._payreq(last),
            "v1/payments": lambda: self._list(args),
            "v1/getinfo": self._info,
            "v1/balance/channels": self._balance,
            "v1/channels": lambda: self._channels(args),
        }
        unknown = 404, chunk({"code": 5, "message": "Not Found", "details": []})
        return answers[what]() if what in answers else unknown

    def _info(self) -> tuple[int, bytes]:
        chains = [{"chain": "bitcoin", "network": "regtest"}]
        return 200, chunk({"identity_pubkey": NODE_ID, "chains": chains, "synced_to_chain": True})

    def _balance(self) -> tuple[int, bytes]:
        amount = {"sat": str(self.msat // 1000), "msat": str(self.msat)}
        return 200, chunk({"balance": amount["sat"], "local_balance": amount})

    def _channels(self, args: dict[str, str]) -> tuple[int, bytes]:
        assert args == {"active_only": "true"}
        constraints = {"chan_reserve_sat": "10000", "dust_limit_sat": "354"}
        channel = {"local_balance": str(self.msat // 1000), "local_constraints": constraints}
        return 200, chunk({"channels": [channel]})

    def _payment(self, paid: Paid) -> dict[str, Any]:
        settled = paid.state == "paid"
        return {
            "payment_hash": paid.payment_hash,
            "value_msat": str(paid.amount),
            "payment_preimage": self.preimages[paid.payment_hash] if settled else "00" * 32,
            "payment_request": paid.invoice,
            "status": STATES[paid.state],
            "fee_msat": str(paid.fee if settled else 0),
            "creation_time_ns": str(paid.began_s * 10**9),
            "htlcs": [{"status": STATES[paid.state], "resolve_time_ns": str(paid.ended_s * 10**9)}],
            "payment_index": "1",
            "failure_reason": self.reason if paid.state == "failed" else "FAILURE_REASON_NONE",
        }

    def _send(self, request: Request, terms: dict[str, Any]) -> tuple[int, bytes] | None:
        read = decode(terms["payment_request"])
        if self.now_s > read.expires_s:
            return 500, failure(2, "invoice expired. Valid until 2027-01-15")
        known = self.payments.get(read.payment_hash)
        if known is not None and known.state != "failed":
            words = "invoice is already paid" if known.state == "paid" else "payment is in transition"
            return 409, failure(6, words)
        paid = self.start(terms["payment_request"], int(terms["fee_limit_msat"]))
        if paid is None or paid.state == "pending":
            if paid is not None:
                self.later(request, lambda: chunk({"result": self._payment(paid)}))
            return None
        return 200, self.repeats * chunk({"result": self._payment(paid)})

    def _track(self, hash_hex: str, args: dict[str, str]) -> tuple[int, bytes]:
        assert args == {"no_inflight_updates": "false"}
        if hash_hex not in self.payments:
            return 404, failure(5, "payment isn't initiated")
        return 200, self.repeats * chunk({"result": self._payment(self.payments[hash_hex])})

    def _payreq(self, text: str) -> tuple[int, bytes]:
        read = decode(text)
        document = {
            "destination": read.payee,
            "payment_hash": read.payment_hash,
            "num_satoshis": str((read.amount or 0) // 1000),
            "timestamp": str(read.timestamp_s),
            "expiry": str(read.expires_s - read.timestamp_s),
            "description": read.description,
            "cltv_expiry": str(read.final_cltv),
            "num_msat": str(read.amount or 0),
        }
        return 200, chunk(document)

    def _list(self, args: dict[str, str]) -> tuple[int, bytes]:
        assert args["include_incomplete"] == "true"
        rows = [paid for paid in self.payments.values() if paid.began_s >= int(args["creation_date_start"])]
        first, size = int(args["index_offset"]), int(args["max_payments"])
        page = [self._payment(paid) for paid in rows[first : first + size]]
        return 200, chunk({"payments": page, "last_index_offset": str(first + len(page))})


def bench_of(macaroon: str = MACAROON) -> Bench:
    simulator, clock = Lnd(), Clock()
    port, url = listening(simulator)
    node = LndNode(NodeHttp(agent(), clock, url, {"Grpc-Metadata-macaroon": macaroon}), LndOptions())
    return Bench(simulator, node, clock, port)


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = bench_of()
    yield made
    made.port.stopListening()


@pytest.fixture(scope="module", autouse=True)
def _threads_end() -> Iterator[None]:
    yield
    rest()


class TestLndContract(InspectableContract):
    @pytest.fixture(autouse=True)
    def _listening(self, bench: Bench) -> None:
        self._bench = bench

    def make_rig(self) -> InspectableRig:
        return self._bench


def test_a_payment_is_asked_for_with_its_caps(bench: Bench) -> None:
    assert bench.pay() == PaySettled(preimage(1), Msat(3))
    (terms,) = map(json.loads, bench.asked("v2/router/send"))
    assert terms == {
        "payment_request": invoice(1),
        "fee_limit_msat": "15000",
        "timeout_seconds": 60,
        "cltv_limit": 2016,
        "max_parts": 16,
        "no_inflight_updates": True,
        "allow_self_payment": False,
    }


def test_failed_is_definite_and_says_why(bench: Bench) -> None:
    bench.simulator.plan = Plan.REFUSE
    assert bench.pay() == PayFailed("no route was found")
    assert bench.lookup() == PayFailed("no route was found")


def test_a_gateway_that_knows_no_such_path_is_no_payment_not_found(bench: Bench) -> None:
    bench.simulator.told["track"] = {"code": 5, "message": "Not Found", "details": []}
    with pytest.raises(NodeUnavailable):
        bench.lookup(EXPIRES_S + 10**8)


def test_a_stream_that_says_everything_twice_says_the_same(bench: Bench) -> None:
    assert isinstance(bench.simulator, Lnd)
    bench.simulator.repeats = 3
    assert bench.pay() == PaySettled(preimage(1), Msat(3))


@pytest.mark.parametrize(
    "change",
    [
        {"status": "SETTLED?"},
        {"status": 2},
        {"payment_hash": payment_hash(2)},
        {"payment_preimage": preimage(2)},
        {"payment_preimage": 17},
        {"payment_preimage": "00" * 32},
        {"fee_msat": "-3"},
        {"fee_msat": "3.5"},
        {"fee_msat": None},
        {"fee_msat": True},
    ],
)
def test_a_success_with_anything_wrong_is_no_settlement_and_no_failure(
    bench: Bench, change: dict[str, Any]
) -> None:
    assert isinstance(bench.simulator, Lnd)
    paid = Paid(HASH, 1_000_000, invoice(1), state="paid")
    bench.simulator.told["track"] = {"result": {**bench.simulator._payment(paid), **change}}
    try:
        outcome = bench.lookup(EXPIRES_S + 10**8)
    except NodeUnavailable:
        return
    assert isinstance(outcome, PayUnknown)
    assert not outcome.idle


def test_nothing_is_sent_when_the_node_reads_the_invoice_differently(bench: Bench) -> None:
    read = json.loads(bench.simulator._payreq(invoice(1))[1])  # type: ignore[attr-defined]
    bench.simulator.told["payreq"] = {**read, "num_msat": "2000000"}
    assert bench.pay() == PayUnknown("the node reads the invoice differently")
    bench.simulator.told["payreq"] = {"code": 2, "message": "invoice not for current active network"}
    assert isinstance(bench.pay(), PayUnknown)
    assert bench.asked("v2/router/send") == []


def test_payments_are_listed_page_after_page_by_when_they_ended(bench: Bench) -> None:
    for number in range(1, 2502):
        paid = Paid(f"{number:064x}", 1000, "", state="paid", began_s=MADE_S, ended_s=MADE_S + number)
        bench.simulator.payments[paid.payment_hash] = paid
        bench.simulator.preimages[paid.payment_hash] = "11" * 32
    bench.simulator.payments[f"{7:064x}"].state = "failed"
    sent = run(bench.node.sent_hashes(MADE_S + 5))
    assert sent == [f"{number:064x}" for number in range(5, 2502) if number != 7]
    assert len(bench.asked("v1/payments")) == 3


def test_what_can_be_sent_is_above_the_reserve(bench: Bench) -> None:
    assert run(bench.node.balance()) == 1_000_000_000
    assert run(bench.node.outbound()) == 990_000_000
