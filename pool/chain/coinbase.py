"""The coinbase transaction: what it says, whom it pays, and where a miner's extranonces go in it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import attrs

from pool.chain.template import Template
from pool.errors import ChainError

EXTRANONCE1_BYTES = 4
EXTRANONCE2_BYTES = 8
EXTRANONCE_BYTES = EXTRANONCE1_BYTES + EXTRANONCE2_BYTES
MAX_SCRIPT_SIG = 100
"""Consensus: a coinbase's scriptSig has 2 to 100 bytes."""
_NOT_FINAL = 0xFFFFFFFE


@attrs.frozen
class Mark:
    """What makes the coinbase of one job unlike that of any other job of any front, whatever the extranonces.

    Attributes:
        front_id: 0 … 255, of the front in this pool.
        boot: a number that each start of a front has for itself (below 2^32).
        job: number of the job since that start (below 2^32).
    """

    front_id: int
    boot: int
    job: int

    def encode(self) -> bytes:
        """9 bytes.

        Raises:
            OverflowError: a number is out of its range.
        """
        return self.front_id.to_bytes(1, "big") + self.boot.to_bytes(4, "big") + self.job.to_bytes(4, "big")


def compact_size(number: int) -> bytes:
    """Bitcoin's variable-length count."""
    if number < 0xFD:
        return number.to_bytes(1, "little")
    if number <= 0xFFFF:
        return b"\xfd" + number.to_bytes(2, "little")
    if number <= 0xFFFFFFFF:
        return b"\xfe" + number.to_bytes(4, "little")
    return b"\xff" + number.to_bytes(8, "little")


def sha256d(data: bytes) -> bytes:
    """SHA-256 twice: Bitcoin's hash of headers, transactions and pairs of them."""
    return hashlib.sha256(hashlib.sha256(data).digest()).digest()


def push_height(height: int) -> bytes:
    """BIP 34: the height as Bitcoin Core's ``CScript() << height``, which consensus compares with.

    Args:
        height: at least 1; 1 … 16 are one opcode, larger ones a minimal little-endian number.
    """
    if height <= 16:
        return bytes([0x50 + height])
    number = height.to_bytes(height.bit_length() // 8 + 1, "little")  # one spare bit: the sign
    return bytes([len(number)]) + number


def build(template: Template, script: bytes, mark: Mark, tag: bytes) -> tuple[bytes, bytes]:
    """Split the coinbase transaction, without witness, around the extranonces.

    The whole value goes to one script.  Lock time is height - 1 and the input is not final, as BIP 54 asks
    for, so that the coinbase stays valid when it is activated.

    Args:
        template: the block to be made.
        script: of the payout output.
        mark: what tells this job from all others.
        tag: printable name of the pool, at most 40 bytes.

    Returns:
        coinb1 (up to extranonce1) and coinb2 (from behind extranonce2).

    Raises:
        ChainError: the scriptSig would be longer than consensus allows.
    """
    mark_bytes = mark.encode()
    before = push_height(template.height) + bytes([len(mark_bytes)]) + mark_bytes + bytes([EXTRANONCE_BYTES])
    after = bytes([len(tag)]) + tag if tag else b""
    size = len(before) + EXTRANONCE_BYTES + len(after)
    if len(tag) > 75 or size > MAX_SCRIPT_SIG:
        raise ChainError(f"the coinbase's scriptSig would have {size} bytes; shorten stratum.tag")
    head = (2).to_bytes(4, "little") + b"\x01" + bytes(32) + b"\xff\xff\xff\xff" + compact_size(size)
    outputs = _output(template.value, script) + _output(0, template.witness_commitment)
    tail = _NOT_FINAL.to_bytes(4, "little") + b"\x02" + outputs + (template.height - 1).to_bytes(4, "little")
    return head + before, after + tail


def _output(value: int, script: bytes) -> bytes:
    return value.to_bytes(8, "little") + compact_size(len(script)) + script


def merkle_branch(txids: Sequence[bytes]) -> tuple[bytes, ...]:
    """The hashes that lead from a coinbase, which is not known yet, up to the root.

    Args:
        txids: 32-byte internal-order hashes of the other transactions, in block order.

    Returns:
        From the leaf upwards.
    """
    row: list[bytes] = list(txids)
    branch = []
    while row:
        branch.append(row[0])
        rest = row[1:]
        if len(rest) % 2:  # consensus doubles the last hash of an odd row
            rest.append(rest[-1])
        row = [sha256d(rest[i] + rest[i + 1]) for i in range(0, len(rest), 2)]
    return tuple(branch)


def root_from_branch(coinbase_txid: bytes, branch: Sequence[bytes]) -> bytes:
    """The merkle root with this coinbase (all hashes 32 bytes, internal order)."""
    root = coinbase_txid
    for sibling in branch:
        root = sha256d(root + sibling)
    return root
