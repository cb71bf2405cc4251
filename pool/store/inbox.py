"""The web's own file: accounts asked for and claims filed.  Nothing here moves money; the payer decides."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import Final

import attrs
from twisted.logger import Logger

from payouts.invoice import MAX_LENGTH
from payouts.values import Claim
from pool.accounts import NAME
from pool.errors import StoreError
from pool.store.database import transaction
from pool.store.ledger import NewAccount
from pool.store.untrusted import UntrustedFile, short

MOST: Final = 10_000
"""Rows that are looked at in one go."""
LONGEST_MS: Final = 6 * 3_600_000
"""The web gives the payer seconds to answer: a claim that allows more than hours would only be in the way."""
_NO_END: Final = (1 << 63) - 1
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
    """Reads ``inbox.db`` for the book (accounts) and the payer (claims), whatever the web has done to it.

    Args:
        connection: from ``connect_to_read``; nobody else reads with it.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._file = UntrustedFile(connection)

    def accounts_after(self, number: int) -> list[tuple[int, NewAccount]]:
        """Accounts asked for behind a row number, with theirs; so many at once that it is done in a moment.

        What no pool account can be named, such as an address, is left out: the web is not trusted to ask for
        nothing else, and an account of that name would open what its owner is owed.

        Raises:
            StoreError: the file cannot be read.
        """
        rows = self._file.rows("new_account", _SELECT_ACCOUNTS, (number,), (int, str, str, int))
        return [(row[0], NewAccount(*row[1:])) for row in rows if NAME.fullmatch(row[1])]

    def claims_due(self, now_ms: int, until_ms: int = _NO_END) -> list[Claim]:
        """Claims that may still be answered, oldest first; what is past its time is void.

        Args:
            now_ms: Unix milliseconds.
            until_ms: claims whose time ends later are left out.

        Raises:
            StoreError: the file cannot be read.
        """
        rows = self._file.rows(
            "claim",
            f"{_SELECT_CLAIM} WHERE answer_by_ms BETWEEN ? AND ? AND {_WITHIN_BOUNDS}"
            f" ORDER BY id LIMIT {MOST}",
            (now_ms, until_ms),
            (int, str, int, str, str, int, int, int, (str, type(None))),
        )
        return [Claim(*row) for row in rows]


class ClaimQueue:
    """The payer's ClaimInbox: claims of ``inbox.db`` that ``ledger.db`` has no answer for.

    A file that cannot be read has no claims: payments under way and pushes must not wait for the web's file.
    """

    log = Logger()

    def __init__(self, inbox: InboxReader, ledger: sqlite3.Connection, now_ms: Callable[[], int]) -> None:
        self._inbox = inbox
        self._ledger = ledger
        self._now_ms = now_ms
        self._trouble = ""

    def unanswered(self, limit: int) -> Sequence[Claim]:
        """See payouts.ports.ClaimInbox."""
        due = self._due()
        if not due:
            return []
        rows = self._ledger.execute(
            "SELECT claim_id FROM claim WHERE claim_id BETWEEN ? AND ?", (due[0].claim_id, due[-1].claim_id)
        )
        answered = {number for (number,) in rows}
        return [claim for claim in due if claim.claim_id not in answered][:limit]

    def _due(self) -> list[Claim]:
        now_ms, trouble = self._now_ms(), ""
        try:
            return self._inbox.claims_due(now_ms, now_ms + LONGEST_MS)
        except StoreError as error:
            trouble = str(error)
            if trouble != self._trouble:
                self.log.error("Claims are not read: {reason}", reason=trouble)
            return []
        finally:
            self._trouble = trouble


_SELECT_ACCOUNTS = (
    "SELECT id, name, secret_hash, created_ms FROM new_account"  # noqa: S608
    f" WHERE id > ? AND {short('name', 32)} AND {short('secret_hash', 64)} ORDER BY id LIMIT {MOST}"
)
_SELECT_CLAIM = (
    "SELECT id, account, token_expires_s, k1_hash, invoice, filed_ms, answer_by_ms, card, notify FROM claim"
)
_WITHIN_BOUNDS = " AND ".join(
    (
        short("account", 128),
        short("k1_hash", 64),
        short("invoice", MAX_LENGTH),
        short("coalesce(notify, '')", 4096),
    )
)
