"""A block's windows counted again, share by share: slow, simple, and shared with nothing that pays.

The audit compares this with what the books say, so none of the code of pool.shares, pool.rewards.stakes and
pool.rewards.split is used here; only the definitions of target, work and policies are the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Final, NamedTuple, Protocol

import attrs

from pool.rewards.policy import Scheme, Term
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


class RawLog(Protocol):
    """The shares of one pot, one by one."""

    def shares(self, last_id: int, after_id: int) -> Iterator[RawShare]:
        """Those with ``after_id < id <= last_id``, newest first."""
        ...

    def nbits(self, last_id: int) -> int | None:
        """Of the newest share up to this one, in whichever pot."""
        ...

    def round_start(self, last_id: int) -> int:
        """Log id of the pot's winning share before this one, or 0."""
        ...


@attrs.frozen
class RawPart:
    """What a policy's shares get of a block.

    Attributes:
        term: the policy.
        last_id: newest share that is mined under it, of those up to the winning one.
        part: of the block's fees, and of_subsidy of its subsidy; of the last part, all that is left.
        counted: the shares; None when the finder gets it all, or the reserve that paid its shares.
    """

    term: Term
    last_id: int
    part: Fraction
    of_subsidy: Fraction
    counted: Recount | None


ALL: Final = Fraction(1 << 300)
"""More than any log scores: a window of this size is everything."""


def recount_parts(log: RawLog, terms: Sequence[Term], last_id: int) -> list[RawPart]:
    """Walk through the log once for each policy that shares up to the winning one were mined under.

    Args:
        log: of the block's pot.
        terms: the pot's policies, oldest first, at least one.
        last_id: log id of the winning share.

    Returns:
        The parts that are more than nothing, and the last one.
    """
    known = [term for term in terms if term.after_share < last_id] or list(terms[:1])
    ends = [term.after_share for term in known[1:]] + [last_id]
    parts: list[RawPart] = []
    left = subsidy = Fraction(1)
    for term, end in zip(known[:-1], ends[:-1], strict=True):
        counted, promised = _promised(log, term, end, last_id)
        if promised:
            paid_before = term.policy.scheme is Scheme.PPS_PLUS
            of_subsidy = Fraction(0) if paid_before else subsidy * promised
            parts.append(RawPart(term, end, left * promised, of_subsidy, counted))
            left -= left * promised
            subsidy -= of_subsidy
    return [*parts, RawPart(known[-1], last_id, left, subsidy, _own(log, known[-1], last_id))]


def _own(log: RawLog, term: Term, last_id: int) -> Recount | None:
    policy, after = term.policy, term.after_share
    match policy.scheme:
        case Scheme.SOLO | Scheme.PPS | Scheme.FPPS:
            return None
        case Scheme.PPLNS | Scheme.PPS_PLUS:
            return recount(log.shares(last_id, after), policy.window)
        case Scheme.TIDES:
            return recount(log.shares(last_id, after), policy.window, log.nbits(last_id))
        case Scheme.PROP:
            after = max(after, log.round_start(last_id))
            return recount(log.shares(last_id, after), ALL, log.nbits(last_id))


def _promised(log: RawLog, term: Term, end: int, last_id: int) -> tuple[Recount | None, Fraction]:
    """The shares of an earlier policy that a block still pays, and their part of it."""
    policy, after = term.policy, term.after_share
    if policy.scheme in {Scheme.SOLO, Scheme.PPS, Scheme.FPPS}:
        return None, Fraction(0)
    nbits = None if policy.scheme in {Scheme.PPLNS, Scheme.PPS_PLUS} else log.nbits(last_id)
    if policy.scheme is Scheme.PROP:
        after = max(after, log.round_start(last_id))
        counted = recount(log.shares(end, after), ALL, nbits)
        later = sum(recount(log.shares(last_id, max(end, after)), ALL, nbits).scores.values(), Fraction(0))
        own = sum(counted.scores.values(), Fraction(0))
        return counted, Fraction(own, own + later) if own else Fraction(0)
    newer = recount(log.shares(last_id, end), policy.window, nbits)
    room = policy.window - sum(newer.scores.values(), Fraction(0))
    if not room:
        return None, Fraction(0)
    counted = recount(log.shares(end, after), room, nbits)
    return counted, Fraction(sum(counted.scores.values(), Fraction(0)), policy.window)


