"""The canonical bytes of a share."""

from __future__ import annotations

import json

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pool.errors import ProofError
from pool.proof.merkle import leaf_hash
from pool.proof.record import ShareRecord, as_json, decode, encode, from_json, leaf

TEXTS = st.text(max_size=60)
RECORDS = st.builds(
    ShareRecord,
    id=st.integers(1, (1 << 63) - 1),
    account=TEXTS,
    worker=TEXTS,
    target=st.binary(min_size=32, max_size=32),
    nbits=st.integers(0, (1 << 32) - 1),
    height=st.integers(0, (1 << 32) - 1),
    time_ms=st.integers(0, (1 << 63) - 1),
    front_id=st.integers(0, (1 << 32) - 1),
    job=TEXTS,
    pot=TEXTS,
)
SHARE = ShareRecord(
    41, "ada", "rig.1", bytes(4) + b"\xff" * 28, 0x1703A30C, 850_000, 1_760_000_000_000, 2, "1f", "pool"
)


def test_the_layout_is_the_one_that_is_written_down() -> None:
    expected = (
        "01" + "0000000000000029" + "00000000" + "ff" * 28 + "1703a30c" + "000cf850" + "00000199c82cc000"
        + "00000002" + "0003616461" + "00057269672e31" + "00023166" + "0004706f6f6c"
    )  # fmt: skip
    assert encode(SHARE).hex() == expected
    assert leaf(SHARE) == leaf_hash(bytes.fromhex(expected))


@given(RECORDS)
def test_a_share_is_read_back_as_it_was_written(record: ShareRecord) -> None:
    assert decode(encode(record)) == record
    assert from_json(json.loads(json.dumps(as_json(record)))) == record
    assert encode(ShareRecord._make(tuple(record))) == encode(record)


@given(RECORDS, RECORDS)
def test_no_two_shares_have_the_same_bytes(one: ShareRecord, other: ShareRecord) -> None:
    assume(one != other)
    assert encode(one) != encode(other)


@given(RECORDS, st.data())
def test_bytes_that_were_changed_are_another_share_or_none(record: ShareRecord, data: st.DataObject) -> None:
    encoded = bytearray(encode(record))
    encoded[data.draw(st.integers(0, len(encoded) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    try:
        read = decode(bytes(encoded))
    except ProofError:
        return
    assert read != record


@given(st.binary(max_size=120))
def test_any_bytes_are_a_share_or_refused(data: bytes) -> None:
    try:
        record = decode(data)
    except ProofError:
        return
    assert encode(record) == data


@pytest.mark.parametrize("data", [b"", encode(SHARE)[:-1], encode(SHARE) + b"\0", b"\2" + encode(SHARE)[1:]])
def test_bytes_that_are_too_few_too_many_or_of_another_version_are_refused(data: bytes) -> None:
    with pytest.raises(ProofError):
        decode(data)


@pytest.mark.parametrize(
    "change",
    [
        {"id": 0},
        {"id": 1 << 63},
        {"time_ms": -1},
        {"time_ms": 1 << 63},
        {"nbits": 1 << 32},
        {"height": -1},
        {"front_id": 1 << 32},
        {"target": bytes(31)},
        {"account": "é" * 128},
    ],
)
def test_values_that_no_share_has_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(ProofError):
        encode(SHARE._replace(**change))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("at", "value"),
    [
        (0, "41"),
        (0, True),
        (0, 41.0),
        (0, 10**30),
        (1, 5),
        (1, "\ud800"),
        (3, "00" * 31),
        (3, SHARE.target.hex().upper()),
        (3, "zz" * 32),
        (3, " " + SHARE.target.hex()[1:]),
        (6, None),
        (9, ["pool"]),
    ],
)
def test_json_with_a_wrong_value_is_refused_in_a_sentence(at: int, value: object) -> None:
    row: list[object] = [*as_json(SHARE)]
    row[at] = value
    with pytest.raises(ProofError, match="share"):
        from_json(row)


@pytest.mark.parametrize("value", [None, {}, "ten letters", [], as_json(SHARE)[:-1], [*as_json(SHARE), 1]])
def test_json_that_is_no_list_of_ten_is_refused(value: object) -> None:
    with pytest.raises(ProofError):
        from_json(value)
