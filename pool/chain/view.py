"""What several nodes together say of the chain: the one whose chain has the most work speaks for all.

A node that is behind, cut off or catching up has less work than another that is well, and is not listened to.
When two chains have the same work, as in a race, a block that only one of them has is left as it is until one
chain is ahead.  And when the only nodes that answer have less work than was seen before, they can confirm a
block, but not take one away.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import attrs
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from pool.chain.node import BlockFees, BookNode, ChainInfo, ChainUnavailable, CoinbaseOutput, HeaderInfo
from pool.errors import ChainError

log = Logger()
T = TypeVar("T")


@attrs.frozen
class _Heard:
    """What a node says of its own tip."""

    node: BookNode
    info: ChainInfo


class ManyNodes:
    """A pool.settle.ChainView over one or several nodes.

    Args:
        nodes: at least one, each with a name of its own; of equal ones the first speaks.
    """

    def __init__(self, nodes: Sequence[BookNode]) -> None:
        self._nodes = tuple(nodes)
        self._speaker: BookNode = self._nodes[0]
        self._rivals: tuple[BookNode, ...] = ()
        self._most_work = 0
        self._behind = False
        self._disputed: set[str] = set()

    async def chain_info(self) -> ChainInfo:
        """Ask every node for its tip, and choose who speaks until the next call.

        Raises:
            ChainUnavailable: none answers; the text has what each of them said.
        """
        heard, silent = await self._hear()
        if not heard:
            raise ChainUnavailable("; ".join(silent))
        well = [each for each in heard if not each.info.syncing] or heard
        most = max(each.info.work for each in well)
        tied = [each for each in well if each.info.work == most]
        first = next((each for each in tied if each.node is self._speaker), tied[0])
        if first.node is not self._speaker:
            log.info(
                "The chain of {node} has the most work now: it is followed, not that of {before}",
                node=first.node.name,
                before=self._speaker.name,
                height=first.info.height,
            )
        self._speaker = first.node
        self._rivals = tuple(each.node for each in tied if each.info.best_hash != first.info.best_hash)
        self._behind = most < self._most_work
        self._most_work = max(most, self._most_work)
        return first.info

    async def _hear(self) -> tuple[list[_Heard], list[str]]:
        # all at once: a node that hangs must not keep the others from being heard in time
        asked = [Deferred.fromCoroutine(_look(node)) for node in self._nodes]
        looks = [await each for each in asked]
        return [each for each in looks if isinstance(each, _Heard)], [
            str(each) for each in looks if isinstance(each, ChainError)
        ]

    async def header(self, block_hash: str) -> HeaderInfo | None:
        """What the speaker knows of a block; 0 confirmations stand for a question that is still open.

        Raises:
            ChainUnavailable: it does not answer (any more).
        """
        seen = await self._speaker.header(block_hash)
        if seen is None:
            return None
        if seen.confirmations < 0 and self._behind:
            return attrs.evolve(seen, confirmations=0)
        for rival in self._rivals:
            other = await rival.header(block_hash)
            if ((other is not None) and other.confirmations > 0) != (seen.confirmations > 0):
                self._dispute(block_hash, rival)
                return attrs.evolve(seen, confirmations=0)
        self._disputed.discard(block_hash)
        return seen

    def _dispute(self, block_hash: str, rival: BookNode) -> None:
        if block_hash not in self._disputed:
            self._disputed.add(block_hash)
            log.warn(
                "Block {hash} is in one only of two chains, of {speaker} and {rival}, with the same work",
                hash=block_hash,
                speaker=self._speaker.name,
                rival=rival.name,
            )

    async def block_outputs(self, block_hash: str) -> tuple[CoinbaseOutput, ...]:
        """What the block's coinbase pays: the same at every node that has it, so any will do.

        Raises:
            ChainError: no node can tell; this is what the speaker said.
        """
        return await self._of_any(lambda node: node.block_outputs(block_hash))

    async def hash_at(self, height: int) -> str:
        """Hash of the block at a height of the speaker's chain.

        Raises:
            ChainError: it does not tell.
        """
        return await self._speaker.hash_at(height)

    async def block_fees(self, block_hash: str) -> BlockFees:
        """What a block brought in fees: of the speaker, or of another when that one has pruned it.

        Raises:
            ChainError: no node can tell; this is what the speaker said.
        """
        return await self._of_any(lambda node: node.block_fees(block_hash))

    async def _of_any(self, ask: Callable[[BookNode], Awaitable[T]]) -> T:
        try:
            return await ask(self._speaker)
        except ChainError:
            for node in self._nodes:
                if node is not self._speaker:
                    try:
                        return await ask(node)
                    except ChainError:
                        continue
            raise


async def _look(node: BookNode) -> _Heard | ChainError:
    try:
        return _Heard(node, await node.chain_info())
    except ChainError as error:
        return error
