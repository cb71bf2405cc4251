"""What every adapter of a node makes of answers that are late, lost, cut off, spoilt or nonsense.

Whatever an answer is spoilt to, what is said of a payment is the truth, or that it is unknown.  Subclass
``MisbehavingContract`` and give it a ``Kind`` of simulated node.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from payouts.errors import NodeUnavailable
from payouts.money import Msat
from payouts.values import PayFailed, PaySettled, PayUnknown
from tests.payouts.invoices import MADE_S, invoice, preimage
from tests.payouts.lightning.faults import Fault
from tests.payouts.lightning.kinds import Kind
from tests.payouts.lightning.simulator import EXPIRES_S, HASH, NODE_ID, Bench, Plan, Simulator
from tests.regtest.payer_reactor import run

PAID = PaySettled(preimage(1), Msat(3))
LONG_AFTER_S = EXPIRES_S + 10**8
HARMLESS = {Fault.SLOW, Fault.SILENCE}
NO_ANSWER = [
    fault for fault in Fault if fault not in {*HARMLESS, Fault.TWICE, Fault.HUGE, Fault.NAN, Fault.ARRAY}
]
"""Nothing is left of it that any adapter takes for an answer."""
SPOILT = [fault for fault in Fault if fault not in HARMLESS]
NONSENSE = st.sampled_from([None, True, "x", ["x"], {"x": 1}, -1, 10**30, 10**5000, 1.5, float("inf"), "-5"])
ASKED: dict[str, Callable[[Bench], Coroutine[Any, Any, Any]]] = {
    "node_id": lambda bench: bench.node.node_id(),
    "network": lambda bench: bench.node.network(),
    "balance": lambda bench: bench.node.balance(),
    "outbound": lambda bench: bench.node.outbound(),
    "sent_hashes": lambda bench: bench.node.sent_hashes(0),
    "decode": lambda bench: bench.node.decode(invoice(1)),
}


def everything(fault: Fault | None, bench: Bench) -> dict[str, Fault]:
    """A fault for whatever is asked."""
    return Every(fault) if fault is not None else {}


class Every(dict[str, Fault]):
    """The same fault for each call."""

    def __init__(self, fault: Fault) -> None:
        super().__init__()
        self._fault = fault

    def get(self, key: str, default: Any = None) -> Any:
        return self._fault


def places(found: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where something stands in a JSON document."""
    children = (
        found.items() if isinstance(found, dict) else enumerate(found) if isinstance(found, list) else ()
    )
    for key, value in children:
        yield (*path, key)
        yield from places(value, (*path, key))


def changed(found: Any, path: tuple[Any, ...], value: object) -> Any:
    """The document with something else at one place."""
    whole = copy.deepcopy(found)
    inner = whole
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return whole


