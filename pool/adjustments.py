"""Entries that an operator makes beside deposits: taken out, moved, lost, put right; each with a reason.

What is said here is about the books only: no coin moves by it.  Each has a reference of the operator's own (a
txid, an invoice's number) in its key, so that booking it again books nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any, Final, Literal, assert_never

import attrs

from payouts.money import Msat
from pool import ledger
from pool.errors import LedgerError
from pool.ledger import Entry, entry

Asset = Literal["hot", "lightning", "treasury"]
ACCOUNTS: Final[Mapping[str, str]] = {
    "hot": ledger.HOT,
    "lightning": ledger.LIGHTNING,
    "treasury": ledger.TREASURY,
}
NOTHING: Final = Msat(0)


class Kind(Enum):
    """What an operator says happened; the value is the entry's kind and the first word of its key.

    A move is between the node's wallet and Lightning; one of coins alone, to or from the treasury, is
    pool.treasury's transfer.
    """

    WITHDRAWAL = "withdrawal"
    MOVE = "move"
    LOSS = "loss"
    CORRECTION = "correction"


@attrs.frozen
class Adjustment:
    """What an operator says happened to the pool's money.

    Attributes:
        kind: what happened.
        reference: unique among those of its kind.
        asset: which money.
        amount: msat.  Withdrawn, lost; of a move, what arrives; of a correction, what there is more of, or
            less when it is negative.
        why: the reason.
        to: where a move goes to; None for all else.
        cost: what a move took beside: chain fees, a swap's price.
    """

    kind: Kind
    reference: str
    asset: str
    amount: Msat
    why: str
    to: str | None = None
    cost: Msat = NOTHING

    @property
    def leaves(self) -> Msat:
        """What the asset has less of afterwards, in msat; never below zero."""
        match self.kind:
            case Kind.MOVE:
                return Msat(self.amount + self.cost)
            case Kind.WITHDRAWAL | Kind.LOSS:
                return self.amount
            case Kind.CORRECTION:
                return Msat(max(0, -self.amount))
            case _:
                assert_never(self.kind)


def booked(said: Adjustment) -> Entry:
    """The entry of an adjustment.

    Raises:
        LedgerError: it moves nothing, from or to nowhere, or for no reason.
    """
    _check(said)
    memo = {
        "asset": said.asset,
        "to": said.to,
        "amount_msat": str(said.amount),
        "cost_msat": str(said.cost),
        "why": said.why,
    }
    return entry(f"{said.kind.value}:{said.reference}", said.kind.value, memo, _moves(said))


def from_entry(key: str, memo: Mapping[str, Any]) -> Adjustment:
    """What an entry of one of these kinds was made from; the audit makes it again from this.

    Raises:
        KeyError, ValueError: it is none of them.
    """
    kind, _, reference = key.partition(":")
    return Adjustment(
        Kind(kind),
        reference,
        str(memo["asset"]),
        Msat(int(memo["amount_msat"])),
        str(memo["why"]),
        memo["to"],
        Msat(int(memo["cost_msat"])),
    )


def _check(said: Adjustment) -> None:
    places = [said.asset] if said.to is None else [said.asset, said.to]
    if any(place not in ACCOUNTS for place in places):
        raise LedgerError(f"assets are {', '.join(ACCOUNTS)}")
    if said.kind is Kind.MOVE and "treasury" in places:
        raise LedgerError("coins that go to the treasury or come from it are booked by `sluice treasury`")
    if (said.to is not None) is not (said.kind is Kind.MOVE) or said.asset == said.to:
        raise LedgerError("a move, and nothing else, goes from one asset to another")
    if said.amount == 0 or (said.amount < 0 and said.kind is not Kind.CORRECTION):
        raise LedgerError(f"a {said.kind.value} is of more than nothing")
    if said.cost < 0 or (said.cost and said.kind is not Kind.MOVE):
        raise LedgerError("only a move has a cost, and none brings something in")
    if not said.reference.strip() or not said.why.strip():
        raise LedgerError("an operator's entry has a reference and a reason")


def _moves(said: Adjustment) -> list[tuple[str, int]]:
    source, amount = ACCOUNTS[said.asset], int(said.amount)
    match said.kind:
        case Kind.WITHDRAWAL:
            return [(source, -amount), (ledger.WITHDRAWN, amount)]
        case Kind.LOSS:
            return [(source, -amount), (ledger.LOSSES, amount)]
        case Kind.CORRECTION:
            return [(source, amount), (ledger.CORRECTIONS, -amount)]
        case Kind.MOVE:
            goal = ACCOUNTS[said.to or ""]
            return [(source, -said.leaves), (goal, amount), (ledger.TRANSFERS, int(said.cost))]
        case _:
            assert_never(said.kind)
