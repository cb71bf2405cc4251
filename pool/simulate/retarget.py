"""What a share is worth around a change of the difficulty: in a raw window, and in the product's unit window.

No dice: a share's expected pay is summed over every share that follows it, each being a block with its own
probability d/D and paying whoever its window then holds.  The unit window is cut and divided by the very code
that settles blocks (pool.shares, pool.rewards); the raw one (TIDES' rule, X times the difficulty of the
block) is counted here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Final

import attrs

from payouts.money import Msat
from pool.rewards.split import divide
from pool.shares import Chunk, Slice, chunk_of, cut, weights
from pool.simulate.figures import Figure
from stratum.units import Target, target_from_nbits

GROUP: Final = "5. Value of a share around a retarget, X = 8"
SIZE: Final = 8
POSITIONS: Final = {"just before it": 0.005, "half a window before": 0.5, "at the far edge": 0.99}
"""Where the published numbers of the raw window stand, in windows before the retarget."""
_RAW: Final = {"just before it": 0.910, "half a window before": 0.996, "at the far edge": 1.081}
_EASY: Final = 0x17580000
_HARD: Final = 0x17500000  # 11/10 of the difficulty of _EASY, exactly
_VALUE: Final = Msat(10**15)
_CHUNK: Final = 64
_REST: Final = "rest"


@attrs.frozen
class Log:
    """A share log across a retarget, all shares with the same target.

    Attributes:
        nbits: of each share, oldest first; its log id is its place, from 1.
        per_unit: how many shares are one unit, by nBits.
        retarget: how many shares come before it.
        target: of the shares.
    """

    nbits: Sequence[int]
    per_unit: dict[int, int]
    retarget: int
    target: Target


def make_log(per_unit: int, *, harder: bool) -> Log:
    """Two windows before the retarget, and after it enough that every share of the second one is done with.

    Args:
        per_unit: shares in a unit at the lower difficulty, a multiple of ten; 11/10 as many at the higher.
        harder: the difficulty rises by a tenth; else it falls from there by an eleventh.
    """
    counts = {_EASY: per_unit, _HARD: per_unit * 11 // 10}
    before, after = (_EASY, _HARD) if harder else (_HARD, _EASY)
    first, second = 2 * SIZE * counts[before], 2 * SIZE * counts[after]
    # a share of target T is 1/n of a unit when T + 1 is n times the network's target + 1
    target = Target((target_from_nbits(_EASY) + 1) * per_unit - 1)
    return Log([before] * first + [after] * second, counts, first, target)


def figures(per_unit: int) -> list[Figure]:
    """The raw window's three numbers, and the unit window's extremes over all positions, up and down."""
    log = make_log(per_unit, harder=True)
    result = []
    for name, windows_before in POSITIONS.items():
        place = log.retarget - round(windows_before * SIZE * per_unit)
        result.append(Figure(GROUP, f"raw, +10 %, {name}", _RAW[name], raw_value(log, place), 0.001, "exact"))
    for harder, change in ((True, "+10 %"), (False, "-9.1 %")):
        log = make_log(per_unit, harder=harder)
        values = unit_values(log, probes(log))
        for name, extreme in (("least", min(values.values())), ("most", max(values.values()))):
            result.append(Figure(GROUP, f"unit, {change}, {name} anywhere", 1.0, extreme, 0.001, "product"))
    return result


def probes(log: Log) -> list[int]:
    """Log ids of the shares that are looked at: a twentieth of a window apart, from 1 before to 1/2 after."""
    window = SIZE * log.per_unit[log.nbits[0]]
    return [log.retarget + window * step // 20 for step in range(-20, 11)] + [log.retarget - 1]


def raw_value(log: Log, place: int) -> float:
    """Expected pay of a share over its fair pay, in a window of X times the difficulty at each block.

    Args:
        log: the log.
        place: log id of the share.
    """
    own = log.per_unit[log.nbits[place - 1]]
    total = 0.0
    for block in range(place, len(log.nbits) + 1):
        per_unit = log.per_unit[log.nbits[block - 1]]
        window = SIZE * per_unit  # in shares: all are worth the same in raw work
        if block - place < window:
            total += 1 / per_unit / window
    return total * own


def unit_values(log: Log, places: Sequence[int]) -> dict[int, float]:
    """Expected pay of some shares over their fair pay, by the code that settles blocks.

    Args:
        log: the log.
        places: log ids of the shares, each an account of its own here.

    Returns:
        By log id.
    """
    names = {place: f"probe {place}" for place in places}
    rows = [
        Slice(names.get(place, _REST), nbits, log.target, 1, place, place)
        for place, nbits in enumerate(log.nbits, 1)
    ]
    finished = [_summed(rows, start, start + _CHUNK) for start in range(0, len(rows), _CHUNK)]
    totals = dict.fromkeys(places, 0.0)
    reach = (SIZE + 1) * max(log.per_unit.values())
    for block in range(min(places), min(max(places) + reach, len(rows)) + 1):
        window = cut(
            _chunks(rows, finished, block),
            lambda first, last: _rows(rows, first, last),
            Fraction(SIZE),
            block,
        )
        paid = divide(_VALUE, 0, weights(window)[0], Msat(0)).credits
        chance = 1 / log.per_unit[log.nbits[block - 1]]
        for place, name in names.items():
            totals[place] += chance * paid.get(name, 0) / _VALUE
    return {place: total * log.per_unit[log.nbits[place - 1]] for place, total in totals.items()}


def _chunks(rows: Sequence[Slice], finished: Sequence[Chunk], last_id: int) -> Iterator[Chunk]:
    """The log up to a share as windows are cut from it: chunks, newest first."""
    whole = last_id // _CHUNK
    if last_id % _CHUNK:
        yield _summed(rows, whole * _CHUNK, last_id)
    yield from reversed(finished[:whole])


def _summed(rows: Sequence[Slice], start: int, end: int) -> Chunk:
    part = rows[start:end]
    counts = Counter((row.account, row.nbits) for row in part)
    first, last = part[0].first_id, part[-1].last_id
    return chunk_of(
        first,
        last,
        [Slice(name, nbits, part[0].target, n, first, last) for (name, nbits), n in counts.items()],
    )


def _rows(rows: Sequence[Slice], first_id: int, last_id: int) -> Iterator[Slice]:
    return iter(rows[first_id - 1 : last_id][::-1])
