"""Wishes in the store: filed by the web in ``inbox.db``, answered once in ``ledger.db``."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable
from typing import Final

from pool.store.database import transaction
from pool.store.untrusted import UntrustedFile, short
from pool.wishes import Filed, Verdict

LONGEST_MS: Final = 6 * 3_600_000
"""The web waits for seconds: a wish that allows more than hours would only be in the way."""
KEEP_LOGINS_MS = 3_600_000
"""How long a signed challenge is kept: challenges end sooner, so that none can be signed twice."""


class WishInbox:
    """Writes ``inbox.db``: what is asked for, and challenges that wallets have signed."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def file(self, account: str, body: str, now_ms: int, answer_by_ms: int) -> Filed:
        """File a wish, durably."""
        with transaction(self._connection) as tx:
            row: tuple[int] = tx.execute(
                "INSERT INTO wish (account, body, filed_ms, answer_by_ms) VALUES (?, ?, ?, ?) RETURNING id",
                (account, body, now_ms, answer_by_ms),
            ).fetchone()
        return Filed(row[0], account, body, answer_by_ms)

    def keep_login(self, k1_hash: str, wallet: str, signature: str, now_ms: int) -> bool:
        """Keep a signed challenge; False when it was signed before."""
        with transaction(self._connection) as tx:
            tx.execute("DELETE FROM login WHERE signed_ms < ?", (now_ms - KEEP_LOGINS_MS,))
            kept = tx.execute(
                "INSERT OR IGNORE INTO login (k1_hash, wallet, signature, signed_ms) VALUES (?, ?, ?, ?)",
                (k1_hash, wallet, signature, now_ms),
            )
            return kept.rowcount > 0

    def login(self, k1_hash: str) -> tuple[str, str] | None:
        """The wallet that signed a challenge, and its signature."""
        row = self._connection.execute(
            "SELECT wallet, signature FROM login WHERE k1_hash = ?", (k1_hash,)
        ).fetchone()
        return None if row is None else (str(row[0]), str(row[1]))


class WishAnswers:
    """The answers in ``ledger.db``, as the web reads them."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def answer_to(self, filed: Filed) -> Verdict | None:
        """The answer to a wish.

        Its content is compared too: an inbox that was lost and begun anew counts from one again.
        """
        row = self._connection.execute(
            "SELECT granted, reason FROM wish WHERE wish_id = ? AND body_hash = ?",
            (filed.wish_id, _hash(filed)),
        ).fetchone()
        return None if row is None else Verdict(bool(row[0]), row[1])


def answer_wishes(
    inbox: sqlite3.Connection,
    ledger: sqlite3.Connection,
    answer: Callable[[Filed, int], Verdict],
    now_ms: int,
) -> int:
    """Answer what is filed and not yet answered, oldest first; what a wish does and its answer are one.

    Args:
        inbox: to read.
        ledger: to write.
        answer: does what a wish asks for; one that raises leaves no answer.
        now_ms: Unix milliseconds.

    Returns:
        How many were answered.

    Raises:
        StoreError: the web's file cannot be read.
    """
    rows = UntrustedFile(inbox).rows("wish", _SELECT_DUE, (now_ms, now_ms + LONGEST_MS), (int, str, str, int))
    count = 0
    for filed in [Filed(*row) for row in rows]:
        if ledger.execute("SELECT 1 FROM wish WHERE wish_id = ?", (filed.wish_id,)).fetchone():
            continue
        with transaction(ledger) as tx:
            verdict = answer(filed, now_ms)
            tx.execute(
                "INSERT INTO wish (wish_id, body_hash, granted, reason, answered_ms) VALUES (?, ?, ?, ?, ?)",
                (filed.wish_id, _hash(filed), verdict.granted, verdict.reason, now_ms),
            )
        count += 1
    return count


def _hash(filed: Filed) -> str:
    return hashlib.sha256(f"{filed.account}\n{filed.body}".encode()).hexdigest()


_SELECT_DUE = (
    "SELECT id, account, body, answer_by_ms FROM wish WHERE answer_by_ms BETWEEN ? AND ?"  # noqa: S608
    f" AND {short('account', 128)} AND {short('body', 16_384)} ORDER BY id LIMIT 1000"
)
