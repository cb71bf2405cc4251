"""Entries of a block's life: rewarded, credited early, matured, taken back when it is not in the chain."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from payouts.money import Msat
from pool.errors import LedgerError
from pool.ledger.chart import (
    ADVANCED,
    HOT,
    IMMATURE,
    ORPHAN_LOSS,
    POOL_FEE,
    RESERVE,
    TREASURY,
    TREASURY_IMMATURE,
    Part,
    miner,
    miner_of,
    residual,
)
from pool.ledger.entries import Entry, entry
from pool.rewards.split import Division
from stratum.options import POOL

_MATURES_TO: Final = {IMMATURE: HOT, TREASURY_IMMATURE: TREASURY}
"""Where a coinbase's coins are once they can be spent: in the node's wallet, or under keys kept offline."""
_WAITING: Final = frozenset({*_MATURES_TO, ADVANCED})
_NOTHING: Final = Msat(0)


def reward(
    block_hash: str,
    n: int,
    division: Division,
    memo: Mapping[str, object],
    owed_back: Mapping[str, Msat] | None = None,
    treasury: Msat = _NOTHING,
    pot: str = POOL,
) -> Entry:
    """A block became active: its value is ours, and owed to the miners, once it matures.

    Args:
        block_hash: display-order hex.
        n: how often the block became active before (0 the first time).
        division: of the block's value.
        memo: from the reward scheme.
        owed_back: what miners keep from an earlier activation that was reversed after they had been paid; it
            comes off their credits first, and makes good the pool's orphan loss.
        treasury: the part of the value that went to addresses whose keys are kept offline: an asset of its
            own, which no payout can leave from.
        pot: whose residual was divided with it.
    """
    owed = owed_back or {}
    kept = {name: Msat(min(part, owed.get(name, 0))) for name, part in division.credits.items()}
    moves = [(miner(name, "immature"), kept[name] - part) for name, part in division.credits.items()]
    moves += [
        (IMMATURE, division.value - treasury),
        (TREASURY_IMMATURE, treasury),
        (POOL_FEE, -division.fee),
        (residual(pot), division.residual_in - division.residual_out),
        (RESERVE, -division.reserve),
        (ORPHAN_LOSS, -sum(kept.values())),
    ]
    recovered = {name: str(part) for name, part in sorted(kept.items()) if part}
    whole_memo = {**memo, "block": block_hash, "n": n, "recovered_msat": recovered}
    if treasury:
        whole_memo["treasury_msat"] = str(treasury)
    return entry(f"reward:{block_hash}:{n}", "reward", whole_memo, moves)


def lendable(rewarded: Entry) -> Msat:
    """What of a reward could be credited before it matures: the miners' parts, but no more than its coins.

    Miners can be given more than a block pays, out of what earlier blocks left over; it is the coins that an
    advance is paid back from.
    """
    return Msat(min(sum(_parts(rewarded).values()), sum(_coins(rewarded).values())))


def advance(
    block_hash: str, n: int, rewarded: Entry, amount: Msat, memo: Mapping[str, object] | None = None
) -> Entry:
    """The miners of a block may have their parts before it matures: the pool buys so much of its coins.

    Each part becomes available in the same proportion, ``floor(part * amount / sum of parts)``, and what has
    become available of a coinbase that can still vanish is an asset by itself: the pool's exposure.

    Args:
        block_hash: display-order hex.
        n: of the reward.
        rewarded: the reward's entry.
        amount: of all parts together, in msat; what is credited is less by what flooring leaves.
        memo: what the amount follows from.

    Raises:
        LedgerError: it is more than ``lendable``, or less than nothing.
    """
    parts = _parts(rewarded)
    whole = sum(parts.values())
    if not 0 <= amount <= lendable(rewarded):
        raise LedgerError(f"{amount} msat of block {block_hash} cannot be credited early")
    moves: list[tuple[str, int]] = []
    for name, part in parts.items():
        early = part * amount // whole
        moves += [(miner(name, "immature"), early), (miner(name, "available"), -early)]
    credited = -sum(move for account, move in moves if account.endswith(":available"))
    left = credited
    for account, coins in _coins(rewarded).items():
        moves.append((account, -min(left, coins)))
        left -= min(left, coins)
    moves.append((ADVANCED, credited))
    return entry(f"advance:{block_hash}:{n}", "advance", {**(memo or {}), "block": block_hash, "n": n}, moves)


def _parts(rewarded: Entry) -> dict[str, int]:
    """What a reward gave to each miner, msat."""
    owners = [(miner_of(posting.account), posting.amount) for posting in rewarded.postings]
    return {owner[0]: -amount for owner, amount in owners if owner is not None}


def _coins(rewarded: Entry) -> dict[str, int]:
    """What a block pays, msat: those of its coins first that will be at hand."""
    there = {posting.account: int(posting.amount) for posting in rewarded.postings}
    return {account: there[account] for account in _MATURES_TO if account in there}


def _as_it_stands(rewarded: Entry, advanced: Entry | None) -> dict[str, int]:
    """What an immature block's entries have moved so far, by ledger account, in a fixed order."""
    sums: dict[str, int] = {}
    for posting in (*rewarded.postings, *(advanced.postings if advanced else ())):
        sums[posting.account] = sums.get(posting.account, 0) + posting.amount
    return {account: sums[account] for account in sorted(sums) if sums[account]}


