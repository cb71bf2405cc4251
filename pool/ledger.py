"""The books: the chart of accounts, and the balanced entries that every movement of money is written as.

Debits are positive, credits negative, and every entry sums to zero.  So assets and expenses stand at positive
balances, liabilities, equity and income at negative ones, and the whole ledger sums to zero.

An entry's key is its idempotency key: the same thing done twice is one entry.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from typing import Final, Literal

import attrs

from payouts.money import Msat, Sat, to_msat
from pool.errors import LedgerError
from pool.rewards.split import Division
from stratum.options import POOL

IMMATURE: Final = "assets:immature"
TREASURY_IMMATURE: Final = "assets:immature_treasury"
HOT: Final = "assets:hot"
TREASURY: Final = "assets:treasury"
LIGHTNING: Final = "assets:lightning"
RESIDUAL: Final = "liabilities:residual"
DEPOSITS: Final = "equity:deposits"
RESERVE: Final = "equity:reserve"
WITHDRAWN: Final = "equity:withdrawn"
CORRECTIONS: Final = "equity:corrections"
POOL_FEE: Final = "income:pool_fee"
ROUTING: Final = "expense:routing"
CHAIN_FEES: Final = "expense:chain_fees"
ORPHAN_LOSS: Final = "expense:orphan_loss"
TRANSFERS: Final = "expense:transfers"
LOSSES: Final = "expense:losses"

Part = Literal["immature", "available", "held"]
PARTS: Final[tuple[Part, ...]] = ("immature", "available", "held")
_ASSETS: Final = frozenset({IMMATURE, TREASURY_IMMATURE, HOT, TREASURY, LIGHTNING})
_SAID: Final = frozenset({DEPOSITS, WITHDRAWN, CORRECTIONS, TRANSFERS, LOSSES})  # by the operator
_FIXED: Final = _ASSETS | _SAID | {RESERVE, POOL_FEE, ROUTING, CHAIN_FEES, ORPHAN_LOSS}
_RESIDUAL: Final = re.compile(r"liabilities:residual(:[a-z+]+)?")
_MATURES_TO: Final = {IMMATURE: HOT, TREASURY_IMMATURE: TREASURY}
"""Where a coinbase's coins are once they can be spent: in the node's wallet, or under keys kept offline."""
_MINER: Final = re.compile(r"liabilities:miners:([^:\s]+):(immature|available|held)")
_NOTHING: Final = Msat(0)
GENESIS: Final = "0" * 64
"""What stands for the previous hash in the first entry."""


def miner(account: str, part: Part) -> str:
    """The ledger account of one part of what the pool owes a miner.

    Raises:
        LedgerError: the name is empty or has a colon or white space in it.
    """
    name = f"liabilities:miners:{account}:{part}"
    if _MINER.fullmatch(name) is None:
        raise LedgerError(f"{account!r} cannot be an account in the ledger")
    return name


def residual(pot: str) -> str:
    """Where the divisions in a pot leave what is over: nobody else's miners get what its own have earned."""
    return RESIDUAL if pot == POOL else f"{RESIDUAL}:{pot}"


def miner_of(ledger_account: str) -> tuple[str, Part] | None:
    """The miner's account and the part that a ledger account stands for; None for the pool's own."""
    match = _MINER.fullmatch(ledger_account)
    if match is None:
        return None
    return match[1], next(part for part in PARTS if part == match[2])


@attrs.frozen
class Posting:
    """One side of an entry.  Attributes: ledger account; msat, a debit positive, a credit negative."""

    account: str
    amount: Msat


@attrs.frozen
class Entry:
    """One balanced movement of money, not yet written.

    Attributes:
        key: idempotency key.
        kind: what happened, one word.
        memo: JSON-able; what the entry was computed from, amounts as strings.
        postings: one for each account that moves, sorted; none in a mere record (a policy, an empty reward).
    """

    key: str
    kind: str
    memo: Mapping[str, object]
    postings: tuple[Posting, ...]


def entry(key: str, kind: str, memo: Mapping[str, object], moves: Iterable[tuple[str, int]]) -> Entry:
    """Merge moves by account, leave out what cancels, and check that they balance.

    Raises:
        LedgerError: they do not sum to zero, or name an account that is not in the chart.
    """
    sums: dict[str, int] = {}
    for account, amount in moves:
        if account not in _FIXED and not (_MINER.fullmatch(account) or _RESIDUAL.fullmatch(account)):
            raise LedgerError(f"{account!r} is not in the chart of accounts")
        sums[account] = sums.get(account, 0) + amount
    if sum(sums.values()):
        raise LedgerError(f"{key} does not balance")
    return Entry(
        key, kind, memo, tuple(Posting(name, Msat(sums[name])) for name in sorted(sums) if sums[name])
    )


