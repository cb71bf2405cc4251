"""The Merkle tree over the share log: its root, and proofs that something is in it or that it only grew.

The tree is that of Certificate Transparency (RFC 6962, section 2.1; RFC 9162): leaves and inner nodes are
hashed apart, and a tree of n leaves is split at the greatest power of two below n.  So every complete subtree
stays what it is however the log grows, and can be kept.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

import attrs

from pool.errors import ProofError

HASH_BYTES: Final = 32
EMPTY: Final = hashlib.sha256(b"").digest()
"""Root of a tree without leaves."""
MAX_SIZE: Final = 1 << 63
"""Leaves that a tree may have at most; log ids are signed 64-bit numbers."""
_LEAF, _INNER = b"\x00", b"\x01"

Node = Callable[[int, int], bytes]
"""Hash of a complete subtree: ``node(level, index)`` has the leaves index * 2^level and so many more."""


def leaf_hash(record: bytes) -> bytes:
    """SHA-256 of a zero byte and the record."""
    return hashlib.sha256(_LEAF + record).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256 of a one byte and both children's hashes."""
    return hashlib.sha256(_INNER + left + right).digest()


VOID: Final = leaf_hash(b"")
"""The leaf of a log id that no share has."""


@attrs.frozen
class Frontier:
    """All of a tree that it takes to let it grow.

    Attributes:
        size: leaves so far.
        peaks: hashes of the complete subtrees that the tree is made of, greatest (oldest) first: one for
            each bit that is set in the size.
    """

    size: int = 0
    peaks: tuple[bytes, ...] = ()


def extend(frontier: Frontier, hashes: Iterable[bytes]) -> Frontier:
    """Let a tree grow.

    Rows are hashed as wholes, level by level: this runs once over every share there is.

    Args:
        frontier: before.
        hashes: leaf hashes, in their order.
    """
    row = list(hashes)
    size, peaks = frontier.size + len(row), list(frontier.peaks)
    kept: list[bytes] = []  # of the new tree, smallest first
    bits = frontier.size
    sha256 = hashlib.sha256
    while row or bits:
        if bits & 1:
            row.insert(0, peaks.pop())
        if len(row) & 1:
            kept.append(row.pop())
        row = [sha256(_INNER + row[at] + row[at + 1]).digest() for at in range(0, len(row), 2)]
        bits >>= 1
    return Frontier(size, tuple(reversed(kept)))


def root(frontier: Frontier) -> bytes:
    """Root of the tree, 32 bytes."""
    if not frontier.peaks:
        return EMPTY
    found = frontier.peaks[-1]
    for peak in reversed(frontier.peaks[:-1]):
        found = node_hash(peak, found)
    return found


def root_of(hashes: Iterable[bytes]) -> bytes:
    """Root of the tree with these leaf hashes."""
    return root(extend(Frontier(), hashes))


def node_over(hashes: Sequence[bytes]) -> Node:
    """The complete subtrees over leaf hashes that are at hand, from leaf 0 on; each is hashed once.

    Raises:
        KeyError: from the answer, where a subtree is asked for that is not complete.
    """
    levels = [list(hashes)]
    while len(levels[-1]) > 1:
        row = levels[-1]
        levels.append([node_hash(row[at], row[at + 1]) for at in range(0, len(row) - 1, 2)])

    def node(level: int, index: int) -> bytes:
        if level >= len(levels) or not 0 <= index < len(levels[level]):
            raise KeyError((level, index))
        return levels[level][index]

    return node


def range_root(begin: int, end: int, node: Node) -> bytes:
    """Root of the leaves ``begin … end - 1``.

    Args:
        begin: a multiple of the greatest power of two that is not above the range's length.
        end: above begin.
        node: the complete subtrees.
    """
    size = end - begin
    level = size.bit_length() - 1
    if size == 1 << level:
        return node(level, begin >> level)
    middle = begin + (1 << level)
    return node_hash(range_root(begin, middle, node), range_root(middle, end, node))


