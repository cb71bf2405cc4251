"""The book keeps of each found block what proves its coinbase, from the file that its front saved."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path

from twisted.logger import Logger

from pool.chain import saved
from pool.errors import ProofError
from pool.proof.blockproof import BlockProof, coinbase_of, from_block
from pool.proof.commitment import find
from pool.store.block_proofs import ProofTable, file_of
from pool.store.log_tree import LogTable

Reading = Callable[[Path], "BlockProof | str"]


class ProofKeeper:
    """Keeps proofs, one a step.

    Args:
        directory: of the store.
        books: ledger.db, to write.
        shares: shares.db, for reading.
        in_thread: reads a block's file, which has megabytes, beside the reactor.
    """

    _log = Logger()

    def __init__(
        self,
        directory: Path,
        books: sqlite3.Connection,
        shares: sqlite3.Connection,
        in_thread: Callable[[Reading, Path], Awaitable[BlockProof | str]],
    ) -> None:
        self._directory = directory
        self._table = ProofTable(books)
        self._commitments = LogTable(books)
        self._shares = shares
        self._in_thread = in_thread
        self._given_up: set[str] = set()

    async def step(self) -> None:
        """Keep the proof of the oldest block that has none; what cannot be read is tried once a start."""
        block_hash = next((each for each in self._table.missing() if each not in self._given_up), None)
        if block_hash is None:
            return
        file = file_of(self._shares, block_hash)
        found: BlockProof | str = "the share log does not have it"
        if file is not None:
            found = await self._in_thread(read_proof, self._directory / saved.FOLDER / file)
        if isinstance(found, str) or found.hash != block_hash:
            self._given_up.add(block_hash)
            why = found if isinstance(found, str) else f"its file is that of block {found.hash}"
            self._log.error(
                "Block {hash} has no proof, nor have shares and credits by it: {why}",
                hash=block_hash,
                why=why,
            )
            return
        kept = None if (digest := fixed_by(found)) is None else self._commitments.with_digest(digest)
        self._table.add(found, None if kept is None else kept.id)
        self._log.info(
            "Kept the proof of block {hash}",
            hash=block_hash,
            fixed_shares=None if kept is None else kept.commitment.size,
        )


def fixed_by(proof: BlockProof) -> bytes | None:
    """The digest that a block's coinbase fixes; None when it fixes none, or several, which prove nothing.

    Raises:
        ProofError: the coinbase is none.
    """
    digests = find(coinbase_of(proof).outputs)
    return digests[0] if len(digests) == 1 else None


def read_proof(path: Path) -> BlockProof | str:
    """The proof of a saved block, or why there is none.

    Args:
        path: of its file.
    """
    try:
        proof = from_block(saved.read(path).block)
        coinbase_of(proof)
    except OSError as error:
        return f"{path} cannot be read: {error.strerror}"
    except (ValueError, ProofError) as error:
        return f"{path} is no block: {error}"
    return proof
