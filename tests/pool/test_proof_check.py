"""Statements and receipts, checked: good ones are proven; what is changed in one is found and named."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pool.errors import ProofError
from pool.proof import document
from pool.proof.blockproof import from_block
from pool.proof.building import receipt
from pool.proof.check import check, check_text
from pool.proof.commitment import output_data
from pool.proof.document import text_of
from pool.proof.findings import Kind, Verdict
from pool.proof.record import ShareRecord
from pool.proof.statement import Receipt, Statement
from pool.rewards.policy import Scheme, Term
from stratum.units import Target
from tests.pool.proof_samples import BLOCK, EASY, HARDER, NBITS, Found, found, mined, policy, share

Path = tuple[str | int, ...]


def log(count: int) -> list[ShareRecord]:
    return [share(n, ["ada", "bob", "cid"][n % 3], EASY if n % 2 else BLOCK) for n in range(1, count + 1)]


def two_policies() -> Found:
    terms = [Term(policy(Fraction(49, 4)), 0), Term(policy(9, 200), 20)]
    return found(log(30), terms, fixed=25, last_id=28, residual_in=3, before=13)


GOOD = two_policies()
STATEMENT, SHORT = GOOD.statement("ada"), GOOD.statement("ada", most=4)
RECEIPT = receipt(GOOD.records[4], GOOD.block, GOOD.commitment, GOOD.node)


def about(verdict: Verdict, kind: Kind = Kind.WRONG) -> set[str]:
    return {each.about for each in verdict.of(kind)}


def test_a_good_statement_is_proven_point_by_point() -> None:
    verdict = check_text(text_of(STATEMENT), GOOD.hash)
    assert verdict.ok
    assert about(verdict, Kind.PROVEN) == {
        "block",
        "commitment",
        "log",
        "policy of part 1",
        "policy of part 2",
        "value",
        "division",
        "credit",
        "sums",
        "shares 12 to 24",
        "weight in part 1",
        "weight in part 2",
    }
    assert about(verdict, Kind.OPEN) == {"log", "share 27", "shares", "others", "sums"}
    assert verdict.lines()[-1] == "everything that can be proven from this is proven"
    assert STATEMENT.credit == GOOD.reward.division.credits["ada"]


def test_a_good_receipt_is_proven() -> None:
    verdict = check_text(text_of(RECEIPT), GOOD.hash.upper())
    assert verdict.ok
    assert about(verdict, Kind.PROVEN) == {"block", "commitment", "share 5"}


def test_what_a_statement_leaves_out_it_says() -> None:
    verdict = check_text(text_of(SHORT), GOOD.hash)
    assert verdict.ok
    assert [each.left_out for each in SHORT.own] == [2, 0]
    assert SHORT.counted == STATEMENT.counted == 6
    (said,) = [each.text for each in verdict.of(Kind.OPEN) if each.about == "weight in part 1"]
    assert "2 older shares are left out" in said


def test_a_verdict_is_data_for_programs() -> None:
    verdict = check(attrs.evolve(RECEIPT, path=RECEIPT.path[1:]), GOOD.hash)
    data = json.loads(json.dumps(verdict.as_json()))
    assert (data["ok"], verdict.ok) == (False, False)
    assert data["wrong"] == [{"about": "share 5", "text": "the path is shorter than its tree is high"}]
    assert {"proven", "not_proven"} < data.keys()
    assert verdict.lines()[0].startswith("WRONG  share 5: ")
    assert verdict.lines()[-1] == "NOT RIGHT: 1 found"


# ----------------------------------------------------------------------------------------- every value counts


def values(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every number, text and so on of a document, with the way to it."""
    if isinstance(value, dict | list):
        pairs: Any = value.items() if isinstance(value, dict) else enumerate(value)
        for name, each in pairs:
            yield from values(each, (*path, name))
    else:
        yield path, value


def changed(text: str, path: Path, value: object, *, forged: bool) -> str:
    """A document with another value; a forger writes a new checksum too."""
    whole = json.loads(text)
    place = whole
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    if forged and path != ("checksum",):
        del whole["checksum"]
        whole["checksum"] = document._checksum(whole)
    return json.dumps(whole)


def flips(value: object, seed: int) -> Iterator[object]:
    """A value with one bit turned over."""
    match value:
        case bool():
            yield not value
        case int():
            yield from (value ^ (1 << bit) for bit in (0, seed % 40))
        case str():
            for at in {0, seed % len(value), len(value) - 1}:
                yield value[:at] + chr(ord(value[at]) ^ (1 << (seed + at) % 7)) + value[at + 1 :]
        case _:
            yield 0


