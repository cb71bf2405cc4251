"""What a BOLT 11 invoice says, read strictly, and nothing about whether we want to pay it.

The decoder is the pool's own and takes no more than it must: one case, a checked checksum, a bounded length,
whole millisatoshis, one of each field, a payment secret, and a payee who signed every bit of it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from functools import lru_cache
from hashlib import sha256
from typing import Final

import attrs
from coincurve import PublicKey
from coincurve.ecdsa import cdata_to_der, deserialize_recoverable, recoverable_convert

from payouts import bech32, second_decoder
from payouts.errors import InvoiceMalformed
from payouts.money import Msat

MAX_LENGTH: Final = 1500  # characters; the largest seen in the wild are below 1,000
DEFAULT_EXPIRY_S: Final = 3600  # BOLT 11: when there is no x field
DEFAULT_FINAL_CLTV: Final = 18  # BOLT 11: when there is no c field
MAX_AMOUNT: Final = 21_000_000 * 10**11  # msat; there is no more bitcoin than that
_SIGNATURE_GROUPS: Final = 104
_TIMESTAMP_GROUPS: Final = 7
_HUMAN: Final = re.compile(r"ln(bcrt|tbs|tb|bc)(?:([1-9][0-9]{0,18})([munp]?))?")
_MSAT: Final = {"": 10**11, "m": 10**8, "u": 10**5, "n": 10**2}
_HASH_GROUPS: Final = 52
_KEY_GROUPS: Final = 53
_NUMBER_GROUPS: Final = 12  # of an expiry or a delay: 60 bits, so that every sum stays within 63
_FIXED: Final = {"p": _HASH_GROUPS, "s": _HASH_GROUPS, "h": _HASH_GROUPS, "n": _KEY_GROUPS}
_KNOWN: Final = "pshndxc9"
_COMPRESSED: Final = (2, 3)  # the first byte of a public key
_HOP_BYTES: Final = 51  # key 33, channel 8, base fee 4, proportional fee 4, delay 2


class Network(StrEnum):
    """BOLT 11 prefixes."""

    MAINNET = "bc"
    TESTNET = "tb"
    SIGNET = "tbs"
    REGTEST = "bcrt"


@attrs.frozen
class Hop:
    """One hop of a private route; fees are unsigned as BOLT 11 writes them.

    Attributes:
        node_id: 66 hex digits.
        channel: short channel id as a number.
        base: fee per payment.
        ppm: fee in millionths of what is forwarded.
        cltv_delta: blocks.
    """

    node_id: str
    channel: int
    base: Msat
    ppm: int
    cltv_delta: int


@attrs.frozen
class Invoice:
    """A decoded invoice: who wants how much, until when, and how to get there.

    Attributes:
        network: whose money.
        amount: None when the invoice names none.
        timestamp_s: Unix second of its making.
        expires_s: Unix second at which it expires.
        payment_hash: 64 hex digits.
        payee: 66 hex digits; the key that signed.
        final_cltv: blocks that the last hop must leave.
        description: UTF-8 text, if it carries one.
        description_hash: 64 hex digits, if it carries one.
        hints: private routes to the payee.
        features: bit numbers that are set.
    """

    network: Network
    amount: Msat | None
    timestamp_s: int
    expires_s: int
    payment_hash: str
    payee: str
    final_cltv: int
    description: str | None
    description_hash: str | None
    hints: tuple[tuple[Hop, ...], ...]
    features: frozenset[int]


@lru_cache(maxsize=64)  # a claim's invoice is read by whoever takes it and once more by whoever sends it
def decode(text: str) -> Invoice:
    """Read an invoice.

    Raises:
        InvoiceMalformed: for everything that BOLT 11 forbids, and for what this pool does not take.
    """
    if len(text) > MAX_LENGTH:
        raise InvoiceMalformed("the invoice is too long")
    parts = bech32.split(text)
    if parts is None:
        raise InvoiceMalformed("the invoice is not valid bech32")
    human, groups = parts
    network, amount = _human(human)
    if len(groups) < _TIMESTAMP_GROUPS + _SIGNATURE_GROUPS:
        raise InvoiceMalformed("the invoice is too short")
    body, signature = groups[:-_SIGNATURE_GROUPS], bech32.whole_bytes(groups[-_SIGNATURE_GROUPS:])
    fields, hints = _fields(body[_TIMESTAMP_GROUPS:])
    if "p" not in fields or "s" not in fields:
        raise InvoiceMalformed("the invoice lacks a payment hash or a payment secret")
    timestamp_s = bech32.number(body[:_TIMESTAMP_GROUPS])
    return Invoice(
        network=network,
        amount=amount,
        timestamp_s=timestamp_s,
        expires_s=timestamp_s + _number(fields, "x", DEFAULT_EXPIRY_S),
        payment_hash=bech32.whole_bytes(fields["p"]).hex(),
        payee=_payee(human.encode() + bech32.padded_bytes(body), signature, fields.get("n")),
        final_cltv=_number(fields, "c", DEFAULT_FINAL_CLTV),
        description=_description(fields.get("d")),
        description_hash=bech32.whole_bytes(fields["h"]).hex() if "h" in fields else None,
        hints=tuple(hints),
        features=_features(fields.get("9", [])),
    )


def _human(human: str) -> tuple[Network, Msat | None]:
    matched = _HUMAN.fullmatch(human)
    if matched is None:
        raise InvoiceMalformed("the invoice's prefix or amount is not valid")
    network, digits, unit = matched.groups()
    if digits is None:
        return Network(network), None
    if unit == "p":  # a tenth of a msat each: anything but a multiple of 10 cannot be paid
        if not digits.endswith("0"):
            raise InvoiceMalformed("the invoice's amount is no whole number of millisatoshis")
        amount = int(digits[:-1])
    else:
        amount = int(digits) * _MSAT[unit]
    if amount > MAX_AMOUNT:
        raise InvoiceMalformed("the invoice's amount is more than all bitcoin")
    return Network(network), Msat(amount)


def _fields(groups: Sequence[int]) -> tuple[dict[str, Sequence[int]], list[tuple[Hop, ...]]]:
    """The tagged fields by letter, and the private routes; unknown fields are passed over (BOLT 11)."""
    fields: dict[str, Sequence[int]] = {}
    hints: list[tuple[Hop, ...]] = []
    place = 0
    while place < len(groups):
        if place + 3 > len(groups):
            raise InvoiceMalformed("the invoice ends within a field")
        letter = bech32.ALPHABET[groups[place]]
        end = place + 3 + bech32.number(groups[place + 1 : place + 3])
        content = groups[place + 3 : end]
        if end > len(groups):
            raise InvoiceMalformed("the invoice ends within a field")
        place = end
        if letter == "r":
            hints.append(_route(content))
        elif letter in _KNOWN and _FIXED.get(letter, len(content)) == len(content):
            if letter in fields:
                raise InvoiceMalformed("the invoice has a field twice")
            fields[letter] = content
    return fields, hints


def _route(content: Sequence[int]) -> tuple[Hop, ...]:
    data = bech32.whole_bytes(content)
    if not data or len(data) % _HOP_BYTES:
        raise InvoiceMalformed("the invoice has a malformed route hint")
    return tuple(_hop(data[start : start + _HOP_BYTES]) for start in range(0, len(data), _HOP_BYTES))


def _hop(data: bytes) -> Hop:
    if data[0] not in _COMPRESSED:
        raise InvoiceMalformed("the invoice has a malformed route hint")
    return Hop(
        node_id=data[:33].hex(),
        channel=int.from_bytes(data[33:41], "big"),
        base=Msat(int.from_bytes(data[41:45], "big")),
        ppm=int.from_bytes(data[45:49], "big"),
        cltv_delta=int.from_bytes(data[49:51], "big"),
    )


def _number(fields: Mapping[str, Sequence[int]], letter: str, default: int) -> int:
    content = fields.get(letter)
    if content is None:
        return default
    if len(content) > _NUMBER_GROUPS:
        raise InvoiceMalformed("the invoice has an oversized number")
    return bech32.number(content)


def _description(content: Sequence[int] | None) -> str | None:
    if content is None:
        return None
    try:
        return bech32.whole_bytes(content).decode("utf-8")
    except UnicodeDecodeError:
        raise InvoiceMalformed("the invoice's description is not UTF-8") from None


def _features(content: Sequence[int]) -> frozenset[int]:
    bits = bech32.number(content)
    return frozenset(place for place in range(bits.bit_length()) if bits >> place & 1)


def _payee(signed: bytes, signature: bytes, named: Sequence[int] | None) -> str:
    """The key that signed: recovered, or the one that an n field names, checked against the signature."""
    try:
        if named is None:
            return str(PublicKey.from_signature_and_message(signature, signed).format().hex())
        key = PublicKey(bech32.whole_bytes(named))
        der = cdata_to_der(recoverable_convert(deserialize_recoverable(signature)))
        valid = key.verify(der, signed)
    except Exception:  # noqa: BLE001 - coincurve raises ValueError and bare Exception alike for a bad signature
        valid = False
    if not valid:
        raise InvoiceMalformed("the invoice's signature is not valid")
    return str(key.format().hex())


def second_opinion(text: str, invoice: Invoice) -> bool:
    """Whether an independent decoder (the bolt11 package) reads the same hash, amount, expiry and payee.

    Args:
        text: the invoice as it came.
        invoice: what ``decode`` made of it.
    """
    try:
        other = second_decoder.decode(text)
        expiry_s = other.expiry if other.expiry is not None else DEFAULT_EXPIRY_S
        return (other.payment_hash, other.amount_msat, other.date + expiry_s, other.payee) == (
            invoice.payment_hash,
            invoice.amount,
            invoice.expires_s,
            invoice.payee,
        )
    except Exception:  # noqa: BLE001 - whatever the second decoder stumbles over, it does not agree
        return False


def digest(preimage: str) -> str:
    """The payment hash that a preimage proves; both are 64 hex digits.

    Raises:
        ValueError: the preimage is not hex.
    """
    return sha256(bytes.fromhex(preimage)).hexdigest()


def proves(preimage: str, payment_hash: str) -> bool:
    """Whether a preimage, 64 hex digits, hashes to a payment hash; nothing else proves that it was paid."""
    try:
        return len(preimage) == 64 and digest(preimage) == payment_hash
    except ValueError:
        return False
