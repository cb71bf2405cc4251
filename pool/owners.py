"""The web's side of what owners ask for: wishes filed and waited for, log-ins, and how things stand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import attrs
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from payouts.login import Signed
from pool.store.access import AccessReader, Card, WalletKey
from pool.store.destinations import Destination, DestinationDesk, Rail
from pool.store.wishes import WishAnswers, WishInbox
from pool.wishes import Verdict, Wish, encode

ANSWER_WITHIN_MS: Final = 5_000
"""The payer may grant a wish for this long; after it the wish is void."""
GRACE_MS: Final = 1_000
LOOK_EVERY_S: Final = 0.02


@attrs.frozen
class OwnerDesk:
    """What private pages read and ask for.

    Attributes:
        access: what opens accounts, to read.
        destinations: where automatic payouts go, to read.
        inbox: the web's file, to write.
        answers: the payer's answers.
        clock: to wait with.
        now_ms: Unix milliseconds.
    """

    access: AccessReader
    destinations: DestinationDesk
    inbox: WishInbox
    answers: WishAnswers
    clock: IReactorTime
    now_ms: Callable[[], int]

    def account_of_link(self, secret_hash: str) -> str | None:
        """The account that a claim secret with this hash opens."""
        return self.access.account_of_link(secret_hash)

    def account_of_wallet(self, wallet: str) -> str | None:
        """The account that a wallet opens."""
        return self.access.account_of_wallet(wallet)

    def wallets(self, account: str) -> list[WalletKey]:
        """The wallets that may log in."""
        return self.access.wallets(account)

    def card(self, account: str) -> Card | None:
        """The account's lasting withdraw link."""
        return self.access.card(account)

    def is_told(self, account: str) -> bool:
        """Whether the card's wallet is told of new balances."""
        return self.access.is_told(account)

    def valid(self, account: str, rail: Rail) -> str | None:
        """Where the account is paid unasked now."""
        found = self.destinations.valid(account, rail, self.now_ms())
        return None if found is None else found.target

    def waiting(self, account: str) -> list[Destination]:
        """Changes of that which have not come into force."""
        rails: tuple[Rail, ...] = ("lightning", "onchain")
        found = [self.destinations.waiting(account, rail, self.now_ms()) for rail in rails]
        return [change for change in found if change is not None]

    def signed(self, k1_hash: str, wallet: str, signature: str) -> bool:
        """See payouts.login.LoginDesk."""
        return self.inbox.keep_login(k1_hash, wallet, signature, self.now_ms())

    def login(self, k1_hash: str) -> Signed | None:
        """Who signed a challenge, if anybody has."""
        found = self.inbox.login(k1_hash)
        return None if found is None else Signed(*found)

    async def ask(self, account: str, wish: Wish) -> Verdict | None:
        """File a wish and wait; None when there was no answer in time: then it is void."""
        now_ms = self.now_ms()
        filed = self.inbox.file(account, encode(wish), now_ms, now_ms + ANSWER_WITHIN_MS)
        while True:
            last_look = self.now_ms() > filed.answer_by_ms + GRACE_MS
            verdict = self.answers.answer_to(filed)
            if verdict is not None or last_look:
                return verdict
            await deferLater(self.clock, LOOK_EVERY_S)
