"""The log's tree as it grows and as it is stored comes to the same as a tree that is built at once."""

from __future__ import annotations

from collections.abc import Iterator

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st

from pool.logtree import TILE, GrowingTree, Subtrees, Tile, root_at
from pool.proof.merkle import EMPTY, included, inclusion, root_of
from pool.proof.record import ShareRecord, leaf

SHARES = [
    ShareRecord(number, f"miner{number % 7}", "rig", bytes([number % 5] * 32), 1, 2, 3, 0, "a1", "pool")
    for number in range(1, 2 * TILE + 300)
]
LEAVES = [leaf(share) for share in SHARES]


@attrs.define
class Log:
    """The shares above, and tiles that were kept of them."""

    kept: list[Tile] = attrs.field(factory=list)
    read: int = 0

    def records(self, first_id: int, last_id: int) -> Iterator[ShareRecord]:
        self.read += last_id - first_id + 1
        return iter(SHARES[first_id - 1 : last_id])

    def tiles(self) -> int:
        return len(self.kept)

    def roots(self, begin: int, end: int) -> list[bytes]:
        return [tile.root for tile in self.kept[begin:end]]

    def nodes(self, n: int) -> list[bytes] | None:
        if n >= len(self.kept):
            return None
        nodes = self.kept[n].nodes
        return [nodes[at : at + 32] for at in range(0, len(nodes), 32)]


def grown(size: int, step: int) -> tuple[GrowingTree, list[Tile]]:
    tree, tiles = GrowingTree([]), []
    for at in range(0, size, step):
        tiles += tree.grow(LEAVES[at : min(size, at + step)])
    return tree, tiles


@given(st.integers(0, len(LEAVES)), st.sampled_from([63, 512, 5000]))
@settings(max_examples=25, deadline=None)
def test_a_tree_that_grows_in_any_steps_has_the_root_of_one_that_is_built_at_once(
    size: int, step: int
) -> None:
    tree, tiles = grown(size, step)

    assert (tree.size, tree.root()) == (size, root_of(LEAVES[:size]))
    again = GrowingTree(tile.root for tile in tiles)  # after a restart
    assert again.size == len(tiles) * TILE
    again.grow(LEAVES[again.size : size])
    assert again.root() == tree.root()


@given(st.integers(1, len(LEAVES)), st.data())
@settings(max_examples=25, deadline=None)
def test_any_earlier_root_and_any_path_come_from_what_is_stored_and_a_few_shares(
    size: int, data: st.DataObject
) -> None:
    for kept in grown(len(LEAVES), 5000)[1], []:  # a tile that was finished just now may not be kept yet
        log = Log(kept)
        subtrees = Subtrees(log, log)
        index = data.draw(st.integers(0, size - 1))
        path = inclusion(index, size, subtrees.node)

        assert included(index, size, LEAVES[index], path) == root_at(size, subtrees)
        assert root_at(size, subtrees) == root_of(LEAVES[:size])
        if kept:
            assert log.read <= 64 * 70  # of the unfinished tile, and of one group


def test_a_log_without_shares_has_the_root_of_the_empty_tree() -> None:
    log = Log()
    assert root_at(0, Subtrees(log, log)) == GrowingTree([]).root() == EMPTY
