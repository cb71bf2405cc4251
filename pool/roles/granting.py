"""The payer's answering of what owners ask for on their pages."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable
from typing import Final

from payouts import lnaddress
from pool.accounts import payable_address
from pool.config import Config
from pool.roles.base import Context
from pool.store.access import AccessBook
from pool.store.destinations import DestinationDesk, Rail
from pool.store.wishes import answer_wishes
from pool.wishes import Granter, WishTerms

GRANT_EVERY_S: Final = 0.1
MS_PER_HOUR: Final = 3_600_000


def wish_terms(config: Config, key: bytes) -> WishTerms:
    """What wishes are judged by under a configuration."""

    def target_of(rail: Rail, text: str) -> str | None:
        if rail == "onchain":
            return payable_address(text, config.node.network)
        return lnaddress.normal(text)

    return WishTerms(
        public_url=config.web.public_url.rstrip("/"),
        network=config.node.network,
        server_key=key,
        wait_ms=config.web.change_wait_hours * MS_PER_HOUR,
        target_of=target_of,
    )


async def granting(context: Context, ledger: sqlite3.Connection) -> Callable[[], Awaitable[None]]:
    """What a loop calls to answer wishes; waits until the web has made its file."""
    inbox = await context.read("inbox")
    granter = Granter(
        AccessBook(ledger), DestinationDesk(ledger), wish_terms(context.config, context.server_key())
    )

    async def grant() -> None:
        answer_wishes(inbox, ledger, granter.answer, context.now_ms())

    return grant
