"""A statement's shares: that they are the log's, whose they are, and that they make up what was counted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from pool.errors import ProofError
from pool.proof.claims import Part
from pool.proof.findings import Finding, decimal, exact, proven, unproven, wrong
from pool.proof.multiproof import root_from_many
from pool.proof.record import ShareRecord, leaf
from pool.proof.scoring import Tally
from pool.proof.statement import Own, Statement
from pool.rewards.policy import Scheme

_NAMED_AT_MOST: Final = 20
"""Shares that are named one by one: where all of them are wrong, a screenful says so."""

_GROUPS: Final = 8
"""Kinds of shares that are told apart; vardiff makes many."""


def check_shares(statement: Statement) -> Iterator[Finding]:
    """Check records, proof and weights.  Args: statement: any that could be read."""
    listed = [*statement.shares, *statement.newer]
    faults = list(_misplaced(statement, listed))
    yield from faults[:_NAMED_AT_MOST]
    if len(faults) > _NAMED_AT_MOST:
        yield wrong("shares", f"{len(faults) - _NAMED_AT_MOST} more do not belong here")
    yield from _fixed(statement)
    if not faults and len(statement.own) == len(statement.claims.parts):
        for number, (part, own) in enumerate(zip(statement.claims.parts, statement.own, strict=True), 1):
            yield from _weight(statement, number, part, own, listed)


def _misplaced(statement: Statement, listed: Sequence[ShareRecord]) -> Iterator[Finding]:
    """Each record is of the account and the pot, in its place, and in a window."""
    size, pot = statement.commitment.size, statement.claims.pot
    windows = [part.window for part in statement.claims.parts if part.window is not None]
    late = {share.id for share in statement.newer}
    before = 0
    for share in listed:
        about = f"share {share.id}"
        if share.id <= before:
            yield wrong(about, "it is listed twice, or out of order")
        before = share.id
        if share.account != statement.account:
            yield wrong(about, f"its record is of {share.account!r}, not of {statement.account!r}")
        if share.pot != pot:
            yield wrong(about, f"it counts in pot {share.pot!r}, not in {pot!r}, whose block this is")
        if (share.id > size) is not (share.id in late):
            yield wrong(
                about, f"the block fixed shares 1 to {size}, and it is listed as if it had another id"
            )
        if not any(window.has(share.id) for window in windows):
            yield wrong(about, "it lies in no window of this block")


def _fixed(statement: Statement) -> Iterator[Finding]:
    """The records are those of the log whose root the block fixed."""
    shares, size = statement.shares, statement.commitment.size
    named = _named(shares)
    try:
        leaves = {share.id - 1: leaf(share) for share in shares}
        root = root_from_many(leaves, size, statement.proof) if size else statement.commitment.root
    except ProofError as error:
        yield wrong(named, f"they are not proven to be in the log: {error}")
        return
    if root != statement.commitment.root:
        yield wrong(
            named, "a record, or a hash of their proof, is not the one of the log that the block fixed"
        )
    elif shares:
        yield proven(
            named, f"{len(shares)} of {statement.account!r} are in the log that the block fixed, as listed"
        )
    if statement.newer:
        yield unproven(
            _named(statement.newer),
            f"{len(statement.newer)} came after the commitment: the pool's next block fixes them",
        )


def _named(shares: Sequence[ShareRecord]) -> str:
    if not shares:
        return "shares"
    first, last = shares[0].id, shares[-1].id
    return f"share {first}" if first == last else f"shares {first} to {last}"


def _weight(
    statement: Statement, number: int, part: Part, own: Own, listed: Sequence[ShareRecord]
) -> Iterator[Finding]:
    about = f"weight in part {number}"
    if part.window is None:
        yield from _without_window(about, part, own)
        return
    tally = Tally(part.policy.scheme, part.window, statement.block)
    try:
        for share in listed:
            tally.add(share)
        score = tally.score
    except ProofError as error:
        yield wrong(about, str(error))
        return
    of_all = f"of {decimal(part.total)} units"
    if own.weight > part.total:
        yield wrong(
            about, f"{exact(own.weight)} is more than the {exact(part.total)} of all accounts together"
        )
    elif (score < own.weight) is not (own.left_out > 0) or score > own.weight:
        yield wrong(
            about, f"the shares that are listed score {exact(score)}, and {exact(own.weight)} was counted"
        )
    elif own.left_out:
        left = f"{decimal(score)} {of_all} is listed and {decimal(own.weight)} was counted"
        yield unproven(
            about, f"{left}: {own.left_out} older shares are left out; a longer statement has them"
        )
    else:
        yield proven(about, f"{decimal(score)} {of_all}, counted again share by share{_groups(tally)}")


def _groups(tally: Tally) -> str:
    """How many shares of which difficulty: what a miner can compare with a machine's own figures."""
    groups = tally.groups()
    texts = [f"{count} of difficulty {decimal(own, 3)} at {decimal(all_, 3)}" for count, own, all_ in groups]
    more = [f"{len(groups) - _GROUPS} other kinds"] if len(groups) > _GROUPS else []
    return f": {'; '.join([*texts[:_GROUPS], *more])}" if groups else ""


def _without_window(about: str, part: Part, own: Own) -> Iterator[Finding]:
    if own.left_out or own.weight not in ({0, 1} if part.policy.scheme is Scheme.SOLO else {0}):
        yield wrong(
            about,
            f"{exact(own.weight)} was counted, and {part.policy.scheme.value} counts no shares of a block",
        )
    elif part.policy.scheme is Scheme.SOLO:
        who = "this account" if own.weight else "another account"
        yield unproven(about, f"that {who} found the block: its header does not say who made it")
