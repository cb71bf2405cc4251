"""The web's own file: accounts asked for and claims filed.  Nothing here moves money; the payer decides."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence

import attrs

from payouts.values import Claim
from pool.accounts import NAME
from pool.errors import StoreError
from pool.store.database import transaction
from pool.store.ledger import NewAccount

KEEP_NOTIFY_MS = 3_600_000
"""How long a wallet's URL for news stays in the web's file: it is a secret of the wallet's."""


class InboxStore:
    """Writes ``inbox.db``."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def ask_for_account(self, account: NewAccount) -> None:
        """File a new account; the book takes it over.

        Raises:
            StoreError: the name is taken.
        """
        try:
            with transaction(self._connection) as tx:
                tx.execute(
                    "INSERT INTO new_account (name, secret_hash, created_ms) VALUES (?, ?, ?)",
                    (account.name, account.secret_hash, account.created_ms),
                )
        except sqlite3.IntegrityError as error:
            raise StoreError(f"there is an account named {account.name} already") from error

    def file(self, claim: Claim) -> Claim:
        """File a claim (its claim_id is ignored); the same k1 and invoice twice is one claim, the first."""
        with transaction(self._connection) as tx:
            # the payer has its own copy of what it wants to keep, and drops that with the card
            tx.execute(
                "UPDATE claim SET notify = NULL WHERE notify IS NOT NULL AND answer_by_ms < ?",
                (claim.filed_ms - KEEP_NOTIFY_MS,),
            )
            tx.execute(
                "INSERT OR IGNORE INTO claim"
                " (account, token_expires_s, k1_hash, invoice, filed_ms, answer_by_ms, card, notify)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                attrs.astuple(claim)[1:],
            )
            row = tx.execute(
                f"{_SELECT_CLAIM} WHERE k1_hash = ? AND invoice = ?", (claim.k1_hash, claim.invoice)
            ).fetchone()
        return Claim(*row)


class InboxReader:
    """Reads ``inbox.db`` for the book (accounts) and the payer (claims)."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def accounts_after(self, number: int) -> list[tuple[int, NewAccount]]:
        """Accounts asked for behind a row number, with theirs.

        What no pool account can be named, such as an address, is left out: the web is not trusted to ask for
        nothing else, and an account of that name would open what its owner is owed.
        """
        rows = self._connection.execute(
            "SELECT id, name, secret_hash, created_ms FROM new_account WHERE id > ? ORDER BY id", (number,)
        )
        return [(row[0], NewAccount(*row[1:])) for row in rows if NAME.fullmatch(row[1])]

    def claims_due(self, now_ms: int) -> list[Claim]:
        """Claims that may still be answered, oldest first; what is past its time is void."""
        rows = self._connection.execute(f"{_SELECT_CLAIM} WHERE answer_by_ms >= ? ORDER BY id", (now_ms,))
        return [Claim(*row) for row in rows]


class ClaimQueue:
    """The payer's ClaimInbox: claims of ``inbox.db`` that ``ledger.db`` has no answer for."""

    def __init__(self, inbox: InboxReader, ledger: sqlite3.Connection, now_ms: Callable[[], int]) -> None:
        self._inbox = inbox
        self._ledger = ledger
        self._now_ms = now_ms

    def unanswered(self, limit: int) -> Sequence[Claim]:
        """See payouts.ports.ClaimInbox."""
        due = self._inbox.claims_due(self._now_ms())
        if not due:
            return []
        rows = self._ledger.execute(
            "SELECT claim_id FROM claim WHERE claim_id BETWEEN ? AND ?", (due[0].claim_id, due[-1].claim_id)
        )
        answered = {number for (number,) in rows}
        return [claim for claim in due if claim.claim_id not in answered][:limit]


_SELECT_CLAIM = (
    "SELECT id, account, token_expires_s, k1_hash, invoice, filed_ms, answer_by_ms, card, notify FROM claim"
)
