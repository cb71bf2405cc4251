"""What a share is worth, how shares are summed into slices, and how a window is cut out of the share log.

A share scores ``work(target) / work(network target)``, the network's work being that of the share's own time,
or one for all shares where the scheme says so.  A window of X units goes from its newest share backwards (by
log id) until the scores reach X; the share that crosses the border is counted in part.  Shares of one account
with the same share target and the same nBits are worth the same, so sums of counts lose nothing: the result
does not depend on how the log was sliced.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from functools import cached_property
from math import lcm
from typing import NamedTuple

import attrs

from stratum.units import Target, Work, target_from_nbits, work_from_target


class Kind(NamedTuple):
    """What makes shares worth the same to the same account."""

    account: str
    nbits: int
    target: Target


@attrs.frozen
class Slice:
    """Some shares of one kind whose log ids lie in ``first_id … last_id`` (others may lie between them).

    Attributes:
        account: who is credited.
        nbits: compact network target of the shares' job.
        target: share target.
        count: how many shares, at least 1.
        first_id: smallest log id among them.
        last_id: greatest log id among them.
    """

    account: str
    nbits: int
    target: Target
    count: int
    first_id: int
    last_id: int


@attrs.frozen
class Chunk:
    """All shares with log ids from ``first_id`` to ``last_id``, both included, summed into slices.

    The sums that every window needs again are made once: a chunk is kept, and windows are cut often.
    """

    first_id: int
    last_id: int
    slices: Sequence[Slice]

    @cached_property
    def counts(self) -> Mapping[Kind, int]:
        """How many shares of each kind."""
        counts: dict[Kind, int] = {}
        for part in self.slices:
            kind = Kind(part.account, part.nbits, part.target)
            counts[kind] = counts.get(kind, 0) + part.count
        return counts

    @cached_property
    def scores(self) -> Mapping[tuple[int, Target], Fraction]:
        """What a share scores, by nBits and share target."""
        return {pair: score(*pair) for pair in {(kind.nbits, kind.target) for kind in self.counts}}

    @cached_property
    def oldest_id(self) -> int:
        """Log id of the oldest share, 0 when there is none."""
        return min((part.first_id for part in self.slices), default=0)

    @cached_property
    def worth(self) -> Fraction:
        """What all of it scores."""
        counts: Counter[tuple[int, Target]] = Counter()
        for kind, count in self.counts.items():
            counts[kind.nbits, kind.target] += count
        return sum((count * self.scores[pair] for pair, count in counts.items()), Fraction(0))

    @cached_property
    def work(self) -> int:
        """Expected hashes of all of it."""
        return sum(count * work_from_target(kind.target) for kind, count in self.counts.items())

    def worth_at(self, network: Work | None) -> Fraction:
        """What all of it scores at one network's work, or each share at that of its own time (None)."""
        return self.worth if network is None else Fraction(self.work, network)

    def scores_at(self, network: Work | None) -> Mapping[tuple[int, Target], Fraction]:
        """What a share scores in this measure, by nBits and share target."""
        if network is None:
            return self.scores
        return {pair: Fraction(work_from_target(pair[1]), network) for pair in self.scores}


@attrs.frozen
class Border:
    """The share that the window's border cuts.  Attributes: log id, its account, the score still inside."""

    share_id: int
    account: str
    part: Fraction


@attrs.frozen
class Window:
    """The shares that a block is divided among.

    Attributes:
        size: X, in units of network work; None for all that the log has.
        last_id: newest log id the window may hold (the winning share's).
        first_id: oldest log id that is counted at all, 0 when there is none.
        counts: whole shares by kind.
        border: the share that is counted in part, or None.
        full: whether the scores reach X; else the log ended before.
        network: network's work that every share is measured by, or None for that of each one's own time.
    """

    size: Fraction | None
    last_id: int
    first_id: int
    counts: Mapping[Kind, int]
    border: Border | None
    full: bool
    network: Work | None = None


Rows = Callable[[int, int], Iterator[Slice]]
"""Reads single shares (slices of count 1) of an id range, newest first."""


