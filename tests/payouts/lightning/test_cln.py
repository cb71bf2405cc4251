"""ClnNode on a simulated Core Lightning: several attempts a hash, and an xpay that ends early."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.web.http import Request

from payouts.errors import NodeUnavailable
from payouts.invoice import decode
from payouts.lightning.cln import ClnNode, ClnOptions
from payouts.lightning.http import NodeHttp
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
    turn,
)
from tests.regtest.payer_reactor import rest, run

RUNE = "a rune for tests"
STATES = {"pending": "pending", "paid": "complete", "failed": "failed"}
QUIET_S = ClnOptions().quiet_s
Answered = tuple[int, bytes] | None


def refusal(code: int, message: str) -> tuple[int, bytes]:
    return 500, json.dumps({"code": code, "message": message, "data": {}}).encode()


def result(document: Any) -> tuple[int, bytes]:
    return 201, json.dumps(document).encode()


@attrs.define(slots=False, eq=False)
class Cln(Simulator):
    """Core Lightning 25.09 behind clnrest: 201 with the result, 500 with an error, amounts as numbers."""

    code: int = 205
    network: str = "regtest"
    earlier: list[Paid] = attrs.Factory(list)  # attempts before the last one
    gives_up_early: bool = False  # xpay ends while a part is pending

    def may_enter(self, request: Request) -> bool:
        return request.getHeader("Rune") == RUNE and request.method == b"POST"

    def named(self, path: str, body: bytes) -> str:
        return path.removeprefix("/v1/")

    def answer(self, what: str, request: Request, body: bytes) -> Answered:
        params = json.loads(body)
        answers: dict[str, Callable[[], Answered]] = {
            "xpay": lambda: self._xpay(request, params),
            "listpays": lambda: self._listpays(params),
            "decode": lambda: self._decode(params["string"]),
            "getinfo": lambda: result({"id": NODE_ID, "network": self.network, "version": "v25.09"}),
            "listpeerchannels": self._channels,
        }
        return answers[what]() if what in answers else (404, refusal(-32601, "Unknown command")[1])

    def _channels(self) -> Answered:
        normal = {
            "state": "CHANNELD_NORMAL",
            "to_us_msat": self.msat,
            "spendable_msat": self.msat - 10_000_000,
        }
        away = {"state": "CHANNELD_NORMAL", "to_us_msat": 500_000, "spendable_msat": 400_000}
        closed = {"state": "ONCHAIN", "to_us_msat": 77, "spendable_msat": 0, "peer_connected": True}
        return result(
            {"channels": [{**normal, "peer_connected": True}, {**away, "peer_connected": False}, closed]}
        )

    def _xpay(self, request: Request, params: dict[str, Any]) -> Answered:
        read = decode(params["invstring"])
        if self.now_s > read.expires_s:
            return refusal(207, "Invoice expired")
        known = self.payments.get(read.payment_hash)
        if known is not None and known.state == "paid":
            return refusal(219, "Already paid this invoice successfully")
        assert known is None or known.state == "failed", "two xpay at once"
        paid = self.start(params["invstring"], params["maxfee"])
        if paid is None:
            return None
        if self.gives_up_early:
            return refusal(209, "Timed out after 60 seconds")
        if paid.state == "pending":
            self.later(request, lambda: self._ended(paid)[1])
            return None
        return self._ended(paid)

    def _ended(self, paid: Paid) -> tuple[int, bytes]:
        if paid.state == "failed":
            return refusal(self.code, "We could not find a usable set of paths.")
        sent = {"amount_msat": paid.amount, "amount_sent_msat": paid.amount + paid.fee}
        proof = self.preimages[paid.payment_hash]
        return result({"payment_preimage": proof, "failed_parts": 0, "successful_parts": 1, **sent})

    def row(self, paid: Paid) -> dict[str, Any]:
        row: dict[str, Any] = {
            "bolt11": paid.invoice,
            "destination": NODE_ID,
            "payment_hash": paid.payment_hash,
            "status": STATES[paid.state],
            "created_at": paid.began_s,
            "amount_sent_msat": 0 if paid.state == "failed" else paid.amount + paid.fee,
            "created_index": 1,
        }
        if paid.state == "paid":
            proof = self.preimages.get(paid.payment_hash, "11" * 32)
            row |= {"completed_at": paid.ended_s, "preimage": proof, "amount_msat": paid.amount}
        return row

    def _listpays(self, params: dict[str, str]) -> Answered:
        rows = [self.row(paid) for paid in [*self.earlier, *self.payments.values()]]
        return result({"pays": [row for row in rows if all(row[key] == params[key] for key in params)]})

    def _decode(self, text: str) -> Answered:
        read = decode(text)
        document = {
            "type": "bolt11 invoice",
            "currency": "bcrt",
            "created_at": read.timestamp_s,
            "expiry": read.expires_s - read.timestamp_s,
            "payee": read.payee,
            "amount_msat": read.amount,
            "payment_hash": read.payment_hash,
            "min_final_cltv_expiry": read.final_cltv,
            "valid": True,
        }
        return result(document)


def bench_of(rune: str = RUNE) -> Bench:
    simulator, clock = Cln(), Clock()
    port, url = listening(simulator)
    node = ClnNode(NodeHttp(agent(), clock, url, {"Rune": rune}), clock, ClnOptions())
    clock.advance(QUIET_S)  # whatever a process before this one has begun is over
    return Bench(simulator, node, clock, port)


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = bench_of()
    yield made
    made.port.stopListening()


@pytest.fixture
def cln(bench: Bench) -> Cln:
    assert isinstance(bench.simulator, Cln)
    return bench.simulator


@pytest.fixture(scope="module", autouse=True)
def _threads_end() -> Iterator[None]:
    yield
    rest()


class TestClnContract(InspectableContract):
    @pytest.fixture(autouse=True)
    def _listening(self, bench: Bench) -> None:
        self._bench = bench

    def make_rig(self) -> InspectableRig:
        return self._bench


def test_a_payment_is_asked_for_with_its_caps(bench: Bench) -> None:
    assert bench.pay() == PaySettled(preimage(1), Msat(3))
    (terms,) = map(json.loads, bench.asked("xpay"))
    assert terms == {"invstring": invoice(1), "maxfee": 15_000, "retry_for": 60, "maxdelay": 2016}


@pytest.mark.parametrize(
    ("code", "words"), [(203, "receiver refused"), (205, "no route"), (207, "expired"), (209, "no route")]
)
def test_a_definite_error_of_xpay_with_nothing_pending_is_a_failure(
    bench: Bench, cln: Cln, code: int, words: str
) -> None:
    cln.plan, cln.code = Plan.REFUSE, code
    outcome = bench.pay()
    assert isinstance(outcome, PayFailed)
    assert words in outcome.reason


def test_any_other_error_is_a_failure_only_when_no_xpay_can_be_at_work_any_more(
    bench: Bench, cln: Cln
) -> None:
    cln.plan, cln.code = Plan.REFUSE, -1
    outcome = bench.pay()
    assert isinstance(outcome, PayUnknown)
    assert not outcome.idle
    bench.clock.advance(QUIET_S - 1)
    assert isinstance(bench.lookup(), PayUnknown)
    bench.clock.advance(1)
    assert bench.lookup() == PayFailed("all attempts failed")


def test_an_xpay_that_ends_while_a_part_is_held_has_not_failed(bench: Bench, cln: Cln) -> None:
    cln.plan, cln.gives_up_early = Plan.HOLD, True
    assert bench.pay() == PayUnknown("the payment is in progress")
    cln.finish(paid=True)
    assert bench.lookup() == PaySettled(preimage(1), Msat(3))


def test_a_lost_request_is_not_sent_again_while_it_may_still_arrive(bench: Bench, cln: Cln) -> None:
    cln.plan = Plan.IGNORE
    assert bench.pay_impatiently("xpay", 91) == PayUnknown("the node did not answer xpay (TimeoutError)")
    assert bench.pay() == PayUnknown("an earlier attempt may still be at work")
    assert bench.lookup() == PayUnknown("an attempt may still be at work")
    assert bench.lookup(EXPIRES_S + 121) == PayUnknown("an attempt may still be at work")
    bench.clock.advance(QUIET_S - 91)
    outcome = bench.lookup(EXPIRES_S + 120)
    assert isinstance(outcome, PayUnknown)
    assert outcome.idle
    assert isinstance(bench.lookup(EXPIRES_S + 121), PayFailed)
    cln.plan = Plan.PAY
    assert bench.pay() == PaySettled(preimage(1), Msat(3))


def test_what_a_process_before_this_one_began_may_still_be_at_work(bench: Bench, cln: Cln) -> None:
    fresh = ClnNode(NodeHttp(agent(), bench.clock, bench.url, {"Rune": RUNE}), bench.clock, ClnOptions())
    between_two_tries = Paid(HASH, 1_000_000, invoice(1), state="failed")
    for earlier in ([], [between_two_tries]):
        cln.earlier = earlier
        outcome = run(fresh.lookup(HASH, EXPIRES_S, EXPIRES_S + 10**8))
        assert outcome == PayUnknown("an attempt may still be at work")
    bench.clock.advance(QUIET_S)
    assert run(fresh.lookup(HASH, EXPIRES_S, MADE_S)) == PayFailed("all attempts failed")


def test_one_attempt_that_was_paid_outweighs_all_that_failed(bench: Bench, cln: Cln) -> None:
    cln.earlier = [Paid(HASH, 1_000_000, invoice(1), state="failed") for _ in range(3)]
    assert bench.pay() == PaySettled(preimage(1), Msat(3))
    cln.earlier.append(Paid(HASH, 1_000_000, invoice(1), state="pending"))
    assert bench.lookup() == PaySettled(preimage(1), Msat(3))


@pytest.mark.parametrize(
    "change",
    [
        {"status": "done"},
        {"status": 1},
        {"payment_hash": payment_hash(2)},
        {"preimage": preimage(2)},
        {"preimage": None},
        {"amount_sent_msat": 1},
        {"amount_sent_msat": "1000003msat"},
        {"amount_msat": None},
    ],
)
def test_a_success_with_anything_wrong_is_no_settlement_and_no_failure(
    bench: Bench, cln: Cln, change: dict[str, Any]
) -> None:
    row = {**cln.row(Paid(HASH, 1_000_000, invoice(1), state="paid")), **change}
    cln.told["listpays"] = {"pays": [row]}
    try:
        outcome = bench.lookup(EXPIRES_S + 10**8)
    except NodeUnavailable:
        return
    assert isinstance(outcome, PayUnknown)
    assert not outcome.idle


@pytest.mark.parametrize("change", [{"amount_msat": 2_000_000}, {"valid": False}, {"type": "bolt12 offer"}])
def test_nothing_is_sent_when_the_node_reads_the_invoice_differently(
    bench: Bench, cln: Cln, change: dict[str, Any]
) -> None:
    answered = cln._decode(invoice(1))
    assert answered is not None
    cln.told["decode"] = {**json.loads(answered[1]), **change}
    assert isinstance(bench.pay(), PayUnknown)
    assert bench.asked("xpay") == []


def test_only_connected_channels_can_send(bench: Bench) -> None:
    assert run(bench.node.outbound()) == 990_000_000
    assert run(bench.node.balance()) == 1_000_500_000


def test_mainnet_is_called_so(bench: Bench, cln: Cln) -> None:
    cln.network = "bitcoin"
    assert run(bench.node.network()) == "mainnet"


def test_of_three_at_once_one_xpay_is_started(bench: Bench, cln: Cln) -> None:
    cln.plan = Plan.IGNORE
    for _ in range(3):
        Deferred.fromCoroutine(bench.node.pay(invoice(1), HASH, Msat(15_000)))
    run(all_decoded(bench))
    assert len(bench.asked("xpay")) == 1


async def all_decoded(bench: Bench) -> None:
    while len(bench.asked("decode")) < 3 or not bench.asked("xpay"):
        await turn()
    for _ in range(5):
        await turn()
