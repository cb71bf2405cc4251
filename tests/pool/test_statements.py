"""Statements and receipts out of a pool's files, checked as miners check them: with nothing but the block."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from pool.chain.block import block_hash
from pool.proof.check import check_text
from pool.proof.document import read
from pool.proof.findings import Verdict
from pool.proof.statement import Statement
from pool.statements import Bounds, Made, NotMade, receipt_of, statement_of
from pool.store.database import connect
from pool.verify import verify
from stratum.units import MAX_TARGET, Target
from tests.pool.proven_pool import ProvenPool
from tests.pool.test_verify import tamper


@pytest.fixture
def proven(tmp_path: Path) -> Iterator[ProvenPool]:
    with closing(connect(tmp_path, "shares")) as shares, closing(connect(tmp_path, "ledger")) as books:
        yield ProvenPool(tmp_path, shares, books)


def checked(made: Made | NotMade, raw: bytes) -> Verdict:
    assert isinstance(made, Made), made
    return check_text(made.text, block_hash(raw))


def test_a_miner_proves_its_credit_and_each_of_its_shares_with_only_the_block(proven: ProvenPool) -> None:
    proven.mine(["ann", "bob", "ann"])
    proven.find("bob")
    proven.mine(["ann"])
    raw = proven.find("bob")
    name = block_hash(raw)

    statement = statement_of(proven.directory, "ann", name)
    verdict = checked(statement, raw)
    assert verdict.ok, verdict.lines()
    assert fixed_before(statement) == 3  # and it is shown that the log only grew since
    assert listed(statement) == ([5], [])  # X is 2: the window has one more share, which won
    receipt = receipt_of(proven.directory, "ann", 5)
    assert checked(receipt, raw).ok
    assert receipt_of(proven.directory, "ann") == receipt  # the newest that a block has fixed

    third = proven.find("bob", later=["ann"])
    statement = statement_of(proven.directory, "ann", block_hash(third))
    assert checked(statement, third).ok
    assert listed(statement) == ([], [7])  # came after what the block fixes
    assert not check_text(made_text(statement), name).ok  # it is about another block
    assert verify(proven.shares, proven.books).differences == ()


def fixed_before(made: Made | NotMade) -> int | None:
    statement = read(made_text(made))
    assert isinstance(statement, Statement)
    return None if statement.before is None else statement.before.commitment.size


def listed(made: Made | NotMade) -> tuple[list[int], list[int]]:
    statement = read(made_text(made))
    assert isinstance(statement, Statement)
    return [share.id for share in statement.shares], [share.id for share in statement.newer]


def made_text(made: Made | NotMade) -> str:
    assert isinstance(made, Made), made
    return made.text


def test_there_is_a_reason_where_there_is_no_document(proven: ProvenPool) -> None:
    proven.mine(["ann", "bob"])
    proven.fixing = False
    bare = block_hash(proven.find("bob"))
    proven.fixing = True
    waiting = block_hash(proven.find("bob", confirmations=0))
    directory = proven.directory

    def code(made: Made | NotMade) -> str:
        assert isinstance(made, NotMade)
        return made.code

    assert code(statement_of(directory, "ann", "ab" * 32)) == "no_such_block"
    assert code(statement_of(directory, "ann", bare)) == "no_proof"
    assert code(statement_of(directory, "ann", waiting)) == "not_yet"
    assert code(receipt_of(directory, "ann", 1)) == "not_yet"
    assert code(receipt_of(directory, "bob", 1)) == "no_such_share"  # it is ann's
    assert [code(receipt_of(directory, "ann", number)) for number in (0, 99, -1, 1 << 70)] == [
        "no_such_share"
    ] * 4
    assert code(receipt_of(directory, "ann")) == "no_such_share"  # none that is fixed
    proven.pool.see(1, waiting)
    assert code(statement_of(directory, "zoe", waiting)) == "no_part"
    proven.pool.see(-1, waiting)
    assert code(statement_of(directory, "ann", waiting)) == "orphaned"


def test_a_solo_block_is_proven_to_be_its_finders_and_nobody_elses(proven: ProvenPool) -> None:
    proven.mine(["ann", "bob"])
    raw = proven.find("ann", pot="solo")
    statement = statement_of(proven.directory, "ann", block_hash(raw))
    assert checked(statement, raw).ok
    assert listed(statement) == ([], [])
    other = statement_of(proven.directory, "bob", block_hash(raw))
    assert isinstance(other, NotMade)
    assert other.code == "no_part"


def test_a_block_that_was_lost_after_it_was_paid_and_came_back_proves_the_same_credit(
    proven: ProvenPool,
) -> None:
    proven.mine(["ann"])
    raw = proven.find("bob", confirmations=100)
    pool, name = proven.pool, block_hash(raw)
    credit = credited(statement_of(proven.directory, "ann", name))
    pool.pay_out("ann", pool.of("ann"))
    pool.see(-1, name)
    assert pool.see(1, name) == [("orphaned", "immature")]
    assert pool.of("ann", "immature") == 0  # what it kept is recovered from its new credit
    again = statement_of(proven.directory, "ann", name)
    assert checked(again, raw).ok
    assert credited(again) == credit > 0


def credited(made: Made | NotMade) -> int:
    statement = read(made_text(made))
    assert isinstance(statement, Statement)
    return statement.credit


def test_the_site_does_no_more_work_than_it_is_given(proven: ProvenPool) -> None:
    proven.mine(["ann"] * 3)
    name = block_hash(proven.find("ann"))
    most = statement_of(proven.directory, "ann", name, Bounds(listed=1, counted=9))
    assert listed(most) == ([], [4])
    none = statement_of(proven.directory, "ann", name, Bounds(counted=1))
    assert isinstance(none, NotMade)
    assert none.code == "too_many"


@pytest.mark.parametrize(
    ("file", "statement"),
    [
        ("shares", "UPDATE share SET account = 'ann' WHERE id = 2"),
        ("shares", "UPDATE share SET target_id = (SELECT min(id) FROM target) WHERE id > 0"),
        ("books", "UPDATE posting SET amount_msat = amount_msat - 1 WHERE account LIKE '%:ann:immature'"),
        ("books", "UPDATE journal SET memo = replace(memo, '\"fee_bps\":100', '\"fee_bps\":10')"),
    ],
)
def test_a_pool_that_changes_its_files_afterwards_cannot_prove_the_change(
    proven: ProvenPool, file: str, statement: str
) -> None:
    easy = Target(MAX_TARGET >> 3)
    proven.shares.execute("INSERT INTO target (target) VALUES (?)", (easy.to_bytes(32, "big"),))
    proven.mine(["ann", "bob", "ann"])
    raw = proven.find("bob")
    tamper(proven.shares if file == "shares" else proven.books, statement)

    made = statement_of(proven.directory, "ann", block_hash(raw))
    if isinstance(made, Made):
        verdict = check_text(made.text, block_hash(raw))
        assert not verdict.ok
    assert verify(proven.shares, proven.books).differences != ()
