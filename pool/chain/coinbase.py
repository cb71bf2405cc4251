"""The coinbase transaction: what it says, whom it pays, and where a miner's extranonces go in it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import attrs

from payouts.money import Sat
from pool.chain.node import CoinbaseOutput
from pool.chain.template import Template
from pool.errors import ChainError
from stratum import firmware

EXTRANONCE1_BYTES = 4
EXTRANONCE2_BYTES = 8
EXTRANONCE_BYTES = EXTRANONCE1_BYTES + EXTRANONCE2_BYTES
MAX_SCRIPT_SIG = 100
"""Consensus: a coinbase's scriptSig has 2 to 100 bytes."""
MAX_DATA = 80
"""Bytes behind OP_RETURN that every node relays, and that one push holds."""
RESERVED_WEIGHT = 8000
"""What Bitcoin Core leaves free in a template for header, count and coinbase (``-blockreservedweight``)."""
RESERVED_CHECKS = 100
"""Signature checks (P2PKH, P2PK) for which Bitcoin Core leaves room in a template: 400 of sigop cost."""
_NOT_FINAL = 0xFFFFFFFE
_HEADER_AND_COUNT = 4 * (80 + 3)
_WITNESS = 2 + 34  # marker, flag and the reserved value, at one weight unit a byte (BIP 141, 144)
_OP_RETURN, _OP_PUSHDATA1, _OP_CHECKSIG, _MOST_PLAIN_PUSH = 0x6A, 0x4C, 0xAC, 75


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


@attrs.frozen
class Payee:
    """Where a part of each coming block goes.

    Attributes:
        address: of the pool, as people write it.
        script: what the coinbase pays to.
        bps: its part of the block, in ten-thousandths; the parts of a coinbase make up 10,000.
    """

    address: str
    script: bytes
    bps: int = 10_000


def outputs_for(value: Sat, payees: Sequence[Payee]) -> tuple[CoinbaseOutput, ...]:
    """Divide a block's value among payees: the floor of each part, and what that leaves over to the first.

    Args:
        value: of the block.
        payees: at least one; an output of nothing is left out.

    Raises:
        ChainError: the parts are none, or do not make up the whole.
    """
    if sum(payee.bps for payee in payees) != 10_000 or any(payee.bps < 0 for payee in payees):
        raise ChainError("the parts of a block do not make up the whole of it")
    parts = [value * payee.bps // 10_000 for payee in payees]
    parts[0] += value - sum(parts)
    paid = [CoinbaseOutput(payee.script, Sat(part)) for payee, part in zip(payees, parts, strict=True)]
    return tuple(output for output in paid if output.value) or (CoinbaseOutput(payees[0].script, Sat(0)),)


def build(template: Template, script: bytes, mark: Mark, tag: bytes) -> tuple[bytes, bytes]:
    """A coinbase whose whole value goes to one script; see ``build_paying``."""
    return build_paying(template, [CoinbaseOutput(script, template.value)], mark, tag)


def build_paying(
    template: Template,
    outputs: Sequence[CoinbaseOutput],
    mark: Mark,
    tag: bytes,
    *,
    data: bytes = b"",
    reserved_weight: int = RESERVED_WEIGHT,
) -> tuple[bytes, bytes]:
    """Split the coinbase transaction, without witness, around the extranonces.

    Lock time is height - 1 and the input is not final, as BIP 54 asks for, so that the coinbase stays valid
    when it is activated.  The witness commitment comes behind the outputs, and behind it the data, if any, as
    an output of nothing (OP_RETURN).

    Args:
        template: the block to be made.
        outputs: what is paid; together exactly the template's value.
        mark: what tells this job from all others.
        tag: printable name of the pool, at most 40 bytes.
        data: put into the block for everybody to see, at most 80 bytes; none means no such output.
        reserved_weight: what the node has left free in the template.

    Returns:
        coinb1 (up to extranonce1) and coinb2 (from behind extranonce2).

    Raises:
        ChainError: the scriptSig would be longer than consensus allows, the outputs pay another sum, the data
            is too long, or the whole takes more of the block than was reserved, which could make it invalid.
    """
    if sum(output.value for output in outputs) != template.value:
        raise ChainError(f"the coinbase's outputs do not pay the block's value of {template.value} sat")
    mark_bytes = mark.encode()
    before = push_height(template.height) + bytes([len(mark_bytes)]) + mark_bytes + bytes([EXTRANONCE_BYTES])
    after = bytes([len(tag)]) + tag if tag else b""
    size = len(before) + EXTRANONCE_BYTES + len(after)
    if len(tag) > _MOST_PLAIN_PUSH or size > MAX_SCRIPT_SIG:
        raise ChainError(f"the coinbase's scriptSig would have {size} bytes; shorten stratum.tag")
    head = (2).to_bytes(4, "little") + b"\x01" + bytes(32) + b"\xff\xff\xff\xff" + compact_size(size)
    free = [template.witness_commitment] + ([_data_script(data)] if data else [])
    paid = [_output(output.value, output.script) for output in outputs] + [_output(0, each) for each in free]
    tail = _NOT_FINAL.to_bytes(4, "little") + compact_size(len(paid)) + b"".join(paid)
    parts = head + before, after + tail + (template.height - 1).to_bytes(4, "little")
    if sum(output.script[-1:] == bytes([_OP_CHECKSIG]) for output in outputs) > RESERVED_CHECKS:
        raise ChainError(f"the coinbase would pay more than {RESERVED_CHECKS} scripts like P2PKH: use segwit")
    if weight(parts) > reserved_weight:
        raise ChainError(
            f"the coinbase would weigh {weight(parts)} units with the header, more than the {reserved_weight}"
            " that the node reserves: pay fewer outputs, or raise its -blockreservedweight"
        )
    return parts


def size_bytes(parts: tuple[bytes, bytes]) -> int:
    """Bytes of a coinbase without witness, as miners' machines get it in their memory."""
    return len(parts[0]) + EXTRANONCE_BYTES + len(parts[1])


def weight(parts: tuple[bytes, bytes]) -> int:
    """Weight units (BIP 141) of the coinbase with its witness, the header and the count of transactions."""
    return 4 * size_bytes(parts) + _WITNESS + _HEADER_AND_COUNT


def too_long_for(size: int) -> tuple[str, ...]:
    """The machines, as people call them, that do not take a coinbase of so many bytes without witness."""
    known = ((each.name, each.coinbase_bytes) for each in (firmware.UNKNOWN, *firmware.TABLE))
    return tuple(name for name, most in known if most is not None and most < size)


def _data_script(data: bytes) -> bytes:
    if len(data) > MAX_DATA:
        raise ChainError(f"the coinbase's data has {len(data)} bytes, more than {MAX_DATA}")
    push = bytes([_OP_PUSHDATA1, len(data)] if len(data) > _MOST_PLAIN_PUSH else [len(data)])
    return bytes([_OP_RETURN]) + push + data


def _output(value: int, script: bytes) -> bytes:
    return value.to_bytes(8, "little") + compact_size(len(script)) + script


def root_from_branch(coinbase_txid: bytes, branch: Sequence[bytes]) -> bytes:
    """The merkle root with this coinbase (all hashes 32 bytes, internal order)."""
    root = coinbase_txid
    for sibling in branch:
        root = sha256d(root + sibling)
    return root