def memo_text(memo: Mapping[str, object]) -> str:
    """The memo as it is stored and hashed: JSON with sorted keys and no spaces."""
    return json.dumps(memo, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def entry_hash(
    previous: str, key: str, kind: str, time_ms: int, memo: str, postings: Iterable[Posting]
) -> str:
    """The link of the journal's chain: SHA-256 over canonical JSON of the entry and the hash before it.

    Args:
        previous: hex hash of the entry before, GENESIS for the first.
        key: of the entry.
        kind: of the entry.
        time_ms: when it was written, Unix milliseconds.
        memo: the stored text.
        postings: in the order they are stored in; amounts go in as strings.
    """
    sides = [[posting.account, str(posting.amount)] for posting in postings]
    document = [previous, key, kind, time_ms, memo, sides]
    return hashlib.sha256(json.dumps(document, separators=(",", ":")).encode()).hexdigest()


def deposit(deposit_id: str, asset: Literal["hot", "lightning"], amount: Msat) -> Entry:
    """The operator's own money put into a wallet, such as an opening balance.

    Raises:
        LedgerError: the amount is not positive.
    """
    if amount <= 0:
        raise LedgerError("a deposit is more than nothing")
    account = HOT if asset == "hot" else LIGHTNING
    memo = {"asset": asset, "amount_msat": str(amount)}
    return entry(f"deposit:{deposit_id}", "deposit", memo, [(account, amount), (DEPOSITS, -amount)])


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


def hold(payment_id: int, account: str, amount: Msat) -> Entry:
    """Lightning: set aside what a payment may cost at the most (amount and greatest fee)."""
    return _held(f"hold:{payment_id}", "hold", {"payment": payment_id}, {account: amount})


def release(payment_id: int, account: str, amount: Msat) -> Entry:
    """Lightning: the payment definitely failed, the whole hold goes back."""
    freed = {account: Msat(-amount)}
    return _held(f"release:{payment_id}", "release", {"payment": payment_id}, freed)


def settle(payment_id: int, account: str, held: Msat, amount: Msat, fee: Msat) -> Entry:
    """Lightning: paid.  The miner bears amount and routing fee, and gets the rest of the hold back.

    Should a node have spent more than the hold, the pool bears what is beyond.
    """
    spent = amount + fee
    beyond = max(0, spent - held)
    moves = [
        (miner(account, "held"), held),
        (miner(account, "available"), -max(0, held - spent)),
        (ROUTING, beyond),
        (LIGHTNING, -spent),
    ]
    memo = {"payment": payment_id, "amount_msat": str(amount), "fee_msat": str(fee)}
    return entry(f"settle:{payment_id}", "settle", memo, moves)


def batch_hold(batch_id: int, amounts: Mapping[str, Msat]) -> Entry:
    """On-chain: set aside every output of a batch."""
    return _held(f"batch-hold:{batch_id}", "batch-hold", {"batch": batch_id}, amounts)


def batch_release(batch_id: int, amounts: Mapping[str, Msat]) -> Entry:
    """On-chain: the batch never left, its holds go back."""
    back = {name: Msat(-amount) for name, amount in amounts.items()}
    return _held(f"batch-release:{batch_id}", "batch-release", {"batch": batch_id}, back)


def batch_settle(batch_id: int, amounts: Mapping[str, Msat], fee: Sat) -> Entry:
    """On-chain: the batch is buried.  The miners bear their outputs, the pool the chain's fee."""
    moves = [(miner(name, "held"), int(amount)) for name, amount in amounts.items()]
    cost = to_msat(fee)
    moves += [(CHAIN_FEES, cost), (HOT, -(sum(amounts.values()) + cost))]
    memo = {"batch": batch_id, "fee_msat": str(cost)}
    return entry(f"batch-settle:{batch_id}", "batch-settle", memo, moves)


def _held(key: str, kind: str, memo: Mapping[str, object], amounts: Mapping[str, Msat]) -> Entry:
    moves: list[tuple[str, int]] = []
    for account, amount in amounts.items():
        moves += [(miner(account, "available"), amount), (miner(account, "held"), -amount)]
    return entry(key, kind, memo, moves)
