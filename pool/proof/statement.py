"""What a miner is given: a statement of one account in one block, and a receipt of one share."""

from __future__ import annotations

from fractions import Fraction
from typing import Final

import attrs

from pool.proof.blockproof import BlockProof
from pool.proof.claims import Claims
from pool.proof.commitment import Commitment
from pool.proof.record import ShareRecord
from pool.proof.sums import SumPath, SumRoot

STATEMENT: Final = "sluice-statement-1"
RECEIPT: Final = "sluice-receipt-1"
MOST_SHARES: Final = 10_000
"""Records that a statement lists, unless it is asked for more."""
MAX_SHARES: Final = 100_000
"""Records that a reader takes."""


@attrs.frozen
class Own:
    """An account in a part of a reward.

    Attributes:
        weight: w, its score in the window, in units of network work.
        credit: msat.
        left_out: how many of its shares in the window are counted and not listed: the oldest ones.
    """

    weight: Fraction
    credit: int
    left_out: int


@attrs.frozen
class Leaf:
    """A leaf of the sum tree.  Attributes: its name, msat, and its way to the root."""

    name: str
    amount: int
    path: SumPath


@attrs.frozen
class Growth:
    """That the log is the one of an earlier block, and shares behind it.

    Attributes:
        block: the earlier one.
        commitment: what it fixed.
        proof: see pool.proof.merkle.consistency.
    """

    block: BlockProof
    commitment: Commitment
    proof: tuple[bytes, ...]


@attrs.frozen
class Statement:
    """One account in one block.

    Attributes:
        account: whose.
        block: that its coinbase is the block's.
        commitment: what the block fixed.
        claims: how the block was divided, said to everyone alike.
        own: the account in each part of it.
        sums: root of the sum tree.
        leaves: of it: the account's (if it has one), and those that are not of miners.
        shares: the account's in the windows, oldest first, as far as the block fixed them.
        proof: one for all of them, see pool.proof.multiproof.
        newer: those that came after the commitment, oldest first.
        before: what the log grew out of; None where no earlier block fixed any of it.
    """

    account: str
    block: BlockProof
    commitment: Commitment
    claims: Claims
    own: tuple[Own, ...]
    sums: SumRoot
    leaves: tuple[Leaf, ...]
    shares: tuple[ShareRecord, ...]
    proof: tuple[bytes, ...]
    newer: tuple[ShareRecord, ...]
    before: Growth | None = None

    @property
    def credit(self) -> int:
        """What the account was credited, msat."""
        return sum(each.credit for each in self.own)

    @property
    def counted(self) -> int:
        """How many shares of the account the block pays, listed or not."""
        return len(self.shares) + len(self.newer) + sum(each.left_out for each in self.own)


@attrs.frozen
class Receipt:
    """One share.

    Attributes:
        share: as the log has it.
        block: the first one that fixed it, or a later one.
        commitment: what that block fixed.
        path: from the share to the log's root.
    """

    share: ShareRecord
    block: BlockProof
    commitment: Commitment
    path: tuple[bytes, ...]
