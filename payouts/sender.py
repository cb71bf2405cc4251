"""The payer's Lightning side: claims become holds, holds payments, and each ends in a definite outcome.

On start the book is reconciled with the node before anything is sent.  Then claims are checked from scratch
(what the web filed is only a wish) and each taken one is carried, by one coroutine, to its end.  Pushes to
Lightning Addresses go the same way, behind the claims.
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

from payouts.carrier import Carrier, Contact, Patience
from payouts.claims import ClaimTerms, Judged, judge
from payouts.errors import NodeUnavailable
from payouts.limits import NO_LIMITS, Fine, Limits, NotNow, TooMuch, told_to_wallets
from payouts.money import Msat
from payouts.ports import Book, ClaimInbox, LightningNode
from payouts.pusher import Pusher, Pushes
from payouts.values import Claim, Intent, NotTaken, PaymentState, Taken
from payouts.watch import Watch

_LAST_WORD_MS: Final = 2_000  # so long before its time is up, a claim that waits for the node is refused
_APPROVAL_S: Final = 600  # an invoice that must wait for an operator is valid for at least so long


@attrs.frozen
class SenderOptions:
    """How the payer goes about it.

    Attributes:
        terms: what a claim must keep to.
        limits: how much may leave.
        open_per_account: most payments of one account under way.
        open_in_all: most payments under way.
        since_s: Unix second from which all of the node's outgoing payments must be in the book: when the
            ledger began.  What an operator has resumed after is not asked about again either.
        poll_s: how often claims are looked for.
        watch_s: how often book and node are compared and the limits looked at.
        ruled_s: how often an operator's rulings are looked for.
        overdue_s: a payment that is unknown for longer is put before the operator.
        retry_s: first wait before an unknown payment is asked about again, or a lost node is tried again.
        max_retry_s: the longest such wait.
    """

    terms: ClaimTerms
    limits: Limits = NO_LIMITS
    open_per_account: int = 3
    open_in_all: int = 20
    since_s: int = 0
    poll_s: float = 0.1
    watch_s: float = 60.0
    ruled_s: float = 1.0
    overdue_s: int = 3600
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
        pushes: for payouts to Lightning Addresses; None means no such payouts.
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
        pushes: Pushes | None = None,
    ) -> None:
        self._book = book
        self._inbox = inbox
        self._clock = clock
        self._now_ms = now_ms
        self._options = options
        self._patience = Patience(options.retry_s, options.max_retry_s)
        self._contact = Contact()
        self._carrier = Carrier(book, node, clock, now_ms, self._patience, self._contact)
        overdue_ms = options.overdue_s * 1000
        self._watch = Watch(book, node, now_ms, options.limits, options.since_s, overdue_ms)
        self._pusher = None
        if pushes is not None:
            self._push_every_s = pushes.options.every_s
            self._pusher = Pusher(pushes, self._watch, options.terms, now_ms, self._carrier.carry_new)
        self._loops: list[Deferred[None]] = []
        self._running = False

    def start(self) -> None:
        """Begin: reconcile, then take and send."""
        self._running = True
        self._run(self._claims())

    def stop(self) -> None:
        """Stop at once, and write nothing more.  What is under way is asked about at the next start."""
        self._running = False
        self._carrier.stop()
        if self._pusher is not None:
            self._pusher.stop()
        for each in self._loops:
            each.cancel()

    @property
    def under_way(self) -> int:
        """How many payments are being carried now."""
        return self._carrier.under_way

    def _run(self, loop: Any) -> None:
        running: Deferred[None] = Deferred.fromCoroutine(loop)
        self._loops.append(running)
        running.addErrback(self._ended_badly)

    async def _claims(self) -> None:
        await self._insist(self._reconcile)
        self._run(self._every(self._options.watch_s, self._look_again))
        self._run(self._every(self._options.ruled_s, self._pick_up))
        if self._pusher is not None:
            self._run(self._pushes(self._pusher, self._push_every_s))
        while self._running:
            looked_at = await self._insist(self._take_claims)
            if self._running:
                await deferLater(self._clock, 0 if looked_at else self._options.poll_s)

    async def _every(self, seconds: float, step: Callable[[], Any]) -> None:
        while self._running:
            await deferLater(self._clock, seconds)
            await self._insist(step)

    async def _pushes(self, pusher: Pusher, every_s: float) -> None:
        while self._running:
            soon = await self._insist(lambda: self._push(pusher))
            await deferLater(self._clock, self._options.poll_s if soon else every_s)

    async def _push(self, pusher: Pusher) -> bool:
        """Begin pushes while no claim waits, and leave half of the places to claims that may come.

        Returns:
            Whether to look again soon.
        """
        room = max(1, self._options.open_in_all // 2) - self._carrier.under_way
        if room <= 0 or self._inbox.unanswered(1):
            return True
        return pusher.begin(room) > 0

    async def _insist(self, step: Callable[[], Any]) -> Any:
        """Do a step, and again with growing pauses while the node is lost or the book is in trouble."""
        attempt = 0
        while True:
            try:
                result = await step()
            except NodeUnavailable as unavailable:
                self._contact.lost(unavailable)
            except CancelledError:
                raise
            except Exception:  # noqa: BLE001 - the payer must outlive a locked database; nothing is half-written
                self.log.failure("A step of the payer failed and is tried again")
            else:
                return result
            if not self._running:
                return None
            await deferLater(self._clock, self._patience.pause_s(attempt))
            attempt += 1

    async def _reconcile(self) -> None:
        """Compare book and node: payments that the book lacks stop all sending; open ones are carried on."""
        await self._watch.compare()
        await self._watch.look()
        self._contact.found()
        for payment in self._book.open_payments():
            if not payment.waits:
                self._carrier.carry(payment.payment_id, ask_first=True)

    async def _look_again(self) -> None:
        await self._watch.compare()
        await self._watch.look()
        self._contact.found()

    async def _pick_up(self) -> None:
        """Carry on what an operator has ruled on, and what has waited for one until its invoice expired."""
        for payment in self._book.ruled():
            never_sent = payment.state is PaymentState.RESERVED
            self._carrier.carry(payment.payment_id, ask_first=not never_sent)
        now_s = self._now_ms() // 1000
        for payment in self._book.open_payments():
            if payment.waits and now_s > payment.invoice_expires_s:
                self._carrier.carry(payment.payment_id, ask_first=True)

    async def _take_claims(self) -> int:
        """Answer waiting claims as far as there is room; the number that was answered."""
        room = self._options.open_in_all - self._carrier.under_way
        claims = self._inbox.unanswered(room) if room > 0 else []
        if not claims:
            return 0
        stopped = self._book.stopped()
        outbound = Msat(0)
        if stopped is None:
            outbound = await self._watch.outbound()  # a claim is worth taking only while a node can pay it
            self._contact.found()
        answered = 0
        for claim in claims:
            if not self._running:
                break
            stopped = stopped or self._book.stopped()  # it may have tripped since the last one
            if stopped is not None:
                self._refuse(claim, told_to_wallets(stopped))
                answered += 1
            else:
                taken = self._consider(claim, outbound)
                answered += taken is not None
                outbound = Msat(outbound - (taken or 0))  # what was taken in this round is as good as gone
            # a claim takes milliseconds to check: what was taken must not wait until many others are
            await deferLater(self._clock, 0)
        return answered

    def _consider(self, claim: Claim, outbound: Msat) -> Msat | None:
        """Answer a claim, and say how much of the node's liquidity it takes.

        None: there is no answer yet, since it is worth waiting for a channel or a payment under way.
        """
        now_ms = self._now_ms()
        judged = judge(claim, self._options.terms, self._watch.own_nodes, now_ms)
        if isinstance(judged, NotTaken):
            return self._refuse(claim, judged.reason)
        intent = judged.intent
        cost = Msat(intent.amount + intent.max_fee + intent.pool_fee)
        weighed = self._weigh(intent, cost, outbound, now_ms)
        match weighed:
            case Fine(held_back=held_back):
                waiting = attrs.evolve(judged, intent=attrs.evolve(intent, held_back=held_back))
                return self._take(waiting, cost, now_ms)
            case NotNow(reason=reason):
                if now_ms < claim.answer_by_ms - _LAST_WORD_MS:
                    return None
                return self._refuse(claim, reason)
            case TooMuch(reason=reason):
                return self._refuse(claim, reason)
            case _:
                assert_never(weighed)

    def _weigh(self, intent: Intent, cost: Msat, outbound: Msat, now_ms: int) -> Fine | NotNow | TooMuch:
        weighed = self._watch.weigh(intent.claim.account, intent.amount, cost)
        if not isinstance(weighed, Fine):
            return weighed
        if intent.amount > outbound:
            # taking it would tell the wallet OK for a payment that fails at once
            return NotNow("the pool cannot send so much over Lightning now: try less, or later")
        if weighed.held_back is not None and intent.invoice_expires_s < now_ms // 1000 + _APPROVAL_S:
            return TooMuch(
                f"{weighed.held_back}, so the operator looks first: use an invoice that lasts longer"
            )
        return weighed

    def _take(self, judged: Judged, cost: Msat, now_ms: int) -> Msat:
        claim, held_back = judged.intent.claim, judged.intent.held_back
        limit = self._options.open_per_account
        answer = self._book.take(judged.intent, judged.k1_hash_for, now_ms, limit=limit)
        match answer:
            case Taken(payment_id=payment_id):
                self._watch.began(judged.intent.amount, cost)
                if held_back is None:
                    self._carrier.carry_new(payment_id)
                else:
                    self.log.warn(
                        "Payment {id} waits for approval: {reason}", id=payment_id, reason=held_back
                    )
                return cost
            case NotTaken(reason=reason):
                self.log.info("Claim {claim} was not taken: {reason}", claim=claim.claim_id, reason=reason)
                return Msat(0)
            case _:
                assert_never(answer)

    def _refuse(self, claim: Claim, reason: str) -> Msat:
        self._book.refuse(claim, reason, self._now_ms())
        self.log.info("Claim {claim} was refused: {reason}", claim=claim.claim_id, reason=reason)
        return Msat(0)

    def _ended_badly(self, failure: Failure) -> None:
        if not isinstance(failure.value, CancelledError):
            self.log.failure("The payer stopped by a bug", failure=failure)
