"""Receipts held against a statement: a share that has one and is missing where it counts shows a fraud."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pool.errors import ProofError
from pool.proof.blockproof import BlockProof, Coinbase, coinbase_of, has_work, holds
from pool.proof.commitment import Commitment, find
from pool.proof.findings import Finding, proven, unproven, wrong
from pool.proof.merkle import included
from pool.proof.record import leaf
from pool.proof.statement import Receipt, Statement


def check_receipts(statement: Statement, receipts: Iterable[Receipt]) -> Iterator[Finding]:
    """Look for each receipt's share among those that a statement lists.

    Args:
        statement: that was checked.
        receipts: of shares, each from whichever block.
    """
    listed = {share.id: share for share in (*statement.shares, *statement.newer)}
    for receipt in receipts:
        share, about = receipt.share, f"share {receipt.share.id}"
        name = f"its receipt, from block {receipt.block.hash},"
        if not fixes(receipt.block, receipt.commitment) or not _holds(receipt):
            yield wrong(about, f"{name} does not hold by itself")
        elif share.account != statement.account or share.pot != statement.claims.pot:
            yield unproven(about, f"{name} is of {share.account!r} in pot {share.pot!r}: nothing to compare")
        elif share.id in listed and listed[share.id] != share:
            yield wrong(about, f"{name} has another record of it than the statement")
        elif share.id in listed:
            yield proven(about, f"{name} and the statement have the same record of it")
        elif not _must_be_listed(statement, share.id):
            yield unproven(about, f"{name} is of a share that need not be listed here")
        else:
            yield wrong(about, f"{name} shows it in the log, and it was not counted: keep the receipt")


def fixes(block: BlockProof, commitment: Commitment) -> bool:
    """Whether a header with its work done has a coinbase with this commitment, and no other, in it."""
    coinbase = read_coinbase(block)
    mined = has_work(block) and holds(block)
    return mined and coinbase is not None and find(coinbase.outputs) == (commitment.digest,)


def read_coinbase(block: BlockProof) -> Coinbase | None:
    """What the coinbase says; None when it is none."""
    try:
        return coinbase_of(block)
    except ProofError:
        return None


def _holds(receipt: Receipt) -> bool:
    try:
        root = included(receipt.share.id - 1, receipt.commitment.size, leaf(receipt.share), receipt.path)
    except ProofError:
        return False
    return root == receipt.commitment.root


def _must_be_listed(statement: Statement, share_id: int) -> bool:
    """It lies in a window, and is not among the oldest ones there that were counted without being listed."""
    ids = [share.id for share in (*statement.shares, *statement.newer)]
    for part, own in zip(statement.claims.parts, statement.own, strict=False):
        if part.window is not None and part.window.has(share_id):
            inside = [each for each in ids if part.window.has(each)]
            return not own.left_out or (bool(inside) and share_id > min(inside))
    return False
