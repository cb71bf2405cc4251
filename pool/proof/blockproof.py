"""That a coinbase is a block's: header, coinbase and merkle branch, checked by hashes alone.

A raw block, as ``bitcoin-cli getblock HASH 0`` prints it, is read with every transaction in it; nothing that
it says about lengths is believed beyond its end.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import attrs

from payouts.money import Sat
from pool.chain.block import HEADER_BYTES, block_hash, parse_header
from pool.chain.coinbase import root_from_branch
from pool.chain.merkle import branch_beside_coinbase
from pool.chain.node import CoinbaseOutput
from pool.errors import ChainError, ProofError
from stratum.hashing import sha256d
from stratum.units import target_from_nbits

MAX_BLOCK_BYTES: Final = 4_000_000
"""Consensus: a block weighs 4,000,000 units at most, and a byte weighs one at least (BIP 141)."""
MAX_BRANCH: Final = 17
"""A block of 4,000,000 bytes has room for fewer than 2^17 transactions."""
_NO_INPUT: Final = bytes(32) + b"\xff\xff\xff\xff"
_PAIR_BYTES: Final = 64  # of two hashes: what a node of the tree is made of must not pass for a transaction


@attrs.frozen
class BlockProof:
    """A block's header and its first transaction.

    Attributes:
        header: 80 bytes.
        coinbase: without witness.
        branch: 32-byte hashes, internal order, from the coinbase upwards.
    """

    header: bytes
    coinbase: bytes
    branch: Sequence[bytes]

    @property
    def hash(self) -> str:
        """Of the block, display-order hex."""
        return block_hash(self.header)


@attrs.frozen
class Coinbase:
    """What a coinbase says.  Attributes: the block's height by BIP 34 (None: none), and what it pays."""

    height: int | None
    outputs: Sequence[CoinbaseOutput]

    @property
    def paid(self) -> Sat:
        """All of its outputs together."""
        return Sat(sum(output.value for output in self.outputs))


def from_block(raw: bytes) -> BlockProof:
    """What proves the coinbase of a whole block.

    Args:
        raw: all its bytes.

    Raises:
        ProofError: they are no block, or one whose transactions are not those of its header.
    """
    if not HEADER_BYTES < len(raw) <= MAX_BLOCK_BYTES:
        raise ProofError(f"a block has not {len(raw)} bytes")
    reader = _Reader(raw, HEADER_BYTES)
    count = reader.count()
    if count == 0:
        raise ProofError("the block has no transactions")
    coinbase, _ = reader.transaction()
    txids: list[bytes] = []
    while len(txids) + 1 < count:  # each takes bytes, so that a false count ends with them
        txids.append(sha256d(reader.transaction()[0]))
    if not reader.at_end:
        raise ProofError("bytes follow behind the block's last transaction")
    proof = BlockProof(raw[:HEADER_BYTES], coinbase, branch_beside_coinbase(txids))
    if not holds(proof):
        raise ProofError("the block's transactions are not those that its header is about")
    return proof


def holds(proof: BlockProof) -> bool:
    """Whether the coinbase is the first transaction of the header's block."""
    root = root_from_branch(sha256d(proof.coinbase), proof.branch)
    return len(proof.coinbase) != _PAIR_BYTES and parse_header(proof.header).merkle_root == root


def has_work(proof: BlockProof) -> bool:
    """Whether the header meets the target that it names itself."""
    try:
        target = target_from_nbits(parse_header(proof.header).nbits)
    except ValueError:
        return False
    return int(proof.hash, 16) <= target


def coinbase_of(proof: BlockProof) -> Coinbase:
    """Read the coinbase.

    Raises:
        ProofError: it is none.
    """
    reader = _Reader(proof.coinbase, 0)
    _, coinbase = reader.transaction()
    if coinbase is None or not reader.at_end:
        raise ProofError("the block's first transaction is no coinbase")
    return coinbase


class _Reader:
    """Reads forward through bytes; never past their end."""

    def __init__(self, data: bytes, at: int) -> None:
        self._data = data
        self._at = at

    @property
    def at_end(self) -> bool:
        return self._at == len(self._data)

    def take(self, size: int) -> bytes:
        end = self._at + size
        if end > len(self._data):
            raise ProofError("the block ends in the middle of a transaction")
        taken, self._at = self._data[self._at : end], end
        return taken

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "little")

    def count(self) -> int:
        """A count in Bitcoin's variable length; a longer form than it needs is refused, as nodes do."""
        first = self.number(1)
        if first < 0xFD:
            return first
        size = 1 << (first - 0xFC)
        number = self.number(size)
        if number < (0xFD, 1 << 16, 1 << 32)[first - 0xFD]:
            raise ProofError("the block has a count that no node would write")
        return number

    def transaction(self) -> tuple[bytes, Coinbase | None]:
        """The next one without its witness (BIP 144), and what it says if it is a coinbase."""
        version, body = self.take(4), self._at
        inputs = self.count()
        with_witness = inputs == 0
        if with_witness:
            if self.number(1) != 1:
                raise ProofError("the block has a transaction without inputs")
            body, inputs = self._at, self.count()
        script = self._inputs(inputs)
        outputs = self._outputs()
        stripped = version + self._data[body : self._at]
        if with_witness:
            for _ in range(inputs):
                for _ in range(self.count()):
                    self.take(self.count())
        return stripped + self.take(4), None if script is None else Coinbase(_height(script), outputs)

    def _inputs(self, count: int) -> bytes | None:
        """Read them; the script of a coinbase's only one, or None."""
        spent = script = b""
        for _ in range(count):
            spent = self.take(36)
            script = self.take(self.count())
            self.take(4)
        return script if count == 1 and spent == _NO_INPUT else None

    def _outputs(self) -> tuple[CoinbaseOutput, ...]:
        outputs: list[CoinbaseOutput] = []
        for _ in range(self.count()):
            value = Sat(self.number(8))
            outputs.append(CoinbaseOutput(script=self.take(self.count()), value=value))
        return tuple(outputs)


def _height(script: bytes) -> int | None:
    """BIP 34: the script begins with the height."""
    first = script[0] if script else 0
    if 0x51 <= first <= 0x60:
        return first - 0x50
    return (
        int.from_bytes(script[1 : 1 + first], "little") if 1 <= first <= 5 and len(script) > first else None
    )


def read_block(data: bytes) -> bytes:
    """A block's bytes out of a file: as they are, or in hex as ``bitcoin-cli getblock HASH 0`` prints them.

    Raises:
        ProofError: hex with half a byte in it.
    """
    text = data.strip()
    if not text or text.strip(b"0123456789abcdefABCDEF"):
        return data
    if len(text) & 1:
        raise ProofError("the block's hex has lost a digit")
    return bytes.fromhex(text.decode("ascii"))


def checked(header: bytes, coinbase: bytes, branch: Sequence[bytes]) -> BlockProof:
    """A block proof from parts that somebody else wrote down.

    Raises:
        ProofError: a part has a length that no block's has.
    """
    if len(branch) > MAX_BRANCH or any(len(each) != 32 for each in branch):
        raise ProofError(f"a block's branch has up to {MAX_BRANCH} hashes of 32 bytes")
    if not 0 < len(coinbase) <= MAX_BLOCK_BYTES:
        raise ProofError("the coinbase has no bytes, or too many")
    try:
        parse_header(header)
    except ChainError as error:
        raise ProofError(str(error)) from error
    return BlockProof(header, coinbase, tuple(branch))
