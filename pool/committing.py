"""The book's work on the share log's tree: it lets it grow beside the rest, and says what blocks shall fix.

Each call does a few milliseconds of work at most, so that nothing that moves money ever waits for it.
"""

from __future__ import annotations

from typing import Final

from twisted.logger import Logger

from pool.logtree import TILE, GrowingTree, Tile
from pool.proof.commitment import Commitment
from pool.store.log_tree import LeafReader, LogTable

SLICE: Final = 512
"""Shares that are hashed at once: some 3 ms."""
EVERY_MS: Final = 5_000
"""How often a new commitment is written at most."""
KEEP_MS: Final = 2 * 24 * 3_600_000
"""How long a commitment is kept after another took its place.

A block can come an hour late from a miner, and a day late from a front that was down.
"""
_TILES_AT_ONCE: Final = 64


class Committing:
    """Grows the tree and writes commitments.

    Args:
        table: the tree in ``ledger.db``, to write, beside the policies and the journal.
        log: the share log.
    """

    _log = Logger()

    def __init__(self, table: LogTable, log: LeafReader) -> None:
        self._table = table
        self._shares = log
        self._tree: GrowingTree | None = None
        self._pending: list[Tile] = []
        self._written_ms = 0
        self._last: tuple[int, str] | None = None

    def grow(self, now_ms: int) -> bool:
        """Take up to SLICE new shares into the tree.

        Returns:
            Whether more are waiting.
        """
        tree, newest = self._started(), self._shares.newest()
        first = tree.size + 1
        last = min(newest, tree.size + SLICE)
        if last >= first:
            self._pending += tree.grow(self._shares.leaves(first, last))
        if len(self._pending) >= _TILES_AT_ONCE:
            self._write(None, now_ms)
        return last < newest

    def commit(self, now_ms: int) -> Commitment | None:
        """Write a commitment to what the tree, the policies and the journal are now, if it is time for one.

        Returns:
            What was written; None when nothing has changed, or it is too early.
        """
        tree, head = self._started(), self._table.journal()
        state = (tree.size, head)
        if now_ms - self._written_ms < EVERY_MS or state == self._last:
            return None
        if self._last is not None and tree.size < self._last[0]:
            return None  # after a restart: a block shall not fix less than the one before it
        commitment = Commitment(tree.size, tree.root(), self._table.policies(), head)
        if not self._write(commitment, now_ms):
            return None  # the payer is writing: next time will do
        self._written_ms, self._last = now_ms, state
        return commitment

    def _write(self, commitment: Commitment | None, now_ms: int) -> bool:
        written = self._table.write(self._pending, commitment, now_ms, KEEP_MS)
        if written:
            self._pending = []
        return written

    def _started(self) -> GrowingTree:
        if self._tree is None:
            tiles, newest = self._table.tiles(), self._shares.newest()
            self._tree = GrowingTree(self._table.roots(0, tiles))
            kept = self._table.newest()
            if kept is not None:
                self._last = (kept.commitment.size, kept.commitment.journal)
            if newest < tiles * TILE:
                self._log.critical(
                    "The share log ends at {newest}, and its tree has {size} shares: is shares.db from an"
                    " older backup than ledger.db? The shares between are lost, and their ids stay theirs",
                    newest=newest,
                    size=tiles * TILE,
                )
        return self._tree
