"""What every Book promises: holds, payments and batches, each move once and never below zero.

Subclass ``BookContract`` in a ``Test…`` class and give it ``make_book``.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs
import pytest

from payouts.errors import PayoutError
from payouts.money import Msat, Sat
from payouts.ports import Book
from payouts.values import (
    BatchState,
    Claim,
    Intent,
    NotTaken,
    Output,
    Payment,
    PaymentState,
    SignedBatch,
    Taken,
)

# regtest P2WPKH addresses of the 20-byte programs 01…01 and 02…02
ADDRESS_A = "bcrt1qqyqszqgpqyqszqgpqyqszqgpqyqszqgpvxat9t"
ADDRESS_B = "bcrt1qqgpqyqszqgpqyqszqgpqyqszqgpqyqszazmwwa"
NOW_MS = 1_800_000_000_000
NOW_S = 1_800_000_000


def k1_hash_for(claims_taken: int) -> str:
    """A stand-in for the payer's k1 hash: it only depends on the counter."""
    return f"{claims_taken:064x}"


def claim(claim_id: int = 1, account: str = "alice", *, taken: int = 0) -> Claim:
    """A claim whose k1 fits an account with so many claims taken."""
    return Claim(
        claim_id=claim_id,
        account=account,
        token_expires_s=NOW_S + 600,
        k1_hash=k1_hash_for(taken),
        invoice=f"lnbcrt{claim_id}",
        filed_ms=NOW_MS,
        answer_by_ms=NOW_MS + 1000,
    )


def intent(filed: Claim, *, amount: int = 1000, max_fee: int = 50, payment_hash: str | None = None) -> Intent:
    """An intent to pay what the claim asks for; amounts in msat."""
    return Intent(
        claim=filed,
        payment_hash=payment_hash or f"{filed.claim_id:064x}",
        amount=Msat(amount),
        max_fee=Msat(max_fee),
        invoice_expires_s=NOW_S + 3600,
    )


def signed(txid: int = 1, *outputs: Output, fee: int = 200) -> SignedBatch:
    """A signed batch with made-up bytes."""
    return SignedBatch(
        txid=f"{txid:064x}", raw_tx=f"02{txid:04x}", inputs=(f"{9:064x}:0",), outputs=outputs, fee=Sat(fee)
    )


