"""The policies of each pot as the journal has them: append-only, in its hash chain, each with its beginning.

An entry ``policy:{pot}:{n}`` moves no money.  Its memo has the terms, their hash, and the newest log id at
the time: shares after it are mined under them.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

import attrs

from pool import ledger
from pool.rewards.policy import Policy, Term, policy_of

KIND: Final = "policy"
_SELECT: Final = (
    "SELECT memo, time_ms FROM journal WHERE key > 'policy:' AND key < 'policy;' AND id <= ? ORDER BY id"
)
_ALL: Final = (1 << 63) - 1


@attrs.frozen
class PolicyChange:
    """A policy came into force.

    Attributes:
        pot: whose.
        term: the policy, and the newest share at the time.
        from_ms: when, Unix milliseconds.
    """

    pot: str
    term: Term
    from_ms: int


class Journal(Protocol):
    """Where entries are written; pool.store.ledger.LedgerStore is one."""

    def post(self, entry: ledger.Entry, time_ms: int) -> bool:
        """Write an entry."""
        ...


def policy_entry(pot: str, n: int, term: Term) -> ledger.Entry:
    """The pot's n-th policy (from 0) comes into force."""
    policy = term.policy
    memo = {
        "pot": pot,
        "n": n,
        "policy": policy.terms,
        "policy_hash": policy.hash,
        "after_share": term.after_share,
    }
    return ledger.entry(f"policy:{pot}:{n}", KIND, memo, [])


def term_of(memo: Mapping[str, Any]) -> Term:
    """What an entry's memo says.

    Raises:
        KeyError, ValueError, TypeError: it is no policy's.
    """
    return Term(policy_of(memo["policy"]), int(memo["after_share"]))


def read(connection: sqlite3.Connection, last_id: int = _ALL) -> list[PolicyChange]:
    """Every policy of every pot, oldest first.

    Args:
        connection: to ledger.db.
        last_id: of the journal's entries; later ones are left out.
    """
    rows = ((json.loads(memo), time_ms) for memo, time_ms in connection.execute(_SELECT, (last_id,)))
    return [PolicyChange(memo["pot"], term_of(memo), time_ms) for memo, time_ms in rows]


def adopt(
    journal: Journal, known: Sequence[PolicyChange], wanted: Mapping[str, Policy], newest_id: int, now_ms: int
) -> list[PolicyChange]:
    """Bring policies into force where they differ from the newest ones that are known.

    Args:
        journal: the books.
        known: all of the books, oldest first.
        wanted: by pot, what holds from now on.  Pots that are not in it keep what they had.
        newest_id: log id of the newest share: those up to it keep the policy that they were mined under.
        now_ms: Unix milliseconds.

    Returns:
        What changed; a pot's first policy is a change too, and holds for every share before it.
    """
    made = []
    for pot, policy in sorted(wanted.items()):
        before = [change.term for change in known if change.pot == pot]
        if before and before[-1].policy.terms == policy.terms:
            continue
        term = Term(policy, newest_id if before else 0)
        journal.post(policy_entry(pot, len(before), term), now_ms)
        made.append(PolicyChange(pot, term, now_ms))
    return made
