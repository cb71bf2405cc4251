"""On-chain batches from plan to burial: signed bytes are on disk before they leave, and only they leave.

A batch that may be out is never given up: its bytes are sent again until they are buried.  One that never
left is rejected when our own node refuses it, and its money is free again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from payouts.errors import NodeUnavailable
from payouts.money import Sat
from payouts.onchain.policy import Violation, checked
from payouts.onchain.wallet import Draft, NotEnough, Wallet
from payouts.planner import BatchPolicy, plan_batch
from payouts.ports import Book
from payouts.values import Batch, BatchState, NotTaken, Output


@attrs.frozen
class BatcherOptions:
    """How batches are made.

    Attributes:
        threshold: least balance that is paid.
        fee_rate_msat_vb: millisatoshi per virtual byte; None asks the node each time.
        max_fee_rate_msat_vb: the most that the node's own estimate is followed to.
        max_outputs: most accounts paid by one transaction.
        confirmations: how deep a batch must be to count as settled.
        interval_s: how often accounts that are due are looked for.
        watch_s: how often open batches are looked after.
    """

    threshold: Sat
    fee_rate_msat_vb: int | None = None
    max_fee_rate_msat_vb: int = 200_000
    max_outputs: int = 200
    confirmations: int = 6
    interval_s: float = 3600.0
    watch_s: float = 10.0


class Batcher:
    """Makes batches and sees them through; ``start`` and ``stop`` it.

    Args:
        book: holds and batches.
        wallet: funds, signs and sends.
        clock: for waiting.
        now_ms: Unix milliseconds.
        options: see BatcherOptions.
    """

    log = Logger()

    def __init__(
        self,
        book: Book,
        wallet: Wallet,
        clock: IReactorTime,
        now_ms: Callable[[], int],
        options: BatcherOptions,
    ) -> None:
        self._book = book
        self._wallet = wallet
        self._clock = clock
        self._now_ms = now_ms
        self._options = options
        self._loop: Deferred[None] | None = None
        self._running = False
        self._node_lost = False
        self._next_at = 0.0  # on the clock: when accounts that are due are looked for again

    def start(self) -> None:
        """Begin: look after open batches first, then make new ones."""
        self._running = True
        self._next_at = self._clock.seconds()
        self._loop = Deferred.fromCoroutine(self._run())
        self._loop.addErrback(_unless_cancelled)

    def stop(self) -> None:
        """Stop at once; open batches are seen through at the next start."""
        self._running = False
        if self._loop is not None:
            self._loop.cancel()

    async def _run(self) -> None:
        while True:
            try:
                await self.look()
                self._found()
            except NodeUnavailable as unavailable:
                self._lost(unavailable)
            except CancelledError:
                raise
            except Exception:  # noqa: BLE001 - the payer must outlive a locked database; nothing is half-written
                self.log.failure("A step of the on-chain payer failed and is tried again")
            if not self._running:
                return
            await deferLater(self._clock, self._options.watch_s)

    async def look(self) -> None:
        """One round: every open batch a step further, then a new batch when it is time for one.

        Raises:
            NodeUnavailable: the node did not answer; everything is as it was.
        """
        await self._wallet.lock_exactly([i for b in self._book.open_batches() for i in b.signed.inputs])
        for batch in self._book.open_batches():
            await self._further(batch)
        signed = any(batch.state is BatchState.SIGNED for batch in self._book.open_batches())
        if not signed and self._book.stopped() is None and self._clock.seconds() >= self._next_at:
            made = await self._make()
            # after a batch, or when nobody is due, the next look is an interval away; else soon
            self._next_at = self._clock.seconds() + (self._options.interval_s if made else 0)

    async def _further(self, batch: Batch) -> None:
        depth = await self._wallet.confirmations(batch.signed.txid)
        if batch.state is BatchState.SIGNED and depth is None:
            await self._send_first(batch)
            return
        if batch.state is BatchState.SIGNED:  # the book is older than the network: a restored backup
            self._book.broadcasting(batch.batch_id, self._now_ms())
        if depth is not None and depth >= self._options.confirmations:
            self._book.settle_batch(batch.batch_id, self._now_ms())
            self.log.info("Batch {batch} settled", batch=batch.batch_id, txid=batch.signed.txid)
        elif depth is None or depth <= 0:
            await self._send(batch)

    async def _send_first(self, batch: Batch) -> None:
        """Signed, and not known to the wallet: it has never left, so our node's refusal is its end."""
        refused = await self._wallet.test_accept(batch.signed.raw_tx)
        if refused is not None:
            self._book.reject_batch(batch.batch_id, refused, self._now_ms())
            self.log.error("Batch {batch} was rejected: {reason}", batch=batch.batch_id, reason=refused)
            others = [b for b in self._book.open_batches() if b.batch_id != batch.batch_id]
            await self._wallet.lock_exactly([i for b in others for i in b.signed.inputs])
        elif self._book.stopped() is None:
            self._book.broadcasting(batch.batch_id, self._now_ms())  # on disk before it leaves
            self.log.info("Batch {batch} was broadcast", batch=batch.batch_id, txid=batch.signed.txid)
            await self._send(batch)

    async def _send(self, batch: Batch) -> None:
        said = await self._wallet.broadcast(batch.signed.raw_tx)
        if said is not None:
            self.log.error("Batch {batch} is not accepted: {reason}", batch=batch.batch_id, reason=said)

    async def _make(self) -> bool:
        """Plan, sign, check, write down, send; False when it should be tried again soon."""
        policy = await self._policy()
        due = plan_batch(self._book.payable_onchain(policy.threshold, self._now_ms()), policy)
        if not due:
            return True
        planned, draft = await self._fund(due, policy.fee_rate_msat_vb)
        if self._loop is not None and not self._running:
            return False  # stopped meanwhile: the book may be closed
        if isinstance(draft, NotEnough):
            self.log.info("A batch waits for spendable money: {reason}", reason=draft.reason)
            return False
        batch = checked(draft, planned, policy.fee_rate_msat_vb)
        if isinstance(batch, Violation):
            self._book.stop_sending(f"the wallet signed a wrong batch: {batch.reason}", self._now_ms())
            self.log.error("Sending was stopped: {reason}", reason=batch.reason)
            return False
        taken = self._book.take_batch(batch, self._now_ms())
        if isinstance(taken, NotTaken):  # a balance changed meanwhile: plan anew; the locks go next round
            self.log.info("A batch was not taken: {reason}", reason=taken.reason)
            return False
        self.log.info(
            "Batch {batch} was signed: {outputs} accounts, {waiting} wait for spendable money",
            batch=taken,
            txid=batch.txid,
            outputs=len(planned),
            waiting=len(due) - len(planned),
        )
        for each in self._book.open_batches():
            if each.batch_id == taken:
                await self._further(each)
        return True

    async def _fund(
        self, due: Sequence[Output], fee_rate_msat_vb: int
    ) -> tuple[Sequence[Output], Draft | NotEnough]:
        """Sign for all who are due, or else without the largest few: one of them must not hold up the others.

        Returns:
            Who is paid, and what the wallet made of it; NotEnough: it is too little even for the smallest.
        """
        skipped, step = 0, 1
        while True:
            draft = await self._wallet.fund_and_sign(due[skipped:], fee_rate_msat_vb)
            if not isinstance(draft, NotEnough) or skipped == len(due) - 1:
                return due[skipped:], draft
            # in growing steps: each try is a call of the wallet, and there may be hundreds who are due
            skipped, step = min(skipped + step, len(due) - 1), 2 * step

    async def _policy(self) -> BatchPolicy:
        options = self._options
        rate = options.fee_rate_msat_vb
        if rate is None:
            rate = min(await self._wallet.fee_rate(), options.max_fee_rate_msat_vb)
        return BatchPolicy(options.threshold, rate, options.max_outputs)

    def _lost(self, unavailable: NodeUnavailable) -> None:
        if not self._node_lost:
            self._node_lost = True
            self.log.error("The on-chain node was lost: {reason}", reason=str(unavailable))

    def _found(self) -> None:
        if self._node_lost:
            self._node_lost = False
            self.log.info("The on-chain node came back")


def _unless_cancelled(failure: Failure) -> None:
    if not isinstance(failure.value, CancelledError):
        failure.raiseException()
