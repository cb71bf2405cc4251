"""Submitting found blocks: to every node, again and again, until each says something definite about them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from pool.chain.node import (
    Accepted,
    ChainRefused,
    Node,
    Refused,
    SubmitResult,
    Unanswered,
    word_for,
)
from pool.chain.saved import SavedBlock, name_of
from pool.errors import ChainError

RESUBMIT_FOR_S = 7200.0
"""Afterwards the network has gone on without the block; its file is still submitted at the next start."""
_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 30.0
_NO_BLOCK = -22
_KEPT = frozenset({"inconclusive", "duplicate-inconclusive"})
"""A node's words for a good block on a branch that has less work for now: it has the block (BIP 22)."""

log = Logger()


def has_block(result: SubmitResult) -> bool:
    """Whether this answer means that the node has the block and did not find it invalid."""
    return isinstance(result, Accepted) or (isinstance(result, Refused) and result.reason in _KEPT)


def said_of_block(word: object) -> SubmitResult:
    """What submitblock's answer means (BIP 22)."""
    return Accepted() if word in (None, "duplicate") else Refused(str(word))


def said_nothing_of(error: ChainError) -> SubmitResult:
    """What it means for a block that submitblock ended in an error.

    Only one that calls the bytes no block is about the block.  Any other (out of memory, shutting down, no
    such method) is the node's own trouble: it is asked again.
    """
    if isinstance(error, ChainRefused) and error.code == _NO_BLOCK:
        return Refused(error.message)
    return Unanswered(str(error))


class Submitter:
    """Hands blocks to every node of the pool."""

    def __init__(
        self, nodes: Sequence[Node], recorded: Callable[[str, str, SubmitResult], None], clock: IReactorTime
    ) -> None:
        """Wire it up.

        Args:
            nodes: who gets the blocks; each has a name of its own.
            recorded: told (block hash, node name, result): once when that node first stays silent, and once
                when it has answered.
            clock: the reactor.
        """
        self._nodes = tuple(nodes)
        self._recorded = recorded
        self._clock = clock
        self._running: set[Deferred[SubmitResult]] = set()

    def submit(self, found: SavedBlock) -> None:
        """Begin to hand over a block.  Who has it already accepts it again: no harm is done."""
        block_hex = found.block.hex()
        last: dict[str, SubmitResult] = {}
        for node in self._nodes:
            self._begin(node, found, block_hex, last)

    def _begin(self, node: Node, found: SavedBlock, block_hex: str, last: dict[str, SubmitResult]) -> None:
        running = Deferred.fromCoroutine(self._submit(node, found, block_hex))
        self._running.add(running)

        def ended(result: Any) -> None:
            self._running.discard(running)
            if isinstance(result, Accepted | Refused | Unanswered):
                last[node.name] = result
                self._judge(found, last)
            elif result.check(CancelledError) is None:
                log.failure("Submitting block {hash} met a bug", result, hash=found.hash)

        running.addBoth(ended)

    def _judge(self, found: SavedBlock, last: dict[str, SubmitResult]) -> None:
        """Once every node has had its last word: say loudly that a person has to look, if none took it."""
        if len(last) < len(self._nodes) or any(map(has_block, last.values())):
            return
        log.critical(
            "Block {hash} at height {height} was taken by no node ({words}): look into it, then"
            " `sluice blocks resubmit {file}`",
            hash=found.hash,
            height=found.height,
            words=", ".join(f"{name}: {word_for(result)}" for name, result in last.items()),
            file=name_of(found),
        )

    def stop(self) -> None:
        """Give up what is unanswered; the files are on disk."""
        for running in list(self._running):
            running.cancel()

    def _tell(self, node: Node, found: SavedBlock, result: SubmitResult) -> None:
        log.info(
            "Block {hash} was submitted to {node}: {word}",
            hash=found.hash,
            node=node.name,
            word=word_for(result),
        )
        try:
            self._recorded(found.hash, node.name, result)
        except Exception:  # noqa: BLE001  a store that cannot be written must not keep a block from the node
            log.failure("What the node said to block {hash} could not be recorded", hash=found.hash)

    async def _submit(self, node: Node, found: SavedBlock, block_hex: str) -> SubmitResult:
        until_s = self._clock.seconds() + RESUBMIT_FOR_S
        pause_s = _FIRST_PAUSE_S
        told = False
        while True:
            result = await node.submit(block_hex)
            silent = isinstance(result, Unanswered)
            if not (silent and told):
                self._tell(node, found, result)
                told = True
            if not silent or self._clock.seconds() >= until_s:
                return result
            await deferLater(self._clock, pause_s, lambda: None)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
