"""What the payout engine needs around it: a book that takes holds, claims to read, nodes that can pay."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from payouts.money import Msat, Sat
from payouts.values import (
    Answer,
    Batch,
    Claim,
    Flow,
    Intent,
    NotTaken,
    Output,
    Past,
    Payment,
    PayOutcome,
    SignedBatch,
    Taken,
    WithdrawTerms,
)


class Book(Protocol):
    """Holds and payments, durably.  Every method is one transaction (``BEGIN IMMEDIATE``), on disk on return.

    A hold moves money from the account's *available* to its *held* balance.  Methods that move a payment on
    raise PayoutError when the payment is not in a state that allows the move; settle and fail are idempotent
    for the same outcome.
    """

    def claims_taken(self, account: str) -> int:
        """How many claims were ever taken for the account: the counter in k1."""
        ...

    def available(self, account: str) -> Msat:
        """The account's available balance."""
        ...

    def take(
        self, intent: Intent, k1_hash_for: Callable[[int], str], now_ms: int, *, limit: int
    ) -> Taken | NotTaken:
        """Take the hold (amount + max fee), write the intent and the claim's answer, all or nothing.

        Refused when: the claim was answered before (then that answer is given again); now is past
        ``answer_by_ms``; ``k1_hash_for(claims taken so far)`` is not the claim's k1_hash; the payment hash is
        known already; the available balance is too small; or ``limit`` payments of the account are open.
        A refusal is recorded as the claim's answer too.
        """
        ...

    def refuse(self, claim: Claim, reason: str, now_ms: int) -> None:
        """Record a refusal as the claim's answer; does nothing when it has one."""
        ...

    def open_payments(self) -> Sequence[Payment]:
        """All payments in reserved, sending or unknown, oldest first."""
        ...

    def ruled(self) -> Sequence[Payment]:
        """Open payments that an operator has said something to, oldest first."""
        ...

    def flow(self, now_ms: int) -> Flow:
        """How much is leaving."""
        ...

    def spent(self, account: str, since_ms: int) -> Msat:
        """Amounts of one account's payments that began since a Unix millisecond and have not failed."""
        ...

    def past(self, now_ms: int) -> Past:
        """What is usual; reads a week of payments, so not for every claim."""
        ...

    def note_node(self, balance: Msat, outbound: Msat, now_ms: int) -> None:
        """What the node has and could send: for those who cannot ask it, the newest only."""
        ...

    def sending(self, payment_id: int, now_ms: int) -> None:
        """Reserved | unknown → sending: must be on disk before the node is asked."""
        ...

    def unknown(self, payment_id: int, reason: str, now_ms: int) -> None:
        """Sending | unknown → unknown."""
        ...

    def settle(self, payment_id: int, preimage: str, fee: Msat, now_ms: int) -> None:
        """Reserved | sending | unknown → settled: debit amount + fee, give back the rest of the hold."""
        ...

    def fail(self, payment_id: int, reason: str, now_ms: int) -> None:
        """Reserved | sending | unknown → failed: give back the whole hold."""
        ...

    def knows(self, payment_hashes: Sequence[str]) -> set[str]:
        """Those of the given payment hashes that the book has a payment for."""
        ...

    def stop_sending(self, reason: str, now_ms: int) -> None:
        """Trip the breaker: recorded, and kept until an operator resumes."""
        ...

    def stopped(self) -> str | None:
        """Why sending is stopped, or None."""
        ...

    def resumed_s(self) -> int:
        """Unix second at which an operator last resumed after a stop of the payer's; 0 if never."""
        ...

    def payable_onchain(self, threshold: Sat, now_ms: int) -> Sequence[Output]:
        """Accounts with an address whose balance reaches the threshold, with the whole sats they have.

        Those that are paid at a Lightning Address are left out, until that has failed too often.
        """
        ...

    def take_batch(self, signed: SignedBatch, now_ms: int) -> int | NotTaken:
        """Take every output's hold and write the signed batch, all or nothing; answers the batch id."""
        ...

    def open_batches(self) -> Sequence[Batch]:
        """Batches that are signed or broadcast, oldest first."""
        ...

    def broadcasting(self, batch_id: int, now_ms: int) -> None:
        """Signed → broadcast: on disk before the transaction leaves."""
        ...

    def settle_batch(self, batch_id: int, now_ms: int) -> None:
        """Broadcast → settled: debit the outputs, book the chain fee."""
        ...

    def reject_batch(self, batch_id: int, reason: str, now_ms: int) -> None:
        """Signed → rejected: release every hold."""
        ...


class ClaimInbox(Protocol):
    """Claims that the web filed, as the payer reads them."""

    def unanswered(self, limit: int) -> Sequence[Claim]:
        """Claims that the book has no answer for yet, oldest first."""
        ...


class LightningNode(Protocol):
    """A node that can pay a BOLT 11 invoice.

    Methods raise NodeUnavailable, and nothing else, for a node that cannot be reached or answers nonsense;
    ``pay`` never raises: it answers PayUnknown.
    """

    async def node_id(self) -> str:
        """The node's public key, 66 hex digits."""
        ...

    async def pay(self, invoice: str, payment_hash: str, max_fee: Msat) -> PayOutcome:
        """Try to pay; safe to repeat with the same invoice."""
        ...

    async def lookup(self, payment_hash: str, invoice_expires_s: int, now_s: int) -> PayOutcome:
        """The state of a payment by its hash; never starts one."""
        ...

    async def sent_hashes(self, since_s: int) -> Sequence[str]:
        """Payment hashes of outgoing payments: paid at or after a Unix second, or in flight."""
        ...

    async def outbound(self) -> Msat:
        """What the node could send at the most now."""
        ...

    async def balance(self) -> Msat:
        """Our side of all open channels."""
        ...


class ClaimDesk(Protocol):
    """The web's side of a claim."""

    def terms(self, account: str) -> WithdrawTerms | None:
        """The account's present terms; None when there is no such account.  Writes nothing."""
        ...

    def answered(self, k1_hash: str) -> Answer | None:
        """The answer of the claim that was *taken* with this k1, if any."""
        ...

    async def file(
        self,
        *,
        account: str,
        token_expires_s: int,
        k1_hash: str,
        invoice: str,
        card: int = 0,
        notify: str | None = None,
    ) -> Answer | None:
        """File the claim durably and wait for the payer's answer.

        The same (k1_hash, invoice) twice is one claim.  None when no answer came in time: then the claim is
        void (the payer refuses it after its answer_by_ms), so the wallet may be told ERROR for good.
        """
        ...
