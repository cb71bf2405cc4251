"""Macaroons as LND bakes them are read; what is none, is none."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from payouts.lightning.lnd import NEEDS
from payouts.lightning.macaroon import Macaroon, read


def varint(value: int) -> bytes:
    return bytes([value]) if value < 0x80 else bytes([value & 0x7F | 0x80]) + varint(value >> 7)


def packet(kind: int, data: bytes) -> bytes:
    return bytes([kind]) + varint(len(data)) + data


def field(number: int, data: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(data)) + data


def bake(operations: Sequence[tuple[str, Sequence[str]]], caveats: Sequence[str] = ()) -> bytes:
    """What ``lncli bakemacaroon`` writes: location, identifier, caveats, signature."""
    message = field(1, b"\x11" * 16) + field(2, b"0")
    for entity, actions in operations:
        inner = field(1, entity.encode()) + b"".join(field(2, action.encode()) for action in actions)
        message += field(3, inner)
    whole = b"\x02" + packet(1, b"lnd") + packet(2, b"\x03" + message) + b"\x00"
    for caveat in caveats:
        whole += packet(2, caveat.encode()) + b"\x00"
    return whole + b"\x00" + packet(6, b"\x22" * 32)


NARROW = bake([("uri", NEEDS)])


def test_a_narrow_macaroon_has_no_excess_and_lacks_nothing() -> None:
    found = read(NARROW)
    assert found is not None
    assert (found.excess(NEEDS), found.lacks(NEEDS)) == (frozenset(), frozenset())
    assert not found.has_account


def test_what_a_macaroon_allows_beyond_the_needs_is_named() -> None:
    found = read(bake([("uri", [*NEEDS[1:], "/lnrpc.Lightning/SendCoins"]), ("onchain", ["read", "write"])]))
    assert found is not None
    assert found.excess(NEEDS) == {"uri:/lnrpc.Lightning/SendCoins", "onchain:read", "onchain:write"}
    assert found.lacks(NEEDS) == {NEEDS[0]}


def test_an_account_is_a_caveat() -> None:
    found = read(bake([("uri", NEEDS)], ["time-before 2030", "lnd-custom account 64a1b2c3d4e5f607"]))
    assert found is not None
    assert found.has_account
    assert found.caveats[0] == "time-before 2030"


def test_hex_and_texts_and_cut_macaroons_are_none() -> None:
    assert read(b"") is None
    assert read(NARROW.hex().encode()) is None
    assert read(b"MDAxNGxvY2F0aW9uIGxuZA") is None
    for size in range(1, len(NARROW) - 34):
        assert read(NARROW[:size]) is None


@given(st.binary(max_size=200))
def test_no_bytes_make_it_fail_otherwise(data: bytes) -> None:
    for start in (b"", b"\x02", b"\x02\x02\x7f\x03"):
        found = read(start + data)
        assert found is None or isinstance(found, Macaroon)


@given(
    st.lists(st.tuples(st.text(max_size=9), st.lists(st.text(max_size=200), max_size=4)), max_size=4),
    st.lists(st.text(max_size=300), max_size=3),
)
def test_what_is_baked_is_read(operations: list[tuple[str, list[str]]], caveats: list[str]) -> None:
    found = read(bake(operations, caveats))
    assert found is not None
    assert found.allows == {f"{entity}:{action}" for entity, actions in operations for action in actions}
    assert list(found.caveats) == caveats
