"""The books: the chart of accounts, and the balanced entries that every movement of money is written as.

Debits are positive, credits negative, and every entry sums to zero.  So assets and expenses stand at positive
balances, liabilities, equity and income at negative ones, and the whole ledger sums to zero.

An entry's key is its idempotency key: the same thing done twice is one entry.
"""

from __future__ import annotations

from pool.ledger.blocks import (
    advance,
    lendable,
    mature,
    reverse,
    reward,
)
from pool.ledger.chart import (
    ADVANCED,
    CHAIN_FEES,
    CORRECTIONS,
    DEPOSITS,
    HOT,
    IMMATURE,
    LIGHTNING,
    LOSSES,
    ORPHAN_LOSS,
    PARTS,
    POOL_FEE,
    RESERVE,
    RESIDUAL,
    ROUTING,
    TRANSFERS,
    TREASURY,
    TREASURY_IMMATURE,
    WITHDRAWN,
    Part,
    miner,
    miner_of,
    residual,
)
from pool.ledger.entries import (
    GENESIS,
    Entry,
    Posting,
    entry,
    entry_hash,
    memo_text,
)
from pool.ledger.payments import (
    batch_hold,
    batch_release,
    batch_settle,
    deposit,
    hold,
    release,
    settle,
)

__all__ = [
    "ADVANCED",
    "CHAIN_FEES",
    "CORRECTIONS",
    "DEPOSITS",
    "GENESIS",
    "HOT",
    "IMMATURE",
    "LIGHTNING",
    "LOSSES",
    "ORPHAN_LOSS",
    "PARTS",
    "POOL_FEE",
    "RESERVE",
    "RESIDUAL",
    "ROUTING",
    "TRANSFERS",
    "TREASURY",
    "TREASURY_IMMATURE",
    "WITHDRAWN",
    "Entry",
    "Part",
    "Posting",
    "advance",
    "batch_hold",
    "batch_release",
    "batch_settle",
    "deposit",
    "entry",
    "entry_hash",
    "hold",
    "lendable",
    "mature",
    "memo_text",
    "miner",
    "miner_of",
    "release",
    "residual",
    "reverse",
    "reward",
    "settle",
]
