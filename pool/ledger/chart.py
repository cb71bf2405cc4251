"""The chart of accounts: what the books are kept in, and whose each account is."""

from __future__ import annotations

import re
from typing import Final, Literal

from pool.errors import LedgerError
from stratum.options import POOL

IMMATURE: Final = "assets:immature"
TREASURY_IMMATURE: Final = "assets:immature_treasury"
ADVANCED: Final = "assets:advanced"
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
_ASSETS: Final = frozenset({IMMATURE, TREASURY_IMMATURE, ADVANCED, HOT, TREASURY, LIGHTNING})
_SAID: Final = frozenset({DEPOSITS, WITHDRAWN, CORRECTIONS, TRANSFERS, LOSSES})  # by the operator
_FIXED: Final = _ASSETS | _SAID | {RESERVE, POOL_FEE, ROUTING, CHAIN_FEES, ORPHAN_LOSS}
_RESIDUAL: Final = re.compile(r"liabilities:residual(:[a-z+]+)?")
_MINER: Final = re.compile(r"liabilities:miners:([^:\s]+):(immature|available|held)")


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


def in_chart(account: str) -> bool:
    """Whether there is such a ledger account."""
    return account in _FIXED or bool(_MINER.fullmatch(account) or _RESIDUAL.fullmatch(account))
