"""What payees' services say: read strictly, so that nothing but a preimage that fits passes for a proof."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payouts.testimony import MOST_URL, TRIES, Said, accepted, in_words, pause_ms, read_testimony
from tests.payouts.invoices import invoice, payment_hash, preimage

INVOICE = invoice(1)
GOOD: dict[str, Any] = {"status": "OK", "settled": True, "preimage": preimage(1), "pr": INVOICE}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.decimals() | st.text() | st.just(INVOICE),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*GOOD, "x"]), inner),
    max_leaves=8,
)


def read(document: object) -> Said:
    return read_testimony(document, INVOICE, payment_hash(1))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, Said.PROVED),
        ({"pr": INVOICE.upper(), "preimage": preimage(1).upper()}, Said.PROVED),
        ({"settled": False}, Said.PROVED),
        ({"preimage": None}, Said.SETTLED),
        ({"settled": False, "preimage": None}, Said.NOT_SETTLED),
        ({"status": "ERROR", "reason": "Not found"}, Said.NO_ANSWER),
        ({"status": "error"}, Said.NO_ANSWER),
        ({"status": None}, Said.NO_SENSE),
        ({"status": ["OK"]}, Said.NO_SENSE),
        ({"settled": 1}, Said.NO_SENSE),
        ({"settled": "true", "preimage": None}, Said.NO_SENSE),
        ({"pr": invoice(2)}, Said.NO_SENSE),
        ({"pr": None, "preimage": None}, Said.NO_SENSE),
        ({"pr": INVOICE * 1_000}, Said.NO_SENSE),
        ({"preimage": preimage(2)}, Said.NO_SENSE),
        ({"preimage": ""}, Said.NO_SENSE),
        ({"preimage": f" {preimage(1)}"}, Said.NO_SENSE),
        ({"preimage": f"{preimage(1)}\n"}, Said.NO_SENSE),
        ({"preimage": "f" * 60_000}, Said.NO_SENSE),
        ({"preimage": 1}, Said.NO_SENSE),
    ],
)
def test_an_answer_comes_to_one_of_five_things(change: dict[str, Any], said: Said) -> None:
    assert read({**GOOD, **change}) is said


@given(JSON | st.fixed_dictionaries({key: JSON | st.just(value) for key, value in GOOD.items()}))
def test_whatever_is_answered_only_the_preimage_proves_anything(document: object) -> None:
    said = read(document)
    shown = document.get("preimage") if isinstance(document, dict) else None
    assert (said is Said.PROVED) <= (shown == preimage(1))
    if said in {Said.SETTLED, Said.NOT_SETTLED}:
        assert isinstance(document, dict)
        assert document["settled"] is (said is Said.SETTLED)
        assert document["pr"] == INVOICE


@given(st.binary(min_size=32, max_size=32))
def test_the_preimage_of_any_payment_proves_that_one_alone(secret: bytes) -> None:
    answer = {**GOOD, "preimage": secret.hex()}
    assert read_testimony(answer, INVOICE, sha256(secret).hexdigest()) is Said.PROVED
    assert read(answer) is (Said.PROVED if secret.hex() == preimage(1) else Said.NO_SENSE)


@pytest.mark.parametrize(
    "url",
    [
        "http://ln.example.com/v",
        "https://127.0.0.1/v",
        "https://ln.example.com:8443/v",
        "https://me:secret@ln.example.com/v",
        "https://ln.example.com/" + "x" * MOST_URL,
        "",
        None,
        7,
        ["https://ln.example.com/v"],
    ],
)
def test_such_a_url_is_not_kept(url: object) -> None:
    assert accepted(url) is None


def test_a_url_is_kept_as_it_will_be_asked_for() -> None:
    assert accepted("https://LN.example.com/v?id=a%20b#x") == "https://ln.example.com/v?id=a%20b"


def test_pauses_grow_from_ten_minutes_and_all_tries_are_within_two_days() -> None:
    pauses = [pause_ms(asked) for asked in range(1, TRIES + 1)]
    assert pauses[:3] == [600_000, 1_200_000, 2_400_000]
    assert sum(pauses[:-1]) < 2 * 86_400_000


def test_only_one_word_says_that_there_is_a_proof() -> None:
    words = {said: in_words(said) for said in Said}
    assert len({*words.values()}) == len(Said)
    assert [said for said, text in words.items() if "fits" in text] == [Said.PROVED]
    assert "proves nothing" in words[Said.NOT_SETTLED]