class BookContract:
    """The promises; every test starts with a fresh book."""

    def make_book(self, balances: Mapping[str, int]) -> Book:
        """A fresh book in which each account has so many msat available.

        Accounts that are named by an address are address accounts (paid on-chain to it), the others are
        pool accounts without an on-chain address.
        """
        raise AssertionError("a subclass makes the book")

    def take_one(self, book: Book) -> int:
        taken = book.take(intent(claim()), k1_hash_for, NOW_MS, limit=5)
        assert isinstance(taken, Taken)
        return taken.payment_id

    def only(self, book: Book) -> Payment:
        (payment,) = book.open_payments()
        return payment

    # ------------------------------------------------------------------------------------------ taking holds

    def test_an_account_that_nobody_paid_has_nothing(self) -> None:
        book = self.make_book({"alice": 0})
        assert book.available("alice") == 0
        assert book.claims_taken("alice") == 0
        assert list(book.open_payments()) == []

    def test_taking_holds_amount_and_fee_and_writes_the_intent(self) -> None:
        book = self.make_book({"alice": 5000})
        payment_id = self.take_one(book)
        assert book.available("alice") == 5000 - 1050
        assert book.claims_taken("alice") == 1
        payment = self.only(book)
        assert payment == Payment(
            payment_id=payment_id,
            account="alice",
            invoice="lnbcrt1",
            payment_hash=f"{1:064x}",
            amount=Msat(1000),
            max_fee=Msat(50),
            state=PaymentState.RESERVED,
            invoice_expires_s=NOW_S + 3600,
            created_ms=NOW_MS,
            updated_ms=NOW_MS,
        )

    def test_the_same_claim_taken_twice_is_one_payment(self) -> None:
        book = self.make_book({"alice": 5000})
        first = self.take_one(book)
        again = book.take(intent(claim()), k1_hash_for, NOW_MS + 5, limit=5)
        assert again == Taken(first)
        assert book.available("alice") == 5000 - 1050

    def test_the_same_claim_taken_again_after_its_end_is_still_the_same_payment(self) -> None:
        book = self.make_book({"alice": 5000})
        first = self.take_one(book)
        book.fail(first, "no route", NOW_MS)
        assert book.take(intent(claim()), k1_hash_for, NOW_MS, limit=5) == Taken(first)
        assert book.available("alice") == 5000

    def test_a_hold_that_the_balance_does_not_cover_is_refused(self) -> None:
        book = self.make_book({"alice": 1049})
        refused = book.take(intent(claim()), k1_hash_for, NOW_MS, limit=5)
        assert isinstance(refused, NotTaken)
        assert refused.reason
        assert book.available("alice") == 1049
        assert book.claims_taken("alice") == 0

    def test_the_last_msat_can_be_taken(self) -> None:
        book = self.make_book({"alice": 1050})
        self.take_one(book)
        assert book.available("alice") == 0

    def test_a_refusal_is_remembered_as_the_claims_answer(self) -> None:
        book = self.make_book({"alice": 1049})
        first = book.take(intent(claim()), k1_hash_for, NOW_MS, limit=5)
        smaller = book.take(intent(claim(), amount=10, max_fee=0), k1_hash_for, NOW_MS, limit=5)
        assert smaller == first

    def test_a_refused_claim_cannot_be_taken_later(self) -> None:
        book = self.make_book({"alice": 5000})
        book.refuse(claim(), "bad invoice", NOW_MS)
        assert book.take(intent(claim()), k1_hash_for, NOW_MS, limit=5) == NotTaken("bad invoice")

    def test_refusing_a_taken_claim_does_nothing(self) -> None:
        book = self.make_book({"alice": 5000})
        first = self.take_one(book)
        book.refuse(claim(), "too late", NOW_MS)
        assert book.take(intent(claim()), k1_hash_for, NOW_MS, limit=5) == Taken(first)

    def test_a_claim_past_its_moment_is_refused(self) -> None:
        book = self.make_book({"alice": 5000})
        late = book.take(intent(claim()), k1_hash_for, NOW_MS + 1001, limit=5)
        assert isinstance(late, NotTaken)
        assert book.available("alice") == 5000

    def test_a_claim_at_its_very_last_moment_is_taken(self) -> None:
        book = self.make_book({"alice": 5000})
        assert isinstance(book.take(intent(claim()), k1_hash_for, NOW_MS + 1000, limit=5), Taken)

    def test_a_k1_of_another_count_is_refused(self) -> None:
        book = self.make_book({"alice": 5000})
        self.take_one(book)
        old_k1 = book.take(intent(claim(2, taken=0)), k1_hash_for, NOW_MS, limit=5)
        assert isinstance(old_k1, NotTaken)
        new_k1 = book.take(intent(claim(3, taken=1)), k1_hash_for, NOW_MS, limit=5)
        assert isinstance(new_k1, Taken)

    def test_a_payment_hash_is_paid_once_whoever_claims_it(self) -> None:
        book = self.make_book({"alice": 5000, "bob": 5000})
        self.take_one(book)
        same = intent(claim(2, "bob"), payment_hash=f"{1:064x}")
        assert isinstance(book.take(same, k1_hash_for, NOW_MS, limit=5), NotTaken)
        assert book.available("bob") == 5000

    def test_a_failed_payments_hash_cannot_be_claimed_again(self) -> None:
        book = self.make_book({"alice": 5000})
        book.fail(self.take_one(book), "expired", NOW_MS)
        same = intent(claim(2, taken=1), payment_hash=f"{1:064x}")
        assert isinstance(book.take(same, k1_hash_for, NOW_MS, limit=5), NotTaken)

    def test_an_account_has_at_most_so_many_open_payments(self) -> None:
        book = self.make_book({"alice": 9000, "bob": 9000})
        first = self.take_one(book)
        assert isinstance(book.take(intent(claim(2, taken=1)), k1_hash_for, NOW_MS, limit=1), NotTaken)
        assert isinstance(book.take(intent(claim(3, "bob")), k1_hash_for, NOW_MS, limit=1), Taken)
        book.fail(first, "no route", NOW_MS)
        assert isinstance(book.take(intent(claim(4, taken=1)), k1_hash_for, NOW_MS, limit=1), Taken)

    # ------------------------------------------------------------------------------------- a payment's moves

    def test_sending_and_unknown_keep_the_hold(self) -> None:
        book = self.make_book({"alice": 5000})
        payment_id = self.take_one(book)
        book.sending(payment_id, NOW_MS + 1)
        assert self.only(book).state is PaymentState.SENDING
        book.unknown(payment_id, "timed out", NOW_MS + 2)
        book.unknown(payment_id, "in progress", NOW_MS + 3)
        payment = self.only(book)
        assert (payment.state, payment.reason) == (PaymentState.UNKNOWN, "in progress")
        assert payment.updated_ms == NOW_MS + 3
        book.sending(payment_id, NOW_MS + 4)
        assert self.only(book).state is PaymentState.SENDING
        assert book.available("alice") == 5000 - 1050

    def test_settling_debits_the_fee_paid_and_gives_back_the_rest(self) -> None:
        book = self.make_book({"alice": 5000})
        payment_id = self.take_one(book)
        book.sending(payment_id, NOW_MS)
        book.settle(payment_id, "11" * 32, Msat(7), NOW_MS)
        assert book.available("alice") == 5000 - 1007
        assert list(book.open_payments()) == []

    def test_settling_twice_the_same_way_is_one_settlement(self) -> None:
        book = self.make_book({"alice": 5000})
        payment_id = self.take_one(book)
        book.settle(payment_id, "11" * 32, Msat(7), NOW_MS)
        book.settle(payment_id, "11" * 32, Msat(7), NOW_MS + 1)
        assert book.available("alice") == 5000 - 1007

    def test_failing_gives_back_the_whole_hold_once(self) -> None:
        book = self.make_book({"alice": 5000})
        payment_id = self.take_one(book)
        book.sending(payment_id, NOW_MS)
        book.fail(payment_id, "no route", NOW_MS)
        book.fail(payment_id, "no route", NOW_MS + 1)
        assert book.available("alice") == 5000
        assert list(book.open_payments()) == []

    def test_a_settled_payment_cannot_fail(self) -> None:
        book = self.make_book({"alice": 5000})
        payment_id = self.take_one(book)
        book.settle(payment_id, "11" * 32, Msat(0), NOW_MS)
        with pytest.raises(PayoutError):
            book.fail(payment_id, "no route", NOW_MS)
        assert book.available("alice") == 4000

    def test_a_failed_payment_cannot_be_sent_or_settled(self) -> None:
        book = self.make_book({"alice": 5000})
        payment_id = self.take_one(book)
        book.fail(payment_id, "no route", NOW_MS)
        with pytest.raises(PayoutError):
            book.sending(payment_id, NOW_MS)
        with pytest.raises(PayoutError):
            book.settle(payment_id, "11" * 32, Msat(0), NOW_MS)
        assert book.available("alice") == 5000

    def test_a_reserved_payment_cannot_become_unknown(self) -> None:
        book = self.make_book({"alice": 5000})
        with pytest.raises(PayoutError):
            book.unknown(self.take_one(book), "timed out", NOW_MS)

    def test_a_sending_payment_is_not_sent_again_unasked(self) -> None:
        book = self.make_book({"alice": 5000})
        payment_id = self.take_one(book)
        book.sending(payment_id, NOW_MS)
        with pytest.raises(PayoutError):
            book.sending(payment_id, NOW_MS)

    def test_open_payments_come_oldest_first(self) -> None:
        book = self.make_book({"alice": 9000, "bob": 9000})
        first = self.take_one(book)
        second = book.take(intent(claim(2, "bob")), k1_hash_for, NOW_MS + 1, limit=5)
        assert isinstance(second, Taken)
        book.sending(first, NOW_MS + 2)
        assert [p.payment_id for p in book.open_payments()] == [first, second.payment_id]

    def test_it_knows_the_hashes_that_it_has_payments_for(self) -> None:
        book = self.make_book({"alice": 5000})
        book.fail(self.take_one(book), "no route", NOW_MS)
        assert book.knows([f"{1:064x}", f"{2:064x}"]) == {f"{1:064x}"}
        assert book.knows([]) == set()

    def test_it_answers_for_thousands_of_hashes(self) -> None:
        book = self.make_book({"alice": 5000})
        self.take_one(book)
        assert book.knows([f"{n:064x}" for n in range(40_000)]) == {f"{1:064x}"}

    # ------------------------------------------------------------------------------------------- the breaker

    def test_a_tripped_breaker_stays_tripped(self) -> None:
        book = self.make_book({})
        assert book.stopped() is None
        book.stop_sending("the node knows a payment that the ledger lacks", NOW_MS)
        assert book.stopped() == "the node knows a payment that the ledger lacks"

    # ---------------------------------------------------------------------------------------------- on-chain

    def test_only_addresses_at_the_threshold_are_payable_onchain(self) -> None:
        book = self.make_book({ADDRESS_A: 50_000_999, ADDRESS_B: 49_999_999, "alice": 90_000_000})
        assert list(book.payable_onchain(Sat(50_000), NOW_MS)) == [Output(ADDRESS_A, ADDRESS_A, Sat(50_000))]

    def test_a_batch_holds_every_output(self) -> None:
        book = self.make_book({ADDRESS_A: 50_000_999, ADDRESS_B: 60_000_000})
        a, b = Output(ADDRESS_A, ADDRESS_A, Sat(50_000)), Output(ADDRESS_B, ADDRESS_B, Sat(60_000))
        batch_id = book.take_batch(signed(1, a, b), NOW_MS)
        assert isinstance(batch_id, int)
        assert (book.available(ADDRESS_A), book.available(ADDRESS_B)) == (999, 0)
        (batch,) = book.open_batches()
        assert (batch.batch_id, batch.state) == (batch_id, BatchState.SIGNED)
        assert (batch.signed.txid, batch.signed.raw_tx) == (f"{1:064x}", "020001")
        assert batch.signed.inputs == (f"{9:064x}:0",)
        assert batch.signed.fee == 200
        assert set(batch.signed.outputs) == {a, b}
        assert list(book.payable_onchain(Sat(1), NOW_MS)) == []

    def test_a_batch_that_one_balance_does_not_cover_holds_nothing(self) -> None:
        book = self.make_book({ADDRESS_A: 50_000_000, ADDRESS_B: 59_999_999})
        a, b = Output(ADDRESS_A, ADDRESS_A, Sat(50_000)), Output(ADDRESS_B, ADDRESS_B, Sat(60_000))
        assert isinstance(book.take_batch(signed(1, a, b), NOW_MS), NotTaken)
        assert book.available(ADDRESS_A) == 50_000_000
        assert list(book.open_batches()) == []

    def batch(self, book: Book) -> int:
        taken = book.take_batch(signed(1, Output(ADDRESS_A, ADDRESS_A, Sat(50_000))), NOW_MS)
        assert isinstance(taken, int)
        return taken

    def test_a_broadcast_batch_settles_once(self) -> None:
        book = self.make_book({ADDRESS_A: 50_000_500})
        batch_id = self.batch(book)
        book.broadcasting(batch_id, NOW_MS)
        (batch,) = book.open_batches()
        assert batch.state is BatchState.BROADCAST
        book.settle_batch(batch_id, NOW_MS)
        book.settle_batch(batch_id, NOW_MS)
        assert list(book.open_batches()) == []
        assert book.available(ADDRESS_A) == 500

    def test_a_rejected_batch_gives_back_its_holds_once(self) -> None:
        book = self.make_book({ADDRESS_A: 50_000_500})
        batch_id = self.batch(book)
        book.reject_batch(batch_id, "bad-txns", NOW_MS)
        book.reject_batch(batch_id, "bad-txns", NOW_MS)
        assert list(book.open_batches()) == []
        assert book.available(ADDRESS_A) == 50_000_500

    def test_a_batch_that_may_be_out_cannot_be_rejected(self) -> None:
        book = self.make_book({ADDRESS_A: 50_000_500})
        batch_id = self.batch(book)
        book.broadcasting(batch_id, NOW_MS)
        with pytest.raises(PayoutError):
            book.reject_batch(batch_id, "bad-txns", NOW_MS)
        assert book.available(ADDRESS_A) == 500

    def test_a_batch_that_never_left_cannot_settle(self) -> None:
        book = self.make_book({ADDRESS_A: 50_000_500})
        batch_id = self.batch(book)
        with pytest.raises(PayoutError):
            book.settle_batch(batch_id, NOW_MS)

    def test_frozen_records_cannot_be_changed_by_their_readers(self) -> None:
        book = self.make_book({"alice": 5000})
        self.take_one(book)
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            self.only(book).state = PaymentState.SETTLED  # type: ignore[misc]
