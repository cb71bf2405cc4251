"""The web role: site, API, wallets' routes and metrics.  It has no node's credentials and moves no money."""

from __future__ import annotations

import secrets

from twisted.internet.defer import maybeDeferred
from twisted.internet.interfaces import IListeningPort
from twisted.internet.threads import deferToThread
from twisted.web.iweb import IRequest

from payouts.values import WithdrawTerms
from payouts.web import LnurlRoutes, WithdrawOptions
from pool.claims import Desk, Registry
from pool.owners import OwnerDesk
from pool.payable import payable_now
from pool.roles.base import Context
from pool.roles.payer import claim_terms
from pool.store.claims import ClaimReader
from pool.store.database import connect
from pool.store.destinations import DestinationDesk
from pool.store.flows import FlowReader
from pool.store.inbox import InboxStore
from pool.store.queries import Queries
from pool.store.wishes import WishAnswers, WishInbox
from pool.web.access import AccessLog, visitor
from pool.web.bucket import Gate
from pool.web.owners import OwnerPages
from pool.web.ports import facts_of
from pool.web.private import LOGINS, LOGINS_EACH, Surroundings
from pool.web.proof import ProofPages
from pool.web.site import Site
from pool.web.withdraw import why_not


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
        connection = connect(config.store.directory, "inbox")
        inbox, ledger = InboxStore(connection), await context.read("ledger")
        reader, key, facts = ClaimReader(ledger), context.server_key(), facts_of(config)
        queries = self._queries = Queries(config.store.directory)
        owners = OwnerDesk(
            reader,
            DestinationDesk(ledger),
            WishInbox(connection),
            WishAnswers(ledger),
            context.reactor,
            context.now_ms,
        )
        desk, wallets = None, None
        if config.lightning is not None:

            def why_nothing(account: str, terms: WithdrawTerms) -> str | None:
                return why_not(facts, queries, account, terms)

            payable = payable_now(FlowReader(ledger), config.lightning, config.payouts, context.now_ms)
            desk = Desk(
                reader, inbox, config.lightning, context.reactor, context.now_ms, why_nothing, payable
            )
            options = WithdrawOptions(
                config.web.public_url, facts.withdraw_text, claim_terms(config, config.lightning, key)
            )
            logins = Gate(LOGINS, LOGINS_EACH)

            def admit(request: IRequest) -> bool:
                return logins.take(context.now_ms(), visitor(request))

            wallets = LnurlRoutes(desk, context.now_ms, options, owners, admit).resource()
        site = Site(
            facts,
            queries,
            Registry(reader, inbox, context.now_ms),
            now_ms=context.now_ms,
            in_thread=deferToThread,
        )
        around = Surroundings(
            facts, queries, owners, desk, key, context.now_ms, deferToThread, secrets.token_bytes
        )
        root = site.resource(OwnerPages(around).resource(), ProofPages(around).resource(), wallets)
        for number, description in enumerate(config.web.listen):
            factory = AccessLog(root)
            self._ports.append(await context.listen(f"web.listen[{number}]", description, factory))

    async def stop(self) -> None:
        """Close the ports and the files."""
        for port in self._ports:
            await maybeDeferred(port.stopListening)
        if self._queries is not None:
            self._queries.close()
