"""The share log's Merkle tree as it grows: tiles that are finished, the part behind them, and any subtree."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Final, NamedTuple, Protocol

from pool.proof.merkle import EMPTY, VOID, Frontier, extend, root, root_of
from pool.proof.record import ShareRecord, leaf

TILE_LEVEL: Final = 12
GROUP_LEVEL: Final = 6
TILE: Final = 1 << TILE_LEVEL
"""Leaves of a tile: small enough to be read again in milliseconds."""
GROUP: Final = 1 << GROUP_LEVEL
"""Leaves below each node that a tile keeps: what a proof has to hash again."""
_GROUPS: Final = TILE // GROUP


class Tile(NamedTuple):
    """A complete subtree of 4,096 leaves.  Attributes: its number, its root, its 64 nodes in a row."""

    n: int
    root: bytes
    nodes: bytes


def leaves(records: Iterable[ShareRecord], first_id: int, last_id: int) -> list[bytes]:
    """The leaf hashes of an id range, with the void leaf for each id that no share has.

    Args:
        records: the shares of the range, oldest first.
        first_id: of the range.
        last_id: of the range.
    """
    found: list[bytes] = []
    expected = first_id
    for record in records:
        if record[0] != expected:  # not in a healthy log: ids have no gaps
            found += [VOID] * (record[0] - expected)
            expected = record[0]
        found.append(leaf(record))
        expected += 1
    return found + [VOID] * (last_id + 1 - expected)


class Records(Protocol):
    """The share log; pool.store.log_tree.LeafReader is one."""

    def records(self, first_id: int, last_id: int) -> Iterator[ShareRecord]:
        """The shares of an id range, oldest first."""
        ...


class Tiles(Protocol):
    """Tiles that were kept; pool.store.log_tree.LogTable is one."""

    def tiles(self) -> int:
        """How many there are."""
        ...

    def roots(self, begin: int, end: int) -> list[bytes]:
        """Roots of the tiles ``begin … end - 1``."""
        ...

    def nodes(self, n: int) -> list[bytes] | None:
        """The 64 nodes of a tile; None while there is no such tile."""
        ...


class GrowingTree:
    """The tree over the whole log, of which only its right edge is kept in memory.

    Args:
        roots: of the tiles that are finished, oldest first.
    """

    def __init__(self, roots: Iterable[bytes]) -> None:
        self._tiles = extend(Frontier(), roots)
        self._nodes: list[bytes] = []
        self._leaves: list[bytes] = []

    @property
    def size(self) -> int:
        """Leaves so far."""
        return self._tiles.size * TILE + len(self._nodes) * GROUP + len(self._leaves)

    def grow(self, hashes: Sequence[bytes]) -> list[Tile]:
        """Append leaves; answers the tiles that this finished."""
        made: list[Tile] = []
        waiting = self._leaves + list(hashes)
        for at in range(0, len(waiting) - GROUP + 1, GROUP):
            self._nodes.append(root_of(waiting[at : at + GROUP]))
            if len(self._nodes) == _GROUPS:
                made.append(Tile(self._tiles.size, root_of(self._nodes), b"".join(self._nodes)))
                self._tiles = extend(self._tiles, [made[-1].root])
                self._nodes = []
        self._leaves = waiting[len(waiting) - len(waiting) % GROUP :]
        return made

    def root(self) -> bytes:
        """Of all leaves so far, 32 bytes."""
        behind = extend(Frontier(), self._nodes).peaks + extend(Frontier(), self._leaves).peaks
        return root(Frontier(self.size, self._tiles.peaks + behind))


class Subtrees:
    """Complete subtrees of the stored tree; ``node`` is a pool.proof.merkle.Node.

    Those of tiles come from what is kept, those below from at most 64 shares each.

    Args:
        tiles: that were kept.
        log: the shares.
    """

    def __init__(self, tiles: Tiles, log: Records) -> None:
        self._tiles = tiles
        self._log = log
        self._group = lru_cache(maxsize=128)(self._read_group)
        self._nodes = lru_cache(maxsize=128)(self._read_nodes)
        self._over_tiles = lru_cache(maxsize=1024)(self._read_roots)

    def node(self, level: int, index: int) -> bytes:
        """The root of the leaves ``index·2^level`` to the next subtree, all of them in the log."""
        if level >= TILE_LEVEL:
            return self._over_tiles(level, index)
        if level < GROUP_LEVEL:
            first = index << level
            inside = first % GROUP
            return root_of(self._group(first // GROUP)[inside : inside + (1 << level)])
        height = level - GROUP_LEVEL
        first = index << height
        nodes = self._nodes(first // _GROUPS)
        if nodes is None:
            return root_of(root_of(self._group(number)) for number in range(first, first + (1 << height)))
        inside = first % _GROUPS
        return root_of(nodes[inside : inside + (1 << height)])

    def _read_group(self, number: int) -> list[bytes]:
        first_id = number * GROUP + 1
        last_id = first_id + GROUP - 1
        return leaves(self._log.records(first_id, last_id), first_id, last_id)

    def _read_nodes(self, tile: int) -> list[bytes] | None:
        return self._tiles.nodes(tile)

    def _read_roots(self, level: int, index: int) -> bytes:
        height = level - TILE_LEVEL
        begin, end = index << height, (index + 1) << height
        roots = self._tiles.roots(begin, end)
        if len(roots) == end - begin:
            return root_of(roots)
        # not kept yet, since it was finished just now
        return root_of(self.node(GROUP_LEVEL, number) for number in range(begin * _GROUPS, end * _GROUPS))


def root_at(size: int, subtrees: Subtrees) -> bytes:
    """The root that the log had when it had so many shares, from what is stored.

    Args:
        size: at most what the log has now.
        subtrees: of the log.
    """
    peaks: list[bytes] = []
    begin = 0
    for level in range(size.bit_length() - 1, -1, -1):
        if size >> level & 1:
            peaks.append(subtrees.node(level, begin >> level))
            begin += 1 << level
    return root(Frontier(size, tuple(peaks))) if size else EMPTY
