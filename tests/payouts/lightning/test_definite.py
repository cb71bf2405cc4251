"""Whatever a node does and however its answers are spoilt: what was called definite was so, and stays."""

from __future__ import annotations

from collections.abc import Iterator
from typing import assert_never

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from payouts.errors import NodeUnavailable
from payouts.values import PayFailed, PayOutcome, PaySettled, PayUnknown
from tests.payouts.invoices import MADE_S, preimage
from tests.payouts.lightning.faults import Fault
from tests.payouts.lightning.kinds import KINDS, Kind
from tests.payouts.lightning.simulator import EXPIRES_S, HASH, Bench, Plan
from tests.regtest.payer_reactor import rest, run


@attrs.frozen
class Ask:
    """The payer asks: it sends if it may, else it looks up."""

    plan: Plan
    spoilt: Fault | None  # the answer to the payment
    state_spoilt: Fault | None


@attrs.frozen
class End:
    """A held payment ends."""

    paid: bool


@attrs.frozen
class Wait:
    """Time goes by."""

    seconds: int


READABLE = [None, None, Fault.CUT, Fault.BROKEN, Fault.HTML, Fault.EMPTY]
STEPS = st.lists(
    st.one_of(
        st.builds(Ask, st.sampled_from(Plan), st.sampled_from([None, *Fault]), st.sampled_from(READABLE)),
        st.builds(End, st.booleans()),
        st.builds(Wait, st.sampled_from([1, 100, 200, 3700, 10_000])),
    ),
    min_size=2,
    max_size=8,
)


@attrs.define
class Story:
    """A payment's life as a payer leads it: send what may be sent, else ask, and stop at what is definite."""

    kind: Kind
    bench: Bench
    began_s: float
    may_send: bool = True
    said: PayOutcome | None = None

    def now_s(self) -> int:
        return MADE_S + int(self.bench.clock.seconds() - self.began_s)

    def take(self, step: Ask | End | Wait) -> None:
        simulator = self.bench.simulator
        simulator.now_s = self.now_s()
        match step:
            case End(paid=paid):
                if (payment := simulator.payments.get(HASH)) is not None and payment.state == "pending":
                    simulator.finish(paid=paid)
            case Wait(seconds=seconds):
                self.bench.clock.advance(seconds)
            case Ask():
                if not isinstance(self.said, PaySettled | PayFailed):
                    self.hear(step)
            case _:
                assert_never(step)

    def hear(self, step: Ask) -> None:
        simulator, faults = self.bench.simulator, {}
        if step.spoilt is not None:
            faults[self.kind.pays] = step.spoilt
        if step.state_spoilt is not None:
            faults[self.kind.tells] = step.state_spoilt
        simulator.plan, simulator.faults = step.plan, faults
        try:
            if self.may_send and self.now_s() < EXPIRES_S:
                outcome = self.bench.pay_impatiently(self.kind.pays, self.kind.patience_s)
            else:
                outcome = self.bench.lookup(self.now_s())
        except NodeUnavailable:
            self.may_send = False
        else:
            self.judge(outcome)

    def judge(self, outcome: PayOutcome) -> None:
        self.said = outcome
        payment = self.bench.simulator.payments.get(HASH)
        state = "never seen" if payment is None else payment.state
        match outcome:
            case PaySettled(preimage=shown, fee=fee):
                assert (state, shown, fee) == ("paid", preimage(1), 3)
            case PayFailed():
                assert state in ("failed", "never seen")
            case PayUnknown(idle=idle):
                self.may_send = idle
                assert not idle or state in ("failed", "never seen")
            case _:
                assert_never(outcome)

    def end(self) -> None:
        """Whatever is still open ends; in time everything is definite, and true."""
        self.take(End(paid=True))
        self.take(Wait(10_000))
        self.take(Ask(Plan.IGNORE, None, None))
        payment = self.bench.simulator.payments.get(HASH)
        paid = payment is not None and payment.state == "paid"
        assert isinstance(self.said, PaySettled if paid else PayFailed)
        assert self.bench.simulator.msat == 1_000_000_000 - (1_000_003 if paid else 0)


@pytest.fixture(scope="module", autouse=True)
def _threads_end() -> Iterator[None]:
    yield
    rest()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
@settings(max_examples=15, deadline=None)
@given(steps=STEPS)
def test_what_was_called_definite_was_so_and_stays_so(kind: Kind, steps: list[Ask | End | Wait]) -> None:
    bench = kind.make()
    story = Story(kind, bench, bench.clock.seconds())
    try:
        for step in steps:
            story.take(step)
        story.end()
    finally:
        run(closed(bench))


async def closed(bench: Bench) -> None:
    await bench.port.stopListening()
