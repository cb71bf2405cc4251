"""FPPS: the part of a share's pay that stands for fees, a trimmed mean of what blocks lately brought in them.

A share that scores u at height h is paid (1 - f) u (S + F): S the subsidy of a block at h, F the mean of the
total fees of the blocks before h, the cheapest and the dearest of them left out.  A few blocks with absurd
fees, paid by mistake or by whoever mined them to raise the rate, move it by nothing then.  F is worked out
once for each height, and kept (pool.rates): a share is paid by what stood when its height began.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import attrs

from payouts.money import Msat, Sat, to_msat

FEE_BLOCKS: Final = 144
"""Blocks of about a day."""
FEE_TRIM: Final = 12
"""Of these, how many are left out at each end: a twelfth."""


@attrs.frozen
class Rate:
    """What the shares of one height are paid for fees, and what it was worked out from.

    Attributes:
        height: that the shares sought.
        after: display-order hash of the block before it, whose chain the fees are of.
        fees: of the blocks up to that one, oldest first: as many as the rule wants, or all that there are.
        blocks: how many the rule wants.
        trim: how many it leaves out at each end.
    """

    height: int
    after: str
    fees: tuple[Sat, ...]
    blocks: int = FEE_BLOCKS
    trim: int = FEE_TRIM

    @property
    def part(self) -> Msat:
        """F: what a whole block's work is paid for fees, in msat."""
        return fee_part(self.fees, self.blocks, self.trim)


def fee_part(fees: Sequence[Sat], blocks: int, trim: int) -> Msat:
    """The trimmed mean: of n fees, floor(n trim / blocks) are left out at each end.

    Args:
        fees: of blocks, in any order; none give 0, as before the first block.
        blocks: how many there are when the chain is long enough, more than twice ``trim``.
        trim: how many of so many are left out at each end.

    Returns:
        In msat, rounded down.
    """
    out = len(fees) * trim // blocks
    middle = sorted(fees)[out : len(fees) - out]
    return Msat(to_msat(Sat(sum(middle))) // len(middle)) if middle else Msat(0)


def wanted(height: int, blocks: int) -> int:
    """How many blocks before a height have fees that count; the first block of all has none."""
    return max(0, min(blocks, height - 1))
