"""Pages from figures: gathers what a page shows, and renders it with Jinja2 (everything is escaped)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import attrs
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from pool.accounts import payable_address
from pool.luck import luck
from pool.store.access import WalletKey
from pool.store.activity import Hashrate, Worker
from pool.store.destinations import Destination
from pool.store.figures import Balances, Bests, BlockRow, PaymentRow, PoolStats, RewardRow
from pool.store.policies import PolicyChange
from pool.store.queries import Queries
from pool.web import words
from pool.web.ports import Facts
from pool.web.terms import announcements
from pool.web.withdraw import Code, NothingNow, Offer

HERE: Final = Path(__file__).parent
STYLE: Final = (HERE / "static" / "style.css").read_bytes()
BLOCKS_ON_FRONT: Final = 5
BLOCKS: Final = 50
REWARDS: Final = 20
PAYMENTS: Final = 20
CHANGES_ON_START: Final = 3
REJECTED_SPAN_S: Final = 24 * 3600


@attrs.frozen
class PoolFigures:
    """What the front page shows."""

    stats: PoolStats
    blocks: list[BlockRow]


@attrs.frozen
class AccountFigures:
    """What the page of an account shows, whichever kind it is."""

    account: str
    balances: Balances
    rewards: list[RewardRow]
    payments: list[PaymentRow]
    hashrate: Hashrate
    hashrate_hour: Hashrate
    workers: list[Worker]
    stopped: bool
    best: Bests = attrs.field(factory=Bests)
    bests: Mapping[str, Bests] = attrs.field(factory=dict)

    @property
    def known(self) -> bool:
        """Whether the pool has ever heard of it."""
        return bool(self.workers or self.rewards or self.payments) or self.balances != Balances()


@attrs.frozen
class Settings:
    """What the page of an account's settings shows.

    Attributes:
        account: whose.
        base: path of its page.
        card: its lasting withdraw link.
        is_told: whether the card's wallet is told of new balances.
        wallets: that may log in.
        valid: where it is paid unasked, by rail.
        waiting: changes of that.
    """

    account: str
    base: str = attrs.field(repr=False)
    card: Code | None
    is_told: bool
    wallets: list[WalletKey]
    valid: dict[str, str | None]
    waiting: list[Destination]


@attrs.frozen
class Proof:
    """What the page for a signature shows.

    Attributes:
        address: whose key signs.
        message: to be signed.
        secret: the claim secret that the signature will open the account by.
        expires_s: Unix second that the message names.
        objected: what was wrong with the signature given before.
    """

    address: str
    message: str
    secret: str = attrs.field(repr=False)
    expires_s: int
    objected: str | None = None


def pool_figures(queries: Queries, now_ms: int) -> PoolFigures:
    """Read the front page's figures."""
    return PoolFigures(queries.pool(now_ms), queries.blocks(BLOCKS_ON_FRONT))


def account_figures(queries: Queries, account: str, now_ms: int) -> AccountFigures:
    """Read an account's figures."""
    hashrate, hour = queries.account_hashrate(account, now_ms)
    workers = queries.workers(account, now_ms)
    return AccountFigures(
        account=account,
        balances=queries.balances(account),
        rewards=queries.rewards(account, REWARDS),
        payments=queries.payments(account, PAYMENTS),
        hashrate=hashrate,
        hashrate_hour=hour,
        workers=workers,
        stopped=queries.sending_stopped(),
        best=queries.bests.account(account),
        bests=queries.bests.machines(account, [worker.name for worker in workers]),
    )


class Pages:
    """Renders every page of one site."""

    def __init__(self, facts: Facts) -> None:
        """Args: facts: of the site."""
        self._jinja = Environment(
            loader=FileSystemLoader(HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._jinja.globals["facts"] = facts
        self._jinja.tests["address"] = lambda text: payable_address(text, facts.network) is not None
        self._jinja.filters |= {
            "sat": words.sat,
            "rate": words.rate,
            "interval": words.interval,
            "luck": words.luck,
            "difficulty": words.difficulty,
            "utc": words.utc,
            "iso": words.iso,
            "ago": words.ago,
            "percent": words.percent,
            "thousands": words.thousands,
            "often": words.often,
            "short": words.short,
            "fee": words.fee,
        }

    def pool(self, figures: PoolFigures, now_ms: int) -> str:
        """The front page."""
        return self._page("pool.html", now_ms, figures=figures)

    def blocks(self, blocks: list[BlockRow], policies: list[PolicyChange], now_ms: int) -> str:
        """The blocks that the pool found, and the terms that divide them."""
        found = luck(block.effort for block in blocks)
        return self._page("blocks.html", now_ms, blocks=blocks, luck=found, terms=announcements(policies))

    def start(self, policies: list[PolicyChange], now_ms: int) -> str:
        """How to begin, with the button that makes an account, and what has changed of the terms."""
        # a port that was given another scheme has a pot of its own since, whose first terms are news too
        first_ms = min((policy.from_ms for policy in policies), default=0)
        changes = [each for each in announcements(policies) if each.news or each.from_ms > first_ms]
        return self._page("start.html", now_ms, changes=changes[:CHANGES_ON_START])

    def started(self, name: str, claim_link: str, now_ms: int) -> str:
        """A new account: the only page that ever shows its claim link."""
        return self._page("started.html", now_ms, name=name, claim_link=claim_link)

    def linked(self, name: str, claim_link: str, now_ms: int) -> str:
        """A new claim link of an account: the only page that ever shows it."""
        return self._page("linked.html", now_ms, name=name, claim_link=claim_link)

    def account(
        self,
        figures: AccountFigures,
        offered: Offer | NothingNow,
        waiting: list[Destination],
        base: str,
        now_ms: int,
    ) -> str:
        """An account's own page; ``base`` is its path."""
        ready = isinstance(offered, Offer)
        values = {"figures": figures, "offered": offered, "ready": ready, "waiting": waiting, "base": base}
        return self._page("account.html", now_ms, **values)

    def settings(self, settings: Settings, now_ms: int) -> str:
        """What can be changed about an account."""
        return self._page("settings.html", now_ms, s=settings)

    def code(self, code: Code, base: str | None, now_ms: int) -> str:
        """A code for a wallet to sign: to log in, or to be linked to the account at ``base``."""
        return self._page("code.html", now_ms, code=code, base=base)

    def prove(self, proof: Proof, now_ms: int) -> str:
        """The text that an address's owner signs, and the field for the signature."""
        return self._page("prove.html", now_ms, proof=proof)

    def address(self, figures: AccountFigures, now_ms: int) -> str:
        """An address account's public page."""
        return self._page("address.html", now_ms, figures=figures)

    def message(self, title: str, text: str, now_ms: int, back: str | None = None) -> str:
        """A page that says one thing; ``back`` is the path that it leads back to."""
        return self._page("message.html", now_ms, title=title, text=text, back=back)

    def _page(self, template: str, now_ms: int, **values: object) -> str:
        return self._jinja.get_template(template).render(now_ms=now_ms, **values)
