"""A block's window counted again, share by share: slow, simple, and shared with nothing that pays.

The audit compares this with what the books say, so none of the code of pool.shares and pool.rewards.split is
used here; only the definitions of target and work are the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import NamedTuple

import attrs

from stratum.units import Target, target_from_nbits, work_from_target


class RawShare(NamedTuple):
    """One row of the share log."""

    id: int
    account: str
    nbits: int
    target: Target


@attrs.frozen
class Recount:
    """What a walk through the log found.

    Attributes:
        scores: by account, in units of network work.
        first_id: oldest share that counts, 0 when there is none.
        border: id and counted score of the share that the border cuts, or None.
        full: whether the window was filled.
    """

    scores: Mapping[str, Fraction]
    first_id: int
    border: tuple[int, Fraction] | None
    full: bool


def recount(newest_first: Iterable[RawShare], size: Fraction) -> Recount:
    """Walk from the newest share back until ``size`` units of score are used up.

    Work is summed as integers while the network's work stays the same, and turned into a score at each
    change of it.
    """
    works: dict[tuple[str, int], int] = {}
    left, nbits, network, spent, first_id = size, 0, 1, 0, 0
    for share in newest_first:
        if share.nbits != nbits:
            left -= Fraction(spent, network)
            nbits, network, spent = share.nbits, work_from_target(target_from_nbits(share.nbits)), 0
        work = work_from_target(share.target)
        # what is left, in parts of 1 / (network * left.denominator)
        room = left.numerator * network - spent * left.denominator
        if room == 0:
            return Recount(_scores(works), first_id, None, full=True)
        first_id = share.id
        if work * left.denominator > room:
            part = Fraction(room, network * left.denominator)
            scores = _scores(works)
            scores[share.account] = scores.get(share.account, Fraction(0)) + part
            return Recount(scores, first_id, (share.id, part), full=True)
        works[share.account, nbits] = works.get((share.account, nbits), 0) + work
        spent += work
    return Recount(_scores(works), first_id, None, full=left == Fraction(spent, network))


def shares_of(amount: int, scores: Mapping[str, Fraction]) -> dict[str, int]:
    """floor(amount * score / sum of scores) for each account, those that come to nothing left out."""
    total = sum(scores.values(), Fraction(0))
    parts = {account: amount * each // total for account, each in scores.items() if each}
    return {account: part for account, part in parts.items() if part}


def _scores(works: Mapping[tuple[str, int], int]) -> dict[str, Fraction]:
    scores: dict[str, Fraction] = {}
    for (account, nbits), work in works.items():
        part = Fraction(work, work_from_target(target_from_nbits(nbits)))
        scores[account] = scores.get(account, Fraction(0)) + part
    return scores
