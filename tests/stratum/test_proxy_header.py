"""PROXY headers of both versions, whole, cut, wrong and made up."""

from __future__ import annotations

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stratum.proxy_header import MOST_V1_BYTES, Header, Source, Wrong, read

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
ADDRESSES = {
    1: socket.inet_aton("203.0.113.7") + socket.inet_aton("192.0.2.1") + b"\x03\xe8\x0d\x05",
    2: socket.inet_pton(socket.AF_INET6, "2001:db8::7") * 2 + b"\x03\xe8\x0d\x05",
    3: b"/run/miner".ljust(108, b"\0") + b"/run/pool".ljust(108, b"\0"),
}
V4, V6 = Source("203.0.113.7", 1000), Source("2001:db8::7", 1000)


def v2(first: int, second: int, body: bytes = b"") -> bytes:
    return SIGNATURE + bytes([first, second]) + len(body).to_bytes(2, "big") + body


TLVS = b"\x03\x00\x04abcd" + b"\x05\x01\x00" + b"i" * 256
RIGHT: dict[bytes, Source | None] = {
    b"PROXY TCP4 203.0.113.7 192.0.2.1 1000 3333\r\n": V4,
    b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n": Source("255.255.255.255", 65535),
    b"PROXY TCP6 2001:db8::7 2001:db8::1 1000 3333\r\n": V6,
    b"PROXY UNKNOWN\r\n": None,
    b"PROXY UNKNOWN ffff:f::f what ever \xff\xfe\x00\r\n": None,
    v2(0x21, 0x11, ADDRESSES[1]): V4,
    v2(0x21, 0x21, ADDRESSES[2]): V6,
    v2(0x21, 0x11, ADDRESSES[1] + TLVS): V4,
    v2(0x21, 0x21, ADDRESSES[2] + b"x" * (0xFFFF - 36)): V6,
    v2(0x21, 0x31, ADDRESSES[3]): None,
    v2(0x21, 0x00): None,
    v2(0x21, 0x00, TLVS): None,
    v2(0x21, 0x12, ADDRESSES[1]): None,  # datagrams: no miner speaks so
    v2(0x20, 0x00): None,
    v2(0x20, 0x11, ADDRESSES[1]): None,
    v2(0x20, 0x21, b"too short, but nobody looks"): None,
}
WRONG = [
    b"GET / HTTP/1.1\r\n",
    b'{"id":1,"method":"mining.subscribe"}\n',
    b"\r\n\r\n\x00\r\nQUIX",
    b"PROXY \r\n",
    b"PROXY TCP4 203.0.113.7 192.0.2.1 1000\r\n",
    b"PROXY TCP4 203.0.113.7 192.0.2.1 1000 3333 1\r\n",
    b"PROXY TCP4 203.0.113.7 192.0.2.1 abc 3333\r\n",
    b"PROXY TCP4 203.0.113.7 192.0.2.1 1000 99999\r\n",
    b"PROXY TCP4 203.0.113.7 192.0.2.1 -1 3333\r\n",
    b"PROXY TCP4 203.0.113.7 192.0.2.1 \xb2\xb3 3333\r\n",
    b"PROXY TCP4 2001:db8::7 2001:db8::1 1000 3333\r\n",
    b"PROXY TCP6 203.0.113.7 192.0.2.1 1000 3333\r\n",
    b"PROXY TCP4 203.0.113.\xff 192.0.2.1 1000 3333\r\n",
    b"PROXY UDP4 203.0.113.7 192.0.2.1 1000 3333\r\n",
    b"PROXY UNKNOWN " + b"x" * MOST_V1_BYTES + b"\r\n",
    b"PROXY " + b"x" * 200,
    v2(0x11, 0x11, ADDRESSES[1]),
    v2(0x22, 0x11, ADDRESSES[1]),
    v2(0x21, 0x41, ADDRESSES[3]),
    v2(0x21, 0x13, ADDRESSES[1]),
    v2(0x21, 0x11, ADDRESSES[1][:-1]),
    v2(0x21, 0x21, ADDRESSES[1]),
    v2(0x21, 0x31, ADDRESSES[2]),
]


@pytest.mark.parametrize("data", list(RIGHT), ids=range(len(RIGHT)))
def test_a_header_tells_its_size_and_whom_it_is_about(data: bytes) -> None:
    assert read(data) == read(data + b'{"id":1}\n') == Header(len(data), RIGHT[data])


@pytest.mark.parametrize("data", WRONG, ids=range(len(WRONG)))
def test_what_is_wrong_is_a_reason_that_repeats_nothing(data: bytes) -> None:
    found = read(data)
    assert isinstance(found, Wrong)
    assert found.reason.isascii()
    assert "203" not in found.reason


def test_the_longest_line_of_version_1_is_read() -> None:
    line = b"PROXY UNKNOWN ".ljust(MOST_V1_BYTES - 2, b"x") + b"\r\n"
    assert read(line) == Header(MOST_V1_BYTES, None)


def outcome(chunks: list[bytes]) -> Header | Wrong | None:
    """What a connection makes of these reads: it looks after each, and stops when it knows."""
    read_so_far = bytearray()
    for chunk in chunks:
        read_so_far += chunk
        found = read(read_so_far)
        if found is not None:
            return found
    return None


@given(
    st.sampled_from([data for data in [*RIGHT, *WRONG] if len(data) < 1000]),
    st.binary(max_size=20),
    st.integers(1, 300),
)
def test_how_a_header_is_cut_changes_nothing(data: bytes, after: bytes, size: int) -> None:
    whole = data + after
    cut = outcome([whole[at : at + size] for at in range(0, len(whole), size)])
    assert cut == outcome([whole[at : at + 1] for at in range(len(whole))])
    expected = read(whole)
    assert (cut == expected) or (type(cut) is type(expected) is Wrong)


starts = st.sampled_from([b"", b"PROXY ", b"PROXY TCP4 ", b"PROXY UNKNOWN", SIGNATURE, SIGNATURE + b"\x21"])


@given(starts, st.binary(max_size=300))
def test_whatever_comes_is_a_header_no_header_or_not_whole_yet(start: bytes, data: bytes) -> None:
    found = read(start + data)
    assert found is None or isinstance(found, Header | Wrong)
    if isinstance(found, Header):
        assert 0 < found.size <= len(start + data)
