"""A share as the Merkle log has it: one row of the share log, in bytes that stand for no other row."""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from pool.errors import ProofError
from pool.proof.merkle import leaf_hash

VERSION: Final = 1
"""First byte of each record: another layout would have another one."""
_FIXED: Final = struct.Struct(">BQ32sIIQI")
_LENGTH: Final = struct.Struct(">H")
MAX_TEXT: Final = 255
"""Bytes in one of the texts; usernames have 127 at most."""
_MAX_SIGNED: Final = (1 << 63) - 1


class ShareRecord(NamedTuple):
    """One share.

    Attributes:
        id: log id, from 1; the leaf of the share is number ``id - 1``.
        account: who is credited.
        worker: what the username has behind the first dot.
        target: share target, 32 bytes, big endian.
        nbits: compact network target of the share's job.
        height: that it sought.
        time_ms: when it was judged, Unix milliseconds.
        front_id: of the front that judged it.
        job: id of its job at that front.
        pot: that it counts in.
    """

    id: int
    account: str
    worker: str
    target: bytes
    nbits: int
    height: int
    time_ms: int
    front_id: int
    job: str
    pot: str


def encode(record: ShareRecord) -> bytes:
    """The canonical bytes: numbers of fixed width, big endian, then four texts, each behind its length.

    Layout: version (1 byte), id (8), target (32), nbits (4), height (4), time_ms (8), front_id (4); then
    account, worker, job and pot in UTF-8, each behind two bytes with its length.

    Args:
        record: a row in the order of ShareRecord's fields.

    Raises:
        ProofError: a value that no share has: a number out of its range, a text that is too long.
    """
    share_id, account, worker, target, nbits, height, time_ms, front_id, job, pot = record
    a, w, j, p = account.encode(), worker.encode(), job.encode(), pot.encode()
    if (
        len(target) != 32
        or not 0 < share_id <= _MAX_SIGNED
        or time_ms > _MAX_SIGNED
        or max(len(a), len(w), len(j), len(p)) > MAX_TEXT
    ):
        raise ProofError(f"share {share_id} has a value that no share has")
    try:
        fixed = _FIXED.pack(VERSION, share_id, target, nbits, height, time_ms, front_id)
    except struct.error as error:
        raise ProofError(f"share {share_id} has a number that no share has") from error
    # two bytes of length, of which the first is zero: the texts are short
    return b"%b\0%c%b\0%c%b\0%c%b\0%c%b" % (fixed, len(a), a, len(w), w, len(j), j, len(p), p)


def leaf(record: ShareRecord) -> bytes:
    """Hash of the share's leaf."""
    return leaf_hash(encode(record))


def decode(data: bytes) -> ShareRecord:
    """Read canonical bytes; strict, so that no two of them are the same share.

    Raises:
        ProofError: they are no share's.
    """
    try:
        version, share_id, target, nbits, height, time_ms, front_id = _FIXED.unpack_from(data)
        texts, at = [], _FIXED.size
        for _ in range(4):
            (size,) = _LENGTH.unpack_from(data, at)
            at += _LENGTH.size
            texts.append(data[at : at + size].decode())
            at += size
    except (struct.error, UnicodeDecodeError) as error:
        raise ProofError("these bytes are no share") from error
    account, worker, job, pot = texts
    record = ShareRecord(share_id, account, worker, target, nbits, height, time_ms, front_id, job, pot)
    if version != VERSION or encode(record) != data:
        raise ProofError("these bytes are no share")
    return record


def as_json(record: ShareRecord) -> list[str | int]:
    """A compact form for documents: the fields in their order, the target as 64 hex digits."""
    return [field.hex() if isinstance(field, bytes) else field for field in record]


def from_json(value: object) -> ShareRecord:
    """Read the compact form; strict: only what ``as_json`` writes is taken.

    Raises:
        ProofError: it is no share.
    """
    if not isinstance(value, list) or len(value) != len(_TYPES):
        raise ProofError(f"a share is a list of {len(_TYPES)} values")
    for field, name, kind in zip(value, ShareRecord._fields, _TYPES, strict=True):
        if type(field) is not kind:
            raise ProofError(f"the {name} of a share is no {'number' if kind is int else 'text'}")
    try:
        record = ShareRecord._make([*value[:3], bytes.fromhex(value[3]), *value[4:]])
        encode(record)
    except (ValueError, OverflowError) as error:  # the surrogates that JSON can write are no text
        raise ProofError("a share has a text that is none, or a target that is not hex") from error
    if record.target.hex() != value[3]:
        raise ProofError("a share's target is not 64 small hex digits")
    return record


_TYPES: Final = (int, str, str, str, int, int, int, int, str, str)
