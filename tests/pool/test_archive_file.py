"""A file of archived shares gives back what went in, or says that it does not."""

from __future__ import annotations

import lzma
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pool.archive_file import MAGIC, Unreadable, pack, pots_of, unpack
from pool.errors import ProofError
from pool.proof.record import ShareRecord, encode


def record(number: int, worker: str = "rig", pot: str = "pool") -> ShareRecord:
    return ShareRecord(number, "ann", worker, b"\1" * 32, 0x207FFFFF, 9, 1000 + number, 0, "1a", pot)


TEXT = st.text(st.characters(codec="utf-8"), max_size=60)


@given(st.lists(st.tuples(TEXT, st.sampled_from(["pool", "solo"])), max_size=8), st.integers(1, 2**62))
def test_what_went_in_comes_out(shares: list[tuple[str, str]], first_id: int) -> None:
    records = [record(first_id + n, worker, pot) for n, (worker, pot) in enumerate(shares)]
    packed = pack(first_id, first_id + 9, records)
    assert unpack(packed.data, first_id, first_id + 9) == (records, packed.content_sha256)
    assert sum(pots_of(records).values()) == len(records)


def test_a_file_can_be_read_by_hand() -> None:
    content = lzma.decompress(pack(1, 8, [record(3)]).data)
    magic, header, body = content.split(b"\n", 2)
    assert (magic, header) == (b"sluice-shares 1", b'{"first_id": 1, "last_id": 8, "shares": 1}')
    assert body == struct.pack(">H", len(encode(record(3)))) + encode(record(3))


PACKED = pack(1, 8, [record(n) for n in range(1, 9)]).data


@given(st.data())
def test_a_file_with_a_flipped_bit_or_a_lost_end_is_never_read(data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(PACKED) - 1))
    flipped = PACKED[:at] + bytes([PACKED[at] ^ 1 << data.draw(st.integers(0, 7))]) + PACKED[at + 1 :]
    for damaged in (flipped, PACKED[:at]):
        with pytest.raises(Unreadable):
            unpack(damaged, 1, 8)


BODY = b"".join(struct.pack(">H", len(encode(record(n)))) + encode(record(n)) for n in (1, 2))


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "does not begin as an archive"),
        (b"sluice-shares 2\n{}\n", "does not begin as an archive"),
        (MAGIC + b"x" * 9_000, "does not begin as an archive"),
        (MAGIC + b"[]\n", "header is damaged"),
        (MAGIC + b'{"first_id": 1, "last_id": 9, "shares": 2}\n' + BODY, "says that it holds shares 1 to 9"),
        (MAGIC + b'{"first_id": 1, "last_id": 8, "shares": 3}\n' + BODY, "not those that its header"),
        (MAGIC + b'{"first_id": 1, "last_id": 8, "shares": 2}\n' + BODY[:-1], "what is no share"),
        (MAGIC + b'{"first_id": 1, "last_id": 8, "shares": 2}\n' + BODY + b"\0", "what is no share"),
        (MAGIC + b'{"first_id": 1, "last_id": 8, "shares": 4}\n' + BODY * 2, "not those that its header"),
    ],
)
def test_what_is_no_archive_of_this_range_is_refused_in_a_sentence(content: bytes, why: str) -> None:
    with pytest.raises(Unreadable, match=why):
        unpack(lzma.compress(content), 1, 8)
    with pytest.raises(Unreadable, match="cannot be unpacked"):
        unpack(content, 1, 8)


def test_a_share_outside_the_range_or_one_that_is_none_is_not_packed_or_not_read() -> None:
    with pytest.raises(Unreadable, match="not those"):
        unpack(pack(1, 8, [record(9)]).data, 1, 8)
    with pytest.raises(ProofError, match="share 2 has"):
        pack(1, 8, [record(2, "w" * 300)])
