"""Entries of money that comes in by hand and leaves by payment: deposits, holds, and what ends them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from payouts.money import Msat, Sat, to_msat
from pool.errors import LedgerError
from pool.ledger.chart import CHAIN_FEES, DEPOSITS, HOT, LIGHTNING, ROUTING, miner
from pool.ledger.entries import Entry, entry


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
