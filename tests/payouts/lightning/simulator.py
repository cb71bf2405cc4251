"""A node's HTTP interface on loopback: what simulated nodes have in common, and how they misbehave.

The payments behind it are real enough: each hash is paid at most once, what happened stays, and a fault
spoils the answer only, after the node has done what it was asked to do.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine, Iterator
from enum import StrEnum
from itertools import count
from typing import Any, TypeVar

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.web.client import Agent, HTTPConnectionPool
from twisted.web.http import Request
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site

from payouts.invoice import decode
from payouts.lightning.reading import InspectableNode
from payouts.money import Msat
from payouts.values import PayOutcome
from tests.payouts.invoices import MADE_S, invoice, payment_hash, preimage
from tests.payouts.lightning.faults import STATUS, Fault, spoilt
from tests.regtest.payer_reactor import reactor, run

T = TypeVar("T")
HASH = payment_hash(1)
EXPIRES_S = MADE_S + 3600
NODE_ID = "02" + "ab" * 32
NOWHERE = payment_hash(1000)


class Plan(StrEnum):
    """What becomes of the next payments."""

    PAY = "pay"
    REFUSE = "refuse"
    HOLD = "hold"  # the receiver keeps it until the test says what becomes of it
    IGNORE = "ignore"  # the request is lost before the node has heard of it


@attrs.define
class Paid:
    """A payment as the node keeps it.  Amounts in msat; state is pending, paid or failed."""

    payment_hash: str
    amount: int
    invoice: str
    fee: int = 3
    state: str = "pending"
    began_s: int = MADE_S
    ended_s: int = 0


@attrs.define(slots=False, eq=False)
class Simulator(Resource):
    """The common part: one resource that answers every path, and remembers what it was asked."""

    isLeaf = True  # noqa: N815 - Twisted's spelling
    plan: Plan = Plan.PAY
    faults: dict[str, Fault] = attrs.Factory(dict)  # by what was asked
    told: dict[str, Any] = attrs.Factory(dict)  # answers that override
    payments: dict[str, Paid] = attrs.Factory(dict)
    asked: list[tuple[str, Any]] = attrs.Factory(list)
    sent: dict[str, bytes] = attrs.Factory(dict)  # the last answer to each, before it was spoilt
    msat: int = 1_000_000_000
    now_s: int = MADE_S
    preimages: dict[str, str] = attrs.Factory(lambda: {payment_hash(n): preimage(n) for n in range(100)})
    waiting: list[tuple[Any, Callable[[], bytes]]] = attrs.Factory(list)  # until a payment ends

    def __attrs_post_init__(self) -> None:
        Resource.__init__(self)  # type: ignore[no-untyped-call]

    def may_enter(self, request: Request) -> bool:
        raise AssertionError("a subclass knows its credentials")

    def answer(self, what: str, request: Request, body: bytes) -> tuple[int, bytes] | None:
        """Status and body; None when the answer comes later."""
        raise AssertionError("a subclass answers")

    def render(self, request: Request) -> bytes | int:
        assert request.content is not None
        assert request.path is not None
        body = request.content.read()
        what = self.named(request.path.decode(), body)
        if not self.may_enter(request):
            return self.deliver(request, 401, b'{"code":2,"message":"not allowed"}', None)
        self.asked.append((what, body))
        answered = self.answer(what, request, body)
        fault = self.faults.get(what)
        if answered is None or fault is Fault.SILENCE:
            return NOT_DONE_YET
        status, text = answered
        self.sent[what] = text
        if what in self.told:
            status, text = 200, json.dumps(self.told[what]).encode()
        return self.deliver(request, status, text, fault)

    def asked_for(self, what: str) -> list[Any]:
        """The bodies of what was asked, by name."""
        return [body for name, body in self.asked if name == what]

    def named(self, path: str, body: bytes) -> str:
        """What faults and answers call a request."""
        return path.strip("/")

    def deliver(self, request: Any, status: int, text: bytes, fault: Fault | None) -> bytes | int:
        if fault is Fault.SLOW:
            request.write(text[:5])
            reactor.callLater(0.02, self._finish, request, text[5:])
            return NOT_DONE_YET
        if fault is Fault.CUT:
            request.setHeader("content-length", str(len(text)))
            request.write(text[: len(text) // 2])
            request.channel.transport.loseConnection()
            return NOT_DONE_YET
        if fault is Fault.MOVED:
            request.setHeader("location", "/elsewhere")
        request.setResponseCode(STATUS.get(fault, status) if fault else status)
        return text if fault is None else spoilt(text, fault)

    @staticmethod
    def _finish(request: Any, rest: bytes) -> None:
        if not request._disconnected:
            request.write(rest)
            request.finish()

    # ------------------------------------------------------------------------------------------ the payments

    def start(self, text: str, cap: int | None = None) -> Paid | None:
        """Pay an invoice according to plan; None when the node never hears of it."""
        read = decode(text)
        if self.plan is Plan.IGNORE:
            return None
        assert read.amount is not None
        paid = self.payments[read.payment_hash] = Paid(read.payment_hash, read.amount, text)
        too_dear = cap is not None and cap < paid.fee
        if self.plan is Plan.REFUSE or read.payment_hash not in self.preimages or too_dear:
            paid.state = "failed"
        elif self.plan is Plan.PAY:
            self.settle(paid)
        paid.ended_s = MADE_S if paid.state != "pending" else 0
        return paid

    def settle(self, paid: Paid) -> None:
        assert paid.state == "pending", "paid twice"
        paid.state, paid.ended_s = "paid", MADE_S
        self.msat -= paid.amount + paid.fee

    def finish(self, hash_hex: str = HASH, *, paid: bool) -> None:
        """A held payment comes to its end, and those who wait for it hear of it."""
        payment = self.payments[hash_hex]
        if paid:
            self.settle(payment)
        else:
            payment.state, payment.ended_s = "failed", MADE_S
        for request, text in self.waiting:
            request.write(text())
            request.finish()
        self.waiting = []

    def later(self, request: Any, text: Callable[[], bytes]) -> None:
        """Answer once the held payment has ended, if somebody still listens then."""
        entry = (request, text)
        self.waiting.append(entry)

        def gone(_: Any) -> None:
            self.waiting = [other for other in self.waiting if other[0] is not request]

        request.notifyFinish().addErrback(gone)


@attrs.define(eq=False)
class Bench:
    """An adapter on a simulated node that really listens; its time-outs follow the test's clock."""

    simulator: Simulator
    node: InspectableNode
    clock: Clock
    port: Any
    numbers: Iterator[int] = attrs.field(factory=lambda: count(1))

    def invoice(self, amount_sat: int, expiry_s: int = 3600) -> str:
        return invoice(next(self.numbers), sat=amount_sat, expiry_s=expiry_s)

    def unpayable(self, amount_sat: int) -> str:
        return invoice(1000, sat=amount_sat)

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return run(coroutine)

    def pay(self, number: int = 1) -> PayOutcome:
        return run(self.node.pay(invoice(number), payment_hash(number), Msat(15_000)))

    def lookup(self, now_s: int = MADE_S) -> PayOutcome:
        return run(self.node.lookup(HASH, EXPIRES_S, now_s))

    def pay_impatiently(self, what: str, after_s: float) -> PayOutcome:
        """Pay, and let time go by as soon as the node was asked to."""
        return run(self._impatient(what, after_s))

    async def _impatient(self, what: str, after_s: float) -> PayOutcome:
        before = len(self.asked(what))
        paying = Deferred.fromCoroutine(self.node.pay(invoice(1), HASH, Msat(15_000)))
        while len(self.asked(what)) == before and not paying.called:
            await turn()
        self.clock.advance(after_s)
        return await paying

    @property
    def url(self) -> str:
        """Where the simulated node listens."""
        return f"http://127.0.0.1:{self.port.getHost().port}"

    def asked(self, what: str) -> list[Any]:
        """What the node was asked, by name."""
        return self.simulator.asked_for(what)


def turn() -> Deferred[None]:
    """Let the reactor turn once more."""
    waited: Deferred[None] = Deferred()
    reactor.callLater(0.002, waited.callback, None)
    return waited


def listening(simulator: Simulator) -> tuple[Any, str]:
    """The port that a simulator listens on, and its address."""
    site: Any = Site(simulator)  # type: ignore[no-untyped-call]
    port = reactor.listenTCP(0, site, interface="127.0.0.1")
    return port, f"http://127.0.0.1:{port.getHost().port}"


def agent() -> Agent:
    """As the payer's: a connection for each call."""
    return Agent(reactor, pool=HTTPConnectionPool(reactor, persistent=False))  # type: ignore[no-untyped-call]
