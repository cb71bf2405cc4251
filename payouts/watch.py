"""What is watched beside the payments: that book and node agree, and that no more leaves than should."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from twisted.logger import Logger

from payouts.limits import (
    DAY_MS,
    Fine,
    Kind,
    Limits,
    NotNow,
    TooMuch,
    Tripped,
    alarms,
    allowed,
    told_to_wallets,
    weigh,
)
from payouts.money import Msat
from payouts.ports import Book, LightningNode
from payouts.values import Flow, Payment, PaymentState

_SHOWN: Final = 3  # payment hashes named in the breaker's reason
_FRESH_MS: Final = 1_000
_HEARD_MS: Final = 2_000  # so long after it was taken, a payment is in what the node tells of itself
_OVERLAP_S: Final = 3600  # compared again each time: by so much the clocks of payer and node may differ


class Watch:
    """Compares, looks and weighs; whatever trips a breaker does so here.

    Attributes:
        own_nodes: public keys that are ours, once the node has told.

    Args:
        book: holds and payments.
        node: pays.
        now_ms: Unix milliseconds.
        limits: of the operator.
        since_s: Unix second from which all of the node's outgoing payments must be in the book.
        overdue_ms: a payment that is unknown for longer is put before the operator.
    """

    log = Logger()

    def __init__(
        self,
        book: Book,
        node: LightningNode,
        now_ms: Callable[[], int],
        limits: Limits,
        since_s: int,
        overdue_ms: int,
    ) -> None:
        self.own_nodes: frozenset[str] = frozenset()
        self._book = book
        self._node = node
        self._now_ms = now_ms
        self._limits = limits
        self._since_s = since_s
        self._overdue_ms = overdue_ms
        self._compared_s = 0
        self._usual = Msat(0)
        self._flow: Flow | None = None
        self._flow_ms = 0
        self._raised: set[str] = set()
        self._begun: deque[tuple[int, Msat]] = deque()  # when, and at what cost

    async def compare(self) -> None:
        """Payments of the node that the book lacks stop all sending: the book may be an old copy.

        Raises:
            NodeUnavailable: nothing was compared.
        """
        self.own_nodes = frozenset({await self._node.node_id()})
        now_s = self._now_ms() // 1000
        # a clock that was ahead for a while must not hide what the node sent meanwhile
        seen_s = min(self._compared_s, now_s) - _OVERLAP_S
        # a beginning that lies ahead was written by such a clock: believed, it would hide all until then
        begins = [each for each in (self._since_s, self._book.resumed_s()) if each <= now_s + _OVERLAP_S]
        sent = await self._node.sent_hashes(max(*begins, seen_s, 0))
        known = self._book.knows(sent)
        missing = [payment_hash for payment_hash in sent if payment_hash not in known]
        if missing:  # also while sending is stopped for another reason, which must not hide this one
            shown = ", ".join(missing[:_SHOWN])
            reason = f"the node has sent {len(missing)} payments that the ledger lacks: {shown}"
            self._book.stop_sending(reason, self._now_ms())
            self.log.error("Sending was stopped: {reason}", reason=reason)
        else:
            self._compared_s = now_s

    async def look(self) -> None:
        """Hold the figures of now against the limits, and tell of payments that stay unknown.

        Raises:
            NodeUnavailable: nothing was looked at.
        """
        balance, outbound = await self._node.balance(), await self._node.outbound()
        now_ms = self._now_ms()
        flow, past = self._fresh(now_ms), self._book.past(now_ms)
        self._usual = past.busiest_hour
        self._book.note_node(balance, outbound, now_ms)
        found = alarms(flow, past, balance, self._limits)
        for alarm in found:
            if alarm.kind not in self._raised:
                self.log.error("The limits were passed: {reason}", reason=alarm.reason, stops=alarm.stops)
                if alarm.stops:
                    self._book.stop_sending(alarm.reason, now_ms)
        # one row for each time that a limit is passed, however the figures move meanwhile
        stopped = self._book.stopped() is not None
        self._raised = {alarm.kind for alarm in found if stopped or not alarm.stops} | {
            told for told in self._raised if told not in set(Kind)
        }
        for payment in self._book.open_payments():
            self._tell_if_overdue(payment, now_ms)

    def _tell_if_overdue(self, payment: Payment, now_ms: int) -> None:
        told = f"L{payment.payment_id}"
        overdue = (
            payment.state is not PaymentState.RESERVED and now_ms - payment.created_ms > self._overdue_ms
        )
        if overdue and told not in self._raised:
            self._raised.add(told)
            self.log.error(
                "Payment {number} has no outcome for too long: {reason}",
                number=told,
                reason=payment.reason,
                amount_msat=payment.amount,
            )

    def stopped(self) -> str | None:
        """Why sending is stopped, or None."""
        return self._book.stopped()

    async def outbound(self) -> Msat:
        """What the node could send, less what was taken just now: of that it may not have heard yet.

        Whoever asks while others wait for the same answer learns of what these have taken meanwhile.

        Raises:
            NodeUnavailable: it does not say.
        """
        told = await self._node.outbound()
        since_ms = self._now_ms() - _HEARD_MS
        # a clock that was set back would keep what it has left behind for ever
        while self._begun and not since_ms < self._begun[0][0] <= since_ms + _HEARD_MS:
            self._begun.popleft()
        return Msat(max(0, told - sum(cost for _, cost in self._begun)))

    def began(self, amount: Msat, cost: Msat) -> None:
        """One more payment was taken: what is leaving is not summed up anew for each of many."""
        self._begun.append((self._now_ms(), cost))
        flow = self._flow
        if flow is not None:
            self._flow = Flow(
                Msat(flow.day + amount),
                Msat(flow.hour + amount),
                flow.open_count + 1,
                Msat(flow.open_amount + cost),
            )

    def _fresh(self, now_ms: int) -> Flow:
        self._flow, self._flow_ms = self._book.flow(now_ms), now_ms
        return self._flow

    def _now_leaving(self, now_ms: int) -> Flow:
        """What is leaving, summed up at most a second ago; what was taken since is in it."""
        if self._flow is None or not 0 <= now_ms - self._flow_ms < _FRESH_MS:
            return self._fresh(now_ms)
        return self._flow

    def allowed(self, account: str) -> Msat | None:
        """The most that the limits leave for one more payment of an account; None when there are none."""
        now_ms = self._now_ms()
        spent = self._book.spent(account, now_ms - DAY_MS)
        return allowed(self._now_leaving(now_ms), spent, self._limits)

    def weigh(self, account: str, amount: Msat, cost: Msat) -> Fine | NotNow | TooMuch:
        """Whether one more payment may begin; trips the breaker when it must.

        Args:
            account: whose balance.
            amount: what it pays.
            cost: the same with its greatest fee.
        """
        now_ms = self._now_ms()
        spent = self._book.spent(account, now_ms - DAY_MS)
        weighed = weigh(amount, cost, self._now_leaving(now_ms), spent, self._usual, self._limits)
        if isinstance(weighed, Tripped):
            self._book.stop_sending(weighed.reason, now_ms)
            self.log.error("Sending was stopped: {reason}", reason=weighed.reason)
            return TooMuch(told_to_wallets(weighed.reason))
        return weighed
