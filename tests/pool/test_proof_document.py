"""Statements and receipts as files, and a reader that no file surprises."""

from __future__ import annotations

import json
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pool.errors import ProofError
from pool.proof import fields
from pool.proof.building import receipt
from pool.proof.check import check_text
from pool.proof.document import intact, read, text_of
from pool.proof.statement import Receipt, Statement
from pool.rewards.policy import Scheme, Term
from tests.pool.proof_samples import found, policy, share

RECORDS = [share(n, ["ada", "bob"][n % 2]) for n in range(1, 9)]
FOUND = found(RECORDS, [Term(policy(3, scheme=Scheme.PPS_PLUS), 0), Term(policy(5), 4)], fixed=7)
STATEMENT = FOUND.statement("ada")
RECEIPT = receipt(RECORDS[2], FOUND.block, FOUND.commitment, FOUND.node)
GOOD = st.sampled_from([STATEMENT, RECEIPT])


@pytest.mark.parametrize("good", [STATEMENT, RECEIPT, FOUND.statement("nobody")])
def test_a_document_is_read_as_it_was_written(good: Statement | Receipt) -> None:
    text = text_of(good)
    assert read(text) == good
    assert intact(text)
    assert intact(json.dumps(json.loads(text), indent=2, sort_keys=True))
    assert not intact(text.replace('"checksum":"', '"checksum":"0', 1))


STRANGE = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(1 << 70), 1 << 70),
    st.floats(),
    st.sampled_from(
        [
            "",
            "0",
            "1/0",
            "-1",
            "1e99999999",
            "00",
            "\ud800",
            "\x1b[2J",
            "9" * 30,
            "9" * 4000,
            "1/" + "9" * 3990,
            "a" * 5000,
            "٣",
            "0x1",
        ]
    ),
    st.text(max_size=8),
    st.lists(st.integers(0, 9), max_size=4),
    st.dictionaries(st.text(max_size=4), st.none(), max_size=2),
)


def replaced(value: Any, data: st.DataObject) -> Any:
    """The document with something strange at a place of any depth, or one name too many or too few."""
    if isinstance(value, dict | list) and value and data.draw(st.integers(0, 5)):
        keys: list[Any] = list(value) if isinstance(value, dict) else list(range(len(value)))
        at = data.draw(st.sampled_from(keys))
        copy: Any = dict(value) if isinstance(value, dict) else list(value)
        copy[at] = replaced(value[at], data)
        return copy
    if isinstance(value, dict) and data.draw(st.booleans()):
        return {**value, "more": 1} if data.draw(st.booleans()) else dict(list(value.items())[1:])
    return data.draw(STRANGE)


@settings(max_examples=300, deadline=None)
@given(GOOD, st.data())
def test_whatever_stands_in_a_document_is_refused_in_one_line_or_found_wrong(
    good: Statement | Receipt, data: st.DataObject
) -> None:
    value = json.loads(text_of(good))
    strange = replaced(value, data)
    lines = said_of(json.dumps(strange))
    assert lines or strange == value
    assert all(line.isprintable() for line in lines)


def said_of(text: str) -> list[str]:
    """What is said against a document: nothing when all of it is right."""
    try:
        verdict = check_text(text, FOUND.hash)
    except ProofError as error:
        return [str(error)]
    return [] if verdict.ok else verdict.lines()


@settings(max_examples=60)
@given(st.one_of(st.text(max_size=30), st.recursive(st.none(), st.lists).map(json.dumps)))
def test_other_text_is_no_document(text: str) -> None:
    with pytest.raises(ProofError):
        read(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"a": 1.5}', "not whole: 1.5"),
        ('{"a": NaN}', "not whole: NaN"),
        ('{"a": -Infinity}', "not whole: -Infinity"),
        ('{"a": 123456789012345678901}', "too long a number"),
        ('{"a": ' + "9" * 10_000 + "}", "too long a number"),
        ('{"a": 1, "a": 2}', "says something twice"),
        ('{"a": ' + "[" * 100_000, "not JSON"),
        ("[]", "no JSON object"),
        ("", "not JSON"),
        ('{"format": "sluice-statement-2"}', "neither a sluice-statement-1 nor a sluice-receipt-1"),
        ('{"format": ["sluice-statement-1"]}', "neither"),
        ('{"format": "sluice-receipt-1"}', "the receipt lacks share"),
    ],
)
def test_what_json_allows_and_we_do_not_is_named(text: str, said: str) -> None:
    with pytest.raises(ProofError, match=said):
        read(text)


def test_a_document_that_is_too_long_is_not_even_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fields, "MAX_TEXT", 10)
    with pytest.raises(ProofError, match="too long"):
        read(" " * 11)


WHERE = "it"


NEVER: tuple[object, ...] = (None, -1, 1 << 63, 1.0, [], {}, "1/2 ", " ab", "é")


@pytest.mark.parametrize(
    ("reader", "good", "value", "bad"),
    [
        (fields.number, 5, 5, ["5", True]),
        (fields.truth, False, False, [0, "false"]),
        (
            fields.amount,
            "2100000000000000000",
            2_100_000_000_000_000_000,
            [5, "", "05", "-1", "9223372036854775808"],
        ),
        (fields.amount, "0", 0, ["1" * 20, "+1", "1.0", "1_0", "٣"]),
        (fields.fraction, "7/2", Fraction(7, 2), [7, "", "2/4", "1/0", "-1/2", "1e9", "0.5", "1" * 4301]),
        (fields.token, "bc1qexample", "bc1qexample", ["", "x" * 128, "a b", "\x1b"]),
        (fields.hexed, "00ff", b"\x00\xff", ["0", "AB", "0x", "zz"]),
        (fields.digest, "ab" * 32, b"\xab" * 32, ["", "ab" * 31, "ab" * 33]),
    ],
)
def test_a_field_is_read_or_refused(
    reader: Callable[[Any, str], object], good: object, value: object, bad: list[object]
) -> None:
    assert reader(good, WHERE) == value
    for other in (*NEVER, *bad):
        with pytest.raises(ProofError, match=r"^it is "):
            reader(other, WHERE)


def test_a_list_has_an_end() -> None:
    assert fields.items(["a", "b"], 2, WHERE, str) == ("a", "b")
    with pytest.raises(ProofError, match="more than 1"):
        fields.items(["a", "b"], 1, WHERE, str)
