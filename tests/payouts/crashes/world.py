"""What surrounds a payer and survives it, and how all of it is judged in the end."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, Final

import attrs

from payouts.limits import NO_LIMITS, Limits
from payouts.money import Msat, Sat
from payouts.onchain.batch import Batcher, BatcherOptions
from payouts.pusher import Pushes, PushOptions
from payouts.sender import Sender, SenderOptions
from payouts.values import BatchState, PaymentState, PayOutcome, Ruling
from tests.contracts.book import ADDRESS_A
from tests.payouts.crashes.points import Life, Mortal, MortalClock
from tests.payouts.fake_book import OPEN, FakeBook
from tests.payouts.fakes import TERMS, FakeInbox, FakeNode, Time, claim
from tests.payouts.invoices import invoice, payment_hash
from tests.payouts.onchain.test_batch import FakeWallet
from tests.payouts.test_pusher import Service

MODULES: Final = frozenset(
    {
        "payouts/carrier.py",
        "payouts/onchain/batch.py",
        "payouts/pusher.py",
        "payouts/sender.py",
        "payouts/watch.py",
    }
)
"""The payer's own: what happens in them is what a crash can interrupt."""
START: Final = 5_000_000
ONCHAIN: Final = 70_000_500
HASH: Final = payment_hash(1)
ADDRESS: Final = "alice@ln.example.com"
QUICK: Final = attrs.evolve(TERMS, second_decoder=False)
LONG_S: Final = 6_000
"""Behind the expiry of every invoice here, and all margins."""


@attrs.define
class WatchedNode(FakeNode):
    """Notes when it is asked for what is not on record, or what it is doing or has done already."""

    book: FakeBook = attrs.field(kw_only=True)
    wrongs: list[str] = attrs.field(kw_only=True)

    async def pay(self, invoice: str, payment_hash: str, max_fee: Msat) -> PayOutcome:
        states = [p.state for p in self.book.payments.values() if p.payment_hash == payment_hash]
        if states != [PaymentState.SENDING]:
            self.wrongs.append("the node heard of a payment before the disk did")
        if payment_hash in self.paid or payment_hash in self.in_flight:
            self.wrongs.append("the node was asked to pay what it pays or has paid")
        return await super().pay(invoice, payment_hash, max_fee)


@attrs.define
class WatchedWallet(FakeWallet):
    """Notes when something leaves that is not on record."""

    book: FakeBook = attrs.field(kw_only=True)
    wrongs: list[str] = attrs.field(kw_only=True)

    async def broadcast(self, raw_tx: str) -> str | None:
        states = [b.state for b in self.book.batches.values() if b.signed.raw_tx == raw_tx]
        if states != [BatchState.BROADCAST]:
            self.wrongs.append("a batch left before that was on disk")
        return await super().broadcast(raw_tx)


@attrs.define
class World:
    """The books, the inbox, the nodes, strangers, time, and the operator's settings."""

    book: FakeBook = attrs.Factory(lambda: FakeBook.with_balances({"alice": START, ADDRESS_A: ONCHAIN}))
    node: FakeNode = attrs.field(init=False)
    wallet: FakeWallet = attrs.field(init=False)
    time: Time = attrs.Factory(Time)
    limits: Limits = NO_LIMITS
    rail: str = "lightning"
    inbox: FakeInbox = attrs.field(init=False)
    service: Service = attrs.field(init=False)
    payer: Any = None
    wrongs: list[str] = attrs.Factory(list)

    def __attrs_post_init__(self) -> None:
        self.node = WatchedNode(book=self.book, wrongs=self.wrongs)
        self.wallet = WatchedWallet(book=self.book, wrongs=self.wrongs)
        self.inbox = FakeInbox(self.book)
        self.service = Service(lambda: self.time.now_ms() // 1000)

    def stands(self) -> Hashable:
        """What the books and the nodes have: what a payer does from here on depends on it alone."""
        return (
            tuple(payment.state for payment in self.book.payments.values()),
            tuple(batch.state for batch in self.book.batches.values()),
            len(self.book.claims),
            len(self.book.tries),
            self.book.stopped(),
            (*self.node.paid, *self.node.in_flight, *self.node.failed),
            len(self.wallet.made),
            len(self.wallet.network),
        )

    def begin(self, life: Life | None = None) -> None:
        """Let a payer live; without a life of its own it is immortal."""

        def port(real: object) -> Any:
            return real if life is None else Mortal(real, life)

        clock: Any = self.time.clock if life is None else MortalClock(self.time.clock, life)
        book, now_ms = port(self.book), self.time.now_ms
        if self.rail == "onchain":
            options = BatcherOptions(Sat(50_000), confirmations=3, interval_s=600)
            self.payer = Batcher(book, port(self.wallet), clock, now_ms, options)
        else:
            pushes = Pushes(book, port(self.service), PushOptions(Msat(1_000_000), every_s=0.5))
            settings = SenderOptions(QUICK, limits=self.limits, poll_s=0.25, watch_s=2.0, max_retry_s=5.0)
            ports = book, port(self.inbox), port(self.node)
            self.payer = Sender(*ports, clock, now_ms, settings, pushes)
        self.payer.start()

    def end(self) -> None:
        """End the payer that lives."""
        self.payer.stop()

    def file(self, text: str | None = None, number: int = 1) -> None:
        """A claim of alice's."""
        text = invoice(number) if text is None else text
        now_s = self.time.now_ms() // 1000
        self.inbox.claims.append(claim(self.book, text, number=number, now_s=now_s))

    def rule(self, ruling: Ruling) -> None:
        """The operator's word to the first payment, if it is there."""
        payment = self.book.payments.get(1)
        if payment is not None and payment.state in OPEN:
            self.book.rule(1, ruling)

    def judge(self) -> None:
        """What left is what the books say, to the millisatoshi, and nothing is still open."""
        assert self.wrongs == []
        gone = 0
        for payment in self.book.payments.values():
            assert payment.state not in OPEN
            assert (payment.state is PaymentState.SETTLED) == (payment.payment_hash in self.node.paid)
            gone += self.node.paid.get(payment.payment_hash, 0)
        assert self.book.balances["alice"] == START - gone
        foreign = {*self.node.paid} - {payment.payment_hash for payment in self.book.payments.values()}
        assert foreign == set()
        assert {batch.state for batch in self.book.batches.values()} <= {
            BatchState.SETTLED,
            BatchState.REJECTED,
        }
        paid_out = self.wallet.paid_out()
        assert self.book.balances[ADDRESS_A] == ONCHAIN - paid_out * 1000
