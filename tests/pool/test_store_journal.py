"""Statements and balances at a moment are sums over the postings that the books' balances are sums of."""

from __future__ import annotations

from payouts.money import Msat
from pool import ledger
from pool.store.audit import Audit
from pool.store.journal import JournalReader
from tests.pool.test_settle import HASH, NOW_MS, POLICY, Pool
from tests.pool.test_verify import pool

__all__ = ["pool"]  # a fixture: books with blocks, an orphan, payments, batches and deposits


def test_each_line_leaves_the_balance_that_the_next_one_starts_from(pool: Pool) -> None:
    reader = JournalReader(pool.books)
    lines = reader.statement("ann")
    owed, parts = 0, {"immature": 0, "available": 0, "held": 0}
    for line in lines:
        owed += line.amount_msat
        parts[line.part] += line.amount_msat
        assert (line.owed_msat, line.balance_msat) == (owed, parts[line.part])
        assert line.amount_msat
    assert parts == dict(reader.owed("ann", NOW_MS))
    assert {f"liabilities:miners:ann:{k}": -v for k, v in parts.items()}.items() <= dict(
        pool.store.balances()
    ).items()


def test_each_line_says_which_block_payment_or_batch_it_was(pool: Pool) -> None:
    reader = JournalReader(pool.books)
    about = {(line.kind, line.about, line.reference) for line in reader.statement("ann")}
    block = pool.store.blocks.get(HASH)
    assert block is not None
    height = f"block {block.found.height}"
    assert {("reward", height, HASH), ("mature", height, HASH)} <= about
    assert {("settle", "L1", f"{0:064x}"), ("release", "L2", f"{1:064x}")} <= about
    batches = {line.about for line in reader.statement("bcrt1qmine") if "batch" in line.kind}
    assert batches == {"B1", "B2", "B3"}


def test_a_span_and_a_limit_take_lines_away_but_no_balance(pool: Pool) -> None:
    reader = JournalReader(pool.books)
    pool.store.post(ledger.hold(99, "ann", Msat(5)), NOW_MS + 10)
    pool.store.post(ledger.release(99, "ann", Msat(5)), NOW_MS + 20)
    whole = reader.statement("ann")
    assert reader.statement("ann", NOW_MS + 10, NOW_MS + 10) == whole[-4:-2]
    assert reader.statement("ann", limit=3) == whole[-3:]
    assert reader.owed("ann", NOW_MS + 19)["held"] == reader.owed("ann", NOW_MS)["held"] + 5


def test_balances_at_a_moment_sum_to_zero_and_end_in_those_of_now(pool: Pool) -> None:
    reader = JournalReader(pool.books)
    assert reader.balances(NOW_MS - 1) == {}
    pool.store.post(ledger.deposit("late", "hot", Msat(77)), NOW_MS + 1000)
    before, after = reader.balances(NOW_MS + 999), reader.balances(NOW_MS + 1000)
    assert after == reader.balances() == pool.store.balances()
    assert sum(before.values()) == 0
    assert after[ledger.HOT] - before[ledger.HOT] == 77


def test_entries_read_as_one_stream_are_those_that_the_audit_reads(pool: Pool) -> None:
    reader = JournalReader(pool.books)
    assert list(reader.entries()) == list(Audit(pool.shares, pool.books).entries())
    assert reader.first_ms() == NOW_MS


def test_a_credit_names_the_policy_that_it_was_made_under_and_nothing_else_names_one(pool: Pool) -> None:
    pool.see(2, HASH)
    named = {(line.kind, line.policies) for line in JournalReader(pool.books).statement("ann")}
    assert ("reward", POLICY.hash) in named
    assert {policies for kind, policies in named if kind != "reward"} == {""}
