"""A reward's entry fixes root and total of its division; what differs from it is named."""

from __future__ import annotations

from payouts.money import Msat
from pool.fixed_sums import sums_again
from pool.proof.sums import parts_of, sum_root
from pool.verify import verify
from tests.pool.test_settle import HASH, Pool, pool

__all__ = ["pool"]  # a fixture


def test_a_reward_fixes_all_parts_of_its_block(pool: Pool) -> None:
    pool.see(1)
    entry = pool.store.entry(f"reward:{HASH}:0")
    assert entry is not None
    credits_ = {
        posting.account.split(":")[2]: -posting.amount
        for posting in entry.postings
        if posting.account.startswith("liabilities:miners:")
    }
    root = sum_root(parts_of(entry.memo, credits_))
    assert (entry.memo["sum_root"], entry.memo["sum_total_msat"]) == (root.hash.hex(), str(root.total))
    assert str(root.total) == entry.memo["value_msat"]  # nothing was left over before
    assert list(sums_again("r", entry.memo, credits_)) == []
    pool.verified()

    ann, *_ = credits_
    more = {**credits_, ann: Msat(credits_[ann] + 1)}
    told = list(sums_again("r", entry.memo, more))
    assert len(told) == 2
    assert "sum_total_msat" in told[1]
    assert list(sums_again("r", {"fee_msat": "0"}, more)) == []  # from before there were any


def test_a_root_that_is_not_that_of_the_division_is_named_by_the_audit(pool: Pool) -> None:
    pool.see(1)
    entry = pool.store.entry(f"reward:{HASH}:0")
    assert entry is not None
    pool.books.execute("DROP TRIGGER journal_is_final")
    pool.books.execute("UPDATE journal SET memo = replace(memo, ?, ?)", (entry.memo["sum_root"], "00" * 32))
    found = verify(pool.shares, pool.books).differences
    assert any(f"reward:{HASH}:0: fixes sum_root {'00' * 32}" in text for text in found)
