"""What is made into statements and receipts, and what cannot be."""

from __future__ import annotations

import pytest

from pool.errors import ProofError
from pool.proof.building import Rewarded, build, credit_of, receipt
from pool.proof.claims import claims_of
from pool.proof.commitment import Commitment
from pool.proof.merkle import EMPTY
from pool.proof.sums import sum_root
from pool.rewards.policy import Scheme, Term
from tests.pool.proof_samples import JOURNAL, found, policy, share

RECORDS = [share(n, ["ada", "bob"][n % 2], pot=["pool", "pool", "solo"][n % 3]) for n in range(1, 25)]
TERMS = [Term(policy(9), 0)]


def test_only_the_accounts_own_shares_of_the_pot_in_the_window_are_listed() -> None:
    made = found(RECORDS, TERMS, fixed=20, last_id=22)
    statement = made.statement("ada")
    listed = [*statement.shares, *statement.newer]
    first = made.reward.parts and statement.claims.parts[0].window
    assert first
    expected = [
        each
        for each in RECORDS
        if each.account == "ada" and each.pot == "pool" and first.first_id <= each.id <= 22
    ]
    assert listed == expected
    assert all(each.id <= 20 for each in statement.shares)
    assert all(each.id > 20 for each in statement.newer)


def test_the_newest_are_listed_and_all_are_counted() -> None:
    made = found(RECORDS, TERMS, fixed=20, last_id=22)
    whole, short = made.statement("ada"), made.statement("ada", most=2)
    assert (*short.shares, *short.newer) == (*whole.shares, *whole.newer)[-2:]
    assert short.own[0].weight == whole.own[0].weight
    assert short.own[0].left_out == whole.counted - 2 > 0
    assert short.credit == whole.credit == made.reward.division.credits["ada"]


def test_the_sum_tree_is_the_same_for_everybody() -> None:
    made = found(RECORDS, TERMS, fixed=20)
    roots = {made.statement(account).sums for account in ("ada", "bob", "nobody")}
    (root,) = roots
    assert root.total == made.reward.division.value
    assert root.size == 2 + 3  # two accounts; fee, residual, and how it was divided


def test_a_commitment_to_an_empty_log_fixes_no_share() -> None:
    made = found(RECORDS, TERMS, fixed=0)
    statement = made.statement("ada")
    assert (statement.shares, statement.proof) == ((), ())
    assert statement.commitment == Commitment(0, EMPTY, statement.commitment.policies, JOURNAL)


def test_nothing_is_credited_where_nothing_is_divided() -> None:
    made = found(RECORDS[:3], [Term(policy(scheme=Scheme.PPS), 0)], fixed=2, last_id=1)
    statement = made.statement("ada")
    assert (statement.credit, statement.counted) == (0, 0)
    assert "reserve" in [each.name for each in statement.leaves]
    (own,) = statement.own
    assert credit_of(5, own.weight, claims_of(made.rewarded.memo).parts[0].total) == 0


def test_a_reward_from_before_its_parts_were_written_down_says_so() -> None:
    made = found(RECORDS, TERMS, fixed=20)
    memo = {name: value for name, value in made.rewarded.memo.items() if name != "parts"}
    old = Rewarded(memo, made.rewarded.credits, "ada")
    with pytest.raises(ProofError, match="does not say its parts: it is older than proofs"):
        build("ada", made.block, made.commitment, old, [], made.node)


def test_a_share_behind_the_commitment_has_no_receipt_from_it() -> None:
    made = found(RECORDS, TERMS, fixed=20)
    assert receipt(RECORDS[19], made.block, made.commitment, made.node).share.id == 20
    with pytest.raises(ProofError, match="share 21 came after"):
        receipt(RECORDS[20], made.block, made.commitment, made.node)


def test_what_is_added_to_a_memo_later_changes_no_root() -> None:
    made = found(RECORDS, TERMS, fixed=20)
    more = Rewarded({**made.rewarded.memo, "n": 0, "block": made.hash}, made.rewarded.credits, "ada")
    same = build("ada", made.block, made.commitment, more, [], made.node)
    assert same.sums == made.statement("bob").sums
    assert same.sums.size == sum_root({f"x{n}": 1 for n in range(5)}).size