def found_out(text: str, block_hash: str) -> Verdict | str | None:
    """What is said against a document, or None when nothing is."""
    try:
        verdict = check_text(text, block_hash)
    except ProofError as error:
        return str(error)
    return None if verdict.ok else verdict


@pytest.mark.parametrize("good", [STATEMENT, SHORT, RECEIPT], ids=["statement", "short", "receipt"])
def test_no_value_can_be_changed_unnoticed_by_accident_or_by_a_forger(good: Statement | Receipt) -> None:
    text = text_of(good)
    for seed, (path, value) in enumerate(values(json.loads(text))):
        for flipped in flips(value, seed):
            assert found_out(changed(text, path, flipped, forged=False), GOOD.hash), path
            if found_out(changed(text, path, flipped, forged=True), GOOD.hash) is None:
                # what no block has fixed yet, and how many are not listed: both are said to be not proven
                assert path[:2] == ("shares", "newer") or path[-1] == "left_out", path


@settings(max_examples=150)
@given(st.sampled_from([STATEMENT, SHORT, RECEIPT]), st.data())
def test_no_bit_of_a_file_matters_without_being_missed(
    good: Statement | Receipt, data: st.DataObject
) -> None:
    text = text_of(good)
    at, bit = data.draw(st.integers(0, len(text) - 2)), data.draw(st.integers(0, 7))
    flipped = text[:at] + chr(ord(text[at]) ^ (1 << bit)) + text[at + 1 :]
    said = found_out(flipped, GOOD.hash)
    assert said is not None or json.loads(flipped) == json.loads(text)
    assert not isinstance(said, str) or "\n" not in said


def wrongs(good: Statement | Receipt, path: Path, value: object) -> set[str]:
    return about(check_text(changed(text_of(good), path, value, forged=True), GOOD.hash))


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        (("account",), "bob", "share 12"),
        (("shares", "fixed", 1, 1), "bob", "share 15"),
        (("shares", "fixed", 1, 9), "solo", "share 15"),
        (("shares", "fixed", 1, 0), 12, "share 12"),
        (("shares", "fixed", 0, 0), 2, "share 2"),
        (("shares", "fixed", 1, 3), "7f" + "ff" * 31, "weight in part 1"),
        (("shares", "fixed", 1, 4), HARDER, "weight in part 1"),
        (("shares", "fixed", 1, 4), 0, "weight in part 1"),
        (("shares", "fixed", 1, 6), 5, "shares 12 to 24"),
        (("shares", "proof", 0), "00" * 32, "shares 12 to 24"),
        (("shares", "newer", 0, 0), 25, "share 25"),
        (("shares", "newer", 0, 0), 30, "share 30"),
        (("own", 0, "weight"), "1/3", "credit"),
        (("own", 0, "weight"), "9", "weight in part 1"),
        (("own", 1, "credit_msat"), "1", "credit"),
        (("own", 0, "left_out"), 1, "weight in part 1"),
        (("own",), [], "credit"),
        (("reward", "value_msat"), "312500150001", "value"),
        (("reward", "fee_msat"), "0", "division"),
        (("reward", "residual_in_msat"), "4", "division"),
        (("reward", "residual_out_msat"), "1", "sums"),
        (("reward", "parts", 0, "value_msat"), "1", "division"),
        (("reward", "parts", 0, "policy", "fee_bps"), 99, "policy of part 1"),
        (("reward", "parts", 0, "policy", "window"), "6", "window of part 1"),
        (("reward", "parts", 0, "policy_hash"), "00" * 32, "policy of part 1"),
        (("reward", "parts", 1, "after_share"), 19, "policy of part 2"),
        (("reward", "parts", 1, "window", "last_id"), 24, "window of part 2"),
        (("reward", "parts", 0, "window", "last_id"), 21, "window of part 1"),
        (("reward", "parts", 0, "window", "first_id"), 13, "sums"),
        (("reward", "parts", 0, "window", "first_id"), 0, "window of part 1"),
        (("reward", "parts", 1, "window", "full"), True, "window of part 2"),
        (("reward", "parts", 1, "window", "score"), "1/2", "weight in part 2"),
        (("reward", "parts", 0, "window", "border"), {"share_id": 13, "part": "1/2"}, "window of part 1"),
        (("reward", "parts", 1, "window"), None, "window of part 2"),
        (("sums", "total_msat"), "5", "sums"),
        (("sums", "leaves", 0, "amount_msat"), "5", "sums"),
        (("sums", "leaves"), [], "sums"),
        (("commitment", "size"), 24, "commitment"),
        (("commitment", "journal"), "00" * 32, "commitment"),
        (("commitment", "policies"), {"solo": [[0, "00" * 32]]}, "policy of part 1"),
        (("before", "commitment", "size"), 12, "log"),
        (("before", "commitment", "journal"), "00" * 32, "log"),
        (("before", "block", "branch"), [], "log"),
        (("before", "proof", 0), "00" * 32, "log"),
        (("before", "proof"), [], "log"),
        (("block", "branch"), [], "block"),
        (("block", "coinbase"), "00" * 64, "block"),
    ],
)
def test_what_is_changed_in_a_statement_is_named(path: Path, value: object, named: str) -> None:
    assert named in wrongs(STATEMENT, path, value)


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        (("share", 1), "eve", "share 5"),
        (("share", 0), 6, "share 6"),
        (("share", 0), 26, "share 26"),
        (("path", 0), "00" * 32, "share 5"),
        (("path",), [], "share 5"),
        (("commitment", "root"), "00" * 32, "share 5"),
    ],
)
def test_what_is_changed_in_a_receipt_is_named(path: Path, value: object, named: str) -> None:
    assert named in wrongs(RECEIPT, path, value)


