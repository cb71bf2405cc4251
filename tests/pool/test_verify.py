"""Whatever is tampered with behind the triggers' back, the audit names it."""

# ruff: noqa: S608 - the statements are this file's own constants
from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from payouts.money import Msat, Sat
from payouts.values import Intent, Output, SignedBatch, Taken
from pool import ledger
from pool.store.database import connect
from pool.store.ledger import LedgerStore
from pool.store.payments import SqliteBook
from pool.store.shares import ShareStore
from pool.verify import verify
from pool.verify_report import Report
from tests.contracts.book import NOW_S, claim, k1_hash_for
from tests.pool.test_settle import HASH, NOW_MS, SCRIPT, FakeChain, Pool, fill_shares, found, share

OTHER = "cd" * 32
ADDRESS = "bcrt1qmine"


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[Pool]:
    """Books with a bit of everything: three blocks, payments and batches in every state."""
    made = Pool(tmp_path, connect(tmp_path, "shares"), connect(tmp_path, "ledger"), FakeChain())
    made.store.add_addresses([("bcrt1qpool", SCRIPT)], NOW_MS)
    fill_shares(made.shares)
    writer = ShareStore(made.shares, 0)
    writer.write([share(ADDRESS), share("ann", block_hash=OTHER)], {OTHER: found(OTHER)})
    third = "ef" * 32
    writer.write([share("zoe", block_hash=third)], {third: found(third)})
    made.see(100)
    made.see(120, OTHER)
    made.see(1, third)
    made.see(-1, third)
    pay(made)
    yield made
    made.shares.close()
    made.books.close()


def pay(pool: Pool) -> None:
    pool.store.post(ledger.deposit("opening", "lightning", Msat(10**9)), NOW_MS)
    pool.store.post(ledger.deposit("opening", "lightning", Msat(10**9)), NOW_MS)
    pool.store.post(ledger.deposit("cold", "hot", Msat(10**9)), NOW_MS)
    book = SqliteBook(pool.books, lambda account: account == ADDRESS)
    for number in range(3):
        filed = claim(number + 1, "ann", taken=number)
        wish = Intent(filed, f"{number:064x}", Msat(1000), Msat(50), NOW_S)
        assert isinstance(book.take(wish, k1_hash_for, NOW_MS, limit=9), Taken)
    book.settle(1, "11" * 32, Msat(7), NOW_MS)
    book.fail(2, "no route", NOW_MS)
    for number in range(3):
        outputs = (Output(ADDRESS, ADDRESS, Sat(50_000 + number)),)
        batch = SignedBatch(f"{number:064x}", "02", ("a:0",), outputs, Sat(200))
        assert isinstance(book.take_batch(batch, NOW_MS), int)
    book.broadcasting(1, NOW_MS)
    book.settle_batch(1, NOW_MS)
    book.reject_batch(2, "bad", NOW_MS)


def look(pool: Pool) -> Report:
    return verify(pool.shares, pool.books)


def tamper(connection: sqlite3.Connection, *statements: str) -> None:
    """Change what may never change, as somebody with the file in their hands would."""
    triggers = connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall()
    for (name,) in triggers:
        connection.execute(f"DROP TRIGGER {name}")
    connection.execute("PRAGMA foreign_keys = OFF")
    connection.execute("PRAGMA ignore_check_constraints = ON")
    for statement in statements:
        assert connection.execute(statement).rowcount != 0, statement


def test_honest_books_are_right_and_the_report_counts_what_was_checked(pool: Pool) -> None:
    report = look(pool)
    assert report.differences == ()
    assert report.ok
    assert dict(report.checked) == {
        "blocks that no proof was kept of": 3,
        "policies": 2,
        "journal entries": 20,
        "postings": report.checked["postings"],
        "rewards counted again share by share": 3,
        "balances": len(pool.store.balances()),
        "blocks": 3,
        "Lightning payments": 3,
        "on-chain batches": 3,
    }
    assert report.lines()[-1] == "the books are right"
    assert json.loads(json.dumps(report.as_json()))["ok"] is True


def test_an_audit_leaves_its_connections_as_they_were(pool: Pool) -> None:
    look(pool)
    pool.books.execute("BEGIN")  # fails inside a transaction
    look(pool)
    pool.books.execute("ROLLBACK")  # fails outside of one


