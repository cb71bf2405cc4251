"""An entry: a balanced movement of money under a key that makes it happen once, and its link in the chain."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Final

import attrs

from payouts.money import Msat
from pool.errors import LedgerError
from pool.ledger.chart import in_chart

GENESIS: Final = "0" * 64
"""What stands for the previous hash in the first entry."""


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
        if not in_chart(account):
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
