"""What becomes of found blocks: each is followed by its header, rewarded, matured, or reversed.

Whether a block is in the chain is decided by the node's block index alone, never by a wallet, and only a node
whose own tip has reached the block's height can say that it is not.  A change of a block's state and the
journal entry that goes with it are one transaction, so that a crash at any point is followed by either both
or neither, and by the same decision again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from typing import Final, Protocol, assert_never, cast

import attrs
from twisted.logger import Logger

from payouts.money import Msat, to_msat
from pool import ledger
from pool.chain.node import ChainInfo, ChainUnavailable, CoinbaseOutput, HeaderInfo
from pool.chain.persistence import Trouble
from pool.errors import ArchiveError, ChainError, LedgerError
from pool.fixed_sums import with_sums
from pool.rewards.policy import Term, policy_of
from pool.rewards.reward import memo, reward
from pool.rewards.stakes import PotLog, Stake, stakes
from pool.store.blocks import Block, BlockState, FoundBlock
from pool.store.ledger import LedgerStore

WATCH_DEPTH: Final = 2016
"""Confirmations after which a mature block is final."""
ORPHAN_WATCH_MS: Final = 28 * 24 * 3_600_000
"""How long after it was found an orphan may still come back: twice the time of WATCH_DEPTH blocks."""


class ShareLog(Protocol):
    """The share log, as windows are cut from it; see pool.store.windows."""

    def found_since(self, found_id: int) -> Sequence[FoundBlock]:
        """Blocks that fronts solved behind a row number, oldest first."""
        ...

    def share_at(self, time_ms: int) -> int:
        """Log id of the newest share judged at this moment or before, 0 when there is none."""
        ...

    def pot(self, name: str) -> PotLog:
        """The shares of one pot."""
        ...

    def prepare(self) -> None:
        """Do some of a window's reading ahead; called at every step."""
        ...


class ChainView(Protocol):
    """What is asked of the node; pool.chain.node.Node is one.  Methods may raise ChainError."""

    async def header(self, block_hash: str) -> HeaderInfo | None:
        """The header with this hash, or None when the node does not know it."""
        ...

    async def block_outputs(self, block_hash: str) -> tuple[CoinbaseOutput, ...]:
        """What the block's coinbase pays."""
        ...

    async def chain_info(self) -> ChainInfo:
        """Where the node's tip is."""
        ...


@attrs.frozen
class Change:
    """A block's new state.  Attributes: the block as it is now, and the state it had before."""

    block: Block
    before: BlockState


