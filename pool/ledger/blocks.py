"""Entries of a block's life: rewarded, matured, and taken back when it is not in the chain (any more)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from payouts.money import Msat
from pool.ledger.chart import (
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


def mature(block_hash: str, n: int, rewarded: Entry) -> Entry:
    """The reward's coins can be spent: hot or in the treasury, and the miners' parts become available."""
    moves: list[tuple[str, int]] = []
    for posting in rewarded.postings:
        owner = miner_of(posting.account)
        if posting.account in _MATURES_TO:
            moves += [(posting.account, -posting.amount), (_MATURES_TO[posting.account], posting.amount)]
        elif owner is not None:
            moves += [(posting.account, -posting.amount), (miner(owner[0], "available"), posting.amount)]
    return entry(f"mature:{block_hash}:{n}", "mature", {"block": block_hash, "n": n}, moves)


def reverse(
    block_hash: str, n: int, rewarded: Entry, *, was_mature: bool, balances: Mapping[str, Msat]
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
    """
    moves: list[tuple[str, int]] = []
    short: dict[str, str] = {}
    for posting in rewarded.postings:
        owner = miner_of(posting.account)
        account = _where_now(posting.account, owner, was_mature=was_mature)
        back = -posting.amount
        if account == ORPHAN_LOSS:
            continue
        if account.startswith("liabilities:"):
            back = min(back, -balances.get(account, 0))
        elif account.startswith("assets:"):
            back = -min(-back, balances.get(account, 0))
        moves.append((account, back))
        if owner is not None and back != -posting.amount:
            short[owner[0]] = str(-posting.amount - back)
    moves.append((ORPHAN_LOSS, -sum(amount for _, amount in moves)))
    memo = {"block": block_hash, "n": n, "was_mature": was_mature, "short_msat": short}
    return entry(f"reverse:{block_hash}:{n}", "reverse", memo, moves)


def _where_now(account: str, owner: tuple[str, Part] | None, *, was_mature: bool) -> str:
    """Where a reward's posting stands today: maturing moved the coins and the miners' parts."""
    if was_mature and account in _MATURES_TO:
        return _MATURES_TO[account]
    if was_mature and owner is not None:
        return miner(owner[0], "available")
    return account
