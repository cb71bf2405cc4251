"""Block bytes: mainnet's first block as a vector, and blocks put together and read again."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pool.chain.block import Header, assemble, block_hash, coinbase_outputs, parse_header
from pool.chain.coinbase import Mark, build, compact_size, sha256d
from pool.chain.template import parse
from pool.errors import ChainError
from tests.pool.chain_samples import GENESIS, GENESIS_HASH, answer


def test_the_first_block_has_its_well_known_hash() -> None:
    assert block_hash(GENESIS) == GENESIS_HASH


def test_the_first_header_comes_apart() -> None:
    assert parse_header(GENESIS[:80]) == Header(
        version=1,
        prev_hash=bytes(32),
        merkle_root=sha256d(GENESIS[81:]),
        time_s=1231006505,
        nbits=0x1D00FFFF,
        nonce=2083236893,
    )


def test_the_first_coinbase_pays_fifty_bitcoin() -> None:
    (paid,) = coinbase_outputs(GENESIS)

    assert paid.value == 5_000_000_000
    assert paid.script.hex().startswith("4104678afdb0fe55")


@pytest.mark.parametrize("size", [0, 79, 81])
def test_a_header_of_another_size_is_refused(size: int) -> None:
    with pytest.raises(ChainError, match="80 bytes"):
        parse_header(bytes(size))
    with pytest.raises(ChainError, match="80 bytes"):
        assemble(bytes(size), bytes(100), ())


@pytest.mark.parametrize("count", [0, 1, 252, 300])
def test_a_block_is_header_count_coinbase_with_witness_and_transactions(count: int) -> None:
    coinb1, coinb2 = build(parse(answer()), b"\x51", Mark(0, 0, 0), b"")
    coinbase = coinb1 + bytes(12) + coinb2

    raw = assemble(bytes(80), coinbase, [b"\xaa\xbb"] * count)

    start = 80 + len(compact_size(count + 1))
    assert raw[80:start] == compact_size(count + 1)
    assert raw[start : start + 6] == coinbase[:4] + b"\x00\x01"
    end = start + len(coinbase) + 2 + 34
    assert raw[start + 6 : end] == coinbase[4:-4] + b"\x01\x20" + bytes(32) + coinbase[-4:]
    assert raw[end:] == b"\xaa\xbb" * count
    assert coinbase_outputs(raw)[0].script == b"\x51"


def test_a_first_transaction_with_a_real_input_is_no_coinbase() -> None:
    changed = GENESIS[:86] + b"\x01" + GENESIS[87:]

    with pytest.raises(ChainError, match="no coinbase"):
        coinbase_outputs(changed)


@given(st.integers(0, len(GENESIS) - 5))
def test_a_block_cut_anywhere_in_its_coinbase_is_refused(end: int) -> None:
    with pytest.raises(ChainError, match="block"):
        coinbase_outputs(GENESIS[:end])


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    with suppress(ChainError):
        assert isinstance(coinbase_outputs(raw), tuple)
