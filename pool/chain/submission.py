"""Submitting found blocks: to every node, again and again, until each says something definite about them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from pool.chain.node import Node, SubmitResult, Unanswered, word_for
from pool.chain.saved import SavedBlock

RESUBMIT_FOR_S = 7200.0
"""Afterwards the network has gone on without the block; its file is still submitted at the next start."""
_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 30.0

log = Logger()


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
        self._running: set[Deferred[None]] = set()

    def submit(self, found: SavedBlock) -> None:
        """Begin to hand over a block.  Who has it already accepts it again: no harm is done."""
        for node in self._nodes:
            self._begin(node, found)

    def _begin(self, node: Node, found: SavedBlock) -> None:
        running = Deferred.fromCoroutine(self._submit(node, found))
        self._running.add(running)

        def ended(result: Any) -> None:
            self._running.discard(running)
            if result is not None and result.check(CancelledError) is None:
                log.failure("Submitting block {hash} met a bug", result, hash=found.hash)

        running.addBoth(ended)

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

    async def _submit(self, node: Node, found: SavedBlock) -> None:
        until_s = self._clock.seconds() + RESUBMIT_FOR_S
        pause_s = _FIRST_PAUSE_S
        told = False
        while True:
            result = await node.submit(found.block.hex())
            silent = isinstance(result, Unanswered)
            if not (silent and told):
                self._tell(node, found, result)
                told = True
            if not silent or self._clock.seconds() >= until_s:
                return
            await deferLater(self._clock, pause_s, lambda: None)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
