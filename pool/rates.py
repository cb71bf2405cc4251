"""How the book learns what FPPS pays for fees: one rate for each height, from the blocks before it, for good.

The rate of the height that is mined on now is written as soon as its tip is seen, before most of its shares
come.  A reorganisation afterwards changes the rates of heights that have none yet, and of no others: what was
said when a share was mined is what it is paid.  Where the node does not tell a fee there is no rate, and
shares of that height wait.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Final, Protocol

from twisted.logger import Logger

from payouts.money import Sat
from pool.chain.node import BlockFees, ChainInfo, ChainUnavailable
from pool.errors import ChainError
from pool.rewards.fpps import FEE_BLOCKS, Rate, wanted
from pool.store.ledger import LedgerStore
from pool.store.rates import rate_entry

MOST_AT_A_STEP: Final = 16
"""Heights whose rates are looked for in one step, when there are many (after the book was off)."""
_MOST_KEPT: Final = 4 * FEE_BLOCKS
_MOST_FEES: Final = 21_000_000 * 100_000_000
"""In sat: there is no more money."""


class FeeChain(Protocol):
    """What is asked of the node.  Methods may raise ChainError."""

    async def hash_at(self, height: int) -> str:
        """Hash of the block at a height of the node's chain, display-order hex."""
        ...

    async def block_fees(self, block_hash: str) -> BlockFees:
        """What a block brought in fees."""
        ...


class RateBook:
    """Writes the rates that are missing.

    Args:
        store: the books.
        chain: the node.
        wall_ms: Unix milliseconds now.
    """

    _log = Logger()

    def __init__(self, store: LedgerStore, chain: FeeChain, wall_ms: Callable[[], int]) -> None:
        self._store = store
        self._chain = chain
        self._wall_ms = wall_ms
        self._seen: dict[str, BlockFees] = {}

    async def step(self, tip: ChainInfo, waiting: Collection[int], *, ahead: bool) -> int:
        """Learn the rates of heights that shares wait for, and that of the next block.

        Args:
            tip: of the node's chain.
            waiting: heights of shares that have no rate yet; those beyond the tip go on waiting.
            ahead: whether the rate of the height after the tip is wanted whoever waits; a tip that the node
                is still downloading up to has none.

        Returns:
            How many were written.

        Raises:
            ChainError: the node did not tell what one of them takes; the others were learnt all the same.
        """
        heights = sorted(height for height in waiting if 0 < height <= tip.height)[:MOST_AT_A_STEP]
        if tip.height + 1 in waiting or (ahead and not tip.syncing):
            heights.insert(0, tip.height + 1)
        written, trouble = 0, None
        for height in heights:
            if self._store.rates.get(height) is not None:
                continue
            try:
                last = tip.best_hash if height > tip.height else await self._chain.hash_at(height - 1)
                self._write(Rate(height, last, tuple(await self._fees_up_to(height - 1, last))))
                written += 1
            except ChainError as error:
                trouble = trouble or error
        if trouble is not None:
            raise trouble
        return written

    def _write(self, rate: Rate) -> None:
        self._store.post(rate_entry(rate), self._wall_ms())
        self._log.info(
            "Shares of height {height} are paid {fees_msat} msat a block for fees, by {count} blocks",
            height=rate.height,
            fees_msat=rate.part,
            count=len(rate.fees),
        )

    async def _fees_up_to(self, height: int, block_hash: str) -> list[Sat]:
        """Fees of as many blocks as a rate takes, the newest of them this one; oldest first.

        Blocks are followed by the hash of the one before, so that they are of one chain whatever the node
        does meanwhile; where the books have a rate of the same chain, its fees are taken from there.
        """
        count = wanted(height + 1, FEE_BLOCKS)
        newest_first: list[Sat] = []
        while len(newest_first) < count:
            known = self._store.rates.get(height + 1)
            if known is not None and known.after == block_hash and known.blocks == FEE_BLOCKS:
                newest_first += reversed(known.fees)
                break
            block = await self._look(height, block_hash)
            newest_first.append(block.fees)
            height, block_hash = height - 1, block.prev_hash
        return newest_first[:count][::-1]

    async def _look(self, height: int, block_hash: str) -> BlockFees:
        block = self._seen.get(block_hash)
        if block is None:
            block = await self._chain.block_fees(block_hash)
            if block.hash != block_hash or block.height != height or not 0 <= block.fees <= _MOST_FEES:
                raise ChainUnavailable(f"the node says of block {block_hash} at {height} what cannot be")
            if len(self._seen) >= _MOST_KEPT:
                del self._seen[next(iter(self._seen))]
            self._seen[block_hash] = block
        return block
