"""One proof for many leaves of the tree: a window's shares have most of their paths in common."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence

from pool.errors import ProofError
from pool.proof.merkle import Node, check_index, next_hash, node_hash, range_root, split


def prove_many(indices: Iterable[int], size: int, node: Node) -> tuple[bytes, ...]:
    """One proof for many leaves: the hashes that they do not make themselves, from left to right.

    Args:
        indices: of the leaves, from 0; in any order, a repeated one counts once.
        size: of the tree, at least 1.
        node: the complete subtrees.

    Returns:
        As ``root_from_many`` takes them up; the root alone, when no leaf is to be proven.

    Raises:
        ProofError: the tree is empty, or has no such leaf.
    """
    wanted = sorted(set(indices))
    _check_many(wanted, size)
    return tuple(_beside(wanted, 0, size, node))


def _beside(wanted: Sequence[int], begin: int, end: int, node: Node) -> Iterator[bytes]:
    if not wanted:
        yield range_root(begin, end, node)
    elif end - begin > 1:
        middle = begin + split(end - begin)
        cut = bisect_left(wanted, middle)
        yield from _beside(wanted[:cut], begin, middle, node)
        yield from _beside(wanted[cut:], middle, end, node)


def root_from_many(leaves: Mapping[int, bytes], size: int, proof: Sequence[bytes]) -> bytes:
    """The root that leaves and their common proof lead to; they are proven when it is the tree's.

    Args:
        leaves: hashes by index.
        size: of the tree, at least 1.
        proof: from ``prove_many``.

    Raises:
        ProofError: the tree is empty, has no such leaf, or the proof has another number of hashes.
    """
    _check_many(sorted(leaves), size)
    hashes = iter(proof)
    found = _joined(leaves, sorted(leaves), 0, size, hashes)
    if next(hashes, None) is not None:
        raise ProofError("the proof has hashes that belong nowhere")
    return found


def _joined(
    leaves: Mapping[int, bytes], wanted: Sequence[int], begin: int, end: int, hashes: Iterator[bytes]
) -> bytes:
    if not wanted:
        return next_hash(hashes)
    if end - begin == 1:
        return leaves[begin]
    middle = begin + split(end - begin)
    cut = bisect_left(wanted, middle)
    left = _joined(leaves, wanted[:cut], begin, middle, hashes)
    return node_hash(left, _joined(leaves, wanted[cut:], middle, end, hashes))


def _check_many(wanted: Sequence[int], size: int) -> None:
    """Args: wanted: sorted."""
    for index in (0, *wanted[:1], *wanted[-1:]):
        check_index(index, size)
