"""Receipts held against a statement: what the pool once said against what it says now."""

from __future__ import annotations

import attrs
import pytest

from pool.errors import ProofError
from pool.proof.building import receipt
from pool.proof.check import check_text
from pool.proof.check_receipts import check_receipts
from pool.proof.document import text_of
from pool.proof.findings import Kind
from pool.proof.statement import Receipt
from pool.rewards.policy import Term
from tests.pool.proof_samples import found, policy, share

LOG = [share(n, ["ada", "bob"][n % 2], pot="solo" if n == 18 else "pool") for n in range(1, 31)]
NOW = found(LOG, [Term(policy(8), 0)], fixed=28)  # the window begins with share 23
STATEMENT = NOW.statement("ada")


def kept(share_id: int, record: dict[str, str] | None = None) -> Receipt:
    """A receipt from an earlier block, whose log may have had another record of the share."""
    then = [each._replace(**record or {}) if each.id == share_id else each for each in LOG]  # type: ignore[arg-type]
    made = found(then, [Term(policy(8), 0)], fixed=27, last_id=29)
    return receipt(made.records[share_id - 1], made.block, made.commitment, made.node)


@pytest.mark.parametrize(
    ("held", "kind", "said"),
    [
        (kept(24), Kind.PROVEN, "have the same record"),
        (kept(24, {"worker": "other"}), Kind.WRONG, "has another record of it"),
        (kept(25, {"account": "ada"}), Kind.WRONG, "was not counted"),
        (kept(26, {"account": "bob"}), Kind.OPEN, "nothing to compare"),
        (kept(18), Kind.OPEN, "nothing to compare"),
        (kept(22), Kind.OPEN, "need not be listed"),
        (attrs.evolve(kept(24), path=kept(24).path[1:]), Kind.WRONG, "does not hold by itself"),
        (attrs.evolve(kept(24), path=kept(26).path), Kind.WRONG, "does not hold by itself"),
        (attrs.evolve(kept(24), block=NOW.block), Kind.WRONG, "does not hold by itself"),
        (attrs.evolve(kept(24), block=attrs.evolve(NOW.block, coinbase=b"0")), Kind.WRONG, "does not hold"),
    ],
)
def test_a_receipt_is_compared_with_what_is_listed(held: Receipt, kind: Kind, said: str) -> None:
    (finding,) = check_receipts(STATEMENT, [held])
    assert (finding.kind, finding.about) == (kind, f"share {held.share.id}")
    assert said in finding.text
    assert held.block.hash in finding.text


def test_what_a_short_statement_leaves_out_needs_no_listing() -> None:
    short = NOW.statement("ada", most=2)  # 28 and 30
    (older,) = check_receipts(short, [kept(24)])
    (newer,) = check_receipts(NOW.statement("ada", most=3), [kept(27, {"account": "ada"})])
    assert older.kind is Kind.OPEN
    assert newer.kind is Kind.WRONG
    (nothing,) = check_receipts(NOW.statement("ada", most=0), [kept(24)])
    assert nothing.kind is Kind.OPEN


def test_a_receipt_that_speaks_against_a_statement_is_part_of_the_verdict() -> None:
    text = text_of(STATEMENT)
    assert check_text(text, NOW.hash, [kept(24)]).ok
    verdict = check_text(text, NOW.hash, [kept(24), kept(25, {"account": "ada"})])
    assert [each.about for each in verdict.of(Kind.WRONG)] == ["share 25"]


def test_receipts_are_held_against_statements_only() -> None:
    with pytest.raises(ProofError, match="held against a statement"):
        check_text(text_of(kept(24)), NOW.hash, [kept(24)])
