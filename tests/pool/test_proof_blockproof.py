"""Blocks read whole, and the proof that a coinbase is a block's."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from payouts.money import Sat
from pool.chain.block import assemble
from pool.chain.coinbase import Mark, build_paying, compact_size, sha256d
from pool.chain.node import CoinbaseOutput
from pool.chain.template import parse
from pool.errors import ProofError
from pool.proof.blockproof import (
    MAX_BLOCK_BYTES,
    BlockProof,
    checked,
    coinbase_of,
    from_block,
    has_work,
    holds,
    read_block,
)
from tests.pool.chain_samples import GENESIS, GENESIS_HASH, answer


def transaction(
    inputs: int, outputs: int, witness: list[list[bytes]] | None, salt: int = 0
) -> tuple[bytes, bytes]:
    """A transaction's bytes, and those that its txid is of."""
    ins = compact_size(inputs) + b"".join(
        bytes([n + 1, salt]) * 16 + bytes(4) + compact_size(300) + bytes(300) + b"\xff" * 4
        for n in range(inputs)
    )
    outs = compact_size(outputs) + (bytes(8) + b"\x01\x51") * outputs
    stripped = b"\x02\0\0\0" + ins + outs + b"\x09\0\0\0"
    if witness is None:
        return stripped, stripped
    stack = b"".join(
        compact_size(len(items)) + b"".join(compact_size(len(each)) + each for each in items)
        for items in witness
    )
    return stripped[:4] + b"\0\x01" + stripped[4:-4] + stack + stripped[-4:], stripped


def root(txids: list[bytes]) -> bytes:
    while len(txids) > 1:
        if len(txids) % 2:
            txids = [*txids, txids[-1]]
        txids = [sha256d(txids[at] + txids[at + 1]) for at in range(0, len(txids), 2)]
    return txids[0]


def block(count: int) -> tuple[bytes, bytes]:
    """A block with so many transactions beside its coinbase, and the coinbase."""
    made = parse(answer())
    outputs = [CoinbaseOutput(b"\x51", Sat(5)), CoinbaseOutput(b"\x52", Sat(made.value - 5))]
    coinb1, coinb2 = build_paying(made, outputs, Mark(1, 2, 3), b"/Sluice/", data=b"SLCE" + bytes(32))
    coinbase = coinb1 + bytes(12) + coinb2
    shapes: list[list[list[bytes]] | None] = [[[b"", b"x" * 300]], None, [[]]]
    others = [transaction(1, 1 + n % 3, shapes[n % 3], n % 256) for n in range(count)]
    merkle = root([sha256d(coinbase), *(sha256d(stripped) for _, stripped in others)])
    header = bytes(36) + merkle + bytes(4) + bytes.fromhex("ffff7f20") + bytes(4)
    return assemble(header, coinbase, [whole for whole, _ in others]), coinbase


@pytest.mark.parametrize("count", [0, 1, 2, 3, 6, 7, 8, 260])
def test_the_coinbase_of_a_whole_block_is_proven_whatever_the_number_of_transactions(count: int) -> None:
    raw, coinbase = block(count)
    proof = from_block(raw)
    assert proof == checked(raw[:80], coinbase, list(proof.branch))
    assert holds(proof)
    assert len(proof.branch) == count.bit_length()
    found = coinbase_of(proof)
    assert (found.height, found.paid, len(found.outputs)) == (840_000, 312_500_150, 4)


def test_the_first_block_there_was_is_read() -> None:
    proof = from_block(GENESIS)
    assert (proof.hash, proof.branch, has_work(proof)) == (GENESIS_HASH, (), True)
    assert coinbase_of(proof).paid == 5_000_000_000
    assert not has_work(attrs.evolve(proof, header=GENESIS[:76] + bytes(4)))
    assert not has_work(attrs.evolve(proof, header=GENESIS[:72] + bytes(8)))


