"""Statements and receipts: gathered from the files, and made by pool.proof.building.

What an account is shown here, its own page shows as well: whoever calls decides whose page it may be.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

import attrs

from pool.errors import ProofError
from pool.logtree import Subtrees
from pool.proof.blockproof import BlockProof
from pool.proof.building import build, receipt
from pool.proof.commitment import Commitment
from pool.proof.document import text_of
from pool.proof.record import ShareRecord
from pool.proof.statement import MOST_SHARES
from pool.store.archives import Archives
from pool.store.audit import Audit
from pool.store.block_proofs import KeptProof, ProofTable
from pool.store.blocks import Block, BlockState
from pool.store.database import connect_to_read
from pool.store.ledger import LedgerStore
from pool.store.log_tree import LogTable
from pool.store.proof_reads import ShareReader, rewarded


@attrs.frozen
class Made:
    """A document.  Attributes: its text, JSON; a name for its file."""

    text: str
    file: str


@attrs.frozen
class NotMade:
    """Why there is none.  Attributes: one word for programs, a sentence for people."""

    code: str
    why: str


@attrs.frozen
class Bounds:
    """How much work a document may be.

    Attributes:
        listed: shares that a statement lists; older ones are counted only.
        counted: shares that are counted; None: as many as there are.
        archives: whether archived shares are read back.
    """

    listed: int = MOST_SHARES
    counted: int | None = None
    archives: bool = True


UNBOUNDED: Final = Bounds()


class _Files:
    """Both files at one moment."""

    def __init__(self, shares: sqlite3.Connection, books: sqlite3.Connection) -> None:
        self.shares = ShareReader(shares)
        self.books = LedgerStore(books)
        self.proofs = ProofTable(books)
        self.table = LogTable(books)
        self.subtrees = Subtrees(self.table, _Records(Archives(shares)))


class _Records:
    """A pool.logtree.Records that has archived shares too."""

    def __init__(self, archives: Archives) -> None:
        self._archives = archives

    def records(self, first_id: int, last_id: int) -> Iterator[ShareRecord]:
        return self._archives.records(first_id - 1, last_id)


@contextmanager
def _opened(directory: Path) -> Iterator[_Files]:
    with (
        closing(connect_to_read(directory, "shares")) as shares,
        closing(connect_to_read(directory, "ledger")) as books,
        Audit(shares, books).snapshot(),
    ):
        yield _Files(shares, books)


def statement_of(
    directory: Path, account: str, block_hash: str, bounds: Bounds = UNBOUNDED
) -> Made | NotMade:
    """A statement of an account in a block.

    Args:
        directory: of the store.
        account: in its own spelling.
        block_hash: display-order hex.
        bounds: how much work it may be.

    Raises:
        StoreError: a file, or an archive, cannot be read.
    """
    with _opened(directory) as files:
        block = files.books.blocks.get(block_hash)
        kept = None if block is None else _kept(files, block)
        if isinstance(kept, NotMade):
            return kept
        if block is None or kept is None:
            return NotMade("no_such_block", "the pool has found no such block")
        try:
            return _statement(files, account, block, kept, bounds)
        except ProofError as error:
            return NotMade("no_proof", f"block {block_hash}: {error}")


def _kept(files: _Files, block: Block) -> tuple[KeptProof, Commitment] | NotMade:
    """The proof of a block and what it fixes, or why there is none."""
    name = f"block {block.found.hash}"
    match block.state:
        case BlockState.SUBMITTED:
            return NotMade("not_yet", f"{name} is not in the chain yet")
        case BlockState.ORPHANED:
            return NotMade("orphaned", f"{name} is not in the chain: its reward was taken back")
        case BlockState.IMMATURE | BlockState.MATURE:
            kept = files.proofs.get(block.found.hash)
    if kept is None:
        return NotMade("no_proof", f"no proof of {name} was kept: it is an old one, or was found just now")
    commitment = None if kept.commitment_id is None else files.table.numbered(kept.commitment_id)
    if commitment is None:
        return NotMade("no_proof", f"{name} fixes nothing: its coinbase has no commitment of this pool's")
    return kept, commitment.commitment


def _statement(
    files: _Files, account: str, block: Block, kept: tuple[KeptProof, Commitment], bounds: Bounds
) -> Made | NotMade:
    proof, commitment = kept
    paid = rewarded(files.books, block)
    if paid is None:
        return NotMade("no_proof", f"block {proof.hash} has no reward in the books")
    first, last = _windows(paid.memo)
    if not bounds.archives and 0 < first <= files.shares.archives.until():
        return NotMade("archived", "shares of this block are archived: ask the operator for it")
    if bounds.counted is not None and (
        files.shares.count(account, block.found.pot, first, last) > bounds.counted
    ):
        return NotMade("too_many", "the account has too many shares there: ask the operator for it")
    own = files.shares.own(account, block.found.pot, first, last) if last else iter(())
    made = build(
        account,
        proof.proof,
        commitment,
        paid,
        own,
        files.subtrees.node,
        most=bounds.listed,
        before=_before(files, proof),
    )
    if account not in paid.credits and not (made.shares or made.newer):
        return NotMade("no_part", f"{account} has no part in block {proof.hash}")
    return Made(text_of(made), f"statement-{block.found.height}-{account}.json")


def _before(files: _Files, proof: KeptProof) -> tuple[BlockProof, Commitment] | None:
    """The block before it that fixes a log, so that the one log is shown to have grown out of the other."""
    block = files.proofs.before(proof.commitment_id or 0)
    kept = None if block is None else files.table.numbered(block.commitment_id or 0)
    return None if block is None or kept is None else (block.proof, kept.commitment)


def _windows(memo: Mapping[str, Any]) -> tuple[int, int]:
    """First and last log id of all windows of a reward; zeros where there is none."""
    windows = [part["window"] for part in memo.get("parts", []) if part["window"]]
    if not windows:
        return 0, 0
    return min(each["first_id"] for each in windows), max(each["last_id"] for each in windows)


def receipt_of(directory: Path, account: str, share_id: int | None = None) -> Made | NotMade:
    """A receipt of a share.

    Args:
        directory: of the store.
        account: whose share it has to be.
        share_id: log id; None: the newest one of the account that a block has fixed.

    Raises:
        StoreError: a file, or an archive, cannot be read.
    """
    with _opened(directory) as files:
        share = _share(files, account, share_id)
        if share is None or share.account != account:
            return NotMade("no_such_share", f"{account} has no such share")
        try:
            return _receipt(files, share)
        except ProofError as error:
            return NotMade("no_proof", f"share {share.id}: {error}")


def _share(files: _Files, account: str, share_id: int | None) -> ShareRecord | None:
    if share_id is None:
        return files.shares.newest_of(account, files.proofs.fixed())
    return files.shares.get(share_id) if 0 < share_id < 1 << 63 else None


def _receipt(files: _Files, share: ShareRecord) -> Made | NotMade:
    block = files.proofs.covering(share.id)
    commitment = None if block is None else files.table.numbered(block.commitment_id or 0)
    if block is None or commitment is None:
        return NotMade("not_yet", f"no block fixes share {share.id} yet: the next one will")
    made = receipt(share, block.proof, commitment.commitment, files.subtrees.node)
    return Made(text_of(made), f"receipt-{share.id}.json")
