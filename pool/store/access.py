"""What opens an account: claim links, wallets that log in (LUD-04), lasting cards, and what was revoked."""

from __future__ import annotations

import sqlite3
from typing import Final

import attrs

from pool.errors import StoreError
from pool.store import notices

_CARD_DIGITS: Final = (
    10  # hex digits of the nonce that make a card's number: five bytes, as in a withdraw token
)


@attrs.frozen
class WalletKey:
    """A wallet that may log in: its key for this site (66 hex digits), and since when (Unix milliseconds)."""

    key: str
    since_ms: int


@attrs.frozen
class Card:
    """A lasting withdraw link: its number, and since when (Unix milliseconds)."""

    number: int
    since_ms: int


class AccessReader:
    """Reads ``ledger.db``; writes nothing."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def account_of_link(self, secret_hash: str) -> str | None:
        """The account that a claim secret with this hash opens.

        The secret that an account was made with is good until it has got another one.
        """
        row = self._connection.execute(
            "SELECT account FROM access WHERE kind = 'link' AND token = ?1 AND revoked_ms IS NULL"
            " UNION ALL SELECT name FROM account WHERE secret_hash = ?1 AND NOT EXISTS"
            " (SELECT 1 FROM access WHERE kind = 'link' AND account = name)",
            (secret_hash,),
        ).fetchone()
        return None if row is None else str(row[0])

    def account_of_wallet(self, key: str) -> str | None:
        """The account that the wallet with this key opens."""
        row = self._connection.execute(
            "SELECT account FROM access WHERE kind = 'wallet' AND token = ? AND revoked_ms IS NULL", (key,)
        ).fetchone()
        return None if row is None else str(row[0])

    def opens(self, opened_by: str, account: str) -> bool:
        """Whether the hash of a claim secret, or a wallet's key, opens this account now."""
        return account in {self.account_of_link(opened_by), self.account_of_wallet(opened_by)}

    def has_link(self, account: str) -> bool:
        """Whether a link that was made later opens the account; of an address account: it is proven."""
        row = self._connection.execute(
            "SELECT 1 FROM access WHERE kind = 'link' AND account = ? AND revoked_ms IS NULL", (account,)
        ).fetchone()
        return row is not None

    def wallets(self, account: str) -> list[WalletKey]:
        """The wallets that may log in to the account, oldest first."""
        rows = self._connection.execute(
            "SELECT token, made_ms FROM access WHERE kind = 'wallet' AND account = ? AND revoked_ms IS NULL"
            " ORDER BY made_ms, id",
            (account,),
        )
        return [WalletKey(*row) for row in rows]

    def card(self, account: str) -> Card | None:
        """The account's one lasting withdraw link, if it has one."""
        row = self._connection.execute(
            "SELECT id, made_ms FROM access WHERE kind = 'card' AND account = ? AND revoked_ms IS NULL",
            (account,),
        ).fetchone()
        return None if row is None else Card(*row)

    def is_told(self, account: str) -> bool:
        """Whether the card's wallet has asked to be told of new balances (LUD-15)."""
        row = self._connection.execute("SELECT 1 FROM notice WHERE account = ?", (account,)).fetchone()
        return row is not None

    def card_number(self, account: str) -> int:
        """The number of the account's card, 0 when it has none."""
        card = self.card(account)
        return 0 if card is None else card.number


class AccessBook(AccessReader):
    """Changes what opens an account; its caller holds the transaction."""

    def renew_link(
        self, account: str, secret_hash: str, now_ms: int, *, keep: str = "", proof: str | None = None
    ) -> None:
        """Let a new claim secret open the account, and nothing older: whoever had the link had all of it.

        Args:
            account: whose.
            secret_hash: hex SHA-256 of the new secret.
            now_ms: Unix milliseconds.
            keep: the wallet that asks for it, which may go on.
            proof: of an address account, the message and its signature.

        Raises:
            StoreError: this secret opens, or opened, an account already.
        """
        if self._connection.execute("SELECT 1 FROM account WHERE secret_hash = ?", (secret_hash,)).fetchone():
            raise StoreError("this claim link was given away already")
        number = self._add(account, "link", secret_hash, now_ms, proof)
        self._revoke(account, "link", now_ms, but=number)
        self._revoke(account, "card", now_ms)
        for wallet in self.wallets(account):
            if wallet.key != keep:
                self._revoke(account, "wallet", now_ms, wallet.key)

    def link_wallet(self, account: str, key: str, now_ms: int) -> None:
        """Let a wallet log in to the account.

        Raises:
            StoreError: the wallet logs in to an account already.
        """
        self._add(account, "wallet", key, now_ms)

    def unlink_wallet(self, account: str, key: str, now_ms: int) -> None:
        """Let a wallet no longer log in."""
        self._revoke(account, "wallet", now_ms, key)

    def make_card(self, account: str, nonce: str, now_ms: int) -> None:
        """Give the account a new lasting withdraw link; an older one is void.

        Args:
            account: whose.
            nonce: 32 hex digits, drawn for this card.
            now_ms: Unix milliseconds.

        Raises:
            StoreError: the nonce was used.
        """
        # not the next row's number: a ledger that is restored from a backup would give it away once more, and
        # make a revoked card good again
        number = self._add(account, "card", nonce, now_ms, number=int(nonce[:_CARD_DIGITS], 16) or 1)
        self._revoke(account, "card", now_ms, but=number)

    def revoke_card(self, account: str, now_ms: int) -> None:
        """Let the account have no lasting withdraw link."""
        self._revoke(account, "card", now_ms)

    # what is refused must take nothing away: the new row comes first, and the older ones go after it

    def _add(
        self,
        account: str,
        kind: str,
        token: str,
        now_ms: int,
        proof: str | None = None,
        number: int | None = None,
    ) -> int:
        try:
            row: tuple[int] = self._connection.execute(
                "INSERT INTO access (id, account, kind, token, proof, made_ms) VALUES (?, ?, ?, ?, ?, ?)"
                " RETURNING id",
                (number, account, kind, token, proof, now_ms),
            ).fetchone()
        except sqlite3.IntegrityError as error:
            what = (
                "this wallet logs in to an account already" if kind == "wallet" else "this was used already"
            )
            raise StoreError(f"{what} already") from error
        return row[0]

    def _revoke(
        self, account: str, kind: str, now_ms: int, token: str | None = None, *, but: int = 0
    ) -> None:
        self._connection.execute(
            "UPDATE access SET revoked_ms = ?1 WHERE account = ?2 AND kind = ?3 AND revoked_ms IS NULL"
            " AND (?4 IS NULL OR token = ?4) AND id <> ?5",
            (now_ms, account, kind, token, but),
        )
        if kind == "card":  # whoever had it may be told no more
            notices.forget(self._connection, account, but_card=but)
