r"""The files that old shares are archived in: every share in its canonical bytes, compressed, with a header.

A file is an ``.xz`` of this content, which any machine can unpack with ``xz -dc``::

    sluice-shares 1\n                                         # what it is, and the version of this layout
    {"first_id": 1, "last_id": 65536, "shares": 65536}\n      # JSON
    …                                                        # for each share, oldest first: the length of its
                                                             # record (2 bytes, big endian), and the record

Records are those of pool.proof.record, the leaves of the Merkle tree over the log: what a block fixed can be
told from a file alone.  Why xz, and at this preset: shares of three hundred miners took 7 bytes each, of 129;
zlib takes 44, and the higher presets take four to twenty times as long for nothing.
"""

from __future__ import annotations

import hashlib
import json
import lzma
import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import attrs

from pool.errors import ProofError
from pool.proof.record import ShareRecord, decode, encode

MAGIC: Final = b"sluice-shares 1\n"
PRESET: Final = 1
_LENGTH: Final = struct.Struct(">H")
_MOST_HEADER: Final = 4_096


class Unreadable(ValueError):
    """Bytes that are no archive of shares; the text says why."""


@attrs.frozen
class Packed:
    """A file's bytes.  Attributes: the bytes, the hex SHA-256 of what they unpack to."""

    data: bytes = attrs.field(repr=False)
    content_sha256: str


def pack(first_id: int, last_id: int, records: Sequence[ShareRecord]) -> Packed:
    """The file for a range of log ids.

    Args:
        first_id: of the range.
        last_id: of the range.
        records: every share of it, oldest first.

    Raises:
        ProofError: one of them has a value that no share has.
    """
    header = {"first_id": first_id, "last_id": last_id, "shares": len(records)}
    parts = [MAGIC, json.dumps(header).encode(), b"\n"]
    for record in records:
        encoded = encode(record)
        parts += (_LENGTH.pack(len(encoded)), encoded)
    content = b"".join(parts)
    return Packed(lzma.compress(content, preset=PRESET), hashlib.sha256(content).hexdigest())


def unpack(data: bytes, first_id: int, last_id: int) -> tuple[list[ShareRecord], str]:
    """Read a file back.

    Args:
        data: the file.
        first_id: of the range that it should hold.
        last_id: of the range.

    Returns:
        Its shares, oldest first, and the hex SHA-256 of its content.

    Raises:
        Unreadable: it is damaged, from a newer release, or holds another range.
    """
    try:
        content = lzma.decompress(data, format=lzma.FORMAT_XZ)
    except (lzma.LZMAError, EOFError) as error:
        raise Unreadable(f"it cannot be unpacked ({error})") from error
    begin, count = _header(content, first_id, last_id)
    try:
        records = list(_records(content, begin))
    except (ProofError, struct.error) as error:
        raise Unreadable(f"it holds what is no share ({error})") from error
    ids = [record.id for record in records]
    if len(ids) != count or ids != sorted(set(ids)) or (ids and not first_id <= ids[0] <= ids[-1] <= last_id):
        raise Unreadable("its shares are not those that its header speaks of")
    return records, hashlib.sha256(content).hexdigest()


def _header(content: bytes, first_id: int, last_id: int) -> tuple[int, int]:
    """Where the records begin, and how many there should be."""
    end = content.find(b"\n", len(MAGIC), _MOST_HEADER)
    if not content.startswith(MAGIC) or end < 0:
        raise Unreadable("it does not begin as an archive of shares that this release knows")
    try:
        header: Any = json.loads(content[len(MAGIC) : end])
        found = (header["first_id"], header["last_id"])
        count = int(header["shares"])
    except (ValueError, TypeError, KeyError) as error:
        raise Unreadable("its header is damaged") from error
    if found != (first_id, last_id):
        raise Unreadable(f"it says that it holds shares {found[0]} to {found[1]}")
    return end + 1, count


def _records(content: bytes, at: int) -> Iterator[ShareRecord]:
    size, whole = _LENGTH.size, len(content)
    while at < whole:
        (length,) = _LENGTH.unpack_from(content, at)
        at += size
        yield decode(content[at : at + length])  # one that is cut off is no share
        at += length


def pots_of(records: Iterable[ShareRecord]) -> dict[str, int]:
    """How many shares there are of which pot."""
    counts: dict[str, int] = {}
    for record in records:
        counts[record.pot] = counts.get(record.pot, 0) + 1
    return dict(sorted(counts.items()))
