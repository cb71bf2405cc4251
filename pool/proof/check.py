"""Everything that a statement or a receipt claims, checked with nothing but it and the hash of the block."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import assert_never

from pool.errors import ProofError
from pool.proof.blockproof import BlockProof, Coinbase, has_work, holds
from pool.proof.check_division import check_division
from pool.proof.check_receipts import check_receipts, fixes, read_coinbase
from pool.proof.check_shares import check_shares
from pool.proof.commitment import Commitment, find
from pool.proof.document import intact, read
from pool.proof.findings import Finding, Verdict, proven, unproven, wrong
from pool.proof.merkle import consistent, included
from pool.proof.record import leaf
from pool.proof.statement import Growth, Receipt, Statement
from pool.rewards.policy import AT_ONCE


def check_text(text: str, block_hash: str, receipts: Sequence[Receipt] = ()) -> Verdict:
    """Read a document and check it.

    Args:
        text: of the file.
        block_hash: of the block that it is about, display-order hex, from somebody else than the pool.
        receipts: held against a statement.

    Raises:
        ProofError: it cannot be read, or is no statement that receipts could be held against.
    """
    document = read(text)
    findings = check(document, block_hash).findings
    if isinstance(document, Statement):
        findings = (*findings, *check_receipts(document, receipts))
    elif receipts:
        raise ProofError("receipts are held against a statement, and this is none")
    if not intact(text):
        findings = (
            *findings,
            wrong("document", "it was changed after it was written: its checksum is another"),
        )
    return Verdict(findings)


def check(document: Statement | Receipt, block_hash: str) -> Verdict:
    """Check everything that can be; see ``check_text``."""
    match document:
        case Statement():
            return Verdict(tuple(_statement(document, block_hash)))
        case Receipt():
            return Verdict(tuple(_receipt(document, block_hash)))
        case _:
            assert_never(document)


def _statement(statement: Statement, block_hash: str) -> Iterator[Finding]:
    coinbase = read_coinbase(statement.block)
    yield from _block(statement.block, coinbase, block_hash)
    yield from _commitment(statement.commitment, coinbase)
    yield from _growth(statement.before, statement.commitment)
    yield from check_division(statement, coinbase)
    yield from check_shares(statement)
    yield from _limits(statement)


def _receipt(receipt: Receipt, block_hash: str) -> Iterator[Finding]:
    coinbase = read_coinbase(receipt.block)
    yield from _block(receipt.block, coinbase, block_hash)
    yield from _commitment(receipt.commitment, coinbase)
    share, about = receipt.share, f"share {receipt.share.id}"
    try:
        root = included(share.id - 1, receipt.commitment.size, leaf(share), receipt.path)
    except ProofError as error:
        yield wrong(about, str(error))
        return
    if root != receipt.commitment.root:
        yield wrong(about, "its record is not the one in the log that the block fixed")
        return
    yield proven(
        about,
        f"it is in the log that the block fixed: of {share.account!r}, worker {share.worker!r}, pot"
        f" {share.pot!r}, for height {share.height}, target {share.target.hex()}",
    )
    yield unproven(about, "what it was paid: a statement of a block that it counts for says so")


def _block(block: BlockProof, coinbase: Coinbase | None, block_hash: str) -> Iterator[Finding]:
    faults: list[str] = []
    if block.hash != block_hash.lower():
        faults.append(f"the document is about block {block.hash}, and not about {block_hash.lower()}")
    if not has_work(block):
        faults.append("its header does not meet its own difficulty: it was never mined")
    if not holds(block):
        faults.append("the coinbase is not the one of this block")
    if coinbase is None:
        faults.append("what is given as its coinbase is none")
    yield from (wrong("block", fault) for fault in faults)
    if not faults and coinbase is not None:
        yield proven("block", f"{block.hash} at height {coinbase.height} has this coinbase")


def _commitment(commitment: Commitment, coinbase: Coinbase | None) -> Iterator[Finding]:
    digests: Sequence[bytes] = find(coinbase.outputs) if coinbase else ()
    if len(digests) != 1:
        what = "none: it fixes nothing" if not digests else f"{len(digests)}: one alone would fix something"
        yield wrong("commitment", f"the block's coinbase carries {what}")
    elif digests[0] != commitment.digest:
        yield wrong("commitment", "this is not the one whose hash the block's coinbase carries")
    else:
        yield proven(
            "commitment",
            f"the block fixes shares 1 to {commitment.size}, all policies so far, and the journal up to entry"
            f" {commitment.journal}",
        )


def _growth(before: Growth | None, new: Commitment) -> Iterator[Finding]:
    """Nothing that an earlier block had fixed was changed."""
    if before is None:
        yield unproven("log", "that nothing before was changed: no earlier block is given to compare it with")
        return
    old, name = before.commitment, f"block {before.block.hash}"
    faults: list[str] = []
    if not fixes(before.block, old):
        faults.append(f"the earlier {name} does not fix what is said to be fixed by it")
    if not consistent(old.size, new.size, old.root, new.root, before.proof):
        faults.append(
            f"it is not shown to be the log of {old.size} shares that the earlier {name} fixed, grown"
        )
    if any(
        tuple(new.policies.get(pot, ()))[: len(known)] != tuple(known) for pot, known in old.policies.items()
    ):
        faults.append(f"policies are others than those that the earlier {name} fixed")
    yield from (wrong("log", fault) for fault in faults)
    if not faults:
        yield proven(
            "log", f"since {name}, with {old.size} shares, nothing was changed and only more was added"
        )
        yield unproven("log", f"that the chain has {name}: look that one up as well")


def _limits(statement: Statement) -> Iterator[Finding]:
    """What one miner cannot see."""
    account = statement.account
    yield unproven(
        "shares",
        f"that none of {account!r} is missing: {statement.counted} are counted;"
        " compare that with what your machines count, and with your receipts",
    )
    yield unproven(
        "others",
        "what the shares of other accounts score, and that they were mined: only who has the whole log can"
        " count them (`sluice ledger verify`), and a share that the pool made up looks like any other",
    )
    yield unproven(
        "sums",
        f"that everybody is shown the same division, whose root is {statement.sums.hash.hex()}: compare it"
        " with other miners; the pool's journal has it, which its next block fixes",
    )
    if any(part.policy.scheme in AT_ONCE for part in statement.claims.parts):
        yield unproven("paid at once", "what shares were paid before the block was found is not part of it")