REWARD = f"reward:{HASH}:0"
ANNS = "account LIKE '%:ann:immature' AND id < 10"
BOBS = "account LIKE '%:bob:immature' AND id < 10"
AVAILABLE = "liabilities:miners:ann:available"
TAMPERED: dict[str, tuple[str, tuple[str, ...]]] = {
    "a posting": (
        f"{REWARD}: liabilities:miners:ann:immature has",
        (f"UPDATE posting SET amount_msat = amount_msat - 1 WHERE {ANNS}",),
    ),
    "a posting's sum": (
        f"{REWARD}: the postings sum to -1 msat",
        (f"UPDATE posting SET amount_msat = amount_msat - 1 WHERE {ANNS}",),
    ),
    "two postings that still balance": (
        f"{REWARD}: the hash chain breaks here",
        (
            f"UPDATE posting SET amount_msat = amount_msat - 9 WHERE {ANNS}",
            f"UPDATE posting SET amount_msat = amount_msat + 9 WHERE {BOBS}",
        ),
    ),
    "a deposit": (
        "deposit:opening: assets:lightning has",
        ("UPDATE posting SET amount_msat = 9 WHERE account = 'assets:lightning' AND amount_msat > 0",),
    ),
    "a memo": (
        f"{REWARD}: its memo does not say how it was computed",
        (f"UPDATE journal SET memo = '{{}}' WHERE key = '{REWARD}'",),
    ),
    "a memo that is no JSON": (
        f"{REWARD}: its memo does not say how it was computed",
        (f"UPDATE journal SET memo = 'x' WHERE key = '{REWARD}'",),
    ),
    "the recorded window": (
        f"{REWARD}: the window's score is 7, the share log says 2",
        (f"UPDATE journal SET memo = json_set(memo, '$.parts[0].window.score', '7') WHERE key = '{REWARD}'",),
    ),
    "the window's end": (
        f"{REWARD}: the window's last_id is 5, the share log says 4",
        (f"UPDATE journal SET memo = json_set(memo, '$.parts[0].window.last_id', 5) WHERE key = '{REWARD}'",),
    ),
    "the recorded recovery": (
        f"{REWARD}: recovers other amounts than its reversals left",
        (f"UPDATE journal SET memo = json_set(memo, '$.recovered_msat.ann', '5') WHERE key = '{REWARD}'",),
    ),
    "a balance": (
        f"{AVAILABLE}: the balance is -5 msat",
        (f"UPDATE balance SET amount_msat = -5 WHERE account = '{AVAILABLE}'",),
    ),
    "the balances' sum": (
        "all balances together are",
        (f"UPDATE balance SET amount_msat = -5 WHERE account = '{AVAILABLE}'",),
    ),
    "a posting out of nowhere": (
        "posting 999 belongs to no entry",
        ("INSERT INTO posting VALUES (999, 777, 'assets:hot', 1)",),
    ),
    "an entry taken out": (
        f"{REWARD}",
        (f"DELETE FROM journal WHERE key = '{REWARD}'",),
    ),
    "an overdraft": (
        "assets:hot is overdrawn by",
        ("UPDATE posting SET amount_msat = -99999999999999 WHERE account = 'assets:hot' AND id > 20",),
    ),
    "a block's value": (
        f"{REWARD}: divides 5000000000000 msat, the block pays 1",
        (f"UPDATE block SET value_msat = 1 WHERE hash = '{HASH}'",),
    ),
    "a block's state": (
        f"block {HASH} is immature: mature:{HASH}:0 should not be there",
        (f"UPDATE block SET state = 'immature' WHERE hash = '{HASH}'",),
    ),
    "a block's activations": (
        f"block {HASH} is mature: reward:{HASH}:1 is missing",
        (f"UPDATE block SET activations = 2 WHERE hash = '{HASH}'",),
    ),
    "a block that was never active": (
        f"block {HASH}: mature after 0 activations",
        (f"UPDATE block SET activations = 0 WHERE hash = '{HASH}'",),
    ),
    "a block taken out": (
        f"{REWARD}: there is no such block",
        (f"DELETE FROM block WHERE hash = '{HASH}'",),
    ),
    "a winning share": (
        f"block {HASH}: the share log does not have it as found 1",
        (f"UPDATE block SET share_id = 3 WHERE hash = '{HASH}'",),
    ),
    "a payment's amount": (
        "hold:3: liabilities:miners:ann:held has -1050 msat, not -2050",
        ("UPDATE payment SET amount_msat = 2000 WHERE id = 3",),
    ),
    "a payment's state": (
        "settle:1: should not be in the journal",
        ("UPDATE payment SET state = 'sending' WHERE id = 1",),
    ),
    "a payment said to be settled": (
        "settle:3: missing from the journal",
        ("UPDATE payment SET state = 'settled' WHERE id = 3",),
    ),
    "a payment taken out": (
        "hold:3: there is no such payment",
        ("DELETE FROM payment WHERE id = 3",),
    ),
    "a batch's output": (
        f"batch-hold:3: liabilities:miners:{ADDRESS}:held has -50002000 msat, not -60000000",
        ("UPDATE batch_output SET amount_sat = 60000 WHERE batch_id = 3",),
    ),
    "a batch's fee": (
        "batch-settle:1: expense:chain_fees has 200000 msat, not 1000",
        ("UPDATE batch SET fee_sat = 1 WHERE id = 1",),
    ),
    "a maturing": (
        f"mature:{HASH}:0: there is no reward before it",
        (f"UPDATE journal SET key = 'mature:{HASH}:9' WHERE key = '{REWARD}'",),
    ),
    "a reversal's memo": (
        f"reverse:{'ef' * 32}:0: its memo names other shortfalls",
        ("UPDATE journal SET memo = json_set(memo, '$.short_msat.ann', '5') WHERE kind = 'reverse'",),
    ),
}


