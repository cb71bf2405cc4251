"""What the web reads of the books: accounts, balances, and the payer's answers to exactly its own claims."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import attrs
import pytest

from payouts.money import Msat
from payouts.values import Answer, PaymentState, Taken
from pool.store.claims import ClaimReader
from pool.store.database import connect, connect_to_read
from pool.store.ledger import LedgerStore, NewAccount
from pool.store.payments import SqliteBook
from tests.contracts.book import NOW_MS, claim, intent, k1_hash_for
from tests.pool.test_store_payments import fill

Store = tuple[SqliteBook, ClaimReader, sqlite3.Connection]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    books = connect(tmp_path, "ledger")
    fill(books, {"alice": 5_000})
    LedgerStore(books).take_over_accounts(
        [NewAccount("alice", "a-hash", 1), NewAccount("bob-1", "b-hash", 2)]
    )
    reader = ClaimReader(connect_to_read(tmp_path, "ledger"))
    return SqliteBook(books, lambda account: account.startswith("bcrt1")), reader, books


def take(book: SqliteBook) -> int:
    taken = book.take(intent(claim()), k1_hash_for, NOW_MS, limit=5)
    assert isinstance(taken, Taken)
    return taken.payment_id


def test_accounts_are_found_by_name_and_by_the_hash_of_their_secret(store: Store) -> None:
    _, reader, _ = store
    assert reader.accounts() == {"alice", "bob-1"}
    assert reader.account_exists("alice")
    assert not reader.account_exists("carol")
    assert reader.account_of_link("b-hash") == "bob-1"
    assert reader.account_of_link("other") is None


def test_the_available_balance_is_positive_and_zero_for_whoever_has_none(store: Store) -> None:
    _, reader, _ = store
    assert reader.available("alice") == 5_000
    assert reader.available("carol") == 0


def test_a_taken_claim_is_answered_with_its_payments_state_as_that_moves_on(store: Store) -> None:
    book, reader, _ = store
    assert reader.answer_to(claim()) is None
    payment_id = take(book)
    assert reader.claims_taken("alice") == 1
    assert reader.answer_to(claim()) == Answer("lnbcrt1", True, PaymentState.RESERVED, None)
    assert reader.taken_with(claim().k1_hash) == reader.answer_to(claim())
    book.sending(payment_id, NOW_MS)
    book.settle(payment_id, "11" * 32, Msat(1), NOW_MS)
    assert reader.answer_to(claim()) == Answer("lnbcrt1", True, PaymentState.SETTLED, None)


def test_a_failed_payment_says_why(store: Store) -> None:
    book, reader, _ = store
    book.fail(take(book), "no route", NOW_MS)
    assert reader.taken_with(claim().k1_hash) == Answer("lnbcrt1", True, PaymentState.FAILED, "no route")


def test_a_refused_claim_is_answered_with_the_reason_and_was_never_taken(store: Store) -> None:
    book, reader, _ = store
    book.refuse(claim(), "too late", NOW_MS)
    assert reader.answer_to(claim()) == Answer("lnbcrt1", False, None, "too late")
    assert reader.taken_with(claim().k1_hash) is None
    assert reader.claims_taken("alice") == 0


def test_an_inbox_that_began_anew_never_reads_another_claims_answer(store: Store) -> None:
    book, reader, _ = store
    take(book)
    assert reader.answer_to(attrs.evolve(claim(), invoice="lnbcrt-other")) is None
    assert reader.answer_to(attrs.evolve(claim(), k1_hash="ff" * 32)) is None
