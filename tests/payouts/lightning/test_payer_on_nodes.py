"""The payer on each of the simulated nodes, over real connections: a claim is paid once, whoever dies."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, cast

import attrs
import pytest

from payouts.lightning.cln import ClnNode
from payouts.lightning.electrum import ElectrumNode
from payouts.sender import Sender, SenderOptions
from payouts.values import PaymentState
from tests.payouts.crashes.points import ROOT, Life, Mortal, Point, Step
from tests.payouts.fake_book import FakeBook
from tests.payouts.fakes import TERMS, FakeInbox, Time, claim
from tests.payouts.invoices import MADE_S, invoice
from tests.payouts.lightning.faults import Fault
from tests.payouts.lightning.kinds import KINDS, Kind
from tests.payouts.lightning.simulator import Bench, Plan, turn
from tests.payouts.lightning.test_cln import QUIET_S
from tests.regtest.payer_reactor import rest, run

START = 5_000_000  # msat
COST = 1_000_003  # 1000 sat and the fee


@pytest.fixture(scope="module", autouse=True)
def _threads_end() -> Iterator[None]:
    yield
    rest()


@attrs.define
class House:
    """A book, a claim, a node, and payers that come and go.  The node's clock is the payer's."""

    kind: Kind
    bench: Bench
    book: FakeBook
    inbox: FakeInbox
    time: Time
    payer: Sender | None = None

    def begin(self) -> None:
        sender = Sender(
            self.book, self.inbox, self.bench.node, self.time.clock, self.time.now_ms, SenderOptions(TERMS)
        )
        sender.start()
        self.payer = sender

    def lives(self, life: Life) -> Life:
        """Begin a payer that comes to a step before and after each request of its node."""
        node: Any = self.bench.node
        self.bench.node = reborn(node)
        cast(Any, self.bench.node)._http = Mortal(node._http, life)
        self.begin()
        self.bench.node = node
        return life

    def begin_anew(self, node: Any) -> None:
        """Books, claim and node as they were at the beginning."""
        self.bench.node, simulator = node, self.bench.simulator
        simulator.payments.clear()
        simulator.msat = 1_000_000_000
        self.time.clock.advance(QUIET_S)
        self.book = FakeBook.with_balances({"alice": START})
        self.inbox = FakeInbox(self.book)
        now_s = self.time.now_ms() // 1000
        self.inbox.claims.append(claim(self.book, invoice(1, made_s=now_s), now_s=now_s))

    def die(self) -> None:
        assert self.payer is not None
        self.payer.stop()
        self.payer = None

    def state(self) -> PaymentState | None:
        return self.book.payments[1].state if 1 in self.book.payments else None

    def until(self, what: Callable[[], bool], step_s: float = 0.2) -> None:
        run(self._until(what, step_s))

    async def _until(self, what: Callable[[], bool], step_s: float) -> None:
        for _ in range(1000):
            if what():
                return
            self.time.clock.advance(step_s)
            asked, idle = 0, 0
            while idle < (1 if step_s < 1 else 5):  # so that no answer is late for want of time to arrive in
                await turn()
                idle = idle + 1 if asked == len(self.bench.simulator.asked) else 0
                asked = len(self.bench.simulator.asked)
        raise AssertionError(f"it did not come to that: {self.book.payments.get(1)}")


@pytest.fixture(params=KINDS, ids=lambda kind: kind.name)
def house(request: pytest.FixtureRequest) -> Iterator[House]:
    kind: Kind = request.param
    bench = kind.make()
    clock = bench.clock
    time = Time(clock, MADE_S * 1000 - int(clock.seconds() * 1000))
    book = FakeBook.with_balances({"alice": START})
    inbox = FakeInbox(book)
    inbox.claims.append(claim(book, invoice(1), now_s=MADE_S))
    made = House(kind, bench, book, inbox, time)
    yield made
    if made.payer is not None:
        made.payer.stop()
    bench.port.stopListening()


def test_a_claim_is_paid_and_booked_with_its_fee(house: House) -> None:
    house.begin()
    house.until(lambda: house.state() is PaymentState.SETTLED)
    assert house.book.payments[1].fee == 3
    assert house.book.available("alice") == START - COST
    assert house.bench.simulator.msat == 1_000_000_000 - COST


@pytest.mark.parametrize("paid", [True, False])
def test_a_payer_that_died_while_a_payment_was_held_learns_of_its_end(house: House, *, paid: bool) -> None:
    house.bench.simulator.plan = Plan.HOLD
    house.begin()
    house.until(lambda: bool(house.bench.simulator.payments))
    house.die()
    house.begin()
    house.until(lambda: house.state() is PaymentState.UNKNOWN)
    house.bench.simulator.finish(paid=paid)
    ended = PaymentState.SETTLED if paid else PaymentState.FAILED
    house.until(lambda: house.state() is ended, step_s=5.0)
    assert house.book.available("alice") == START - (COST if paid else 0)
    assert house.bench.simulator.msat == 1_000_000_000 - (COST if paid else 0)


def test_a_payment_whose_answers_are_all_lost_for_a_while_is_made_once(house: House) -> None:
    house.begin()
    house.until(lambda: house.state() is not None)
    house.bench.simulator.faults = {house.kind.pays: Fault.CUT, house.kind.tells: Fault.BROKEN}
    before = len(house.bench.asked(house.kind.tells))
    house.until(lambda: len(house.bench.asked(house.kind.tells)) > before + 2)
    house.bench.simulator.faults = {}
    house.until(lambda: house.state() is PaymentState.SETTLED, step_s=5.0)
    assert house.bench.simulator.msat == 1_000_000_000 - COST


def test_a_request_that_was_lost_is_sent_again(house: House) -> None:
    house.bench.simulator.plan = Plan.IGNORE
    house.begin()
    house.until(lambda: bool(house.bench.asked(house.kind.pays)))
    house.bench.simulator.plan = Plan.PAY
    house.until(lambda: house.state() is PaymentState.SETTLED, step_s=5.0)
    assert len(house.bench.asked(house.kind.pays)) >= 2
    assert house.bench.simulator.msat == 1_000_000_000 - COST


# ------------------------------------------------------------------------------------------------- crashes

ADAPTERS = frozenset(f"payouts/lightning/{name}.py" for name in ("cln", "electrum", "lnd", "phoenixd"))


def reborn(node: Any) -> Any:
    """The adapter as a new process makes it: it remembers nothing."""
    with_clock = isinstance(node, ClnNode | ElectrumNode)
    return type(node)(node._http, *([node._clock] if with_clock else []), node._options)


def is_paying(step: Step) -> bool:
    return any("async def pay" in function_of(point) for point in step.where)


def function_of(point: Point) -> str:
    """The line with which the function begins that a point is in."""
    lines = (ROOT / point.module).read_text(encoding="utf-8").splitlines()[: point.line]
    return next(line for line in reversed(lines) if line.lstrip().startswith(("async def", "def ")))


def test_killed_at_any_request_of_a_payment_the_next_payer_pays_exactly_once(house: House) -> None:
    node: Any = house.bench.node
    rehearsal = house.lives(Life(ADAPTERS, tuple))
    house.until(lambda: house.state() is PaymentState.SETTLED)
    house.die()
    steps = [number for number, step in enumerate(rehearsal.steps) if is_paying(step)]
    assert len(steps) >= 4

    for number in steps:
        house.begin_anew(reborn(node))
        life = house.lives(Life(ADAPTERS, tuple, number))
        house.until(lambda life=life: life.dead)  # type: ignore[misc]
        house.die()
        house.bench.node = reborn(node)
        house.begin()
        house.until(lambda: house.state() is PaymentState.SETTLED, step_s=10.0)
        assert house.book.available("alice") == START - COST
        assert house.bench.simulator.msat == 1_000_000_000 - COST
        house.die()