@pytest.mark.parametrize("what", TAMPERED)
def test_tampered_books_are_named(pool: Pool, what: str) -> None:
    expected, statements = TAMPERED[what]
    tamper(pool.books, *statements)
    report = look(pool)
    assert any(expected in each for each in report.differences), report.differences
    assert not report.ok
    assert f"DIFFERENCE: {report.differences[0]}" in report.lines()


LOG: dict[str, tuple[str, str]] = {
    "a share given to another": ("UPDATE share SET account = 'eve' WHERE id = 2", "eve:immature has 0 msat"),
    "a share made easier": (
        "UPDATE share SET target_id = (SELECT target_id FROM share WHERE id = 3) WHERE id = 4",
        f"{REWARD}: the window's",
    ),
    "a share taken out": ("DELETE FROM share WHERE id = 3", f"{REWARD}: the window's border"),
    "other difficulty": ("UPDATE share SET nbits = 520159231 WHERE id = 4", f"{REWARD}: liabilities:miners:"),
    "a found block": ("UPDATE found SET share_id = 3 WHERE id = 1", f"block {HASH}: the share log does not"),
}


@pytest.mark.parametrize("what", LOG)
def test_a_tampered_share_log_is_named(pool: Pool, what: str) -> None:
    statement, expected = LOG[what]
    tamper(pool.shares, statement)
    assert any(expected in each for each in look(pool).differences), look(pool).differences


def test_a_reward_that_was_reversed_while_mature_and_came_back_is_right(pool: Pool) -> None:
    pool.see(-1)
    pool.see(1)
    assert pool.store.entry(f"reward:{HASH}:1") is not None
    assert look(pool).differences == ()


def test_an_entry_that_was_replaced_by_a_rewritten_chain_is_still_found(pool: Pool) -> None:
    """Even who computes the whole chain anew cannot make the share log agree."""
    tamper(
        pool.books,
        f"UPDATE posting SET amount_msat = amount_msat - 9 WHERE {ANNS}",
        f"UPDATE posting SET amount_msat = amount_msat + 9 WHERE {BOBS}",
    )
    relink(pool.books, LedgerStore(pool.books).entry)
    differences = look(pool).differences
    assert not any("hash chain" in each for each in differences)
    assert any(each.startswith(f"{REWARD}: liabilities:miners:bob") for each in differences)


def relink(connection: sqlite3.Connection, read: Callable[[str], ledger.Entry | None]) -> None:
    previous = ledger.GENESIS
    rows = connection.execute("SELECT id, key, kind, time_ms, memo FROM journal ORDER BY id").fetchall()
    for number, key, kind, time_ms, memo in rows:
        entry = read(key)
        assert entry is not None
        digest = ledger.entry_hash(previous, key, kind, time_ms, memo, entry.postings)
        connection.execute(
            "UPDATE journal SET previous = ?, hash = ? WHERE id = ?", (previous, digest, number)
        )
        previous = digest
