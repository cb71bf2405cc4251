"""A Book in memory: what the payout flows are tried on, held to the same contract as the real one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import attrs

from payouts.errors import PayoutError
from payouts.limits import DAY_MS, HOUR_MS, WEEK_MS
from payouts.money import Msat, Sat, floor_sat, to_msat
from payouts.pushing import Due, PushIntent, pause_ms
from payouts.values import (
    Answer,
    Batch,
    BatchState,
    Claim,
    Flow,
    Intent,
    NotTaken,
    Output,
    Past,
    Payment,
    PaymentState,
    Ruling,
    SignedBatch,
    Taken,
)

OPEN = {PaymentState.RESERVED, PaymentState.SENDING, PaymentState.UNKNOWN}
OPEN_BATCH = {BatchState.SIGNED, BatchState.BROADCAST}


@attrs.define
class FakeBook:
    """Balances, claims' answers, payments and batches in dictionaries."""

    balances: dict[str, int] = attrs.Factory(dict)
    addresses: set[str] = attrs.Factory(set)
    claims: dict[int, tuple[Claim, Taken | NotTaken]] = attrs.Factory(dict)
    payments: dict[int, Payment] = attrs.Factory(dict)
    batches: dict[int, Batch] = attrs.Factory(dict)
    reasons: list[str] = attrs.Factory(list)
    pool_paid_fees: int = 0
    books_msat: int = 0
    resumed: int = 0
    node_seen: tuple[int, int] | None = None
    lightning_addresses: dict[str, str] = attrs.Factory(dict)
    ladder: dict[str, tuple[int, int]] = attrs.Factory(dict)  # account: failures in a row, next try
    tries: list[tuple[str, str | None]] = attrs.Factory(list)
    pushed: set[int] = attrs.Factory(set)
    verifies: dict[int, str | None] = attrs.Factory(dict)

    @classmethod
    def with_balances(cls, balances: Mapping[str, int]) -> FakeBook:
        """A book whose accounts have so many msat; names that look like addresses are address accounts."""
        return cls(dict(balances), {name for name in balances if name.startswith("bcrt1")})

    def claims_taken(self, account: str) -> int:
        return sum(c.account == account and isinstance(a, Taken) for c, a in self.claims.values())

    def available(self, account: str) -> Msat:
        return Msat(self.balances.get(account, 0))

    def take(
        self, intent: Intent, k1_hash_for: Callable[[int], str], now_ms: int, *, limit: int
    ) -> Taken | NotTaken:
        claim = intent.claim
        if claim.claim_id in self.claims:
            return self.claims[claim.claim_id][1]
        reason = self._objection(intent, k1_hash_for, now_ms, limit)
        answer: Taken | NotTaken
        if reason is not None:
            answer = NotTaken(reason)
        else:
            answer = Taken(len(self.payments) + 1)
            self.balances[claim.account] -= intent.amount + intent.max_fee
            self.payments[answer.payment_id] = Payment(
                payment_id=answer.payment_id,
                account=claim.account,
                invoice=claim.invoice,
                payment_hash=intent.payment_hash,
                amount=intent.amount,
                max_fee=intent.max_fee,
                state=PaymentState.RESERVED,
                invoice_expires_s=intent.invoice_expires_s,
                created_ms=now_ms,
                updated_ms=now_ms,
                pool_fee=intent.pool_fee,
                held_back=intent.held_back,
            )
        self.claims[claim.claim_id] = (claim, answer)
        return answer

    def _objection(
        self, intent: Intent, k1_hash_for: Callable[[int], str], now_ms: int, limit: int
    ) -> str | None:
        account = intent.claim.account
        still_open = sum(p.account == account and p.state in OPEN for p in self.payments.values())
        objections = [
            (now_ms > intent.claim.answer_by_ms, "too late: ask again"),
            (k1_hash_for(self.claims_taken(account)) != intent.claim.k1_hash, "the link was used"),
            (bool(self.knows([intent.payment_hash])), "this invoice was seen before"),
            (self.available(account) < intent.amount + intent.max_fee, "the balance is too small"),
            (still_open >= limit, "too many payments are under way"),
        ]
        return next((reason for applies, reason in objections if applies), None)

    def refuse(self, claim: Claim, reason: str, now_ms: int) -> None:
        self.claims.setdefault(claim.claim_id, (claim, NotTaken(reason)))

    def answer(self, claim: Claim) -> Answer | None:
        """What the web would read."""
        if claim.claim_id not in self.claims:
            return None
        filed, given = self.claims[claim.claim_id]
        if isinstance(given, NotTaken):
            return Answer(filed.invoice, taken=False, state=None, reason=given.reason)
        payment = self.payments[given.payment_id]
        return Answer(filed.invoice, taken=True, state=payment.state, reason=payment.reason)

    def open_payments(self) -> Sequence[Payment]:
        return [p for p in self.payments.values() if p.state in OPEN]

    def pushes_due(self, threshold: Msat, now_ms: int, limit: int) -> Sequence[Due]:
        busy = {p.account for p in self.open_payments()}
        rungs = {account: self.ladder.get(account, (0, 0)) for account in self.lightning_addresses}
        due = [
            Due(account, self.lightning_addresses[account], self.available(account), failures)
            for account, (failures, next_ms) in sorted(rungs.items(), key=lambda item: (item[1][1], item[0]))
            if next_ms <= now_ms and account not in busy and self.available(account) >= threshold
        ]
        return due[:limit]

    def take_push(self, intent: PushIntent, now_ms: int) -> Taken | NotTaken:
        objections = [
            (self.lightning_addresses.get(intent.account) != intent.target, "the address has changed"),
            (any(p.account == intent.account for p in self.open_payments()), "one is under way"),
            (bool(self.knows([intent.payment_hash])), "this invoice was seen before"),
            (self.available(intent.account) < intent.amount + intent.max_fee, "the balance is too small"),
        ]
        reason = next((reason for applies, reason in objections if applies), None)
        if reason is not None:
            return NotTaken(reason)
        number = len(self.payments) + 1
        self.balances[intent.account] -= intent.amount + intent.max_fee
        self.payments[number] = Payment(
            payment_id=number,
            account=intent.account,
            invoice=intent.invoice,
            payment_hash=intent.payment_hash,
            amount=intent.amount,
            max_fee=intent.max_fee,
            state=PaymentState.RESERVED,
            invoice_expires_s=intent.invoice_expires_s,
            created_ms=now_ms,
            updated_ms=now_ms,
            pool_fee=intent.pool_fee,
            held_back=intent.held_back,
        )
        self.pushed.add(number)
        self.verifies[number] = intent.verify
        return Taken(number)

    def push_came_to_nothing(self, account: str, target: str, reason: str, now_ms: int) -> None:
        self.tries.append((account, reason))
        failures = self.ladder.get(account, (0, 0))[0] + 1
        self.ladder[account] = (failures, now_ms + pause_ms(failures))

    def ruled(self) -> Sequence[Payment]:
        return [p for p in self.open_payments() if p.ruling is not None]

    def rule(self, payment_id: int, ruling: Ruling) -> None:
        """What an operator's command writes."""
        self.payments[payment_id] = attrs.evolve(self.payments[payment_id], ruling=ruling)

    def _begun_since(self, since_ms: int, until_ms: int = 1 << 62) -> list[Payment]:
        kept = [p for p in self.payments.values() if p.state is not PaymentState.FAILED]
        return [p for p in kept if since_ms < p.created_ms <= until_ms]

    def flow(self, now_ms: int) -> Flow:
        day, hour = self._begun_since(now_ms - DAY_MS), self._begun_since(now_ms - HOUR_MS)
        costs = [p.amount + p.greatest_fee for p in self.open_payments()]
        amounts = [Msat(sum(p.amount for p in some)) for some in (day, hour)]
        return Flow(amounts[0], amounts[1], len(costs), Msat(sum(costs)))

    def spent(self, account: str, since_ms: int) -> Msat:
        return Msat(sum(p.amount for p in self._begun_since(since_ms) if p.account == account))

    def past(self, now_ms: int) -> Past:
        hours: dict[int, int] = {}
        for payment in self._begun_since(now_ms - WEEK_MS, now_ms - HOUR_MS):
            hour = payment.created_ms // HOUR_MS
            hours[hour] = hours.get(hour, 0) + payment.amount
        settled = [p for p in self._begun_since(now_ms - DAY_MS) if p.state is PaymentState.SETTLED]
        amounts, fees = sum(p.amount for p in settled), sum(p.fee or 0 for p in settled)
        return Past(Msat(max(hours.values(), default=0)), Msat(amounts), Msat(fees), Msat(self.books_msat))

    def note_node(self, balance: Msat, outbound: Msat, now_ms: int) -> None:
        self.node_seen = (balance, outbound)

    def resumed_s(self) -> int:
        return self.resumed

    def _move(self, payment_id: int, allowed: set[PaymentState], **changes: object) -> Payment:
        before = self.payments[payment_id]
        if before.state not in allowed:
            raise PayoutError(f"payment {payment_id} is {before.state}")
        self.payments[payment_id] = attrs.evolve(before, **changes)  # type: ignore[arg-type]
        return before

    def sending(self, payment_id: int, now_ms: int) -> None:
        allowed = {PaymentState.RESERVED, PaymentState.UNKNOWN}
        self._move(payment_id, allowed, state=PaymentState.SENDING, updated_ms=now_ms)

    def unknown(self, payment_id: int, reason: str, now_ms: int) -> None:
        allowed = {PaymentState.SENDING, PaymentState.UNKNOWN}
        self._move(payment_id, allowed, state=PaymentState.UNKNOWN, reason=reason, updated_ms=now_ms)

    def settle(self, payment_id: int, preimage: str, fee: Msat, now_ms: int) -> None:
        if self.payments[payment_id].state is PaymentState.SETTLED:
            return
        done = {"state": PaymentState.SETTLED, "preimage": preimage, "fee": fee, "updated_ms": now_ms}
        before = self._move(payment_id, OPEN, **done)
        charged = min(fee, before.max_fee)
        self.pool_paid_fees += fee - charged
        self.balances[before.account] += before.max_fee - charged
        if payment_id in self.pushed:
            self.ladder.pop(before.account, None)

    def fail(self, payment_id: int, reason: str, now_ms: int) -> None:
        if self.payments[payment_id].state is PaymentState.FAILED:
            return
        before = self._move(payment_id, OPEN, state=PaymentState.FAILED, reason=reason, updated_ms=now_ms)
        self.balances[before.account] += before.amount + before.max_fee
        if payment_id in self.pushed:
            failures = self.ladder.get(before.account, (0, 0))[0] + 1
            self.ladder[before.account] = (failures, now_ms + pause_ms(failures))

    def knows(self, payment_hashes: Sequence[str]) -> set[str]:
        return {p.payment_hash for p in self.payments.values()} & set(payment_hashes)

    def stop_sending(self, reason: str, now_ms: int) -> None:
        self.reasons.append(reason)

    def stopped(self) -> str | None:
        return self.reasons[-1] if self.reasons else None

    def payable_onchain(self, threshold: Sat, now_ms: int) -> Sequence[Output]:
        whole = [(name, floor_sat(self.available(name))) for name in sorted(self.addresses)]
        return [Output(name, name, amount) for name, amount in whole if amount >= threshold]

    def take_batch(self, signed: SignedBatch, now_ms: int) -> int | NotTaken:
        if any(self.available(o.account) < to_msat(o.amount) for o in signed.outputs):
            return NotTaken("a balance is too small")
        for output in signed.outputs:
            self.balances[output.account] -= to_msat(output.amount)
        batch_id = len(self.batches) + 1
        self.batches[batch_id] = Batch(batch_id, BatchState.SIGNED, signed, now_ms)
        return batch_id

    def open_batches(self) -> Sequence[Batch]:
        return [b for b in self.batches.values() if b.state in OPEN_BATCH]

    def _move_batch(self, batch_id: int, before: BatchState, after: BatchState) -> bool:
        batch = self.batches[batch_id]
        if batch.state is after:
            return False
        if batch.state is not before:
            raise PayoutError(f"batch {batch_id} is {batch.state}")
        self.batches[batch_id] = attrs.evolve(batch, state=after)
        return True

    def broadcasting(self, batch_id: int, now_ms: int) -> None:
        self._move_batch(batch_id, BatchState.SIGNED, BatchState.BROADCAST)

    def settle_batch(self, batch_id: int, now_ms: int) -> None:
        self._move_batch(batch_id, BatchState.BROADCAST, BatchState.SETTLED)

    def reject_batch(self, batch_id: int, reason: str, now_ms: int) -> None:
        if self._move_batch(batch_id, BatchState.SIGNED, BatchState.REJECTED):
            for output in self.batches[batch_id].signed.outputs:
                self.balances[output.account] += to_msat(output.amount)
