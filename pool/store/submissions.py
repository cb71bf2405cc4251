"""What nodes said to found blocks, from ``shares.db``: which blocks still lack a node that has them."""

from __future__ import annotations

import sqlite3
from typing import Final

import attrs

UNANSWERED: Final = "unanswered"
HAVE_IT: Final = frozenset({"accepted", "inconclusive", "duplicate-inconclusive"})
"""Answers of a node that has the block and did not find it invalid."""


@attrs.frozen
class Answer:
    """What a node said to a block, and when.  ``result`` is *accepted*, *unanswered* or its own word."""

    node: str
    result: str
    at_ms: int


class Submissions:
    """Reads tables ``found`` and ``submission``; the connection is for reading."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def is_done(self, block_hash: str) -> bool:
        """Whether nothing is left to do: the block is in the log, and a node has it or all refused it."""
        logged = self._connection.execute("SELECT 1 FROM found WHERE hash = ?", (block_hash,)).fetchone()
        return logged is not None and self.is_answered(block_hash)

    def is_answered(self, block_hash: str) -> bool:
        """Whether a node has the block, or every node that was asked has refused it."""
        last = {answer.node: answer.result for answer in self.answers(block_hash)}
        return bool(last) and (UNANSWERED not in last.values() or not HAVE_IT.isdisjoint(last.values()))

    def answers(self, block_hash: str) -> list[Answer]:
        """Everything that nodes said to a block, oldest first."""
        rows = self._connection.execute(
            "SELECT node, result, at_ms FROM submission WHERE hash = ? ORDER BY id", (block_hash,)
        )
        return [Answer(*row) for row in rows]

    def whole_hash(self, end: str) -> str | None:
        """The hash of the one block that ends in these hex digits, None when it is none or several."""
        rows = self._connection.execute(
            "SELECT hash FROM found WHERE substr(hash, -length(?1)) = ?1 LIMIT 2", (end,)
        ).fetchall()
        return str(rows[0][0]) if len(rows) == 1 and end else None
