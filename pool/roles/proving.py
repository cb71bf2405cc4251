"""The book's part in proofs: the share log's tree grows, and blocks are told what to fix of it."""

from __future__ import annotations

import sqlite3
from functools import partial
from typing import Final

from twisted.internet.task import deferLater

from pool.aside import aside
from pool.block_proofs import ProofKeeper
from pool.committing import Committing
from pool.roles.base import Context, Loops
from pool.store.log_tree import LeafReader, LogTable

GROW_EVERY_S: Final = 1.0
KEEP_EVERY_S: Final = 2.0
GROW_PAUSE_S: Final = 0.005
"""Between slices of a log that the tree is behind of: the book does everything else in between."""


def keep_proofs(
    context: Context, loops: Loops, books: sqlite3.Connection, shares: sqlite3.Connection
) -> None:
    """Begin with all that the book does for proofs.

    Args:
        context: of the book.
        loops: of the book.
        books: ledger.db, to write.
        shares: shares.db, for reading.
    """
    committing = Committing(LogTable(books), LeafReader(shares))

    async def grow() -> None:
        while committing.grow(context.now_ms()):
            committing.commit(context.now_ms())
            await deferLater(context.reactor, GROW_PAUSE_S, lambda: None)
        committing.commit(context.now_ms())

    directory = context.config.store.directory
    keeper = ProofKeeper(directory, books, shares, partial(aside, context.reactor))
    loops.add("Letting the share log's tree grow", grow, GROW_EVERY_S)
    loops.add("Keeping the proofs of blocks", keeper.step, KEEP_EVERY_S)
