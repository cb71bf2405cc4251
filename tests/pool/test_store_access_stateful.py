"""Whatever is granted and refused in whatever order, each account is opened by what it was given last."""

from __future__ import annotations

import sqlite3

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from pool.errors import StoreError
from pool.store import schema
from pool.store.access import AccessBook
from pool.store.database import transaction

ACCOUNTS = ("alice", "bob")
accounts = st.sampled_from(ACCOUNTS)
small = st.integers(0, 5)


class Access(RuleBasedStateMachine):
    """The table beside a model of it: links ever used, and what opens each account now."""

    def __init__(self) -> None:
        super().__init__()
        self.connection = sqlite3.connect(":memory:", isolation_level=None)
        for step in schema.LEDGER:
            self.connection.executescript(step)
        self.book = AccessBook(self.connection)
        self.link = dict.fromkeys(ACCOUNTS, "")
        self.used: set[str] = set()
        self.wallets: dict[str, str] = {}
        self.cards: dict[str, str] = {}
        self.nonces: set[str] = set()
        self.now_ms = 0
        for name in ACCOUNTS:
            self.connection.execute("INSERT INTO account VALUES (?, ?, 0)", (name, f"first of {name}"))
            self.link[name] = f"first of {name}"
            self.used.add(f"first of {name}")

    @rule(account=accounts, number=small, keep=st.sampled_from(["", "wallet 0", "wallet 1"]))
    def renew(self, account: str, number: int, keep: str) -> None:
        secret_hash, self.now_ms = f"link {number}", self.now_ms + 1
        try:
            with transaction(self.connection):
                self.book.renew_link(account, secret_hash, self.now_ms, keep=keep)
        except StoreError:
            assert secret_hash in self.used
            return
        assert secret_hash not in self.used
        self.used.add(secret_hash)
        self.link[account] = secret_hash
        self.cards.pop(account, None)
        self.wallets = {key: who for key, who in self.wallets.items() if who != account or key == keep}

    @rule(account=accounts, number=small)
    def link_wallet(self, account: str, number: int) -> None:
        key = f"wallet {number}"
        try:
            with transaction(self.connection):
                self.book.link_wallet(account, key, self.now_ms)
        except StoreError:
            assert key in self.wallets
            return
        assert key not in self.wallets
        self.wallets[key] = account

    @rule(account=accounts, number=small)
    def unlink_wallet(self, account: str, number: int) -> None:
        key = f"wallet {number}"
        self.book.unlink_wallet(account, key, self.now_ms)
        if self.wallets.get(key) == account:
            del self.wallets[key]

    @rule(account=accounts, number=small)
    def make_card(self, account: str, number: int) -> None:
        nonce = f"{(number + 1) << 36:010x}".ljust(32, "0")
        try:
            with transaction(self.connection):
                self.book.make_card(account, nonce, self.now_ms)
        except StoreError:
            assert nonce in self.nonces
            return
        self.nonces.add(nonce)
        self.cards[account] = nonce

    @rule(account=accounts)
    def revoke_card(self, account: str) -> None:
        self.book.revoke_card(account, self.now_ms)
        self.cards.pop(account, None)

    @invariant()
    def each_account_is_opened_by_its_own(self) -> None:
        for secret_hash in self.used:
            owner = next((name for name, link in self.link.items() if link == secret_hash), None)
            assert self.book.account_of_link(secret_hash) == owner
        for number in range(6):
            assert self.book.account_of_wallet(f"wallet {number}") == self.wallets.get(f"wallet {number}")
        for name in ACCOUNTS:
            mine = {key for key, who in self.wallets.items() if who == name}
            assert {wallet.key for wallet in self.book.wallets(name)} == mine
            nonce = self.cards.get(name)
            assert self.book.card_number(name) == (0 if nonce is None else int(nonce[:10], 16))

    def teardown(self) -> None:
        self.connection.close()


TestAccess = Access.TestCase
TestAccess.settings = settings(max_examples=20, stateful_step_count=25, deadline=None)
