"""What proves each found block's coinbase, kept in ``ledger.db`` with the commitment that it carries."""

from __future__ import annotations

import sqlite3
from typing import Final

import attrs

from pool.proof.blockproof import BlockProof, checked
from pool.proof.merkle import HASH_BYTES
from pool.store.database import transaction

_COLUMNS: Final = (  # as bytes whatever somebody has made of them: a proof that is none shall be named
    "p.hash, b.height, b.state, CAST(p.header AS BLOB), CAST(p.coinbase AS BLOB), CAST(p.branch AS BLOB),"
    " p.commitment_id"
)


@attrs.frozen
class KeptProof:
    """A found block's proof.

    Attributes:
        hash: display-order hex.
        height: of the block.
        state: of the block, see pool.store.blocks.
        proof: of its coinbase.
        commitment_id: of the commitment that its coinbase fixes; None: it fixes none of ours.
    """

    hash: str
    height: int
    state: str
    proof: BlockProof
    commitment_id: int | None


class ProofTable:
    """Reads table ``block_proof`` of ``ledger.db``; writes it, where the connection may."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def missing(self) -> list[str]:
        """Hashes of the blocks that have no proof, oldest first."""
        rows = self._connection.execute(
            "SELECT hash FROM block WHERE hash NOT IN (SELECT hash FROM block_proof) ORDER BY found_id"
        )
        return [row[0] for row in rows]

    def add(self, proof: BlockProof, commitment_id: int | None) -> None:
        """Keep a block's proof; one that is there already stays."""
        with transaction(self._connection) as tx:
            tx.execute(
                "INSERT OR IGNORE INTO block_proof (hash, header, coinbase, branch, commitment_id)"
                " VALUES (?, ?, ?, ?, ?)",
                (proof.hash, proof.header, proof.coinbase, b"".join(proof.branch), commitment_id),
            )

    def get(self, block_hash: str) -> KeptProof | None:
        """The proof of a block.

        Raises:
            ProofError: what is stored is none.
        """
        return self._first("WHERE p.hash = ?", block_hash)

    def hashes(self) -> list[str]:
        """Hashes of the blocks that have a proof, oldest first."""
        rows = self._connection.execute(
            "SELECT p.hash FROM block_proof p JOIN block b ON b.hash = p.hash ORDER BY b.found_id"
        )
        return [row[0] for row in rows]

    def fixed(self) -> int:
        """Log id of the newest share that a block in the chain has fixed, 0 when none has."""
        row: tuple[int] = self._connection.execute(
            "SELECT coalesce(max(c.size), 0) FROM block_proof p JOIN block b ON b.hash = p.hash"
            " JOIN commitment c ON c.id = p.commitment_id WHERE b.state IN ('immature', 'mature')"
        ).fetchone()
        return row[0]

    def covering(self, share_id: int) -> KeptProof | None:
        """The first block in the chain that fixes a log with this share in it.

        Raises:
            ProofError: what is stored is no proof.
        """
        return self._first(
            "JOIN commitment c ON c.id = p.commitment_id"
            " WHERE c.size >= ? AND b.state IN ('immature', 'mature') ORDER BY c.size, b.found_id LIMIT 1",
            share_id,
        )

    def before(self, commitment_id: int) -> KeptProof | None:
        """The newest block in the chain that fixes a log, not an empty one, from before a commitment.

        Raises:
            ProofError: what is stored is no proof.
        """
        return self._first(
            "JOIN commitment c ON c.id = p.commitment_id JOIN commitment this ON this.id = ?"
            " WHERE c.id < this.id AND c.size BETWEEN 1 AND this.size"
            " AND b.state IN ('immature', 'mature') ORDER BY c.id DESC LIMIT 1",
            commitment_id,
        )

    def _first(self, clause: str, value: str | int) -> KeptProof | None:
        # the clauses are this class's own constants
        row = self._connection.execute(
            f"SELECT {_COLUMNS} FROM block_proof p JOIN block b ON b.hash = p.hash {clause}",  # noqa: S608
            (value,),
        ).fetchone()
        if row is None:
            return None
        block_hash, height, state, header, coinbase, branch, commitment_id = row
        hashes = [branch[at : at + HASH_BYTES] for at in range(0, len(branch), HASH_BYTES)]
        return KeptProof(block_hash, height, state, checked(header, coinbase, hashes), commitment_id)


@attrs.frozen
class FixedLog:
    """What a block fixes of the share log.  Attributes: shares up to this log id, and the root, hex."""

    shares: int
    root: str


def fixed_log(ledger: sqlite3.Connection, block_hash: str) -> FixedLog | None:
    """What a found block fixes of the share log, None for nothing.  Args: ledger: to ``ledger.db``."""
    row = ledger.execute(
        "SELECT c.size, hex(c.root) FROM block_proof p JOIN commitment c ON c.id = p.commitment_id"
        " WHERE p.hash = ?",
        (block_hash,),
    ).fetchone()
    return None if row is None else FixedLog(row[0], row[1].lower())


def file_of(shares: sqlite3.Connection, block_hash: str) -> str | None:
    """Name of a found block's file.  Args: shares: to ``shares.db``."""
    row = shares.execute("SELECT file FROM found WHERE hash = ?", (block_hash,)).fetchone()
    return None if row is None else str(row[0])
