"""A block's bytes: putting one together from a solved header, and reading header and coinbase of one."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from payouts.money import Sat
from pool.chain.coinbase import compact_size, sha256d
from pool.chain.node import CoinbaseOutput
from pool.errors import ChainError

HEADER_BYTES = 80
_RESERVED_WITNESS = b"\x01\x20" + bytes(32)  # BIP 141: one item of 32 zero bytes, which the commitment covers


@attrs.frozen
class Header:
    """The 80 bytes, apart.  Hashes are 32 bytes in internal order."""

    version: int
    prev_hash: bytes
    merkle_root: bytes
    time_s: int
    nbits: int
    nonce: int


def parse_header(header: bytes) -> Header:
    """Take a header apart.

    Raises:
        ChainError: it has not 80 bytes.
    """
    if len(header) != HEADER_BYTES:
        raise ChainError(f"a header has 80 bytes, not {len(header)}")
    version, time_s, nbits, nonce = (int.from_bytes(header[at : at + 4], "little") for at in (0, 68, 72, 76))
    return Header(version, header[4:36], header[36:68], time_s, nbits, nonce)


def block_hash(header: bytes) -> str:
    """Hash of a header (the first 80 bytes of a block) in display order, hex."""
    return sha256d(header[:HEADER_BYTES])[::-1].hex()


def assemble(header: bytes, coinbase: bytes, transactions: Sequence[bytes]) -> bytes:
    """The whole block, as the network sends it.

    Args:
        header: 80 bytes.
        coinbase: without witness, extranonces filled in; it gets the reserved value that the witness
            commitment of the template was computed with.
        transactions: the template's, raw with witness, in its order.

    Raises:
        ChainError: the header has not 80 bytes.
    """
    if len(header) != HEADER_BYTES:
        raise ChainError(f"a header has 80 bytes, not {len(header)}")
    with_witness = coinbase[:4] + b"\x00\x01" + coinbase[4:-4] + _RESERVED_WITNESS + coinbase[-4:]
    return header + compact_size(1 + len(transactions)) + with_witness + b"".join(transactions)


class _Reader:
    """Reads forward through bytes; never past their end."""

    def __init__(self, data: bytes, at: int) -> None:
        self._data = data
        self._at = at

    def take(self, size: int) -> bytes:
        end = self._at + size
        if end > len(self._data):
            raise ChainError("the block ends in the middle of its coinbase")
        taken, self._at = self._data[self._at : end], end
        return taken

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "little")

    def count(self) -> int:
        first = self.number(1)
        return first if first < 0xFD else self.number(1 << (first - 0xFC))


def coinbase_outputs(block: bytes) -> tuple[CoinbaseOutput, ...]:
    """What the first transaction of a raw block pays, in order.

    Raises:
        ChainError: the bytes end too early, or the first transaction is no coinbase.
    """
    reader = _Reader(block, HEADER_BYTES)
    reader.count()
    reader.take(4)
    inputs = reader.count()
    if inputs == 0:  # the segwit marker stands where a count would; the flag follows (BIP 144)
        reader.take(1)
        inputs = reader.count()
    if inputs != 1 or reader.take(36) != bytes(32) + b"\xff\xff\xff\xff":
        raise ChainError("the block's first transaction is no coinbase")
    reader.take(reader.count())
    reader.take(4)
    outputs = []
    for _ in range(reader.count()):
        value = Sat(reader.number(8))
        outputs.append(CoinbaseOutput(script=reader.take(reader.count()), value=value))
    return tuple(outputs)
