"""What a coinbase fixes."""

from __future__ import annotations

import hashlib
import json
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payouts.money import Sat
from pool.chain.node import CoinbaseOutput
from pool.errors import ProofError
from pool.proof.commitment import Adopted, Commitment, find, output_data, policies_of, read
from pool.rewards.policy import Policy, Scheme, Term

ONE, TWO = "11" * 32, "22" * 32
COMMITMENT = Commitment(
    7,
    bytes(31) + b"\x05",
    {"solo": (Adopted(0, ONE),), "pool": (Adopted(0, ONE), Adopted(5, TWO))},
    "33" * 32,
)
HASHES = st.binary(min_size=32, max_size=32)
COMMITMENTS = st.builds(
    Commitment,
    size=st.integers(0, (1 << 63) - 1),
    root=HASHES,
    policies=st.dictionaries(
        st.sampled_from(["pool", "solo", "pps+"]),
        st.lists(st.tuples(st.integers(0, 1 << 40), HASHES), max_size=3).map(
            lambda rest: (Adopted(0, ONE), *(Adopted(after, each.hex()) for after, each in sorted(rest)))
        ),
    ),
    journal=HASHES.map(bytes.hex),
)


def output(script: bytes) -> CoinbaseOutput:
    return CoinbaseOutput(script=script, value=Sat(0))


def test_the_document_and_its_digest_are_the_ones_that_are_written_down() -> None:
    document = (
        f'{{"journal":"{"33" * 32}","policies":{{"pool":[[0,"{ONE}"],[5,"{TWO}"]],"solo":[[0,"{ONE}"]]}},'
        f'"root":"{"00" * 31}05","size":7}}'
    )
    assert COMMITMENT.document == document
    assert COMMITMENT.digest == hashlib.sha256(document.encode()).digest()
    assert output_data(COMMITMENT) == b"SLCE" + COMMITMENT.digest
    assert len(output_data(COMMITMENT)) == 36


@given(COMMITMENTS)
def test_a_commitment_is_read_back_as_it_was_written(commitment: Commitment) -> None:
    assert read(commitment.document) == commitment


@given(COMMITMENTS, COMMITMENTS)
def test_commitments_that_differ_have_other_digests(one: Commitment, other: Commitment) -> None:
    assert (one == other) is (one.digest == other.digest)


def test_the_digest_is_found_among_a_coinbases_outputs() -> None:
    ours = output(b"\x6a\x24" + output_data(COMMITMENT))
    witness = output(b"\x6a\x24\xaa\x21\xa9\xed" + bytes(32))
    others = [output(b"\x00\x14" + bytes(20)), witness, output(b""), output(ours.script + b"\0")]
    assert find([*others, ours]) == (COMMITMENT.digest,)
    assert find(others) == ()
    assert find([ours, *others, ours]) == (COMMITMENT.digest, COMMITMENT.digest)


def test_policies_are_kept_by_pot_in_their_order() -> None:
    first, second = Policy(Fraction(8), 100), Policy(Fraction(8), 200)
    solo = Policy(Fraction(1), 50, Scheme.SOLO)
    changes = [("pool", Term(first, 0)), ("solo", Term(solo, 0)), ("pool", Term(second, 9))]
    assert policies_of(changes) == {
        "pool": (Adopted(0, first.hash), Adopted(9, second.hash)),
        "solo": (Adopted(0, solo.hash),),
    }


@pytest.mark.parametrize(
    "change",
    [
        {"size": -1},
        {"size": 1 << 63},
        {"size": 7.0},
        {"size": True},
        {"size": "7"},
        {"root": "00"},
        {"root": "0" * 63 + "A"},
        {"journal": None},
        {"policies": []},
        {"policies": {"Pool": [[0, ONE]]}},
        {"policies": {"pool": []}},
        {"policies": {"pool": [[0]]}},
        {"policies": {"pool": [[0, "x"]]}},
        {"policies": {"pool": [[1, ONE]]}},
        {"policies": {"pool": [[0, ONE], [9, ONE], [8, TWO]]}},
        {"policies": {"pool": [["0", ONE]]}},
        {"more": 1},
    ],
)
def test_a_document_with_a_wrong_value_is_refused_in_a_sentence(change: dict[str, object]) -> None:
    document = {**json.loads(COMMITMENT.document), **change}
    with pytest.raises(ProofError, match="commitment"):
        read(json.dumps(document, sort_keys=True, separators=(",", ":")))


@pytest.mark.parametrize(
    "text",
    ["", "[]", "null", "{", '{"size":NaN}', "[" * 100_000, "1" * 5000, COMMITMENT.document + " ", "{}"],
)
def test_text_that_is_no_document_is_refused(text: str) -> None:
    with pytest.raises(ProofError):
        read(text)


def test_a_document_in_another_order_is_refused() -> None:
    value = dict(reversed(json.loads(COMMITMENT.document).items()))
    with pytest.raises(ProofError, match="canonical"):
        read(json.dumps(value, separators=(",", ":")))
