"""The web role's routes: pages, API, health and metrics, with the wallets' routes beside them.

The site reads the databases and writes nothing but new accounts, through its AccountDesk.  Accounts' own
pages are in pool.web.owners.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from typing import Final

from klein import Klein
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.iweb import IRequest
from twisted.web.resource import IResource
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound

from pool import metrics
from pool.accounts import payable_address
from pool.errors import StoreError
from pool.rewards.fpps import FEE_BLOCKS
from pool.statements import Made, NotMade
from pool.store.queries import Queries
from pool.web import api
from pool.web.access import protect, redacted, same_origin, visitor
from pool.web.bucket import Gate, Rate
from pool.web.documents import Documents, as_file, status_of
from pool.web.pages import BLOCKS, STYLE, Pages, account_figures, pool_figures
from pool.web.ports import AccountDesk, Facts, InThread
from pool.web.reply import html, status, typed
from pool.web.root import Root

ACCOUNTS: Final = Rate(30, 2_000)
"""New accounts that may be made: a bound on what bots can add."""
ACCOUNTS_EACH: Final = Rate(10, 30_000)


class Site:
    """The routes.  ``resource()`` is what an HTTP factory serves."""

    app = Klein()
    _log = Logger()

    def __init__(
        self,
        facts: Facts,
        queries: Queries,
        accounts: AccountDesk,
        *,
        now_ms: Callable[[], int],
        in_thread: InThread,
    ) -> None:
        """Wire the site.

        Args:
            facts: what the operator decided.
            queries: to read figures with.
            accounts: to make and find pool accounts.
            now_ms: Unix milliseconds.
            in_thread: runs reads away from the reactor, ``twisted.internet.threads.deferToThread``.
        """
        self._facts = facts
        self._queries = queries
        self._accounts = accounts
        self._now_ms = now_ms
        self._in_thread = in_thread
        self._pages = Pages(facts)
        self._new_accounts = Gate(ACCOUNTS, ACCOUNTS_EACH)
        self._documents = Documents(queries.directory, in_thread, now_ms)

    def resource(self, owners: IResource, proofs: IResource, wallets: IResource | None = None) -> IResource:
        """The root resource.

        Args:
            owners: accounts' own pages (``pool.web.owners.OwnerPages(…).resource()``).
            proofs: where addresses are proven (``pool.web.proof.ProofPages(…).resource()``).
            wallets: what answers below ``/lnurl`` (``payouts.web.LnurlRoutes(…).resource()``).
        """
        parts = {b"a": owners, b"account": owners, b"login": owners, b"prove": proofs}
        return Root(self.app.resource(), parts if wallets is None else {**parts, b"lnurl": wallets})

    @app.route("/", methods=["GET"])
    async def front(self, request: IRequest) -> bytes:
        """The pool at a glance."""
        now_ms = self._now_ms()
        figures = await self._in_thread(pool_figures, self._queries, now_ms)
        return html(request, self._pages.pool(figures, now_ms))

    @app.route("/blocks", methods=["GET"])
    async def blocks(self, request: IRequest) -> bytes:
        """Blocks that the pool found."""
        found = await self._in_thread(self._queries.blocks, BLOCKS)
        policies = await self._in_thread(self._queries.policies)
        return html(request, self._pages.blocks(found, policies, self._now_ms()))

    @app.route("/start", methods=["GET"])
    async def start(self, request: IRequest) -> bytes:
        """How to begin."""
        policies = await self._in_thread(self._queries.policies)
        page = html(request, self._pages.start(policies, self._now_ms()))
        # under no-referrer browsers send "Origin: null" with the form, which same_origin must refuse
        protect(request, referrer="same-origin")
        return page

    @app.route("/start", methods=["POST"])
    def make_account(self, request: IRequest) -> bytes:
        """Make a pool account and show its claim link, this once."""
        if not same_origin(request, self._facts.public_url):
            return self._message(request, 403, "Not from here", "Press the button on this pool's own page.")
        if not self._new_accounts.take(self._now_ms(), visitor(request)):
            return self._message(
                request, 429, "Too many at once", "Many accounts were made just now: try again in a minute."
            )
        try:
            name, secret = self._accounts.create()
        except StoreError:
            self._log.failure("Failed to make an account")
            return self._message(
                request, 503, "Not now", "The account could not be saved: try again in a minute."
            )
        link = f"{self._facts.public_url}/a/{secret}"
        page = self._pages.started(name, link, self._now_ms())
        return html(request, page, private=True)

    @app.route("/u/<address>", methods=["GET"])
    async def address(self, request: IRequest, address: str) -> bytes:
        """An address account's public page."""
        name = payable_address(address, self._facts.network)
        if name is None:
            return self._message(
                request, 404, "Not an address", f"This is no {self._facts.network} address that we pay to."
            )
        now_ms = self._now_ms()
        figures = await self._in_thread(account_figures, self._queries, name, now_ms)
        return html(request, self._pages.address(figures, now_ms), private=True)

    @app.route("/static/style.css", methods=["GET"])
    def style(self, request: IRequest) -> bytes:
        """The style sheet."""
        protect(request)
        request.responseHeaders.setRawHeaders("Cache-Control", ["max-age=3600"])
        return typed(request, "text/css; charset=utf-8", STYLE)

    @app.route("/healthz", methods=["GET"])
    async def health(self, request: IRequest) -> bytes:
        """Whether this process can read its databases."""
        protect(request, private=True)
        try:
            await self._in_thread(self._queries.newest_share_ms)
        except (StoreError, sqlite3.Error):
            self._log.failure("Failed to read the store")
            status(request, 503)
            return typed(request, "text/plain; charset=utf-8", b"the store cannot be read\n")
        return typed(request, "text/plain; charset=utf-8", b"ok\n")

    @app.route("/metrics", methods=["GET"])
    async def metrics(self, request: IRequest) -> bytes:
        """For Prometheus."""
        if not self._facts.metrics:
            raise NotFound
        protect(request, private=True)
        text: bytes = await self._in_thread(metrics.exposition, self._queries, self._now_ms)
        return typed(request, metrics.CONTENT_TYPE, text)

    @app.route("/api/v1/pool", methods=["GET"])
    async def api_pool(self, request: IRequest) -> bytes:
        """The pool's figures."""
        figures = await self._in_thread(pool_figures, self._queries, self._now_ms())
        return _json(request, api.pool_document(self._facts, figures))

    @app.route("/api/v1/blocks", methods=["GET"])
    async def api_blocks(self, request: IRequest) -> bytes:
        """Blocks, newest first."""
        return _json(request, api.blocks_document(await self._in_thread(self._queries.blocks, BLOCKS)))

    @app.route("/api/v1/terms", methods=["GET"])
    async def api_terms(self, request: IRequest) -> bytes:
        """What shares are and were mined under, newest first."""
        return _json(request, api.terms_document(await self._in_thread(self._queries.policies)))

    @app.route("/api/v1/rates", methods=["GET"])
    async def api_rates(self, request: IRequest) -> bytes:
        """What shares are paid for fees (FPPS), greatest heights first."""
        return _json(request, api.rates_document(await self._in_thread(self._queries.rates, FEE_BLOCKS)))

    @app.route("/api/v1/account/<address>", methods=["GET"])
    async def api_account(self, request: IRequest, address: str) -> bytes:
        """An address account's figures."""
        name = payable_address(address, self._facts.network)
        if name is None:
            return self._no_address(request)
        figures = await self._in_thread(account_figures, self._queries, name, self._now_ms())
        return _json(request, api.account_document(figures))

    @app.route("/api/v1/blocks/<block_hash>/statement/<address>", methods=["GET"])
    async def api_statement(self, request: IRequest, block_hash: str, address: str) -> bytes:
        """What an address account got of a block, and why, with proofs."""
        name = payable_address(address, self._facts.network)
        if name is None:
            return self._no_address(request)
        return self._proof(request, await self._documents.statement(request, name, block_hash))

    @app.route("/api/v1/shares/<share_id>/receipt/<address>", methods=["GET"])
    async def api_receipt(self, request: IRequest, share_id: str, address: str) -> bytes:
        """That a share of an address account is in the log that a block has fixed.

        The address has to be named, so that nobody goes through all shares to see whose they are.
        """
        name = payable_address(address, self._facts.network)
        if name is None:
            return self._no_address(request)
        number = int(share_id) if re.fullmatch("[0-9]{1,18}", share_id) else 0
        return self._proof(request, await self._documents.receipt(request, name, number))

    @app.route("/api/v1/openapi.json", methods=["GET"])
    def api_description(self, request: IRequest) -> bytes:
        """What the API is."""
        return _json(request, api.openapi_document(self._facts))

    @app.handle_errors(NotFound)
    def not_found(self, request: IRequest, failure: Failure) -> bytes:
        """There is no such page."""
        if request.path.startswith(b"/api/"):
            status(request, 404)
            return _json(request, api.error_document("not_found", "there is no such document"))
        return self._message(request, 404, "No such page", "The link may be old or mistyped.")

    @app.handle_errors(MethodNotAllowed)
    def not_allowed(self, request: IRequest, failure: Failure) -> bytes:
        """The page knows no such method."""
        return self._message(request, 405, "Not like this", "This page does not take such a request.")

    @app.handle_errors(Exception)
    def broken(self, request: IRequest, failure: Failure) -> bytes:
        """Something of ours, or a malformed request."""
        if isinstance(failure.value, HTTPException):
            return self._message(request, failure.value.code or 400, "Not like this", "The request is odd.")
        self._log.failure("Failed to answer {path}", failure, path=redacted(request.uri))
        return self._message(
            request, 500, "Something broke", "It was written down; the money is safe. Try again in a minute."
        )

    def _no_address(self, request: IRequest) -> bytes:
        status(request, 404)
        text = f"this is no {self._facts.network} address that we pay to"
        return _json(request, api.error_document("not_an_address", text))

    def _proof(self, request: IRequest, made: Made | NotMade) -> bytes:
        if isinstance(made, NotMade):
            status(request, status_of(made))
            return _json(request, api.error_document(made.code, made.why))
        request.responseHeaders.setRawHeaders("Access-Control-Allow-Origin", ["*"])
        return as_file(request, made)

    def _message(self, request: IRequest, code: int, title: str, text: str) -> bytes:
        status(request, code)
        return html(request, self._pages.message(title, text, self._now_ms()), private=True)


def _json(request: IRequest, body: bytes) -> bytes:
    protect(request, private=True)
    request.responseHeaders.setRawHeaders("Access-Control-Allow-Origin", ["*"])
    return typed(request, "application/json", body)
