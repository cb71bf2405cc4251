"""What a share is worth, how shares are summed into slices, and how a window is cut out of the share log.

A share scores ``work(target) / work(network target)``, the network's work being that of the share's own time,
or one for all shares where the scheme says so.  A window of X units goes from its newest share backwards (by
log id) until the scores reach X; the share that crosses the border is counted in part.  Shares of one account
with the same share target and the same nBits are worth the same, so sums of counts lose nothing: the result
does not depend on how the log was sliced.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from fractions import Fraction
from functools import cached_property
from math import lcm
from typing import Final

import attrs

from stratum.units import Target, Work, target_from_nbits, work_from_target

Pair = tuple[int, Target]
"""What makes shares worth the same: compact network target of their job, and share target."""
Counts = Mapping[Pair, Mapping[str, int]]
"""How many shares of each worth, by account.  Accounts are the inner keys: their hashes are kept."""
SMALL: Final = 4096
"""Ids from which on a part of the border's chunk is walked share by share instead of halved."""


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
    """All shares with log ids from ``first_id`` to ``last_id``, both included, summed.

    The sums that every window needs again are made once: a chunk is kept, and windows are cut often.

    Attributes:
        first_id: where it begins.
        last_id: where it ends.
        counts: how many shares, by what they are worth and by account.
        oldest_id: log id of the oldest share in it, 0 when there is none.
    """

    first_id: int
    last_id: int
    counts: Counts
    oldest_id: int

    @cached_property
    def totals(self) -> Mapping[Pair, int]:
        """How many shares of each worth."""
        return {pair: sum(by_account.values()) for pair, by_account in self.counts.items()}

    @cached_property
    def scores(self) -> Mapping[Pair, Fraction]:
        """What a share scores, by nBits and share target."""
        return {pair: score(*pair) for pair in self.counts}

    @cached_property
    def worth(self) -> Fraction:
        """What all of it scores."""
        return sum((count * self.scores[pair] for pair, count in self.totals.items()), Fraction(0))

    @cached_property
    def work(self) -> int:
        """Expected hashes of all of it."""
        return sum(count * work_from_target(target) for (_, target), count in self.totals.items())

    def worth_at(self, network: Work | None) -> Fraction:
        """What all of it scores at one network's work, or each share at that of its own time (None)."""
        return self.worth if network is None else Fraction(self.work, network)

    def scores_at(self, network: Work | None) -> Mapping[Pair, Fraction]:
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
        counts: whole shares, by what they are worth and by account.
        border: the share that is counted in part, or None.
        full: whether the scores reach X; else the log ended before.
        network: network's work that every share is measured by, or None for that of each one's own time.
    """

    size: Fraction | None
    last_id: int
    first_id: int
    counts: Counts
    border: Border | None
    full: bool
    network: Work | None = None


Rows = Callable[[int, int], Iterator[Slice]]
"""Reads single shares (slices of count 1) of an id range, newest first."""
Parts = Callable[[int, int], Iterable[Chunk]]
"""Reads what lies behind an id, the second, up to another, the first, summed into chunks."""


def network_work(nbits: int) -> Work:
    """Expected hashes for a block at these nBits.

    Raises:
        ValueError: nBits that no header carries.
    """
    return work_from_target(target_from_nbits(nbits))


def score(nbits: int, target: Target) -> Fraction:
    """What one share scores: its work over the network's work when it was submitted, exactly."""
    return Fraction(work_from_target(target), network_work(nbits))


def chunk_of(first_id: int, last_id: int, slices: Iterable[Slice]) -> Chunk:
    """Sum slices into a chunk; all of them lie in its range."""
    counts: dict[Pair, dict[str, int]] = {}
    oldest = 0
    for part in slices:
        by_account = counts.setdefault((part.nbits, part.target), {})
        by_account[part.account] = by_account.get(part.account, 0) + part.count
        oldest = min(oldest or part.first_id, part.first_id)
    return Chunk(first_id, last_id, counts, oldest)


