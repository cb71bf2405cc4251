"""The web's desk for wallets: terms for a withdraw link, and claims filed and waited for."""

from __future__ import annotations

import secrets
from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Final

import attrs
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from payouts.money import Sat, floor_sat, to_msat
from payouts.planner import FeePolicy, max_withdrawable
from payouts.values import Answer, Claim, WithdrawTerms
from pool import accounts
from pool.config import LightningConfig
from pool.errors import StoreError
from pool.payable import Ceiling, Payable
from pool.store.claims import ClaimReader
from pool.store.inbox import InboxStore
from pool.store.ledger import NewAccount

ANSWER_WITHIN_MS: Final = 5_000
"""The payer may take a claim for this long; after it the claim is void.  The shortest wallets wait 30 s."""
GRACE_MS: Final = 1_000
"""A transaction begun in time may end a little later; only behind this the wallet is told that it failed."""
LOOK_EVERY_S: Final = 0.02
MOST_WAITING: Final = 8
"""Claims of one account that wait for the payer at once: more of them would make all others wait too."""
_CROWDED: Final = "other withdrawals of this account are being looked at: try again in a moment"
NAME_RULE: Final = (
    "an account's name has 4 to 32 characters of a-z, 0-9 and -, begins with a letter and does not end with -"
)


@attrs.frozen
class Desk:
    """A payouts.ports.ClaimDesk on the two files.

    Attributes:
        reader: the books, to read.
        inbox: the web's file, to write.
        limits: the [lightning] section.
        clock: to wait with.
        now_ms: Unix milliseconds.
        payable: what limits, node and breakers leave of the balance; None looks at the balance only.
        why_nothing: of terms that allow nothing, why that is and when it will change; None for other terms.
    """

    reader: ClaimReader
    inbox: InboxStore
    limits: LightningConfig
    clock: IReactorTime
    now_ms: Callable[[], int]
    why_nothing: Callable[[str, WithdrawTerms], str | None] = lambda account, terms: None
    payable: Payable | None = None
    _waiting: dict[str, Counter[tuple[str, str]]] = attrs.field(
        init=False, factory=lambda: defaultdict(Counter), eq=False, repr=False
    )

    def terms(self, account: str) -> WithdrawTerms | None:
        """See payouts.ports.ClaimDesk."""
        reader = self.reader
        if not (reader.account_exists(account) or reader.has_link(account)):
            return None
        most = Ceiling(Sat(self.limits.maximum_sat))
        fees = FeePolicy(to_msat(Sat(self.limits.max_fee_base_sat)), self.limits.max_fee_ppm)
        if self.payable is not None:
            most, fees = self.payable.ceiling(account), self.payable.fees
        balance = reader.available(account)
        maximum, covered = (max_withdrawable(balance, fees, cap) for cap in (most.most, floor_sat(balance)))
        terms = WithdrawTerms(
            reader.claims_taken(account),
            Sat(self.limits.minimum_sat),
            maximum,
            card=reader.card_number(account),
            balance=balance,
            closed=most.closed,
            bound=most.why if most.closed is None and maximum < covered else None,
        )
        if maximum < terms.minimum <= covered:
            return attrs.evolve(terms, nothing=terms.bound)
        return attrs.evolve(terms, nothing=self.why_nothing(account, terms))

    def answered(self, k1_hash: str) -> Answer | None:
        """See payouts.ports.ClaimDesk."""
        return self.reader.taken_with(k1_hash)

    async def file(
        self,
        *,
        account: str,
        token_expires_s: int,
        k1_hash: str,
        invoice: str,
        card: int = 0,
        notify: str | None = None,
    ) -> Answer | None:
        """See payouts.ports.ClaimDesk; refused when too many others of the account wait."""
        waiting, this = self._waiting[account], (k1_hash, invoice)
        if this not in waiting and len(waiting) >= MOST_WAITING:
            return Answer(invoice, taken=False, state=None, reason=_CROWDED)
        waiting[this] += 1
        try:
            return await self._answer(account, token_expires_s, k1_hash, invoice, card, notify)
        finally:
            waiting[this] -= 1
            if not waiting[this]:
                del waiting[this]
            if not waiting:
                self._waiting.pop(account, None)

    async def _answer(
        self, account: str, token_expires_s: int, k1_hash: str, invoice: str, card: int, notify: str | None
    ) -> Answer | None:
        now_ms = self.now_ms()
        answer_by_ms = now_ms + ANSWER_WITHIN_MS
        claim = self.inbox.file(
            Claim(0, account, token_expires_s, k1_hash, invoice, now_ms, answer_by_ms, card, notify)
        )
        while True:
            last_look = self.now_ms() > claim.answer_by_ms + GRACE_MS
            answer = self.reader.answer_to(claim)
            if answer is not None or last_look:
                return answer
            await deferLater(self.clock, LOOK_EVERY_S)


@attrs.frozen
class Registry:
    """Pool accounts as the site and the command line make and find them.

    Attributes:
        reader: the books, to read.
        inbox: where new accounts are asked for.
        now_ms: Unix milliseconds.
    """

    reader: ClaimReader
    inbox: InboxStore
    now_ms: Callable[[], int]

    def create(self, name: str | None = None) -> tuple[str, str]:
        """Ask for a new account; the answer is its name and its secret, which nothing keeps.

        Raises:
            StoreError: the name is malformed or taken.
        """
        name = accounts.new_name(secrets.token_bytes(8)) if name is None else name
        if not accounts.NAME.fullmatch(name):
            raise StoreError(NAME_RULE)
        if self.reader.account_exists(name):
            raise StoreError(f"there is an account named {name} already")
        secret = accounts.new_secret(secrets.token_bytes(32))
        self.inbox.ask_for_account(NewAccount(name, accounts.hash_secret(secret), self.now_ms()))
        return name, secret

    def find(self, secret_hash: str) -> str | None:
        """The account whose secret has this hash."""
        return self.reader.account_of_link(secret_hash)
