"""One payment's way: sent, asked about, and recorded, until its outcome is definite and in the book."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, assert_never

import attrs
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from payouts.errors import NodeUnavailable
from payouts.payment import MOVES, Event, advance
from payouts.ports import Book, LightningNode
from payouts.values import PayFailed, Payment, PaymentState, PayOutcome, PaySettled, PayUnknown, Ruling

GIVE_UP_MARGIN_S: Final = 600  # behind an invoice's expiry: before that, giving up waits


@attrs.frozen
class Patience:
    """How long to wait before something is tried again: twice as long each time, up to the longest."""

    retry_s: float = 0.5
    max_retry_s: float = 60.0

    def pause_s(self, attempt: int) -> float:
        """The wait after so many tries."""
        doubled_s: float = self.retry_s * (1 << min(attempt, 20))
        return min(doubled_s, self.max_retry_s)


class Contact:
    """Whether the node is there: said once when it is lost, and once when it is back."""

    log = Logger()

    def __init__(self) -> None:
        self._lost = False

    def lost(self, unavailable: NodeUnavailable) -> None:
        """It did not answer."""
        if not self._lost:
            self._lost = True
            self.log.error("The Lightning node was lost: {reason}", reason=str(unavailable))

    def found(self) -> None:
        """It answered."""
        if self._lost:
            self._lost = False
            self.log.info("The Lightning node came back")


class Carrier:
    """Carries payments, each by one coroutine.

    Args:
        book: holds and payments.
        node: pays.
        clock: for waiting.
        now_ms: Unix milliseconds.
        patience: between attempts.
        contact: told whether the node answers.
    """

    log = Logger()

    def __init__(
        self,
        book: Book,
        node: LightningNode,
        clock: IReactorTime,
        now_ms: Callable[[], int],
        patience: Patience,
        contact: Contact,
    ) -> None:
        self._book = book
        self._node = node
        self._clock = clock
        self._now_ms = now_ms
        self._patience = patience
        self._contact = contact
        self._carried: dict[int, Deferred[None]] = {}
        self._stopped = False

    def stop(self) -> None:
        """Stop at once, and write nothing more.  What is under way is asked about at the next start."""
        self._stopped = True
        for each in list(self._carried.values()):
            each.cancel()

    @property
    def under_way(self) -> int:
        """How many payments are being carried now."""
        return len(self._carried)

    def carry(self, payment_id: int, *, ask_first: bool) -> None:
        """See a payment to its end; one that is carried already is left alone.

        Args:
            payment_id: of the book.
            ask_first: it may have been sent before, so that the node is asked before anything is sent.
        """
        if payment_id not in self._carried and not self._stopped:
            carried = Deferred.fromCoroutine(self._to_the_end(payment_id, send=not ask_first))
            self._carried[payment_id] = carried
            carried.addErrback(self._ended_badly)
            carried.addBoth(lambda _: self._forget(payment_id, carried))

    def carry_new(self, payment_id: int) -> None:
        """See a payment to its end that was taken just now: it is sent at once."""
        self.carry(payment_id, ask_first=False)

    def _forget(self, payment_id: int, carried: Deferred[None]) -> None:
        if self._carried.get(payment_id) is carried:
            del self._carried[payment_id]

    async def _to_the_end(self, payment_id: int, *, send: bool) -> None:
        """Send or ask, again and again, until the outcome is definite and in the book."""
        await deferLater(self._clock, 0)  # so that it is among the carried before anything happens
        attempt = 0
        while not self._stopped:
            outcome = await self._attempt(payment_id, send=send)
            if not isinstance(outcome, PayUnknown) or self._stopped:
                return
            send = outcome.idle  # nothing is under way: the same invoice may go out again
            await deferLater(self._clock, self._patience.pause_s(attempt))
            attempt += 1

    async def _attempt(self, payment_id: int, *, send: bool) -> PayOutcome | None:
        """One exchange with the node and its record; None when the book says that the payment has ended."""
        try:
            payment = next((p for p in self._book.open_payments() if p.payment_id == payment_id), None)
            if payment is None:
                return None
            if payment.state is PaymentState.RESERVED and payment.ruling is Ruling.REFUSED:
                return self._record(payment, payment.state, PayFailed("the pool's operator refused it"))
            if send and self._may_send(payment):
                outcome = await self._send(payment)
            else:
                outcome = await self._ask(payment)
            self._contact.found()
        except NodeUnavailable as unavailable:
            self._contact.lost(unavailable)
            return PayUnknown(str(unavailable))
        except CancelledError:
            raise
        except Exception:  # noqa: BLE001 - a locked book must not lose the payment: the node is asked again
            self.log.failure("Payment {id} could not be recorded", id=payment_id)
            return PayUnknown("the book could not be written")
        return outcome

    def _may_send(self, payment: Payment) -> bool:
        expired = self._now_ms() // 1000 >= payment.invoice_expires_s
        possible = Event.SEND in MOVES[payment.state] and not payment.waits
        return possible and not expired and self._book.stopped() is None

    async def _send(self, payment: Payment) -> PayOutcome:
        self._book.sending(payment.payment_id, self._now_ms())  # on disk before the node hears of it
        self.log.info("Payment {id} was sent", id=payment.payment_id, amount_msat=payment.amount)
        outcome = await self._node.pay(payment.invoice, payment.payment_hash, payment.greatest_fee)
        return self._record(payment, advance(payment.state, Event.SEND).state, outcome)

    async def _ask(self, payment: Payment) -> PayOutcome:
        now_s = self._now_ms() // 1000
        outcome = await self._node.lookup(payment.payment_hash, payment.invoice_expires_s, now_s)
        given_up = payment.ruling is Ruling.GIVEN_UP and now_s > payment.invoice_expires_s + GIVE_UP_MARGIN_S
        if isinstance(outcome, PayUnknown) and given_up:  # the node has had its last word, and it was none
            outcome = PayFailed("given up by the pool's operator")
        return self._record(payment, payment.state, outcome)

    def _record(self, payment: Payment, state: PaymentState, outcome: PayOutcome) -> PayOutcome:
        """Write down what the node said, unless stopped: the book may be closed, and the next start asks."""
        if self._stopped:
            return outcome
        number, now_ms = payment.payment_id, self._now_ms()
        match outcome:
            case PaySettled(preimage=preimage, fee=fee):
                advance(state, Event.PAID)
                self._book.settle(number, preimage, fee, now_ms)
                self.log.info("Payment {id} settled", id=number, amount_msat=payment.amount, fee_msat=fee)
            case PayFailed(reason=reason):
                advance(state, Event.REFUSED)
                self._book.fail(number, reason, now_ms)
                self.log.info("Payment {id} failed: {reason}", id=number, reason=reason)
            case PayUnknown(reason=reason):
                if Event.UNCLEAR in MOVES[state]:  # a reserved one was never sent: it stays what it is
                    self._book.unknown(number, reason, now_ms)
            case _:
                assert_never(outcome)
        return outcome

    def _ended_badly(self, failure: Failure) -> None:
        if not isinstance(failure.value, CancelledError):
            self.log.failure("A payment was dropped by a bug", failure=failure)
