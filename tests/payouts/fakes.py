"""Stand-ins for what surrounds the payout engine: an inbox, a Lightning node, and crashes at any step."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from payouts import lnurl
from payouts.claims import ClaimTerms
from payouts.errors import NodeUnavailable
from payouts.invoice import Network, decode
from payouts.money import Msat, Sat
from payouts.planner import FeePolicy
from payouts.values import Claim, PayFailed, PayOutcome, PaySettled, PayUnknown
from tests.payouts.fake_book import FakeBook
from tests.payouts.invoices import MADE_S, payment_hash, preimage

T = TypeVar("T")
KEY = b"server key for tests"
OWN_NODE = "02" + "ab" * 32
TERMS = ClaimTerms(
    server_key=KEY,
    network=Network.REGTEST,
    minimum=Sat(10),
    maximum=Sat(1_000_000),
    fees=FeePolicy(Msat(5000), 10_000),
)


def result_of(coroutine: Coroutine[Any, Any, T]) -> T:
    """What a coroutine answers that waits for nothing outside."""
    results: list[T] = []
    failures: list[BaseException] = []
    deferred = Deferred.fromCoroutine(coroutine)
    deferred.addCallbacks(results.append, lambda failure: failures.append(failure.value))
    if failures:
        raise failures[0]
    assert results, "the coroutine is still waiting"
    return results[0]


def claim(
    book: FakeBook, invoice: str, *, account: str = "alice", number: int = 1, now_s: int = MADE_S
) -> Claim:
    """A claim as an honest web files it, with the k1 of the moment."""
    expires_s = now_s + 600
    token = lnurl.make_token(KEY, account, expires_s)
    return Claim(
        claim_id=number,
        account=account,
        token_expires_s=expires_s,
        k1_hash=lnurl.k1_hash(lnurl.k1(KEY, token, book.claims_taken(account))),
        invoice=invoice,
        filed_ms=now_s * 1000,
        answer_by_ms=now_s * 1000 + 5000,
    )


@attrs.define
class FakeInbox:
    """Filed claims; those that the book answered are not seen again."""

    book: FakeBook
    claims: list[Claim] = attrs.Factory(list)

    def unanswered(self, limit: int) -> Sequence[Claim]:
        return [c for c in self.claims if c.claim_id not in self.book.claims][:limit]


class Plan:
    """How the fake node treats a payment."""

    PAY = "pay"  # at once
    REFUSE = "refuse"  # no route, definitely
    HANG = "hang"  # accept it and answer when the test says so
    LOSE_ANSWER = "lose the answer"  # pay, but the caller hears a time-out
    IGNORE = "ignore"  # never hear of it: the request was lost


@attrs.define
class FakeNode:
    """A Lightning node that keeps payments by hash, like the real ones, and counts what it really sent."""

    balance_msat: int = 10**12
    fee: int = 7
    plan: str = Plan.PAY
    up: bool = True
    paid: dict[str, int] = attrs.Factory(dict)  # payment hash -> msat that left
    failed: set[str] = attrs.Factory(set)
    in_flight: dict[str, tuple[int, Deferred[PayOutcome]]] = attrs.Factory(dict)
    preimages: dict[str, str] = attrs.Factory(
        lambda: {payment_hash(number): preimage(number) for number in range(100)}
    )
    own_id: str = OWN_NODE
    foreign: list[str] = attrs.Factory(list)
    calls: list[str] = attrs.Factory(list)
    paid_at_s: int = MADE_S

    def _reached(self, what: str) -> None:
        self.calls.append(what)
        if not self.up:
            raise NodeUnavailable("connection refused")

    async def node_id(self) -> str:
        self._reached("node_id")
        return self.own_id

    async def outbound(self) -> Msat:
        self._reached("outbound")
        return Msat(self.balance_msat - sum(amount for amount, _ in self.in_flight.values()))

    async def balance(self) -> Msat:
        self._reached("balance")
        return Msat(self.balance_msat)

    async def sent_hashes(self, since_s: int) -> Sequence[str]:
        self._reached("sent_hashes")
        paid = list(self.paid) if self.paid_at_s >= since_s else []
        return [*paid, *self.in_flight, *self.foreign]

    async def pay(self, invoice: str, payment_hash: str, max_fee: Msat) -> PayOutcome:
        self.calls.append("pay")
        if not self.up or self.plan == Plan.IGNORE:
            return PayUnknown("connection refused")
        if payment_hash in self.paid or payment_hash in self.in_flight:
            return self._state(payment_hash)
        amount = decode(invoice).amount
        assert amount is not None
        if self.plan == Plan.REFUSE or payment_hash not in self.preimages:
            self.failed.add(payment_hash)
            return PayFailed("no route was found")
        if self.plan == Plan.HANG:
            answer: Deferred[PayOutcome] = Deferred()
            self.in_flight[payment_hash] = (amount, answer)
            return await answer
        self._leave(payment_hash, amount)
        if self.plan == Plan.LOSE_ANSWER:
            return PayUnknown("timed out")
        return self._state(payment_hash)

    def _leave(self, payment_hash: str, amount: int) -> None:
        assert payment_hash not in self.paid, "paid twice"
        self.paid[payment_hash] = amount + self.fee
        self.balance_msat -= amount + self.fee

    def finish(self, payment_hash: str, *, paid: bool) -> None:
        """A hanging payment comes to its end."""
        amount, answer = self.in_flight.pop(payment_hash)
        if paid:
            self._leave(payment_hash, amount)
        else:
            self.failed.add(payment_hash)
        if not answer.called:
            answer.callback(self._state(payment_hash))

    def _state(self, payment_hash: str) -> PayOutcome:
        if payment_hash in self.paid:
            return PaySettled(self.preimages[payment_hash], Msat(self.fee))
        if payment_hash in self.in_flight:
            return PayUnknown("in progress")
        if payment_hash in self.failed:
            return PayFailed("no route was found")
        return PayUnknown("never seen", idle=True)

    async def lookup(self, payment_hash: str, invoice_expires_s: int, now_s: int) -> PayOutcome:
        self._reached("lookup")
        state = self._state(payment_hash)
        if isinstance(state, PayUnknown) and state.idle and now_s > invoice_expires_s + 120:
            return PayFailed("the invoice expired before it could be paid")
        return state


class Crash(Exception):
    """The process died here."""


@attrs.define
class Mortal:
    """A proxy around a port: the process dies at the n-th call, before or after it had its effect.

    From then on nothing that the dead process tries reaches the real object.
    """

    real: Any
    life: Life

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self.real, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            self.life.before()
            result = method(*args, **kwargs)
            if isinstance(result, Coroutine):
                return self._awaited(result)
            self.life.after()
            return result

        return call

    async def _awaited(self, coroutine: Coroutine[Any, Any, T]) -> T:
        result = await coroutine
        self.life.after()
        return result


@attrs.define
class Life:
    """How many half-steps (before and after each call) a process lives."""

    left: int
    dead: bool = False

    def before(self) -> None:
        self._step()

    def after(self) -> None:
        self._step()

    def _step(self) -> None:
        self.left -= 1
        if self.dead or self.left < 0:
            self.dead = True
            raise Crash


@attrs.define
class Time:
    """A Clock, and the wall clock that goes with it."""

    clock: Clock = attrs.Factory(Clock)
    start_ms: int = MADE_S * 1000

    def now_ms(self) -> int:
        return self.start_ms + int(self.clock.seconds() * 1000)

    def pass_s(self, seconds: float, step_s: float = 0.1) -> None:
        """Let time go by in small steps, so that everything that waits gets its turn."""
        for _ in range(round(seconds / step_s)):
            self.clock.advance(step_s)
