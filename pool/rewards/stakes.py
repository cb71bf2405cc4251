"""Whose work a block pays for: what the shares of each policy have a claim to, by the scheme of that policy.

A block is divided by the policy that its winning share was mined under.  Shares from before a change of
policy keep what they were promised: they are paid first, each as if nothing had changed, and the shares that
came after the change divide the rest.  So a change of the fee alone moves nobody's pay by anything but the
fee; a change of the window or of the scheme is borne, or enjoyed, by those who mine after it was announced.

The schemes are Rosenfeld's ("Analysis of Bitcoin Pooled Mining Reward Systems", 2011): unit-PPLNS, PPLNS in
raw work (TIDES' rule), proportional, solo.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Protocol, assert_never

import attrs

from pool.rewards.policy import AT_ONCE, RESERVED, Policy, Scheme, Term
from pool.shares import Chunk, Slice, Window, cut, weights
from stratum.units import Work


class PotLog(Protocol):
    """The shares of one pot."""

    def chunks(self, last_id: int, after_id: int = 0) -> Iterator[Chunk]:
        """All shares with ``after_id < id <= last_id`` in disjoint ranges, newest first."""
        ...

    def rows(self, first_id: int, last_id: int) -> Iterator[Slice]:
        """Single shares of an id range, newest first."""
        ...

    def network(self, last_id: int) -> Work:
        """The network's work when the newest share up to this one came, in whichever pot; 1 for none."""
        ...

    def round_start(self, last_id: int) -> int:
        """Log id of the newest winning share of the pot before this one, 0 when there is none."""
        ...


@attrs.frozen
class Stake:
    """What the shares of one policy are to get of a block.

    Attributes:
        term: the policy.
        part: of the block's fees (where nobody tells them from the subsidy: of its value); of the last stake:
            all that earlier ones leave.
        weights: by account, what it is divided by.
        window: the shares that count; None where none do (solo), or where they were paid before (PPS, FPPS).
        score: what they score together, in units of network work.
        of_subsidy: the same part of the subsidy; 0 where that was paid for its shares before.
    """

    term: Term
    part: Fraction
    weights: Mapping[str, int]
    window: Window | None
    score: Fraction
    of_subsidy: Fraction


def in_force(terms: Sequence[Term], last_id: int) -> Sequence[Term]:
    """The policies, oldest first, that shares up to this one were mined under; at least the first."""
    return [term for term in terms if term.after_share < last_id] or terms[:1]


def stakes(log: PotLog, terms: Sequence[Term], last_id: int, finder: str) -> tuple[Stake, ...]:
    """Who has a claim to a block: the shares of each policy, oldest policy first.

    Args:
        log: of the block's pot.
        terms: the pot's policies, oldest first, at least one; later ones than the block's are passed over.
        last_id: log id of the winning share.
        finder: account that found the block.
    """
    known = in_force(terms, last_id)
    left = subsidy_left = Fraction(1)
    found: list[Stake] = []
    for term, following in pairwise(known):
        window, part = _promised(log, term, following.after_share, last_id)
        if window is not None and part:
            of_subsidy = Fraction(0) if term.policy.scheme in AT_ONCE else subsidy_left * part
            found.append(_stake(term, window, left * part, of_subsidy))
            left, subsidy_left = left - found[-1].part, subsidy_left - of_subsidy
    current = known[-1]
    if current.policy.scheme in {Scheme.SOLO, *RESERVED}:
        owners = {finder: 1} if current.policy.scheme is Scheme.SOLO else {}
        return *found, Stake(current, left, owners, None, Fraction(0), subsidy_left)
    return *found, _stake(current, _own(log, current, last_id), left, subsidy_left)


def _stake(term: Term, window: Window, part: Fraction, of_subsidy: Fraction) -> Stake:
    by_account, denominator = weights(window)
    score = Fraction(sum(by_account.values()), denominator)
    return Stake(term, part, by_account, window, score, of_subsidy)


def _own(log: PotLog, term: Term, last_id: int) -> Window:
    """The window of the policy that the block was found under: its own shares."""
    network = _measure(log, term.policy, last_id)
    match term.policy.scheme:
        case Scheme.PPLNS | Scheme.TIDES | Scheme.PPS_PLUS:
            chunks = log.chunks(last_id, term.after_share)
            return cut(chunks, log.rows, term.policy.window, last_id, network, log.chunks)
        case Scheme.PROP | Scheme.SOLO | Scheme.PPS | Scheme.FPPS:
            start = max(term.after_share, log.round_start(last_id))
            return cut(log.chunks(last_id, start), log.rows, None, last_id, network)
        case _:
            assert_never(term.policy.scheme)


def _promised(log: PotLog, term: Term, end_id: int, last_id: int) -> tuple[Window | None, Fraction]:
    """What the shares of an earlier policy, the newest of which is ``end_id``, were promised of this block.

    Returns:
        Their window and their part of the block; no window when nothing.
    """
    network = _measure(log, term.policy, last_id)
    match term.policy.scheme:
        case Scheme.PPLNS | Scheme.TIDES | Scheme.PPS_PLUS:
            size = term.policy.window
            room = size - _worth(log.chunks(last_id, end_id), network, size)
            if room <= 0:
                return None, Fraction(0)
            chunks = log.chunks(end_id, term.after_share)
            window = cut(chunks, log.rows, room, end_id, network, log.chunks)
            return window, Fraction(_score(window), size)
        case Scheme.PROP:
            start = max(term.after_share, log.round_start(last_id))
            if start >= end_id:
                return None, Fraction(0)
            window = cut(log.chunks(end_id, start), log.rows, None, end_id, network)
            own = _score(window)
            later = _worth(log.chunks(last_id, end_id), network, None)
            return window, Fraction(own, own + later) if own else Fraction(0)
        case Scheme.SOLO | Scheme.PPS | Scheme.FPPS:
            return None, Fraction(0)
        case _:
            assert_never(term.policy.scheme)


def _measure(log: PotLog, policy: Policy, last_id: int) -> Work | None:
    """Each share by the difficulty of its own time, or all by that of the block."""
    return log.network(last_id) if policy.scheme in {Scheme.TIDES, Scheme.PROP} else None


def _worth(chunks: Iterable[Chunk], network: Work | None, enough: Fraction | None) -> Fraction:
    """What chunks score, read no further than to what is enough."""
    total = Fraction(0)
    for chunk in chunks:
        total += chunk.worth_at(network)
        if enough is not None and total >= enough:
            break
    return total


def _score(window: Window) -> Fraction:
    by_account, denominator = weights(window)
    return Fraction(sum(by_account.values()), denominator)