def inclusion(index: int, size: int, node: Node) -> tuple[bytes, ...]:
    """The path from a leaf to the root of a tree (RFC 6962, 2.1.1).

    Args:
        index: of the leaf, from 0.
        size: of the tree.
        node: the complete subtrees.

    Returns:
        The hashes beside the way, from the leaf upwards; at most 63.

    Raises:
        ProofError: there is no such leaf.
    """
    check_index(index, size)
    beside: list[bytes] = []
    begin, end = 0, size
    while end - begin > 1:
        middle = begin + split(end - begin)
        if index < middle:
            beside.append(range_root(middle, end, node))
            end = middle
        else:
            beside.append(range_root(begin, middle, node))
            begin = middle
    return tuple(reversed(beside))


def included(index: int, size: int, leaf: bytes, path: Sequence[bytes]) -> bytes:
    """The root that a path leads to (RFC 9162, 2.1.3.2); the leaf is proven when it is the tree's.

    Args:
        index: of the leaf, from 0.
        size: of the tree.
        leaf: its hash.
        path: from ``inclusion``.

    Raises:
        ProofError: there is no such leaf, or a path to it has another length.
    """
    check_index(index, size)
    at, last, found = index, size - 1, leaf
    for beside in path:
        if last == 0:
            raise ProofError("the path is longer than its tree is high")
        if at & 1 or at == last:
            found = node_hash(_checked(beside), found)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            found = node_hash(found, _checked(beside))
        at, last = at >> 1, last >> 1
    if last:
        raise ProofError("the path is shorter than its tree is high")
    return found


def consistency(old: int, new: int, node: Node) -> tuple[bytes, ...]:
    """What shows that a tree grew out of a smaller one by appending alone (RFC 6962, 2.1.2).

    Args:
        old: size of the smaller tree, at least 1.
        new: size of the larger tree.
        node: the complete subtrees of the larger tree.

    Raises:
        ProofError: the sizes are not in this order.
    """
    check_index(old - 1, new)
    beside: list[bytes] = []
    begin, end = 0, new
    while end != old:
        middle = begin + split(end - begin)
        if old <= middle:
            beside.append(range_root(middle, end, node))
            end = middle
        else:
            beside.append(range_root(begin, middle, node))
            begin = middle
    if begin:
        beside.append(range_root(begin, end, node))
    return tuple(reversed(beside))


def consistent(old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether a proof from ``consistency`` shows that the old tree is the beginning of the new one."""
    hashes = iter(proof)
    try:
        check_index(old - 1, new)
        before, after = _grown(old, new, old_root, hashes)
    except ProofError:
        return False
    return next(hashes, None) is None and (before, after) == (old_root, new_root)


def _grown(old: int, new: int, known: bytes | None, hashes: Iterator[bytes]) -> tuple[bytes, bytes]:
    """Old and new root of a subtree; ``known`` is the old one, while the subtree begins with leaf 0."""
    if old == new:
        same = next_hash(hashes) if known is None else known
        return same, same
    middle = split(new)
    if old <= middle:
        before, after = _grown(old, middle, known, hashes)
        return before, node_hash(after, next_hash(hashes))
    before, after = _grown(old - middle, new - middle, None, hashes)
    left = next_hash(hashes)
    return node_hash(left, before), node_hash(left, after)


def split(size: int) -> int:
    """The greatest power of two below a size of at least 2."""
    return 1 << ((size - 1).bit_length() - 1)


def check_index(index: int, size: int) -> None:
    """Raises: ProofError: a tree of this size has no such leaf."""
    if not 0 <= index < size <= MAX_SIZE:
        raise ProofError(f"a tree of {size} leaves has none with number {index}")


def next_hash(hashes: Iterator[bytes]) -> bytes:
    """Take the next hash of a proof.  Raises: ProofError: there is none, or it has another length."""
    found = next(hashes, None)
    if found is None:
        raise ProofError("the proof has too few hashes")
    return _checked(found)


def _checked(value: bytes) -> bytes:
    if len(value) != HASH_BYTES:
        raise ProofError(f"a hash has {HASH_BYTES} bytes, not {len(value)}")
    return value
