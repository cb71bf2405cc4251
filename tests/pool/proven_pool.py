"""A pool in files whose blocks fix its share log: shares, tree, commitment, block, reward, proof."""

from __future__ import annotations

import sqlite3
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any

import attrs

from payouts.money import Sat
from pool.block_proofs import ProofKeeper, Reading
from pool.chain import saved
from pool.chain.block import block_hash, coinbase_outputs
from pool.chain.saved import SavedBlock
from pool.committing import Committing
from pool.proof.blockproof import BlockProof
from pool.proof.commitment import output_data
from pool.store.ledger import LedgerStore
from pool.store.log_tree import LeafReader, LogTable
from pool.store.shares import ShareStore
from stratum.units import Height
from tests.pool.proof_samples import mined
from tests.pool.test_settle import NBITS, NOW_MS, FakeChain, Pool, found, share

SCRIPT = b"\x00\x14" + bytes(20)


async def at_once(read: Reading, path: Path) -> BlockProof | str:
    """Read a file without a thread."""
    return read(path)


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run what never waits."""
    try:
        coroutine.send(None)
    except StopIteration:
        return
    raise AssertionError("it waited")


@attrs.define
class ProvenPool:
    """The pool; each block is found by the last miner of its shares."""

    directory: Path
    shares: sqlite3.Connection
    books: sqlite3.Connection
    fixing: bool = True
    step: int = 0
    chain: FakeChain = attrs.field(factory=FakeChain)

    def __attrs_post_init__(self) -> None:
        LedgerStore(self.books).add_addresses([("bcrt1qpool", SCRIPT)], NOW_MS)

    @property
    def pool(self) -> Pool:
        """The book's side of it."""
        return Pool(self.directory, self.shares, self.books, self.chain)

    def mine(self, accounts: Sequence[str]) -> None:
        """One share of each."""
        ShareStore(self.shares, 3).write([share(account) for account in accounts], {})

    def commit(self) -> bytes:
        """Take in all shares; what the next coinbase fixes."""
        self.step += 1
        self.pool.settler()  # adopts the policies
        committing = Committing(LogTable(self.books), LeafReader(self.shares))
        while committing.grow(NOW_MS):
            pass
        commitment = committing.commit(NOW_MS + self.step * 60_000)
        assert commitment is not None
        return output_data(commitment)

    def find(
        self,
        finder: str,
        later: Sequence[str] = (),
        *,
        confirmations: int = 1,
        keep: bool = True,
        pot: str = "pool",
    ) -> bytes:
        """A block that fixes all shares there are; others may come before it is found.  All its bytes."""
        data = self.commit() if self.fixing else b""
        self.mine(later)
        raw, _ = mined(data, NBITS, others=self.step)
        name = block_hash(raw)
        block = SavedBlock(name, Height(500), "00" * 32, "bcrt1qpool", finder, "rig", NOW_MS, "a1", None, raw)
        saved.write(self.directory, block)
        winning = {name: attrs.evolve(found(name, finder), file=saved.name_of(block), pot=pot)}
        ShareStore(self.shares, 3).write([share(finder, block_hash=name, pot=pot)], winning)
        self.chain.outputs = coinbase_outputs(raw)
        self.pool.see(confirmations, name)
        if keep:
            run(ProofKeeper(self.directory, self.books, self.shares, at_once).step())
        return raw


def paid(raw: bytes) -> Sat:
    """What a block pays in all."""
    return Sat(sum(output.value for output in coinbase_outputs(raw)))