def mature(block_hash: str, n: int, rewarded: Entry, advanced: Entry | None = None) -> Entry:
    """The reward's coins can be spent: hot or in the treasury, and the miners' parts become available.

    Args:
        block_hash: display-order hex.
        n: of the reward.
        rewarded: the reward's entry.
        advanced: the entry by which it was credited early, if it was.
    """
    moves = [(_MATURES_TO[account], amount) for account, amount in _coins(rewarded).items()]
    for account, amount in _as_it_stands(rewarded, advanced).items():
        owner = miner_of(account)
        if account in _WAITING:
            moves.append((account, -amount))
        elif owner is not None and owner[1] == "immature":
            moves += [(account, -amount), (miner(owner[0], "available"), amount)]
    return entry(f"mature:{block_hash}:{n}", "mature", {"block": block_hash, "n": n}, moves)


def reverse(
    block_hash: str,
    n: int,
    rewarded: Entry,
    *,
    was_mature: bool,
    balances: Mapping[str, Msat],
    advanced: Entry | None = None,
) -> Entry:
    """The block is not in the chain (any more): a compensating entry for its reward.

    Nothing goes below zero: what was paid out already, or went into another block's division, is the pool's
    orphan loss.  The memo names what each miner keeps, for a later re-activation.

    Args:
        block_hash: display-order hex.
        n: of the reward that is reversed.
        rewarded: the reward's entry.
        was_mature: whether it had matured.
        balances: present balances of the ledger accounts (debit positive); those that are missing are zero.
        advanced: the entry by which it was credited early, if it was.
    """
    moves: list[tuple[str, int]] = []
    short: dict[str, int] = {}
    # maturing has ended an advance: coins and parts are where they would be without it
    for posted, amount in _as_it_stands(rewarded, None if was_mature else advanced).items():
        owner = miner_of(posted)
        account = _where_now(posted, owner, was_mature=was_mature)
        back = -amount
        if account == ORPHAN_LOSS:
            continue
        if account.startswith("liabilities:"):
            back = min(back, -balances.get(account, 0))
        elif account.startswith("assets:"):
            back = -min(-back, balances.get(account, 0))
        moves.append((account, back))
        if owner is not None and back != -amount:
            short[owner[0]] = short.get(owner[0], 0) - amount - back
    moves.append((ORPHAN_LOSS, -sum(amount for _, amount in moves)))
    kept = {name: str(amount) for name, amount in short.items()}
    memo = {"block": block_hash, "n": n, "was_mature": was_mature, "short_msat": kept}
    return entry(f"reverse:{block_hash}:{n}", "reverse", memo, moves)


def _where_now(account: str, owner: tuple[str, Part] | None, *, was_mature: bool) -> str:
    """Where a reward's posting stands today: maturing moved the coins and the miners' parts."""
    if was_mature and account in _MATURES_TO:
        return _MATURES_TO[account]
    if was_mature and owner is not None:
        return miner(owner[0], "available")
    return account
