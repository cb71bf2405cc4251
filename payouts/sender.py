"""The payer's Lightning side: claims become holds, holds payments, and each ends in a definite outcome.

On start the book is reconciled with the node before anything is sent.  Then claims are checked from scratch
(what the web filed is only a wish) and each taken one is carried, by one coroutine, to its end.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, assert_never

import attrs
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from payouts.claims import ClaimTerms, Judged, judge
from payouts.errors import NodeUnavailable
from payouts.money import Msat
from payouts.payment import MOVES, Event, advance
from payouts.ports import (
    Book,
    Claim,
    ClaimInbox,
    LightningNode,
    NotTaken,
    PayFailed,
    Payment,
    PaymentState,
    PayOutcome,
    PaySettled,
    PayUnknown,
    Taken,
)

_LAST_WORD_MS: Final = 2_000  # so long before its time is up, a claim that waits for the node is refused
_SHOWN: Final = 3  # payment hashes named in the breaker's reason


@attrs.frozen
class SenderOptions:
    """How the payer goes about it.

    Attributes:
        terms: what a claim must keep to.
        open_per_account: most payments of one account under way.
        open_in_all: most payments under way.
        since_s: Unix second from which all of the node's outgoing payments must be in the book: when the
            ledger began, or when an operator last resumed sending.
        poll_s: how often claims are looked for.
        retry_s: first wait before an unknown payment is asked about again, or a lost node is tried again.
        max_retry_s: the longest such wait.
    """

    terms: ClaimTerms
    open_per_account: int = 3
    open_in_all: int = 20
    since_s: int = 0
    poll_s: float = 0.1
    retry_s: float = 0.5
    max_retry_s: float = 60.0


class Sender:
    """Takes claims and carries payments to their end; ``start`` and ``stop`` it.

    Args:
        book: holds and payments.
        inbox: claims that the web filed.
        node: pays.
        clock: for waiting.
        now_ms: Unix milliseconds.
        options: see SenderOptions.
    """

    log = Logger()

    def __init__(
        self,
        book: Book,
        inbox: ClaimInbox,
        node: LightningNode,
        clock: IReactorTime,
        now_ms: Callable[[], int],
        options: SenderOptions,
    ) -> None:
        self._book = book
        self._inbox = inbox
        self._node = node
        self._clock = clock
        self._now_ms = now_ms
        self._options = options
        self._carried: dict[int, Deferred[None]] = {}
        self._loop: Deferred[None] | None = None
        self._running = False
        self._node_lost = False
        self._own_nodes: frozenset[str] = frozenset()

    def start(self) -> None:
        """Begin: reconcile, then take and send."""
        self._running = True
        self._loop = Deferred.fromCoroutine(self._run())
        self._loop.addErrback(self._ended_badly)

    def stop(self) -> None:
        """Stop at once, and write nothing more.  What is under way is asked about at the next start."""
        self._running = False
        for each in [*self._carried.values(), *([self._loop] if self._loop else [])]:
            each.cancel()

    @property
    def under_way(self) -> int:
        """How many payments are being carried now."""
        return len(self._carried)

    # ------------------------------------------------------------------------------------------ the main loop

    async def _run(self) -> None:
        await self._insist(self._reconcile)
        while True:
            looked_at = await self._insist(self._take_claims)
            if not self._running:
                return
            await self._sleep(0 if looked_at else self._options.poll_s)

    async def _insist(self, step: Callable[[], Any]) -> Any:
        """Do a step, and again with growing pauses while the node is lost or the book is in trouble."""
        attempt = 0
        while True:
            try:
                result = await step()
            except NodeUnavailable as unavailable:
                self._lost(unavailable)
            except CancelledError:
                raise
            except Exception:  # noqa: BLE001 - the payer must outlive a locked database; nothing is half-written
                self.log.failure("A step of the payer failed and is tried again")
            else:
                return result
            if not self._running:
                return None
            await self._sleep(self._pause(attempt))
            attempt += 1

    async def _reconcile(self) -> None:
        """Compare book and node: payments that the book lacks stop all sending; open ones are carried on."""
        self._own_nodes = frozenset({await self._node.node_id()})
        sent = await self._node.sent_hashes(self._options.since_s)
        self._found()
        known = self._book.knows(sent)
        missing = [payment_hash for payment_hash in sent if payment_hash not in known]
        if missing:  # also while sending is stopped for another reason, which must not hide this one
            shown = ", ".join(missing[:_SHOWN])
            reason = f"the node has sent {len(missing)} payments that the ledger lacks: {shown}"
            self._book.stop_sending(reason, self._now_ms())
            self.log.error("Sending was stopped: {reason}", reason=reason)
        for payment in self._book.open_payments():
            self._carry(payment.payment_id, ask_first=True)

    async def _take_claims(self) -> int:
        """Answer waiting claims as far as there is room; the number that was answered."""
        room = self._options.open_in_all - len(self._carried)
        claims = self._inbox.unanswered(room) if room > 0 else []
        if not claims:
            return 0
        stopped = self._book.stopped()
        outbound = Msat(0)
        if stopped is None:
            outbound = await self._node.outbound()  # a claim is worth taking only while a node can pay it
            self._found()
        answered = 0
        for claim in claims:
            if not self._running:
                break
            stopped = stopped or self._book.stopped()  # it may have tripped since the last one
            if stopped is not None:
                self._book.refuse(claim, "payouts are paused: try again later", self._now_ms())
                answered += 1
            elif self._consider(claim, outbound):
                answered += 1
            # a claim takes milliseconds to check: what was taken must not wait until many others are
            await self._sleep(0)
        return answered

    def _consider(self, claim: Claim, outbound: Msat) -> bool:
        """Answer a claim, unless it is worth waiting for a channel that may be back in a moment."""
        now_ms = self._now_ms()
        judged = judge(claim, self._options.terms, self._own_nodes, now_ms)
        if isinstance(judged, Judged) and judged.intent.amount > outbound:
            if now_ms < claim.answer_by_ms - _LAST_WORD_MS:
                return False
            # taking it would tell the wallet OK for a payment that fails at once
            judged = NotTaken("the pool cannot send so much over Lightning now: try less, or later")
        if isinstance(judged, NotTaken):
            self._book.refuse(claim, judged.reason, now_ms)
            self.log.info("Claim {claim} was refused: {reason}", claim=claim.claim_id, reason=judged.reason)
            return True
        answer = self._book.take(
            judged.intent, judged.k1_hash_for, now_ms, limit=self._options.open_per_account
        )
        match answer:
            case Taken(payment_id=payment_id):
                self._carry(payment_id, ask_first=False)
            case NotTaken(reason=reason):
                self.log.info("Claim {claim} was not taken: {reason}", claim=claim.claim_id, reason=reason)
            case _:
                assert_never(answer)
        return True

    # ------------------------------------------------------------------------------------- one payment's way

    def _carry(self, payment_id: int, *, ask_first: bool) -> None:
        if payment_id not in self._carried:
            carried = Deferred.fromCoroutine(self._to_the_end(payment_id, send=not ask_first))
            self._carried[payment_id] = carried
            carried.addErrback(self._ended_badly)
            carried.addBoth(lambda _: self._forget(payment_id, carried))

    def _forget(self, payment_id: int, carried: Deferred[None]) -> None:
        if self._carried.get(payment_id) is carried:
            del self._carried[payment_id]

    async def _to_the_end(self, payment_id: int, *, send: bool) -> None:
        """Send or ask, again and again, until the outcome is definite and in the book."""
        await self._sleep(0)  # so that it is among the carried before anything happens
        attempt = 0
        while self._running:
            outcome = await self._attempt(payment_id, send=send)
            if not isinstance(outcome, PayUnknown) or not self._running:
                return
            send = outcome.idle  # nothing is under way: the same invoice may go out again
            await self._sleep(self._pause(attempt))
            attempt += 1

    async def _attempt(self, payment_id: int, *, send: bool) -> PayOutcome | None:
        """One exchange with the node and its record; None when the book says that the payment has ended."""
        try:
            payment = next((p for p in self._book.open_payments() if p.payment_id == payment_id), None)
            if payment is None:
                return None
            if send and self._may_send(payment):
                outcome = await self._send(payment)
            else:
                outcome = await self._ask(payment)
            self._found()
        except NodeUnavailable as unavailable:
            self._lost(unavailable)
            return PayUnknown(str(unavailable))
        except CancelledError:
            raise
        except Exception:  # noqa: BLE001 - a locked book must not lose the payment: the node is asked again
            self.log.failure("Payment {id} could not be recorded", id=payment_id)
            return PayUnknown("the book could not be written")
        return outcome

    def _may_send(self, payment: Payment) -> bool:
        expired = self._now_ms() // 1000 >= payment.invoice_expires_s
        return Event.SEND in MOVES[payment.state] and not expired and self._book.stopped() is None

    async def _send(self, payment: Payment) -> PayOutcome:
        self._book.sending(payment.payment_id, self._now_ms())  # on disk before the node hears of it
        self.log.info("Payment {id} was sent", id=payment.payment_id, amount_msat=payment.amount)
        outcome = await self._node.pay(payment.invoice, payment.payment_hash, payment.max_fee)
        self._record(payment, advance(payment.state, Event.SEND).state, outcome)
        return outcome

    async def _ask(self, payment: Payment) -> PayOutcome:
        now_s = self._now_ms() // 1000
        outcome = await self._node.lookup(payment.payment_hash, payment.invoice_expires_s, now_s)
        self._record(payment, payment.state, outcome)
        return outcome

    def _record(self, payment: Payment, state: PaymentState, outcome: PayOutcome) -> None:
        """Write down what the node said, unless stopped: the book may be closed, and the next start asks."""
        if not self._running:
            return
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

    def _pause(self, attempt: int) -> float:
        doubled: float = self._options.retry_s * (1 << min(attempt, 20))
        return min(doubled, self._options.max_retry_s)

    async def _sleep(self, seconds: float) -> None:
        await deferLater(self._clock, seconds)

    def _lost(self, unavailable: NodeUnavailable) -> None:
        if not self._node_lost:
            self._node_lost = True
            self.log.error("The Lightning node was lost: {reason}", reason=str(unavailable))

    def _found(self) -> None:
        if self._node_lost:
            self._node_lost = False
            self.log.info("The Lightning node came back")

    def _ended_badly(self, failure: Failure) -> None:
        if not isinstance(failure.value, CancelledError):
            self.log.failure("The payer stopped by a bug", failure=failure)
