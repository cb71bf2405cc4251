"""What Bitcoin's networks have each for themselves: subsidy, difficulty and who may make blocks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import attrs

from payouts.money import Sat
from stratum.units import Target, target_from_nbits

RETARGET_BLOCKS: Final = 2016
"""Blocks between two changes of difficulty, where there are any."""
_FIRST_SUBSIDY: Final = 50 * 100_000_000
_RETARGET_FACTOR: Final = 4


@attrs.frozen
class Rules:
    """The rules of one network.

    Attributes:
        chain: what a node calls it (getblockchaininfo, ``chain``).
        halving_blocks: the subsidy is halved after so many blocks each time.
        steady: blocks between two changes of difficulty all have the same; where it is not so, no block's
            difficulty can be told from the one before.
        easy_after_s: a block so much later than the one before must have the least difficulty (testnet4);
            None: there is no such rule that a template could cross by its time being rolled.
        quiet: a network of one's own, where it means nothing that a node has no peers or its tip is old, and
            where a header's difficulty proves nothing.
    """

    chain: str
    halving_blocks: int
    steady: bool
    easy_after_s: int | None = None
    quiet: bool = False


RULES: Final[Mapping[str, Rules]] = {
    "mainnet": Rules("main", 210_000, steady=True),
    "testnet4": Rules("testnet4", 210_000, steady=False, easy_after_s=1200),
    "signet": Rules("signet", 210_000, steady=True),
    "regtest": Rules("regtest", 150, steady=True, quiet=True),
}
"""By the name that the configuration gives them."""


def subsidy(height: int, rules: Rules) -> Sat:
    """What a block may pay beyond its fees (Bitcoin Core's GetBlockSubsidy)."""
    halvings = height // rules.halving_blocks
    return Sat(_FIRST_SUBSIDY >> halvings if halvings < 64 else 0)


def difficulty_fault(nbits: int, height: int, before: int, rules: Rules) -> str | None:
    """Why a block cannot have this difficulty, as far as the block before it tells; None when it can.

    Args:
        nbits: of the block.
        height: of the block.
        before: nbits of the block before.
        rules: of the network.
    """
    if not rules.steady or rules.quiet or nbits == before:
        return None
    if height % RETARGET_BLOCKS:
        return f"its difficulty ({nbits:08x}) differs from that of the block before ({before:08x})"
    old, new = _target(before), _target(nbits)
    if new > old * _RETARGET_FACTOR or new * _RETARGET_FACTOR < old - (old >> 12):
        return f"its difficulty ({nbits:08x}) changed by more than four times"
    return None


def _target(nbits: int) -> Target:
    try:
        return target_from_nbits(nbits)
    except ValueError:
        return Target(0)


def times_for(times: tuple[int, int, int], parent_time_s: int | None, rules: Rules) -> tuple[int, int, int]:
    """Narrow a header's times to those that keep its difficulty valid.

    Args:
        times: least, told and greatest time, Unix seconds.
        parent_time_s: of the block before; None when it is not known.
        rules: of the network.

    Returns:
        The times again; on testnet4 they do not cross the twentieth minute after the block before, from which
        on a block must have the least difficulty, and before which it must not.
    """
    least, told, most = times
    if rules.easy_after_s is None or parent_time_s is None:
        return times
    edge = parent_time_s + rules.easy_after_s
    if told > edge:
        return max(least, edge + 1), told, most
    return least, told, max(told, min(most, edge))
