"""Proving a tip: its headers are asked for until one is known, and each is checked."""

from __future__ import annotations

from typing import Final

from pool.chain.headers import Evidence, Headers
from pool.chain.node import MiningNode

MOST_HEADERS: Final = 144
"""So far back a tip is followed to one that is known; beyond that, the node's own count of work is taken."""


async def prove(node: MiningNode, tip: str, headers: Headers) -> tuple[Evidence | None, str | None]:
    """The header of a tip, or what is wrong with it.

    Args:
        node: which told it.
        tip: display-order hash.
        headers: the known ones, of all nodes; the tip's branch is added.

    Returns:
        The header and None, or None and words that follow on "it".

    Raises:
        ChainError: the node does not answer.
    """
    branch: list[Evidence] = []
    wanted, most = tip, MOST_HEADERS if len(headers) else 1
    while len(branch) < most and (not branch or branch[-1].height > 0):
        header = await node.evidence(wanted)
        if header is None or header.hash != wanted:
            return None, f"told a tip that it has no header of ({wanted})"
        branch.append(header)
        wanted = header.prev_hash
        if headers.work(header.hash) is not None or headers.work(wanted) is not None:
            break
    wrong = headers.learn(branch[::-1]) if headers.work(tip) is None else None
    return (branch[0], None) if wrong is None else (None, f"told a tip that is none: {wrong}")
