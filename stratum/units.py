"""Target, difficulty and work: what they are and how one becomes another, exactly.

*Target* is compared (a 256-bit integer), *difficulty* is told to the miner (a decimal number), *work* is
credited (expected hashes, an exact integer).  Nothing here rounds silently in the miner's favour or ours: a
target is stored, and work is derived from it.
"""

from __future__ import annotations

from fractions import Fraction
from typing import NewType

Target = NewType("Target", int)
Difficulty = NewType("Difficulty", Fraction)
Work = NewType("Work", int)
Height = NewType("Height", int)

MAX_TARGET = Target(2**256 - 1)
"""The easiest target there is: every hash meets it."""
DIFFICULTY_1_TARGET = Target(0xFFFF << 208)
"""The target of difficulty 1 as pools and the node count it ("pdiff 1 truncated", nBits 0x1d00ffff)."""


def target_from_difficulty(difficulty: Difficulty) -> Target:
    """The target that miners derive from a told difficulty: floor(difficulty-1 target / difficulty).

    Args:
        difficulty: a positive fraction; very small ones give the easiest target.

    Raises:
        ValueError: the difficulty is not positive.
    """
    if difficulty.numerator <= 0:  # without comparing fractions: ten thousand miners come at once
        raise ValueError("a difficulty is positive")
    return Target(min(MAX_TARGET, DIFFICULTY_1_TARGET * difficulty.denominator // difficulty.numerator))


def difficulty_from_target(target: Target) -> Difficulty:
    """The exact difficulty of a target (at least 1)."""
    return Difficulty(Fraction(DIFFICULTY_1_TARGET, max(target, 1)))


def work_from_target(target: Target) -> Work:
    """Expected hashes to meet the target: 2^256 // (target + 1), as Bitcoin Core's GetBlockProof does."""
    return Work((1 << 256) // (target + 1))


def target_from_nbits(nbits: int) -> Target:
    """Decode the compact form of a block header (Bitcoin Core's arith_uint256::SetCompact).

    Raises:
        ValueError: negative, zero or beyond 256 bits: no valid header carries it.
    """
    size, word = nbits >> 24, nbits & 0x007FFFFF
    value = word >> 8 * (3 - size) if size <= 3 else word << 8 * (size - 3)
    if nbits & 0x00800000 or value == 0 or value >= 1 << 256:
        raise ValueError(f"nbits {nbits:08x} encodes no target")
    return Target(value)