def network_work(nbits: int) -> Work:
    """Expected hashes for a block at these nBits.

    Raises:
        ValueError: nBits that no header carries.
    """
    return work_from_target(target_from_nbits(nbits))


def score(nbits: int, target: Target) -> Fraction:
    """What one share scores: its work over the network's work when it was submitted, exactly."""
    return Fraction(work_from_target(target), network_work(nbits))


def cut(
    chunks: Iterable[Chunk],
    rows: Rows,
    size: Fraction | None,
    last_id: int,
    network: Work | None = None,
) -> Window:
    """Cut the window of ``size`` units that ends with ``last_id``.

    Args:
        chunks: disjoint id ranges, newest first, none beyond ``last_id``; read only as far as needed.
        rows: reads the one chunk that holds the border share by share.
        size: X, positive, or None to count all there is.
        last_id: log id of the winning share, included.
        network: see Window.

    Raises:
        ValueError: the size is not positive, or a share carries impossible nBits.
    """
    if size is not None and size <= 0:
        raise ValueError("a window has a positive size")
    counts: dict[Kind, int] = {}
    room, first_id = size, 0
    for chunk in chunks:
        worth = chunk.worth_at(network)
        if room is not None and worth > room:
            scores = chunk.scores_at(network)
            border, oldest = _cut_rows(rows(chunk.first_id, chunk.last_id), scores, room, counts)
            return Window(size, last_id, oldest, counts, border, full=True, network=network)
        for kind, count in chunk.counts.items():
            counts[kind] = counts.get(kind, 0) + count
        first_id = chunk.oldest_id or first_id
        if room is not None:
            room -= worth
        if room == 0:
            return Window(size, last_id, first_id, counts, None, full=True, network=network)
    return Window(size, last_id, first_id, counts, None, full=False, network=network)


def weights(window: Window) -> tuple[dict[str, int], int]:
    """Each account's score in the window as integers over one common denominator.

    Returns:
        The accounts' numerators, and the denominator: numerator / denominator is the score in units.
    """
    works = {kind.nbits: window.network or network_work(kind.nbits) for kind in window.counts}
    denominator = lcm(*works.values(), window.border.part.denominator if window.border else 1)
    share_works = {target: work_from_target(target) for target in {kind.target for kind in window.counts}}
    factors = {nbits: denominator // work for nbits, work in works.items()}
    result: dict[str, int] = {}
    for kind, count in window.counts.items():
        weight = count * share_works[kind.target] * factors[kind.nbits]
        result[kind.account] = result.get(kind.account, 0) + weight
    if window.border is not None:
        part = window.border.part
        weight = part.numerator * (denominator // part.denominator)
        result[window.border.account] = result.get(window.border.account, 0) + weight
    return result, denominator


def _cut_rows(
    rows: Iterable[Slice],
    scores: Mapping[tuple[int, Target], Fraction],
    room: Fraction,
    counts: dict[Kind, int],
) -> tuple[Border | None, int]:
    """Count single shares, newest first, until the room is used up; answers the border and the oldest id."""
    # integers over one denominator: a chunk has many rows, and adding fractions costs a gcd for each
    denominator = lcm(room.denominator, *(each.denominator for each in scores.values()))
    worth = {pair: int(each * denominator) for pair, each in scores.items()}
    left = int(room * denominator)
    whole: dict[tuple[str, int, Target], int] = {}
    oldest = 0
    border: Border | None = None
    for row in rows:
        if left == 0:
            break
        oldest = row.last_id
        value = worth[row.nbits, row.target]
        if value > left:
            border, left = Border(row.last_id, row.account, Fraction(left, denominator)), 0
            break
        key = (row.account, row.nbits, row.target)
        whole[key] = whole.get(key, 0) + 1
        left -= value
    if left:
        raise ValueError("the chunk's rows are worth less than its slices")
    for kind, count in whole.items():
        counts[Kind(*kind)] = counts.get(Kind(*kind), 0) + count
    return border, oldest
