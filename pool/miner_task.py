"""What the CPU miner hashes: a job as it came over the wire, its header, and the search for a nonce."""

from __future__ import annotations

import hashlib
from typing import Any

import attrs


@attrs.frozen(eq=False)
class Task:
    """A job, with the target and the extranonce that hold for it.

    Attributes:
        job_id: as the pool calls it.
        prev_hash: 32 bytes in header order.
        coinb1: the coinbase up to extranonce1.
        coinb2: the coinbase from behind extranonce2.
        branches: 32-byte hashes, from the leaf upwards.
        version: block version, nothing rolled.
        nbits: 8 hex digits.
        ntime: 8 hex digits.
        target: a header hash at or below it is a share.
        extranonce1: what the pool gave this connection.
        size: bytes of extranonce2.
    """

    job_id: str
    prev_hash: bytes
    coinb1: bytes
    coinb2: bytes
    branches: tuple[bytes, ...]
    version: int
    nbits: str
    ntime: str
    target: int
    extranonce1: bytes
    size: int

    def head(self, version: int, extranonce2: bytes) -> bytes:
        """The header without its nonce, 76 bytes."""
        root = sha256d(self.coinb1 + self.extranonce1 + extranonce2 + self.coinb2)
        for branch in self.branches:
            root = sha256d(root + branch)
        numbers = bytes.fromhex(self.ntime)[::-1] + bytes.fromhex(self.nbits)[::-1]
        return version.to_bytes(4, "little") + self.prev_hash + root + numbers


def task_from_notify(params: list[Any], target: int, extranonce1: bytes, size: int) -> Task:
    """Read the nine parameters of mining.notify.

    Raises:
        TypeError, ValueError: they are something else.
    """
    job_id, prev_hash, coinb1, coinb2, branches, version, nbits, ntime, _clean = params
    words = bytes.fromhex(prev_hash)
    if len(words) != 32 or len(bytes.fromhex(nbits)) != 4 or len(bytes.fromhex(ntime)) != 4:
        raise ValueError("a field of another size")
    return Task(
        job_id=str(job_id),
        # on the wire each 4-byte word of it is byte-swapped
        prev_hash=b"".join(words[i : i + 4][::-1] for i in range(0, 32, 4)),
        coinb1=bytes.fromhex(coinb1),
        coinb2=bytes.fromhex(coinb2),
        branches=tuple(bytes.fromhex(branch) for branch in branches),
        version=hex_int(version),
        nbits=nbits,
        ntime=ntime,
        target=target,
        extranonce1=extranonce1,
        size=size,
    )


def scan(head: bytes, target: int, start: int, count: int) -> int | None:
    """The first nonce of so many, from a start, whose header meets the target.

    Args:
        head: 76 bytes.
        target: greatest hash that counts.
        start: first nonce tried.
        count: how many are tried.
    """
    sha256 = hashlib.sha256
    middle = sha256(head[:64])  # the first block of SHA-256 is the same for all nonces
    tail = head[64:]
    for nonce in range(start, start + count):
        first = middle.copy()
        first.update(tail + nonce.to_bytes(4, "little"))
        if int.from_bytes(sha256(first.digest()).digest(), "little") <= target:
            return nonce
    return None


def sha256d(data: bytes) -> bytes:
    """SHA-256 twice."""
    return hashlib.sha256(hashlib.sha256(data).digest()).digest()


def hex_int(value: Any) -> int:
    """A number written as hex.

    Raises:
        TypeError, ValueError: it is not.
    """
    if not isinstance(value, str):
        raise TypeError("not hex")
    return int(value, 16)
