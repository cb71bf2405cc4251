"""Which shares the log must keep: what windows, rounds and payments can still ask for, and what is too young.

What is archived can be read back, so a wrong answer here costs time, not money: a window that reaches into
the archive is cut from it, and is the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import pairwise
from operator import attrgetter
from typing import Final, Protocol

import attrs

from pool.rewards.policy import AT_ONCE, WINDOWED, Scheme, Term
from pool.rewards.stakes import PotLog, stakes
from pool.settle import ORPHAN_WATCH_MS, WATCH_DEPTH
from pool.shares import cut
from pool.store.blocks import Block, BlockTable, FoundBlock

DAY_MS: Final = 24 * 3_600_000
MARGIN: Final = 2
"""Running windows are kept at twice their size: TIDES reaches further back when the difficulty rises."""


@attrs.frozen
class Need:
    """Shares from a log id on are wanted.  Attributes: the oldest of them, and by what."""

    first_id: int
    what: str


class Log(Protocol):
    """The share log; see pool.store.windows."""

    def found_since(self, found_id: int) -> Sequence[FoundBlock]:
        """Blocks behind a row number."""
        ...

    def share_at(self, time_ms: int) -> int:
        """Log id of the newest share at a moment."""
        ...

    def newest(self) -> int:
        """Log id of the newest share."""
        ...

    def pot(self, name: str) -> PotLog:
        """The shares of one pot."""
        ...


class Books(Protocol):
    """The books; see pool.store.ledger."""

    def pots(self) -> Sequence[str]:
        """Every pot that ever had a policy."""
        ...

    def terms(self, pot: str) -> Sequence[Term]:
        """Its policies, oldest first."""
        ...

    def paid_until(self, pot: str) -> int:
        """Log id of the newest of its shares that was paid at once."""
        ...


def needs(log: Log, books: Books, open_blocks: Sequence[Block | FoundBlock], until: int) -> Iterator[Need]:
    """What the pool can still want of its log, whatever is decided about age.

    Args:
        log: shares.
        books: policies and payments.
        open_blocks: found blocks that may still be divided, again or for the first time.
        until: log id of the newest share that is archived already; nothing older is looked for.
    """
    newest = log.newest()
    if newest:
        yield Need(newest, "the newest share")
    for block in open_blocks:
        found = block.found if isinstance(block, Block) else block
        yield from _of_block(log, books, found, until)
    for pot in books.pots():
        yield from _of_pot(log, books, pot, newest, until)


def _of_block(log: Log, books: Books, found: FoundBlock, until: int) -> Iterator[Need]:
    what = f"block {found.hash}, which may still be divided"
    terms = books.terms(found.pot)
    if not terms:
        yield Need(until + 1, f"{what}: it waits for a policy")
        return
    last_id = log.share_at(found.found_ms) if found.share_id is None else found.share_id
    for stake in stakes(log.pot(found.pot), terms, last_id, found.account):
        if stake.window is not None and stake.window.first_id:
            yield Need(stake.window.first_id, what)
    # its own share too, which says who found it
    yield Need(max(1, last_id), what)


def _of_pot(log: Log, books: Books, pot: str, newest: int, until: int) -> Iterator[Need]:
    terms = books.terms(pot)
    shares = log.pot(pot)
    for term, following in pairwise([*terms, None]):
        if term is None:
            continue
        end = newest if following is None else following.after_share
        paid = max(books.paid_until(pot), term.after_share)
        if term.policy.scheme in AT_ONCE and paid < end:
            yield Need(paid + 1, f"shares of pot {pot} that are yet to be paid")
    for term in terms:  # of earlier ones it need not be found out whether they have a part in anything yet
        policy = term.policy
        if policy.scheme is Scheme.PROP:
            yield Need(shares.round_start(newest + 1) + 1, f"the round of pot {pot}")
        elif policy.scheme in WINDOWED:
            first_id = _oldest(shares, policy.window * MARGIN, policy.scheme, newest, until)
            if first_id:
                yield Need(first_id, f"the running window of pot {pot}, at twice its size")


def _oldest(shares: PotLog, size: Fraction, scheme: Scheme, newest: int, until: int) -> int:
    network = shares.network(newest) if scheme is Scheme.TIDES else None
    return cut(shares.chunks(newest, until), shares.rows, size, newest, network).first_id


@attrs.frozen
class Plan:
    """What may leave the log now.

    Attributes:
        last_id: newest share that may go.
        limit: what needs the one behind it; None when they are merely too young.
    """

    last_id: int
    limit: Need | None


def plan(log: Log, books: Books, open_blocks: Sequence[Block | FoundBlock], until: int, old_id: int) -> Plan:
    """Decide what may leave the log.

    Args:
        log: shares.
        books: policies and payments.
        open_blocks: found blocks that may still be divided.
        until: log id of the newest share that is archived already.
        old_id: of the newest share that is old enough.
    """
    found = list(needs(log, books, open_blocks, until))
    limit = min(found, key=attrgetter("first_id"), default=None)
    if limit is None or limit.first_id > old_id:
        return Plan(old_id, None)
    return Plan(limit.first_id - 1, limit)


def open_blocks(blocks: BlockTable, log: Log, now_ms: int) -> list[Block | FoundBlock]:
    """Blocks that the book still watches, and those that it has not taken over yet."""
    return [*blocks.watched(WATCH_DEPTH, now_ms - ORPHAN_WATCH_MS), *log.found_since(blocks.last_found_id())]
