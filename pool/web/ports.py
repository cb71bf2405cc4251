"""What the site needs from the pool around it: accounts to make and find, and facts for its pages."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any, Protocol

import attrs
from twisted.internet.defer import Deferred

from payouts.login import Signed
from payouts.money import Msat, Sat, to_msat
from pool.config import Config, Network
from pool.rewards.fpps import FEE_BLOCKS, FEE_TRIM
from pool.rewards.policy import Policy, Scheme
from pool.store.access import Card, WalletKey
from pool.store.destinations import Destination, Rail
from pool.web.miner_ports import MinerPort, miner_ports
from pool.web.terms import policy_words
from pool.wishes import Verdict, Wish

InThread = Callable[..., Deferred[Any]]
"""Runs a function with its arguments away from the reactor, as ``deferToThread`` does."""


class AccountDesk(Protocol):
    """Pool accounts."""

    def create(self) -> tuple[str, str]:
        """Make an account, durably: its name, and its claim secret, which nothing keeps.

        Raises:
            StoreError: it could not be made.
        """
        ...


class OwnersDesk(Protocol):
    """What opens accounts, where they are paid unasked, and wishes about both; see pool.owners.OwnerDesk."""

    def account_of_link(self, secret_hash: str) -> str | None:
        """The account that a claim secret with this hex SHA-256 opens."""
        ...

    def account_of_wallet(self, wallet: str) -> str | None:
        """The account that a wallet opens."""
        ...

    def wallets(self, account: str) -> list[WalletKey]:
        """The wallets that may log in."""
        ...

    def card(self, account: str) -> Card | None:
        """The account's lasting withdraw link."""
        ...

    def is_told(self, account: str) -> bool:
        """Whether the card's wallet has asked to be told of new balances (LUD-15)."""
        ...

    def valid(self, account: str, rail: Rail) -> str | None:
        """Where the account is paid unasked now."""
        ...

    def waiting(self, account: str) -> list[Destination]:
        """Changes of that which have not come into force."""
        ...

    def login(self, k1_hash: str) -> Signed | None:
        """Who signed a challenge, if anybody has."""
        ...

    async def ask(self, account: str, wish: Wish) -> Verdict | None:
        """File a wish and wait for its answer; None when none came in time: then it is void."""
        ...


@attrs.frozen
class Facts:
    """What the operator decided and the pages tell.

    Attributes:
        name: of the pool.
        public_url: where the site is reached, without a slash at the end.
        ports: what miners are pointed at; at least one.
        network: of the chain.
        fee_bps: the pool's fee in hundredths of a percent.
        window: of the rewards, in expected blocks.
        maturity: confirmations until a reward can be paid.
        threshold: from which an address account is paid on-chain.
        lightning_minimum: the least that Lightning pays; None when the pool does not pay over Lightning.
        link_minutes: how long a withdraw QR is valid.
        fees_by_pool: whether the pool bears the network's fee of a withdrawal; else it comes off the balance.
        change_wait_hours: how long a changed destination waits.
        metrics: whether ``/metrics`` answers.
        scheme: how the pool's blocks are divided.
        early: confirmations from which the pool may credit a reward before it matures; None: it never does.
    """

    name: str
    public_url: str
    ports: tuple[MinerPort, ...]
    network: Network
    fee_bps: int
    window: Decimal
    maturity: int
    threshold: Sat
    lightning_minimum: Sat | None
    link_minutes: int
    metrics: bool
    scheme: Scheme = Scheme.PPLNS
    change_wait_hours: int = 24
    fees_by_pool: bool = False
    early: int | None = None

    @property
    def withdraw_text(self) -> str:
        """What a wallet shows for a withdrawal."""
        return f"{self.name}: mining reward"

    @property
    def stratum_url(self) -> str:
        """What most miners are pointed at: the first port."""
        return self.ports[0].url

    @property
    def rewards(self) -> str:
        """How the pool's blocks are divided, in words."""
        return policy_words(Policy(Fraction(self.window), self.fee_bps, self.scheme, 0, FEE_BLOCKS, FEE_TRIM))

    @property
    def threshold_msat(self) -> Msat:
        """The threshold in the ledger's unit."""
        return to_msat(self.threshold)


def facts_of(config: Config) -> Facts:
    """The facts of a configuration."""
    public_url = config.web.public_url.rstrip("/")
    lightning = config.lightning
    return Facts(
        name=config.web.name,
        public_url=public_url,
        ports=miner_ports(config),
        network=config.node.network,
        fee_bps=config.rewards.fee_bps,
        window=config.rewards.window,
        maturity=config.rewards.maturity_confirmations,
        early=config.rewards.credit_confirmations,
        threshold=Sat(config.onchain.threshold_sat),
        lightning_minimum=None if lightning is None else Sat(lightning.minimum_sat),
        link_minutes=config.web.link_minutes,
        metrics=config.metrics.enabled,
        scheme=config.rewards.scheme,
        change_wait_hours=config.web.change_wait_hours,
        fees_by_pool=config.payouts.fees_by == "pool",
    )