class Settler:
    """Follows found blocks; the only writer of rewards.  The policies that divide them are in the books.

    Args:
        store: the books.
        log: the share log.
        chain: the node.
        maturity: confirmations at which a reward becomes available.
        wall_ms: Unix milliseconds now.

    Attributes:
        shown: hashes of watched blocks that the node had in its chain at the tip of the last step.
    """

    _log = Logger()

    def __init__(
        self,
        store: LedgerStore,
        log: ShareLog,
        chain: ChainView,
        maturity: int,
        wall_ms: Callable[[], int],
    ) -> None:
        self._store = store
        self._shares = log
        self._chain = chain
        self._maturity = maturity
        self._wall_ms = wall_ms
        self._trouble = Trouble("Asking the node about blocks")
        self._seen_tip: ChainInfo | None = None
        self.shown: Set[str] = frozenset()

    async def step(self) -> Sequence[Change]:
        """Take over new blocks and look at each one that is not final; answers what changed.

        A node that cannot be reached, or does not know a block, changes nothing.
        """
        self._shares.prepare()
        if self._take_over():
            self._seen_tip = None
        try:
            tip = await self._chain.chain_info()
            # depth and membership of the chain change with the tip alone: nothing to ask while it stays
            if tip == self._seen_tip:
                return []
            return await self._follow_all(tip)
        except ChainUnavailable as error:
            self._trouble.failed(error)
            self._seen_tip = None  # when it answers again, all are looked at, and it is said that it does
            self.shown = frozenset()
            return []

    def _take_over(self) -> bool:
        blocks = self._store.blocks
        rows = self._shares.found_since(blocks.last_found_id())
        for found in rows:
            with self._store.transaction():
                blocks.add(found, self._wall_ms())
            self._log.info("Block {hash} at {height} was taken over", hash=found.hash, height=found.height)
        return bool(rows)

    async def _follow_all(self, tip: ChainInfo) -> Sequence[Change]:
        changes: list[Change] = []
        depths: dict[str, int] = {}
        whole = True
        now_ms = self._wall_ms()
        self.shown = frozenset()
        for block in self._store.blocks.watched(WATCH_DEPTH, now_ms - ORPHAN_WATCH_MS):
            try:
                header = await self._chain.header(block.found.hash)
                if header is not None:
                    changes += await self._follow(block, header, tip, depths)
            except ChainUnavailable as error:
                self._trouble.failed(error)
                whole = False
                break
            except (ArchiveError, ChainError) as error:
                whole = False
                self._log.error(
                    "Block {hash} was not settled: {error}", hash=block.found.hash, error=str(error)
                )
        with self._store.transaction():
            self._store.blocks.note(depths, now_ms)
        self._seen_tip = tip if whole else None
        if whole:
            self._trouble.worked()
        return changes

    async def _follow(
        self, block: Block, header: HeaderInfo, tip: ChainInfo, depths: dict[str, int]
    ) -> list[Change]:
        """Do what the header asks for; the depth of a block whose state stays goes into ``depths``."""
        if header.confirmations <= 0:
            # a node that catches up knows headers (at -1 confirmations) of blocks it has yet to connect: only
            # with a chain as high as the one that the block was last seen in is leaving it out a decision
            reached = tip.height >= header.height + max(0, block.confirmations - 1)
            left_out = header.confirmations < 0 and not tip.syncing and reached
            return self._orphan(block) if left_out and block.state is not BlockState.ORPHANED else []
        self.shown |= frozenset() if tip.syncing else {block.found.hash}
        seen = attrs.evolve(block, confirmations=header.confirmations)
        match block.state:
            case BlockState.SUBMITTED | BlockState.ORPHANED:
                changes = await self._activate(seen, block)
                return changes + self._mature_if_deep(changes[-1].block) if changes else []
            case BlockState.IMMATURE:
                changes = self._mature_if_deep(seen)
            case BlockState.MATURE:
                changes = []
            case _:
                assert_never(block.state)
        if not changes and seen != block:
            depths[block.found.hash] = seen.confirmations
        return changes

    async def _activate(self, seen: Block, before: Block) -> list[Change]:
        """The block is in the chain: write its reward."""
        outputs = await self._chain.block_outputs(seen.found.hash)
        sats = [to_msat(output.value) for output in outputs if self._store.owns_script(output.script)]
        value, n = Msat(sum(sats)), seen.activations
        cold = [to_msat(output.value) for output in outputs if self._store.is_treasury_script(output.script)]
        if not value:
            self._log.error("Block {hash} pays nothing to the pool's addresses", hash=seen.found.hash)
        pot, terms = seen.found.pot, self._terms(seen)
        if not terms:
            self._log.error(
                "Block {hash} waits: restart the book to give pot {pot} a policy",
                hash=seen.found.hash,
                pot=pot,
            )
            return []
        claims = self._stakes(seen, terms)

        def entry() -> ledger.Entry:
            result = reward(claims, value, self._store.residual(pot), seen.found.height)
            noted = {**with_sums(memo(pot, result), result.division.credits), "height": seen.found.height}
            owed = self._owed_back(seen)
            return ledger.reward(seen.found.hash, n, result.division, noted, owed, Msat(sum(cold)), pot)

        after = attrs.evolve(seen, state=BlockState.IMMATURE, activations=n + 1, value=value)
        return self._change(before, after, entry)

    def _stakes(self, block: Block, terms: Sequence[Term]) -> Sequence[Stake]:
        found = block.found
        # a block of a stale or duplicate submission has no share: its window ends with the newest one then
        last_id = self._shares.share_at(found.found_ms) if found.share_id is None else found.share_id
        return stakes(self._shares.pot(found.pot), terms, last_id, found.account)

    def _terms(self, block: Block) -> Sequence[Term]:
        """The pot's policies; log ids say which of them the block's shares were mined under."""
        if block.activations:
            first = self._reward_entry(block, 0).memo
            if "policy" in first:  # from before policies were written down: what divided it still holds
                return [Term(policy_of(cast(Mapping[str, str | int], first["policy"])), 0)]
        return self._store.terms(block.found.pot)

    def _owed_back(self, block: Block) -> dict[str, Msat]:
        """What miners keep from activations that were reversed after they had been paid."""
        owed: dict[str, Msat] = {}
        for n in range(block.activations):
            reversal = self._store.entry(f"reverse:{block.found.hash}:{n}")
            if reversal is not None:
                for account, short in cast(Mapping[str, str], reversal.memo["short_msat"]).items():
                    owed[account] = Msat(owed.get(account, 0) + int(short))
        return owed

    def _mature_if_deep(self, seen: Block) -> list[Change]:
        if seen.confirmations < self._maturity:
            return []
        n = seen.activations - 1

        def entry() -> ledger.Entry:
            early = self._store.entry(f"advance:{seen.found.hash}:{n}")
            return ledger.mature(seen.found.hash, n, self._reward_entry(seen, n), early)

        return self._change(seen, attrs.evolve(seen, state=BlockState.MATURE), entry)

    def _orphan(self, before: Block) -> list[Change]:
        after = attrs.evolve(before, state=BlockState.ORPHANED, confirmations=-1)
        if before.state is BlockState.SUBMITTED:
            return self._change(before, after, None)
        n = before.activations - 1

        def entry() -> ledger.Entry:
            return ledger.reverse(
                before.found.hash,
                n,
                self._reward_entry(before, n),
                was_mature=before.state is BlockState.MATURE,
                balances=self._store.balances(),
                advanced=self._store.entry(f"advance:{before.found.hash}:{n}"),
            )

        return self._change(before, after, entry)

    def _reward_entry(self, block: Block, n: int) -> ledger.Entry:
        entry = self._store.entry(f"reward:{block.found.hash}:{n}")
        if entry is None:
            raise LedgerError(f"block {block.found.hash} has no reward {n} in the journal")
        return entry

    def _change(
        self, before: Block, after: Block, make_entry: Callable[[], ledger.Entry] | None
    ) -> list[Change]:
        """Write a block's new state together with its entry, both or neither."""
        now_ms = self._wall_ms()
        with self._store.transaction():
            stored = self._store.blocks.get(before.found.hash)
            if stored is None or (stored.state, stored.activations) != (before.state, before.activations):
                return []
            if make_entry is not None:
                self._store.post(make_entry(), now_ms)
            self._store.blocks.write(after, now_ms)
        self._log.info(
            "Block {hash} at {height} became {state}",
            hash=after.found.hash,
            height=after.found.height,
            state=after.state.value,
            value_msat=after.value,
        )
        return [Change(after, before.state)]