def recount(newest_first: Iterable[RawShare], size: Fraction, at_nbits: int | None = None) -> Recount:
    """Walk from the newest share back until ``size`` units of score are used up.

    Work is summed as integers while the network's work stays the same, and turned into a score at each
    change of it.

    Args:
        newest_first: the shares.
        size: the window's.
        at_nbits: what all shares are measured by; None for each one's own.
    """
    works: dict[tuple[str, int], int] = {}
    left, nbits, network, spent, first_id = size, 0, 1, 0, 0
    for share in newest_first:
        if (at_nbits or share.nbits) != nbits:
            left -= Fraction(spent, network)
            nbits = at_nbits or share.nbits
            network, spent = work_from_target(target_from_nbits(nbits)), 0
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


def divided_again(
    parts: Sequence[RawPart], value: int, residual: int, finder: str, height: int = 0
) -> tuple[dict[str, int], int, int, int]:
    """Divide a block's value among its parts, each by the fee of its own policy.

    Args:
        parts: as ``recount_parts`` found them.
        value: of the block, msat.
        residual: what was left over in the pot before, msat; the last part divides it too.
        finder: who gets all of a solo part.
        height: of the block.

    Returns:
        Msat by account, the fee, what goes to the reserve, and what is left over.
    """
    found: dict[str, int] = {}
    fees, reserve, left = 0, 0, value
    subsidy = min(value, max(_subsidy(height, part.term.policy.halving_blocks) for part in parts))
    for part in parts:
        last = part is parts[-1]
        own = left if last else int(subsidy * part.of_subsidy + (value - subsidy) * part.part)
        left -= own
        if last and part.term.policy.scheme in {Scheme.PPS, Scheme.FPPS}:
            reserve = own
            continue
        if last and part.term.policy.scheme is Scheme.PPS_PLUS:
            reserve = int(subsidy * part.of_subsidy)
            own -= reserve
        fee = own * part.term.policy.fee_bps // 10_000
        fees += fee
        scores = {finder: Fraction(1)} if part.counted is None else part.counted.scores
        for account, each in shares_of(own - fee + (residual if last else 0), scores).items():
            found[account] = found.get(account, 0) + each
    return found, fees, reserve, value + residual - fees - reserve - sum(found.values())


def _subsidy(height: int, halving_blocks: int) -> int:
    """Msat; nothing where it does not matter (0)."""
    halvings = height // halving_blocks if halving_blocks else 64
    return (5_000_000_000 >> halvings) * 1000 if halvings < 64 else 0


class PaidShare(NamedTuple):
    """One row of the share log, with what its pay by the subsidy depends on."""

    account: str
    nbits: int
    target: Target
    height: int


def paid_again(
    shares: Iterable[PaidShare], fee_bps: int, halving_blocks: int, fees: Mapping[int, int] | None = None
) -> dict[str, int]:
    """What shares are paid at once, one by one: msat by account, floored once for each account.

    Args:
        shares: that are paid.
        fee_bps: the pool's fee.
        halving_blocks: of the network.
        fees: by height, msat, where the fees of other blocks are paid for too (FPPS).

    Raises:
        ValueError: a share's height is not in ``fees``.
    """
    exact: dict[str, Fraction] = {}
    for share in shares:
        if fees is not None and share.height not in fees:
            raise ValueError(f"shares of height {share.height} are paid, which had no rate yet")
        whole = _subsidy(share.height, halving_blocks) + (0 if fees is None else fees[share.height])
        network = work_from_target(target_from_nbits(share.nbits))
        part = Fraction(work_from_target(share.target) * whole * (10_000 - fee_bps), network * 10_000)
        exact[share.account] = exact.get(share.account, Fraction(0)) + part
    return {account: int(amount) for account, amount in exact.items() if amount >= 1}


def mean_again(fees: Sequence[int], blocks: int, trim: int) -> int:
    """The fee part of a height: sat of some blocks, taken away from both ends one by one, to msat.

    Args:
        fees: of the blocks.
        blocks: how many the rule wants.
        trim: how many of so many it leaves out at each end.
    """
    left = list(fees)
    for _ in range(len(fees) * trim // blocks):
        left.remove(max(left))
        left.remove(min(left))
    return sum(left) * 1000 // max(1, len(left))


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