class MisbehavingContract:
    """The promises."""

    kind: ClassVar[Kind]

    @pytest.fixture(autouse=True)
    def _listening(self) -> Iterator[None]:
        self.bench = self.kind.make()
        yield
        self.bench.port.stopListening()

    @property
    def node(self) -> Simulator:
        return self.bench.simulator

    def spoil(self, **faults: Fault) -> None:
        self.node.faults = {getattr(self.kind, name): fault for name, fault in faults.items()}

    # --------------------------------------------------------------------------------------- late and lost

    @pytest.mark.parametrize("paid", [True, False])
    def test_a_payment_that_ends_after_we_gave_up_is_in_progress_until_then(self, *, paid: bool) -> None:
        self.node.plan = Plan.HOLD
        outcome = self.bench.pay_impatiently(self.kind.pays, self.kind.patience_s)
        again, later = self.bench.pay(), self.bench.lookup(LONG_AFTER_S)
        for said in (outcome, again, later):
            assert isinstance(said, PayUnknown)
            assert not said.idle
        assert run(self.bench.node.sent_hashes(MADE_S + 10**6)) == [HASH]
        self.node.finish(paid=paid)
        self.bench.clock.advance(self.kind.quiet_s)
        assert self.bench.lookup() == PAID if paid else isinstance(self.bench.lookup(), PayFailed)
        assert self.node.msat == 1_000_000_000 - (1_000_003 if paid else 0)

    def test_a_lost_request_may_be_sent_again_and_has_failed_only_after_expiry_and_margin(self) -> None:
        self.node.plan = Plan.IGNORE
        outcome = self.bench.pay_impatiently(self.kind.pays, self.kind.patience_s)
        assert isinstance(outcome, PayUnknown)
        self.bench.clock.advance(self.kind.quiet_s)
        at_margin = self.bench.lookup(EXPIRES_S + self.kind.margin_s)
        assert isinstance(at_margin, PayUnknown)
        assert at_margin.idle
        assert isinstance(self.bench.lookup(EXPIRES_S + self.kind.margin_s + 1), PayFailed)
        self.node.plan = Plan.PAY
        assert self.bench.pay() == PAID

    @pytest.mark.parametrize("fault", list(Fault))
    def test_what_the_call_that_pays_answers_changes_nothing(self, fault: Fault) -> None:
        self.spoil(pays=fault)
        patience_s = self.kind.patience_s
        silent = fault is Fault.SILENCE
        settled = self.bench.pay_impatiently(self.kind.pays, patience_s) if silent else self.bench.pay()
        assert settled == PAID

    # -------------------------------------------------------------------------------------------- spoilt

    @pytest.mark.parametrize("fault", NO_ANSWER)
    def test_a_spoilt_answer_about_the_state_is_no_state(self, fault: Fault) -> None:
        self.spoil(tells=fault)
        outcome = self.bench.pay()
        assert isinstance(outcome, PayUnknown)
        assert not outcome.idle
        with pytest.raises(NodeUnavailable):
            self.bench.lookup(LONG_AFTER_S)

    @pytest.mark.parametrize("plan", [Plan.PAY, Plan.REFUSE, Plan.HOLD])
    @pytest.mark.parametrize("fault", [*SPOILT, Fault.SLOW])
    def test_however_spoilt_what_is_said_is_the_truth_or_unknown(self, fault: Fault, plan: Plan) -> None:
        self.node.plan = plan
        self.node.start(invoice(1))
        truth = self.bench.lookup(LONG_AFTER_S)
        self.node.faults = everything(fault, self.bench)
        try:
            said = self.bench.lookup(LONG_AFTER_S)
        except NodeUnavailable:
            assert fault is not Fault.SLOW
            return
        assert said == truth or (isinstance(said, PayUnknown) and not said.idle)

    @pytest.mark.parametrize("asked", ASKED)
    @pytest.mark.parametrize("fault", [*SPOILT, Fault.SLOW])
    def test_whatever_else_is_asked_is_answered_truly_or_not_at_all(self, fault: Fault, asked: str) -> None:
        assert self.bench.pay() == PAID
        ask = ASKED[asked]
        truth = run(ask(self.bench))
        self.node.faults = everything(fault, self.bench)
        try:
            said = run(ask(self.bench))
        except NodeUnavailable:
            assert fault is not Fault.SLOW
            return
        assert said == truth

    @pytest.mark.parametrize("fault", SPOILT)
    def test_nothing_is_sent_unless_the_node_says_what_it_reads(self, fault: Fault) -> None:
        if self.kind.decodes is None:
            assert run(self.bench.node.decode(invoice(1))) is None
            return
        self.spoil(decodes=fault)
        outcome = self.bench.pay()
        assert isinstance(outcome, PayUnknown)
        assert self.bench.asked(self.kind.pays) == []

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.differing_executors])
    @given(data=st.data())
    def test_one_wrong_value_anywhere_makes_no_other_truth(self, data: st.DataObject) -> None:
        bench = self.bench
        self.node.told = {}
        if HASH not in self.node.payments:
            assert bench.pay() == PAID
        self.node.sent = {}
        asked = data.draw(st.sampled_from([*ASKED, "lookup"]))
        asks = ASKED | {"lookup": lambda bench: bench.node.lookup(HASH, EXPIRES_S, LONG_AFTER_S)}
        truth = run(asks[asked](bench))
        if not self.node.sent:
            return  # Electrum has no decoder to ask
        what = data.draw(st.sampled_from(sorted(self.node.sent)), label="call")
        whole = json.loads(self.node.sent[what])
        path = data.draw(st.sampled_from(sorted(places(whole), key=str) or [()]), label="place")
        if not path:
            return
        self.node.told = {what: changed(whole, path, data.draw(NONSENSE, label="value"))}
        try:
            said = run(asks[asked](bench))
        except NodeUnavailable:
            return
        if isinstance(said, PayUnknown):
            assert not said.idle
        elif isinstance(said, PaySettled):
            assert said.preimage == preimage(1)
        else:
            assert not isinstance(said, PayFailed)
            assert isinstance(said, type(truth))

    # ------------------------------------------------------------------------------------------- not allowed

    def test_a_wrong_credential_is_a_node_that_is_not_there_and_is_not_shown(self) -> None:
        other = self.kind.make("c0ffee")
        with pytest.raises(NodeUnavailable) as caught:
            run(other.node.node_id())
        assert "c0ffee" not in str(caught.value) + repr(other.node)
        assert isinstance(other.pay(), PayUnknown)
        with pytest.raises(NodeUnavailable):
            other.lookup(LONG_AFTER_S)
        assert other.simulator.asked == []
        other.port.stopListening()

    def test_it_names_the_simulated_node(self) -> None:
        assert run(self.bench.node.node_id()) == NODE_ID