# -------------------------------------------------------------------------------------------------- the block


def test_another_block_than_the_documents_proves_nothing() -> None:
    assert about(check(STATEMENT, "00" * 32)) == {"block"}


def test_a_header_that_was_never_mined_is_no_block() -> None:
    header = STATEMENT.block.header[:72] + bytes.fromhex("ffff001d") + STATEMENT.block.header[76:]
    block = attrs.evolve(STATEMENT.block, header=header)
    (said,) = check(attrs.evolve(RECEIPT, block=block), block.hash).of(Kind.WRONG)
    assert "never mined" in said.text


@pytest.mark.parametrize("data", [b"", b"XXXX" + bytes(32)])
def test_a_block_without_a_commitment_fixes_nothing(data: bytes) -> None:
    raw, _ = mined(data, NBITS)
    block = from_block(raw)
    (said,) = check(attrs.evolve(RECEIPT, block=block), block.hash).of(Kind.WRONG)
    assert (said.about, "carries none" in said.text) == ("commitment", True)


def test_a_commitment_to_another_log_is_not_this_one() -> None:
    raw, _ = mined(output_data(attrs.evolve(GOOD.commitment, size=24)), NBITS)
    block = from_block(raw)
    assert about(check(attrs.evolve(RECEIPT, block=block), block.hash)) == {"commitment"}


def test_two_commitments_in_one_coinbase_fix_nothing() -> None:
    coinbase = STATEMENT.block.coinbase
    ours = bytes(8) + b"\x26\x6a\x24" + output_data(GOOD.commitment)
    at = coinbase.index(ours)
    twice = coinbase[:at] + ours + coinbase[at:]
    count = coinbase.index(b"\xfe\xff\xff\xff\x03") + 4
    twice = twice[:count] + b"\x04" + twice[count + 1 :]
    verdict = check(attrs.evolve(RECEIPT, block=attrs.evolve(RECEIPT.block, coinbase=twice)), GOOD.hash)
    assert "carries 2" in next(each.text for each in verdict.of(Kind.WRONG) if each.about == "commitment")


# ------------------------------------------------------------------------------------------------ all schemes

