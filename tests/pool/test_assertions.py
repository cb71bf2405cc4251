"""Daily assertions hold the journal to what it was: rewriting it is named, even with a whole chain."""

# ruff: noqa: S608 - the statements are this file's own constants
from __future__ import annotations

import sqlite3

import pytest

from payouts.money import Msat
from pool import ledger
from pool.ledger import Posting, entry_hash, memo_text
from pool.store.assertions import DAY_MS, TYPES, AssertionTable
from pool.store.ledger import LedgerStore
from pool.verify import verify
from tests.pool.test_settle import NOW_MS, Pool
from tests.pool.test_verify import pool, relink, tamper

__all__ = ["pool"]  # a fixture: three blocks, payments and batches in every state

MIDNIGHT_MS = (NOW_MS // DAY_MS + 1) * DAY_MS


@pytest.fixture
def table(pool: Pool) -> AssertionTable:
    """Two days: the books of the fixture, and one deposit after them."""
    made = AssertionTable(pool.books)
    pool.store.post(ledger.deposit("evening", "hot", Msat(5)), MIDNIGHT_MS - 1)
    pool.store.post(ledger.deposit("morning", "hot", Msat(7)), MIDNIGHT_MS)
    assert made.write(MIDNIGHT_MS + 1000) is not None
    assert made.write(MIDNIGHT_MS + DAY_MS) is not None
    return made


def test_an_assertion_has_the_sums_and_the_last_hash_of_the_day_before(
    pool: Pool, table: AssertionTable
) -> None:
    first, second = table.all()
    assert (first.day, second.day) == ("2027-01-16", "2027-01-17")
    assert (second.journal_id, second.journal_hash) == (first.journal_id + 1, pool.store.head())
    balances = pool.store.balances()
    for kind in TYPES:
        now = sum(amount for name, amount in balances.items() if name.startswith(kind))
        assert second.sums[kind] == now
        assert first.sums[kind] == now - {"assets": 7, "equity": -7}.get(kind, 0)
    report = verify(pool.shares, pool.books)
    assert report.ok
    assert report.checked["daily assertions"] == 2


def test_a_day_is_asserted_once_and_never_before_there_are_books(pool: Pool, table: AssertionTable) -> None:
    assert table.write(MIDNIGHT_MS + DAY_MS + 5) is None
    assert table.write(MIDNIGHT_MS) is None  # a clock that was set back
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        pool.books.execute("DELETE FROM assertion")


def test_days_before_the_first_entry_have_none(pool: Pool) -> None:
    assert AssertionTable(pool.books).write(NOW_MS) is None
    assert AssertionTable(pool.books).all() == []


def test_history_that_was_rewritten_with_a_whole_chain_is_named(pool: Pool, table: AssertionTable) -> None:
    tamper(
        pool.books,
        "UPDATE posting SET amount_msat = amount_msat * 3 WHERE abs(amount_msat) = 5",
        "UPDATE journal SET memo = replace(memo, '\"5\"', '\"15\"') WHERE key = 'deposit:evening'",
        "UPDATE balance SET amount_msat = amount_msat + 10 WHERE account = 'assets:hot'",
        "UPDATE balance SET amount_msat = amount_msat - 10 WHERE account = 'equity:deposits'",
    )
    relink(pool.books, LedgerStore(pool.books).entry)
    differences = verify(pool.shares, pool.books).differences
    assert len(differences) == 6  # of both days the hash, the assets and the equity
    assert "2027-01-16 began with entry" in differences[0]
    assert "history was changed since" in differences[0]
    assert "2027-01-16 began with assets of" in differences[1]


def test_an_entry_that_was_taken_from_the_end_is_missed(pool: Pool, table: AssertionTable) -> None:
    tamper(
        pool.books,
        "DELETE FROM posting WHERE journal_id = (SELECT max(id) FROM journal)",
        "DELETE FROM journal WHERE id = (SELECT max(id) FROM journal)",
    )
    assert any(
        "2027-01-17 began with entry" in each and "not in the journal any more" in each
        for each in verify(pool.shares, pool.books).differences
    )


def test_an_entry_put_in_before_the_last_is_a_changed_hash(pool: Pool, table: AssertionTable) -> None:
    memo = memo_text({"asset": "hot", "amount_msat": "1"})
    sides = (Posting("assets:hot", Msat(1)), Posting("equity:deposits", Msat(-1)))
    digest = entry_hash(pool.store.head(), "deposit:x", "deposit", NOW_MS, memo, sides)
    tamper(pool.books, f"UPDATE journal SET hash = '{digest}' WHERE id = (SELECT max(id) FROM journal)")
    assert any("2027-01-17 began" in each for each in verify(pool.shares, pool.books).differences)
