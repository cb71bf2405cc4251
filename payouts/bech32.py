"""Bech32 (BIP 173) as BOLT 11 uses it: five-bit groups in and out, any length, checksum checked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

ALPHABET: Final = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_VALUE: Final = {letter: value for value, letter in enumerate(ALPHABET)}
_GENERATOR: Final = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_CHECKSUM_GROUPS: Final = 6


def _polymod(values: Sequence[int]) -> int:
    remainder = 1
    for value in values:
        top = remainder >> 25
        remainder = (remainder & 0x1FFFFFF) << 5 ^ value
        for bit, term in enumerate(_GENERATOR):
            if top >> bit & 1:
                remainder ^= term
    return remainder


def _expanded(prefix: str) -> list[int]:
    codes = [ord(letter) for letter in prefix]
    return [code >> 5 for code in codes] + [0] + [code & 31 for code in codes]


def checksum(prefix: str, groups: Sequence[int]) -> list[int]:
    """The six groups that make ``prefix`` and ``groups`` valid."""
    remainder = _polymod([*_expanded(prefix), *groups, *[0] * _CHECKSUM_GROUPS]) ^ 1
    return [remainder >> 5 * (5 - place) & 31 for place in range(_CHECKSUM_GROUPS)]


def encode(prefix: str, groups: Sequence[int]) -> str:
    """A lower-case bech32 string of five-bit groups."""
    return prefix + "1" + "".join(ALPHABET[group] for group in [*groups, *checksum(prefix, groups)])


def split(text: str) -> tuple[str, list[int]] | None:
    """Prefix and five-bit groups, without the checksum; None for anything that is not bech32 in one case."""
    lowered = text.lower()
    if not text.isascii() or text not in (lowered, text.upper()):
        return None
    prefix, separator, letters = lowered.rpartition("1")
    if not separator or not prefix or not all(33 <= ord(letter) <= 126 for letter in prefix):
        return None
    groups = [_VALUE.get(letter, -1) for letter in letters]
    if len(groups) < _CHECKSUM_GROUPS or -1 in groups or _polymod([*_expanded(prefix), *groups]) != 1:
        return None
    return prefix, groups[:-_CHECKSUM_GROUPS]


def number(groups: Sequence[int]) -> int:
    """Five-bit groups as one big-endian number."""
    value = 0
    for group in groups:
        value = value << 5 | group
    return value


def whole_bytes(groups: Sequence[int]) -> bytes:
    """The whole bytes in five-bit groups; up to seven bits left over at the end are dropped."""
    bits = 5 * len(groups)
    return (number(groups) >> bits % 8).to_bytes(bits // 8, "big")


def padded_bytes(groups: Sequence[int]) -> bytes:
    """Five-bit groups as bytes, filled up with zero bits at the end: what BOLT 11 signs."""
    bits = 5 * len(groups)
    return (number(groups) << -bits % 8).to_bytes(-(-bits // 8), "big")


def to_groups(data: bytes) -> list[int]:
    """Bytes as five-bit groups, filled up with zero bits at the end."""
    bits = 8 * len(data)
    count = -(-bits // 5)
    value = int.from_bytes(data, "big") << 5 * count - bits
    return [value >> 5 * place & 31 for place in reversed(range(count))]
