"""Invoices for tests: a BOLT 11 writer with every field under the test's control, signed with coincurve."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

import attrs
from coincurve import PrivateKey

from payouts import bech32
from payouts.invoice import Hop

PAYEE_KEY = PrivateKey(b"\x11" * 32)
PAYEE = PAYEE_KEY.public_key.format().hex()
MADE_S = 1_800_000_000


def preimage(number: int) -> str:
    """The preimage of invoice number so-and-so."""
    return f"{number:064x}"


def payment_hash(number: int) -> str:
    """Its payment hash."""
    return sha256(bytes.fromhex(preimage(number))).hexdigest()


@attrs.frozen
class Draft:
    """What to write into an invoice; ``None`` leaves a field out."""

    human: str = "lnbcrt10u"
    timestamp_s: int = MADE_S
    payment_hash: bytes | None = attrs.field(factory=lambda: bytes.fromhex(payment_hash(1)))
    secret: bytes | None = b"\x22" * 32
    description: bytes | None = b"a withdrawal"
    description_hash: bytes | None = None
    expiry_s: int | None = None
    final_cltv: int | None = None
    payee: bytes | None = None
    features: int | None = 1 << 8 | 1 << 14 | 1 << 17
    hints: tuple[tuple[Hop, ...], ...] = ()
    extra: tuple[tuple[str, tuple[int, ...]], ...] = ()  # raw fields: letter and five-bit groups


def minimal(value: int) -> list[int]:
    """A number in as few five-bit groups as it takes."""
    count = max(1, -(-value.bit_length() // 5))
    return [value >> 5 * place & 31 for place in reversed(range(count))]


def field(letter: str, groups: Sequence[int]) -> list[int]:
    """A tagged field."""
    return [bech32.ALPHABET.index(letter), len(groups) >> 5, len(groups) & 31, *groups]


def _hop(hop: Hop) -> bytes:
    return (
        bytes.fromhex(hop.node_id)
        + hop.channel.to_bytes(8, "big")
        + hop.base.to_bytes(4, "big")
        + hop.ppm.to_bytes(4, "big")
        + hop.cltv_delta.to_bytes(2, "big")
    )


def body(draft: Draft) -> list[int]:
    """Timestamp and fields as five-bit groups."""
    groups = [draft.timestamp_s >> 5 * place & 31 for place in reversed(range(7))]
    texts = {
        "p": draft.payment_hash,
        "s": draft.secret,
        "d": draft.description,
        "h": draft.description_hash,
        "n": draft.payee,
    }
    for letter, data in texts.items():
        groups += field(letter, bech32.to_groups(data)) if data is not None else []
    numbers = {"x": draft.expiry_s, "c": draft.final_cltv, "9": draft.features}
    for letter, number in numbers.items():
        groups += field(letter, minimal(number)) if number is not None else []
    for hint in draft.hints:
        groups += field("r", bech32.to_groups(b"".join(map(_hop, hint))))
    for letter, raw in draft.extra:
        groups += field(letter, raw)
    return groups


def write(draft: Draft, key: PrivateKey = PAYEE_KEY) -> str:
    """A signed invoice."""
    groups = body(draft)
    signature = key.sign_recoverable(draft.human.encode() + bech32.padded_bytes(groups))
    return bech32.encode(draft.human, [*groups, *bech32.to_groups(signature)])


def invoice(number: int = 1, *, sat: int = 1000, made_s: int = MADE_S, expiry_s: int = 3600) -> str:
    """An ordinary regtest invoice over whole sats, whose preimage is ``preimage(number)``."""
    return write(
        Draft(
            human=f"lnbcrt{sat * 10}n",
            timestamp_s=made_s,
            payment_hash=bytes.fromhex(payment_hash(number)),
            expiry_s=expiry_s,
        )
    )
