"""Making statements and receipts out of what the log, the books and the tree say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any

import attrs

from pool.errors import ProofError
from pool.proof.blockproof import BlockProof
from pool.proof.claims import Part, claims_of
from pool.proof.commitment import Commitment
from pool.proof.merkle import Node, consistency, inclusion
from pool.proof.multiproof import prove_many
from pool.proof.record import ShareRecord
from pool.proof.scoring import Tally
from pool.proof.statement import MOST_SHARES, Growth, Leaf, Own, Receipt, Statement
from pool.proof.sums import FEE, RESERVE, RESIDUAL, account_leaf, claims_leaf, parts_of, sum_paths, sum_root
from pool.rewards.policy import Scheme


@attrs.frozen
class Rewarded:
    """A block's reward, as the books have it.

    Attributes:
        memo: of the journal's entry.
        credits: msat of every account, before anything was recovered from them.
        finder: account that found the block.
    """

    memo: Mapping[str, Any]
    credits: Mapping[str, int]
    finder: str


def build(
    account: str,
    block: BlockProof,
    commitment: Commitment,
    rewarded: Rewarded,
    own: Iterable[ShareRecord],
    node: Node,
    *,
    most: int = MOST_SHARES,
    before: tuple[BlockProof, Commitment] | None = None,
) -> Statement:
    """A statement of an account in a block.

    Args:
        account: whose.
        block: that was divided.
        commitment: the one that its coinbase carries.
        rewarded: its reward.
        own: every share of the account in the pot from the memo's smallest first_id to its greatest last_id,
            newest first.  All are counted, and read one by one.
        node: the log's complete subtrees, at least up to the commitment's size.
        most: how many of them are listed.
        before: an earlier block of the pool, best the one before, and what it fixed.

    Raises:
        ProofError: the memo does not say how the block was divided, or the commitment is none of this tree.
    """
    claims = claims_of(rewarded.memo)
    solo = Fraction(int(rewarded.finder == account))
    counts = [_Count(part, block, solo) for part in claims.parts]
    listed = _listed(counts, own, most)
    fixed = tuple(share for share in listed if share.id <= commitment.size)
    proof = prove_many([share.id - 1 for share in fixed], commitment.size, node) if commitment.size else ()
    parts = parts_of(rewarded.memo, rewarded.credits)
    names = [account_leaf(account), FEE, RESIDUAL, RESERVE, claims_leaf(rewarded.memo)]
    return Statement(
        account=account,
        block=block,
        commitment=commitment,
        claims=claims,
        own=tuple(count.own for count in counts),
        sums=sum_root(parts),
        leaves=tuple(Leaf(name, parts[name], path) for name, path in sum_paths(parts, names).items()),
        shares=fixed,
        proof=proof,
        newer=tuple(share for share in listed if share.id > commitment.size),
        before=None if before is None else grown(*before, commitment, node),
    )


def grown(block: BlockProof, old: Commitment, new: Commitment, node: Node) -> Growth | None:
    """That a log grew out of that of an earlier block; None where that had no share, or is not the smaller.

    Args:
        block: the earlier one.
        old: what it fixed.
        new: what a later one fixed.
        node: the log's complete subtrees, at least up to the size of the new one.
    """
    if not 0 < old.size <= new.size:
        return None
    return Growth(block, old, consistency(old.size, new.size, node))


def credit_of(divided: int, weight: Fraction, total: Fraction) -> int:
    """floor(A * w / W) in msat; nothing where nothing is divided."""
    return divided * weight // total if total else 0


def receipt(share: ShareRecord, block: BlockProof, commitment: Commitment, node: Node) -> Receipt:
    """A receipt of a share.

    Args:
        share: as the log has it.
        block: one whose commitment covers it; the first one that does says most.
        commitment: the one that the block's coinbase carries.
        node: the log's complete subtrees, at least up to the commitment's size.

    Raises:
        ProofError: the share came after the commitment.
    """
    if share.id > commitment.size:
        raise ProofError(f"share {share.id} came after the commitment of this block: a later one fixes it")
    return Receipt(share, block, commitment, inclusion(share.id - 1, commitment.size, node))


class _Count:
    """The account in one part of the reward."""

    def __init__(self, part: Part, block: BlockProof, solo: Fraction) -> None:
        self._part = part
        self._weight = solo if part.policy.scheme is Scheme.SOLO else Fraction(0)
        self._tally = None if part.window is None else Tally(part.policy.scheme, part.window, block)
        self._left_out = 0

    def add(self, share: ShareRecord, *, listed: bool) -> bool:
        """Count a share, if it lies in this part."""
        if self._tally is None or not self._tally.add(share):
            return False
        self._left_out += not listed
        return True

    @property
    def own(self) -> Own:
        """What comes of it."""
        weight = self._weight if self._tally is None else self._tally.score
        return Own(weight, credit_of(self._part.divided, weight, self._part.total), self._left_out)


def _listed(counts: Sequence[_Count], own: Iterable[ShareRecord], most: int) -> list[ShareRecord]:
    """Count all shares in their parts; the newest of those that count anywhere, oldest first."""
    listed: list[ShareRecord] = []
    for share in own:
        fits = len(listed) < most
        # windows share no ids: the first one that has it is the only one
        if any(count.add(share, listed=fits) for count in counts) and fits:
            listed.append(share)
    return listed[::-1]
