"""The web role: site, API, wallets' routes and metrics.  It has no node's credentials and moves no money."""

from __future__ import annotations

from twisted.internet.defer import maybeDeferred
from twisted.internet.interfaces import IListeningPort
from twisted.internet.threads import deferToThread

from payouts.web import LnurlRoutes, WithdrawOptions
from pool.claims import Desk, Registry
from pool.roles.base import Context
from pool.roles.payer import claim_terms
from pool.store.claims import ClaimReader
from pool.store.database import connect
from pool.store.inbox import InboxStore
from pool.store.queries import Queries
from pool.web.access import AccessLog
from pool.web.ports import facts_of
from pool.web.site import Site


class WebRole:
    """See the module."""

    lock = "web"

    def __init__(self, context: Context) -> None:
        self._context = context
        self._ports: list[IListeningPort] = []
        self._queries: Queries | None = None

    async def start(self) -> None:
        """Open the files and the ports."""
        context, config = self._context, self._context.config
        inbox = InboxStore(connect(config.store.directory, "inbox"))
        reader = ClaimReader(await context.read("ledger"))
        key = context.server_key()
        self._queries = Queries(config.store.directory)
        desk, routes = None, None
        if config.lightning is not None:
            desk = Desk(reader, inbox, config.lightning, context.reactor, context.now_ms)
            options = WithdrawOptions(
                config.web.public_url,
                f"{config.web.name}: mining reward",
                claim_terms(config, config.lightning, key),
            )
            routes = LnurlRoutes(desk, context.now_ms, options)
        site = Site(
            facts_of(config),
            self._queries,
            Registry(reader, inbox, context.now_ms),
            desk,
            key,
            now_ms=context.now_ms,
            in_thread=deferToThread,
        )
        root = site.resource(None if routes is None else routes.resource())
        for number, description in enumerate(config.web.listen):
            factory = AccessLog(root)
            self._ports.append(await context.listen(f"web.listen[{number}]", description, factory))

    async def stop(self) -> None:
        """Close the ports and the files."""
        for port in self._ports:
            await maybeDeferred(port.stopListening)
        if self._queries is not None:
            self._queries.close()
