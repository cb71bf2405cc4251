"""What crosses the payout engine's ports: claims, payments, batches, and how each of them came out."""

from __future__ import annotations

from enum import StrEnum

import attrs

from payouts.money import NOTHING, Msat, Sat


class PaymentState(StrEnum):
    """Where a Lightning payment is in its life; see payouts.payment for the table of moves."""

    RESERVED = "reserved"  # hold and intent are on disk; nothing was sent
    SENDING = "sending"  # the node may have been asked to pay
    UNKNOWN = "unknown"  # the node was asked and its answer is not definite; the hold stays
    SETTLED = "settled"  # paid, preimage known, hold debited
    FAILED = "failed"  # definitely not paid and never will be; hold released


class BatchState(StrEnum):
    """Where an on-chain batch is in its life."""

    SIGNED = "signed"  # holds, signed transaction and inputs are on disk; nothing left the machine
    BROADCAST = "broadcast"  # the network may have it; rebroadcast the same bytes until it is buried
    SETTLED = "settled"  # N confirmations: holds debited
    REJECTED = "rejected"  # refused by our own node before it was ever broadcast: holds released


@attrs.frozen
class Claim:
    """A wallet's wish to be paid, as the web filed it.  Nothing in it is trusted by the payer.

    Attributes:
        claim_id: assigned by whoever filed it; unique.
        account: whose balance is claimed.
        token_expires_s: Unix second at which the withdraw token that was used expires.
        k1_hash: hex SHA-256 of the k1 that the wallet presented.
        invoice: BOLT 11, lower case.
        filed_ms: Unix milliseconds.
        answer_by_ms: the payer refuses the claim after this moment, so that the web may say ERROR for good.
        card: number of the lasting card that was used, 0 for a link with an end.
        notify: URL at which the wallet wants to hear of a new balance (LUD-15).
    """

    claim_id: int
    account: str
    token_expires_s: int
    k1_hash: str
    invoice: str
    filed_ms: int
    answer_by_ms: int
    card: int = 0
    notify: str | None = attrs.field(default=None, repr=False)


@attrs.frozen
class Intent:
    """What a claim asks to send, taken from its invoice by the payer's own decoder.

    Attributes:
        max_fee: the part of the greatest fee that the miner bears; it is held together with the amount.
        pool_fee: the part of the greatest fee that the pool bears.
        held_back: why it must wait for an operator before it is sent, if it must.
        notify: the claim's URL for news of a balance, checked; None: there is none that is ever called.
    """

    claim: Claim
    payment_hash: str
    amount: Msat
    max_fee: Msat
    invoice_expires_s: int
    pool_fee: Msat = NOTHING
    held_back: str | None = None
    notify: str | None = attrs.field(default=None, repr=False)


class Ruling(StrEnum):
    """What an operator has said to a payment; the payer acts on it."""

    APPROVED = "approved"  # one that was held back may be sent
    REFUSED = "refused"  # one that was held back is given back to the miner
    GIVEN_UP = "given up"  # an unknown one counts as failed, unless the node then says that it was paid


@attrs.frozen
class Payment:
    """One Lightning payment as the book knows it.

    Attributes:
        max_fee: the part of the greatest fee that the miner bears, held together with the amount.
        pool_fee: the part that the pool bears; the node may spend both parts on routing.
        held_back: why it waits for an operator before it is sent, if it does.
        ruling: what the operator has said.
    """

    payment_id: int
    account: str
    invoice: str
    payment_hash: str
    amount: Msat
    max_fee: Msat
    state: PaymentState
    invoice_expires_s: int
    created_ms: int
    updated_ms: int
    fee: Msat | None = None
    preimage: str | None = None
    reason: str | None = None
    pool_fee: Msat = NOTHING
    held_back: str | None = None
    ruling: Ruling | None = None

    @property
    def waits(self) -> bool:
        """Whether it may not be sent before an operator has approved of it."""
        return self.held_back is not None and self.ruling is not Ruling.APPROVED

    @property
    def greatest_fee(self) -> Msat:
        """What the node may spend on routing, whoever bears it."""
        return Msat(self.max_fee + self.pool_fee)


@attrs.frozen
class Flow:
    """How much has been leaving over Lightning; failed payments count for nothing.

    Attributes:
        day: amounts of the payments that began within 24 hours.
        hour: of those that began within one.
        open_count: payments that are reserved, sending or unknown now.
        open_amount: what they may cost at the most, fees included.
    """

    day: Msat
    hour: Msat
    open_count: int
    open_amount: Msat


@attrs.frozen
class Past:
    """What is usual, and what the books expect of the node.

    Attributes:
        busiest_hour: the greatest sum of amounts that began in any clock hour of the seven days before.
        settled: amounts of the payments that began within 24 hours and settled.
        fees: what these cost in routing.
        books: the ledger's balance of the Lightning wallet.
    """

    busiest_hour: Msat
    settled: Msat
    fees: Msat
    books: Msat


@attrs.frozen
class Taken:
    """The hold and the intent are on disk (the payment may be from an earlier, identical call)."""

    payment_id: int


@attrs.frozen
class NotTaken:
    """Nothing was held.  Attributes: a reason that a wallet can show to its owner."""

    reason: str


@attrs.frozen
class Output:
    """One account's part of an on-chain batch."""

    account: str
    address: str
    amount: Sat


@attrs.frozen
class SignedBatch:
    """A signed transaction and what it pays; ``inputs`` are ``txid:vout`` strings."""

    txid: str
    raw_tx: str
    inputs: tuple[str, ...]
    outputs: tuple[Output, ...]
    fee: Sat


@attrs.frozen
class Batch:
    """An on-chain batch as the book knows it."""

    batch_id: int
    state: BatchState
    signed: SignedBatch
    created_ms: int


@attrs.frozen
class PaySettled:
    """Paid: the preimage hashes to the payment hash; the fee is what the node says it really cost."""

    preimage: str
    fee: Msat


@attrs.frozen
class PayFailed:
    """Definitely not paid, and the node will not go on trying."""

    reason: str


@attrs.frozen
class PayUnknown:
    """Everything else: time-outs, resets, in progress, not found while the invoice may still be paid.

    Attributes:
        reason: for logs and the operator.
        idle: the node says that no attempt is under way; the *same* invoice may be sent again.
    """

    reason: str
    idle: bool = False


PayOutcome = PaySettled | PayFailed | PayUnknown


@attrs.frozen
class WithdrawTerms:
    """What the web needs to answer a withdraw link: the payable range now, and the counter for k1.

    Attributes:
        claims_taken: the counter.
        minimum: least amount.
        maximum: greatest amount that balance, limits and the node allow now; may be below the minimum.
        closed: why nothing at all can be claimed now, in words for the account's owner; None while it can.
        card: number of the account's lasting card, 0 when it has none: any other card is void.
        balance: the whole available balance; None when it is not told.
        nothing: why the maximum is below the minimum, and when that will change, in words for the owner.
        bound: why the maximum is below what the balance would cover, and when that will change; None when
            the balance alone bounds it.
    """

    claims_taken: int
    minimum: Sat
    maximum: Sat
    closed: str | None = None
    card: int = 0
    balance: Msat | None = None
    nothing: str | None = None
    bound: str | None = None


@attrs.frozen
class Answer:
    """How a claim was answered: ``taken`` with the payment's state, or refused with a reason."""

    invoice: str
    taken: bool
    state: PaymentState | None
    reason: str | None