def test_any_bit_of_a_proof_matters() -> None:
    proof = from_block(block(5)[0])
    for at in range(36, 68):
        header = proof.header[:at] + bytes([proof.header[at] ^ 1]) + proof.header[at + 1 :]
        assert not holds(attrs.evolve(proof, header=header))
    coinbase = bytes([proof.coinbase[0] ^ 1]) + proof.coinbase[1:]
    assert not holds(attrs.evolve(proof, coinbase=coinbase))
    assert not holds(attrs.evolve(proof, branch=[bytes(32), *proof.branch[1:]]))
    assert not holds(attrs.evolve(proof, branch=proof.branch[1:]))


def test_a_pair_of_hashes_does_not_pass_for_a_transaction() -> None:
    pair = bytes(range(64))
    proof = BlockProof(bytes(36) + sha256d(pair) + bytes(12), pair, ())
    assert not holds(proof)


@given(st.data())
def test_a_block_that_was_cut_or_changed_anywhere_is_refused_in_a_sentence(data: st.DataObject) -> None:
    raw, _ = block(4)
    at = data.draw(st.integers(80, len(raw) - 1))
    with pytest.raises(ProofError, match=r"block|transaction"):
        from_block(raw[:at])
    changed = bytearray(raw)
    changed[at] ^= data.draw(st.integers(1, 255))
    try:
        proof = from_block(bytes(changed))
    except ProofError:
        return
    assert proof == from_block(raw)  # a witness is not what the header is about


@given(st.binary(max_size=300))
def test_any_bytes_are_a_block_or_refused(data: bytes) -> None:
    with pytest.raises(ProofError):
        from_block(GENESIS[:80] + data)
    with pytest.raises(ProofError):
        coinbase_of(BlockProof(bytes(80), data, ()))


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        GENESIS[:80],
        GENESIS + b"\0",
        bytes(MAX_BLOCK_BYTES + 1),
        GENESIS[:80] + b"\0",
        GENESIS[:80] + b"\xfd\x01\0" + GENESIS[81:],
        GENESIS[:80] + b"\xff" * 9 + GENESIS[81:],
        GENESIS[:80] + b"\x01" + b"\x01\0\0\0" + b"\0\x02",
    ],
)
def test_false_counts_and_lengths_are_refused(raw: bytes) -> None:
    with pytest.raises(ProofError):
        from_block(raw)


@pytest.mark.parametrize(
    ("header", "coinbase", "branch"),
    [
        (bytes(79), b"x", []),
        (bytes(80), b"", []),
        (bytes(80), b"x", [bytes(31)]),
        (bytes(80), b"x", [bytes(32)] * 18),
    ],
)
def test_parts_that_no_block_has_are_refused(header: bytes, coinbase: bytes, branch: list[bytes]) -> None:
    with pytest.raises(ProofError):
        checked(header, coinbase, branch)


@pytest.mark.parametrize(
    ("script", "height"),
    [
        (b"\x51", 1),
        (b"\x60", 16),
        (b"\x01\x11", 17),
        (b"\x03\x40\xd1\x0c\x09", 840_000),
        (b"\x03\x40", None),
        (b"\x00\x00", None),
    ],
)
def test_the_height_is_read_as_bip_34_writes_it(script: bytes, height: int | None) -> None:
    body = b"\x01" + bytes(32) + b"\xff" * 4 + bytes([len(script)]) + script + b"\xff" * 4 + b"\0" + bytes(4)
    assert coinbase_of(BlockProof(bytes(80), b"\x02\0\0\0" + body, ())).height == height


def test_a_transaction_that_spends_something_is_no_coinbase() -> None:
    _, stripped = transaction(1, 1, None)
    with pytest.raises(ProofError, match="no coinbase"):
        coinbase_of(BlockProof(bytes(80), stripped, ()))


def test_a_block_is_read_from_bytes_and_from_hex() -> None:
    assert read_block(GENESIS) == GENESIS
    assert read_block(GENESIS.hex().encode() + b"\n") == GENESIS
    assert read_block(GENESIS.hex().upper().encode()) == GENESIS
    with pytest.raises(ProofError, match="lost a digit"):
        read_block(GENESIS.hex().encode()[1:])
    assert read_block(b"") == b""