SHARES = st.lists(
    st.tuples(
        st.sampled_from(["ada", "bob", "cid"]),
        st.sampled_from([EASY, BLOCK, Target(BLOCK // 3), Target(BLOCK // 1000)]),
        st.sampled_from([NBITS, NBITS, HARDER]),
        st.sampled_from(["pool", "pool", "solo"]),
    ),
    min_size=2,
    max_size=30,
)
WINDOWS = st.fractions(min_value=Fraction(1, 1000), max_value=20, max_denominator=1000)


def terms_of(data: st.DataObject, last_id: int, schemes: Sequence[Scheme]) -> list[Term]:
    after = sorted(data.draw(st.sets(st.integers(1, last_id), max_size=2)))
    policies = [
        policy(data.draw(WINDOWS), data.draw(st.integers(0, 300)), data.draw(st.sampled_from(schemes)))
        for _ in range(len(after) + 1)
    ]
    return [Term(each, begin) for each, begin in zip(policies, [0, *after], strict=True)]


@settings(deadline=None, max_examples=60)
@given(SHARES, st.data())
def test_whatever_was_paid_by_whichever_policies_is_proven(
    rows: list[tuple[str, Target, int, str]], data: st.DataObject
) -> None:
    records = [share(number, *row) for number, row in enumerate(rows, 1)]
    records[-1] = records[-1]._replace(pot="pool", nbits=NBITS)
    terms = terms_of(data, len(records) - 1, list(Scheme))
    fixed = data.draw(st.integers(terms[-1].after_share if data.draw(st.booleans()) else 0, len(records) - 1))
    start = data.draw(st.integers(0, len(records) - 1))
    made = found(
        records,
        terms,
        fixed=fixed,
        residual_in=data.draw(st.integers(0, 5)),
        round_start=start,
        before=data.draw(st.none() | st.integers(0, fixed)),
    )
    for account in ("ada", "bob", "cid", "nobody"):
        statement = made.statement(account, most=data.draw(st.integers(1, 40)))
        verdict = check_text(text_of(statement), made.hash)
        assert verdict.ok, verdict.lines()
        assert statement.credit == made.reward.division.credits.get(account, 0)


def test_a_log_that_was_changed_since_an_earlier_block_is_named() -> None:
    rewritten = [each._replace(account="eve") if each.id == 4 else each for each in log(30)]
    old = found(rewritten, [Term(policy(), 0)], fixed=13, last_id=20)
    growth = STATEMENT.before
    assert growth
    forged = attrs.evolve(growth, block=old.block, commitment=old.commitment)
    verdict = check(attrs.evolve(STATEMENT, before=forged), GOOD.hash)
    assert [each.about for each in verdict.of(Kind.WRONG)] == ["log", "log"]  # its policies are others, too
    assert "not shown to be the log of 13 shares" in verdict.of(Kind.WRONG)[0].text


def test_without_an_earlier_block_it_is_not_proven_that_nothing_was_changed() -> None:
    verdict = check(attrs.evolve(STATEMENT, before=None), GOOD.hash)
    assert verdict.ok
    assert "log" in about(verdict, Kind.OPEN)


def test_numbers_that_have_no_end_are_named_and_not_written_out() -> None:
    endless, huge = "9" * 3600, "0x" + "f" * 30_000
    for path in [("own", 0, "weight"), ("own", 1, "weight"), ("reward", "parts", 0, "window", "score")]:
        for value in (endless, f"1/{endless}", f"{huge}/0x1", f"0x1/{huge}"):
            verdict = check_text(changed(text_of(STATEMENT), path, value, forged=True), GOOD.hash)
            assert not verdict.ok
            assert all(len(line) < 2 * len(endless) for line in verdict.lines())


def test_more_difficulties_than_there_can_be_are_not_summed_up() -> None:
    many = [share(n, "ada", BLOCK, 0x1F00FFFF - n) for n in range(1, 1003)]
    honest = found([share(n, "ada") for n in range(1, 1004)], [Term(policy(2000), 0)], fixed=1002)
    forged = attrs.evolve(honest.statement("ada"), shares=tuple(many))
    assert "weight in part 1" in about(check(forged, honest.hash))


def test_a_solo_block_says_that_the_finder_is_not_proven() -> None:
    records = [share(n, "ada", pot="solo") for n in range(1, 5)]
    made = found(records, [Term(policy(scheme=Scheme.SOLO), 0)], fixed=3)
    verdict = check(made.statement("ada"), made.hash)
    assert verdict.ok
    (said,) = [each.text for each in verdict.of(Kind.OPEN) if each.about == "weight in part 1"]
    assert said.startswith("that this account found the block")
    assert made.statement("bob").credit == 0


def test_a_policy_that_was_adopted_after_the_commitment_is_not_proven() -> None:
    made = found(log(10), [Term(policy(), 0), Term(policy(fee_bps=900), 8)], fixed=7)
    verdict = check(made.statement("ada"), made.hash)
    assert verdict.ok
    assert "policy of part 2" in about(verdict, Kind.OPEN)


def test_a_policy_that_the_block_did_not_fix_is_wrong_when_it_claims_shares_from_before() -> None:
    honest = found(log(10), [Term(policy(), 0)], fixed=8)
    forged = found(log(10), [Term(policy(), 0), Term(policy(fee_bps=900), 5)], fixed=8)
    mixed = attrs.evolve(forged.statement("ada"), block=honest.block, commitment=honest.commitment)
    assert "policy of part 2" in about(check(mixed, honest.hash))


def test_a_policy_that_was_fixed_cannot_be_passed_over() -> None:
    honest = found(log(10), [Term(policy(fee_bps=900), 0), Term(policy(), 5)], fixed=8)
    forged = found(log(10), [Term(policy(fee_bps=900), 0)], fixed=8)
    mixed = attrs.evolve(forged.statement("ada"), block=honest.block, commitment=honest.commitment)
    assert "policies" in about(check(mixed, honest.hash))
