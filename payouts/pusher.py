"""Pushes to Lightning Addresses: who is due is asked for an invoice, which then goes the way of a claim's.

A push waits for claims, never the other way round: whoever calls ``begin`` does so when no claim is waiting.
Nothing is written before there is an invoice that may be paid; a push that comes to nothing is one failure on
the ladder that leads to the other rail.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol, assert_never

import attrs
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from payouts.claims import ClaimTerms
from payouts.errors import NodeUnavailable
from payouts.limits import Fine
from payouts.lnaddress import (
    Asked,
    Declined,
    callback_url,
    document_url,
    push_amount,
    push_intent,
    read_invoice,
    read_offer,
)
from payouts.money import Msat, Sat, floor_sat, to_msat
from payouts.outbound import Fetched
from payouts.places import NotFetched
from payouts.pushing import Due, PushBook, PushIntent
from payouts.values import NotTaken, Taken
from payouts.watch import Watch


class Strangers(Protocol):
    """How documents of strangers are fetched: payouts.outbound.Outbound, or a fake."""

    async def fetch(self, url: str) -> Fetched | NotFetched:
        """Ask for a document; never raises for what a stranger does."""
        ...


_PAUSE_MS: Final = 60_000  # after a push that could not be made for a reason of ours


@attrs.frozen
class PushOptions:
    """How pushes are made.

    Attributes:
        threshold: least balance that is pushed.
        at_once: most accounts that are asked for an invoice at the same time.
        every_s: how often accounts that are due are looked for.
    """

    threshold: Msat
    at_once: int = 10
    every_s: float = 5.0


@attrs.frozen
class Pushes:
    """What a payer that pushes has beside one that only answers claims.

    Attributes:
        book: who is due, and holds.
        strangers: fetches documents.
        options: see PushOptions.
    """

    book: PushBook
    strangers: Strangers
    options: PushOptions


@attrs.frozen
class _Later:
    """Nobody's failure: it is tried again after a pause.  Attributes: a reason."""

    reason: str


class Pusher:
    """Begins pushes; whoever made it says when there is room for them.

    Args:
        pushes: see Pushes.
        watch: knows the limits, and what the node can send.
        terms: what an invoice must keep to.
        now_ms: Unix milliseconds.
        carry: takes a payment over, by its number.
    """

    log = Logger()

    def __init__(
        self,
        pushes: Pushes,
        watch: Watch,
        terms: ClaimTerms,
        now_ms: Callable[[], int],
        carry: Callable[[int], None],
    ) -> None:
        self._book = pushes.book
        self._strangers = pushes.strangers
        self._options = pushes.options
        self._watch = watch
        self._terms = terms
        self._now_ms = now_ms
        self._carry = carry
        self._begun: dict[str, Deferred[None]] = {}
        self._pauses: dict[str, int] = {}
        self._ended = False

    def stop(self) -> None:
        """Forget about invoices that are being asked for; nothing is written of them."""
        self._ended = True
        for each in list(self._begun.values()):
            each.cancel()

    def begin(self, room: int) -> int:
        """Start pushes for accounts that are due, as far as there is room.

        Returns:
            How many accounts are being asked for an invoice now: while there are any, it is soon worth a
            further look.
        """
        room = min(room, self._options.at_once) - len(self._begun)
        if room <= 0 or self._ended or self._watch.stopped() is not None:
            return len(self._begun)
        now_ms = self._now_ms()
        # a clock that was set back must not make them longer
        self._pauses = {
            account: until for account, until in self._pauses.items() if now_ms < until <= now_ms + _PAUSE_MS
        }
        busy = self._begun.keys() | self._pauses.keys()
        due = self._book.pushes_due(self._options.threshold, now_ms, room + len(busy))
        fresh = [each for each in due if each.account not in busy][:room]
        for each in fresh:
            self._start(each)
        return max(len(fresh), len(self._begun))

    def _start(self, due: Due) -> None:
        pushing = Deferred.fromCoroutine(self._push(due))
        pushing.addErrback(self._ended_badly)
        if not pushing.called:
            self._begun[due.account] = pushing
            pushing.addBoth(lambda _: self._forget(due.account))

    def _forget(self, account: str) -> None:
        self._begun.pop(account, None)

    async def _push(self, due: Due) -> None:
        result: Taken | Declined | _Later
        try:
            asked = await self._invoice(due)
            result = await self._take(asked) if isinstance(asked, PushIntent) else asked
        except NodeUnavailable as unavailable:
            result = _Later(str(unavailable))
        if self._ended:
            return
        match result:
            case Taken(payment_id=payment_id):
                self.log.info("Payment {id} pushes to {account}", id=payment_id, account=due.account)
            case Declined(reason=reason):
                self._book.push_came_to_nothing(due.account, due.target, reason, self._now_ms())
                self.log.info("No push to {account}: {reason}", account=due.account, reason=reason)
            case _Later(reason=reason):
                self._pauses[due.account] = self._now_ms() + _PAUSE_MS
                self.log.info("A push to {account} waits: {reason}", account=due.account, reason=reason)
            case _:
                assert_never(result)

    async def _cap(self, account: str) -> Sat:
        """The most that one push of an account may be now, for all but the account's own reasons."""
        outbound = await self._watch.outbound()
        allowed = self._watch.allowed(account)
        rooms = [floor_sat(each) for each in (outbound, allowed) if each is not None]
        return Sat(min(self._terms.maximum, *rooms))

    async def _invoice(self, due: Due) -> PushIntent | Declined | _Later:
        """Ask for an invoice over as much as may leave now."""
        cap = await self._cap(due.account)
        if to_msat(cap) < self._options.threshold:
            return _Later("limits and node leave too little")
        first = await self._strangers.fetch(document_url(due.target))
        offer = Declined(first.reason) if isinstance(first, NotFetched) else read_offer(first.document)
        if isinstance(offer, Declined):
            return offer
        amount = push_amount(due.available, offer, self._terms.fees, cap)
        if isinstance(amount, Declined):
            return amount
        second = await self._strangers.fetch(callback_url(offer, amount))
        given = Declined(second.reason) if isinstance(second, NotFetched) else read_invoice(second.document)
        if isinstance(given, Declined):
            return given
        asked = Asked(due.account, due.target, offer, amount, given.verify)
        terms = self._terms.at(self._now_ms(), self._watch.own_nodes)
        return push_intent(given.invoice, asked, terms, second_decoder=self._terms.second_decoder)

    async def _take(self, intent: PushIntent) -> Taken | _Later:
        """Take the hold if limits and node still allow, and hand the payment over."""
        outbound = await self._watch.outbound()
        if self._ended or self._watch.stopped() is not None:
            return _Later("sending is stopped")
        cost = Msat(intent.amount + intent.max_fee + intent.pool_fee)
        weighed = self._watch.weigh(intent.account, intent.amount, cost)
        if not isinstance(weighed, Fine):
            return _Later(weighed.reason)
        if intent.amount > outbound:
            return _Later("the node cannot send so much now")
        held_back = attrs.evolve(intent, held_back=weighed.held_back)
        answer = self._book.take_push(held_back, self._now_ms())
        if isinstance(answer, NotTaken):
            return _Later(answer.reason)
        self._watch.began(intent.amount, cost)
        if weighed.held_back is None:
            self._carry(answer.payment_id)
        return answer

    def _ended_badly(self, failure: Failure) -> None:
        if not isinstance(failure.value, CancelledError):
            self.log.failure("A push was dropped by a bug", failure=failure)
