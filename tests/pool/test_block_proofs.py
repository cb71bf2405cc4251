"""Of each found block the book keeps what proves its coinbase, and which commitment that fixes."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import attrs
import pytest
from twisted.logger import capturedLogs

from pool.block_proofs import ProofKeeper, Reading, fixed_by
from pool.chain import saved
from pool.chain.block import block_hash
from pool.chain.saved import SavedBlock
from pool.jobs import unsolved_block
from pool.proof.blockproof import BlockProof, holds
from pool.proof.commitment import output_data
from pool.store.block_proofs import ProofTable
from pool.store.blocks import FoundBlock
from pool.store.ledger import LedgerStore
from pool.store.log_tree import LogTable
from pool.store.shares import ShareStore
from stratum.units import Height
from tests.pool.test_committing import Files, caught_up, files
from tests.pool.test_jobs import jobs, template
from tests.pool.test_settle import NOW_MS, found, share

__all__ = ["files"]  # a fixture


async def at_once(read: Reading, path: Path) -> BlockProof | str:
    return read(path)


def keeper(files: Files) -> ProofKeeper:
    return ProofKeeper(files.directory, files.books, files.shares, at_once)


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    with pytest.raises(StopIteration):
        coroutine.send(None)


def find_block(files: Files, fixes: Callable[[], bytes] | None, number: int = 1) -> SavedBlock:
    """A front finds a block (that has no work), and the book takes it over."""
    working = jobs(files.directory, fixes=fixes, tag=f"/{number}/")
    made = working.make(template(transactions=[]), None, clean=True)
    assert made is not None
    whole = unsolved_block(made)
    name = block_hash(whole)
    block = SavedBlock(name, Height(500), "00" * 32, "bcrt1q", "ann", "rig", NOW_MS, "a1", None, whole)
    saved.write(files.directory, block)
    winning = {name: attrs.evolve(found(name), file=saved.name_of(block))}
    ShareStore(files.shares, 3).write([share("ann", block_hash=name)], winning)
    taken = FoundBlock(number, name, 1, 500, "ann", NOW_MS)
    LedgerStore(files.books).blocks.add(taken, NOW_MS)
    return block


def test_a_blocks_proof_is_kept_with_the_commitment_that_its_coinbase_fixes(files: Files) -> None:
    files.mine(5)
    committing = files.start()
    caught_up(committing)
    commitment = committing.commit(NOW_MS)
    assert commitment is not None
    block = find_block(files, lambda: output_data(commitment))
    bare = find_block(files, None, 2)

    run(keeper(files).step())
    run(keeper(files).step())
    run(keeper(files).step())  # nothing is left to do

    table = ProofTable(files.books)
    kept = table.get(block.hash)
    assert kept is not None
    assert (kept.hash, kept.height, kept.state) == (block.hash, 500, "submitted")
    assert (kept.proof.hash, holds(kept.proof)) == (block.hash, True)
    assert fixed_by(kept.proof) == commitment.digest
    known = LogTable(files.books).numbered(kept.commitment_id or 0)
    assert known is not None
    assert known.commitment == commitment
    other = table.get(bare.hash)
    assert other is not None
    assert other.commitment_id is None
    assert table.missing() == []


def test_a_share_is_proven_by_the_first_block_in_the_chain_that_covers_it(files: Files) -> None:
    blocks = []
    committing = files.start()
    for number in (1, 2):
        files.mine(5)
        caught_up(committing)
        commitment = committing.commit(NOW_MS + number * 60_000)
        assert commitment is not None
        data = output_data(commitment)
        blocks.append(find_block(files, lambda data=data: data, number).hash)  # type: ignore[misc]
        run(keeper(files).step())
    table = ProofTable(files.books)
    assert (table.covering(1), table.fixed()) == (None, 0)  # no node has shown them in the chain yet
    files.books.execute("UPDATE block SET state = 'immature'")
    assert table.fixed() == 11

    def proves(share_id: int) -> str | None:
        kept = table.covering(share_id)
        return None if kept is None else kept.hash

    assert [proves(share_id) for share_id in (1, 5, 6, 11, 12)] == [*blocks[:1] * 2, *blocks[1:] * 2, None]
    files.books.execute("UPDATE block SET state = 'orphaned' WHERE hash = ?", blocks[:1])
    assert proves(1) == blocks[1]


@pytest.mark.parametrize("harm", ["gone", "cut", "another"])
def test_a_block_whose_file_is_of_no_use_is_named_once_and_holds_up_nothing(harm: str, files: Files) -> None:
    block, good = find_block(files, None), find_block(files, None, 2)
    path = saved.path_of(files.directory, block)
    if harm == "gone":
        path.unlink()
    elif harm == "cut":
        path.write_text(path.read_text()[:-9])
    else:
        path.write_bytes(saved.path_of(files.directory, good).read_bytes())
    working = keeper(files)
    with capturedLogs() as events:
        for _ in range(3):
            run(working.step())
    assert [event["hash"] for event in events if event.get("why")] == [block.hash]
    assert ProofTable(files.books).missing() == [block.hash]