def cut(
    chunks: Iterable[Chunk],
    rows: Rows,
    size: Fraction | None,
    last_id: int,
    network: Work | None = None,
    parts: Parts | None = None,
) -> Window:
    """Cut the window of ``size`` units that ends with ``last_id``.

    Args:
        chunks: disjoint id ranges, newest first, none beyond ``last_id``; read only as far as needed.
        rows: reads the part of a chunk that holds the border share by share.
        size: X, positive, or None to count all there is.
        last_id: log id of the winning share, included.
        network: see Window.
        parts: sums parts of the chunk that holds the border; without it, all of it is read share by share.

    Raises:
        ValueError: the size is not positive, or a share carries impossible nBits.
    """
    if size is not None and size <= 0:
        raise ValueError("a window has a positive size")
    counts: dict[Pair, dict[str, int]] = {}
    room, first_id = size, 0
    for chunk in chunks:
        worth = chunk.worth_at(network)
        if room is not None and worth > room:
            scores = chunk.scores_at(network)
            first, last = chunk.first_id, chunk.last_id
            if parts is not None:
                first, last, room = _narrow(first, last, parts, room, network, counts)
            border, oldest = _cut_rows(rows(first, last), scores, room, counts)
            return Window(size, last_id, oldest, counts, border, full=True, network=network)
        _add(counts, chunk.counts)
        first_id = chunk.oldest_id or first_id
        if room is not None:
            room -= worth
        if room == 0:
            return Window(size, last_id, first_id, counts, None, full=True, network=network)
    return Window(size, last_id, first_id, counts, None, full=False, network=network)


def _add(counts: dict[Pair, dict[str, int]], more: Counts) -> None:
    for pair, by_account in more.items():
        known = counts.setdefault(pair, {})
        for account, count in by_account.items():
            known[account] = known.get(account, 0) + count


def _narrow(
    first_id: int,
    last_id: int,
    parts: Parts,
    room: Fraction,
    network: Work | None,
    counts: dict[Pair, dict[str, int]],
) -> tuple[int, int, Fraction]:
    """Halve an id range that is worth more than the room until it is small; what is newer is counted.

    Returns:
        The range that holds the border, and the room that is left for it.
    """
    while last_id - first_id >= SMALL:
        middle = (first_id + last_id) // 2
        newer = list(parts(last_id, middle))
        worth = sum((part.worth_at(network) for part in newer), Fraction(0))
        if worth >= room:
            first_id = middle + 1
            continue
        for part in newer:
            _add(counts, part.counts)
        last_id, room = middle, room - worth
    return first_id, last_id, room


def weights(window: Window) -> tuple[dict[str, int], int]:
    """Each account's score in the window as integers over one common denominator.

    Returns:
        The accounts' numerators, and the denominator: numerator / denominator is the score in units.
    """
    works = {nbits: window.network or network_work(nbits) for nbits, _ in window.counts}
    denominator = lcm(*works.values(), window.border.part.denominator if window.border else 1)
    result: dict[str, int] = {}
    for (nbits, target), by_account in window.counts.items():
        weight = work_from_target(target) * (denominator // works[nbits])
        for account, count in by_account.items():
            result[account] = result.get(account, 0) + count * weight
    if window.border is not None:
        part = window.border.part
        weight = part.numerator * (denominator // part.denominator)
        result[window.border.account] = result.get(window.border.account, 0) + weight
    return result, denominator


def _cut_rows(
    rows: Iterable[Slice],
    scores: Mapping[Pair, Fraction],
    room: Fraction,
    counts: dict[Pair, dict[str, int]],
) -> tuple[Border | None, int]:
    """Count single shares, newest first, until the room is used up; answers the border and the oldest id."""
    # integers over one denominator: a chunk has many rows, and adding fractions costs a gcd for each
    denominator = lcm(room.denominator, *(each.denominator for each in scores.values()))
    worth = {pair: int(each * denominator) for pair, each in scores.items()}
    left = int(room * denominator)
    oldest = 0
    border: Border | None = None
    for row in rows:
        if left == 0:
            break
        oldest = row.last_id
        pair = (row.nbits, row.target)
        value = worth[pair]
        if value > left:
            border, left = Border(row.last_id, row.account, Fraction(left, denominator)), 0
            break
        by_account = counts.setdefault(pair, {})
        by_account[row.account] = by_account.get(row.account, 0) + 1
        left -= value
    if left:
        raise ValueError("the chunk's rows are worth less than its slices")
    return border, oldest
