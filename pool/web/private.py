"""What all private pages have in common: who opened them and with what, asking for a change, telling no."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

import attrs
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.iweb import IRequest
from werkzeug.exceptions import HTTPException

from payouts.ports import ClaimDesk
from pool.accounts import hash_secret
from pool.store.queries import Queries
from pool.web import reply
from pool.web.access import redacted, same_origin, visitor
from pool.web.bucket import Gate, Rate
from pool.web.pages import Pages
from pool.web.ports import Facts, InThread, OwnersDesk
from pool.web.visits import Visits
from pool.wishes import Wish

SECRET: Final = re.compile(r"[\w-]{40,50}", re.ASCII)
WISHES: Final = Rate(60, 500)
"""Wishes that may be filed: a bound on what bots can make the payer do."""
WISHES_EACH: Final = Rate(20, 3_000)
LOGINS: Final = Rate(60, 200)
"""Signatures that are looked at, of wallets that log in and, apart from them, of addresses' owners."""
LOGINS_EACH: Final = Rate(20, 3_000)


@attrs.frozen
class Opened:
    """An account that a browser may see and change.

    Attributes:
        account: whose.
        base: path of its page.
        opened_by: hash of the claim secret, or the wallet's key.
    """

    account: str
    base: str = attrs.field(repr=False)
    opened_by: str


@attrs.frozen
class Surroundings:
    """What the private pages need.

    Attributes:
        facts: what the operator decided.
        queries: to read figures with.
        desk: what opens accounts, and wishes.
        claims: terms for withdraw links; None when the pool does not pay over Lightning.
        key: the server key.
        now_ms: Unix milliseconds.
        in_thread: runs reads away from the reactor.
        entropy: so many random bytes.
    """

    facts: Facts
    queries: Queries
    desk: OwnersDesk
    claims: ClaimDesk | None
    key: bytes = attrs.field(repr=False)
    now_ms: Callable[[], int]
    in_thread: InThread
    entropy: Callable[[int], bytes]


class Private:
    """The helpers; each set of private pages is one of these."""

    _log = Logger()

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._facts, self._desk = around.facts, around.desk
        self._pages = Pages(around.facts)
        self._visits = Visits(around.key, around.facts.public_url.startswith("https:"), around.entropy)
        self._wishes = Gate(WISHES, WISHES_EACH)

    def _opened(self, request: IRequest, secret: str | None) -> Opened | None:
        """The account that the secret in the path opens, or else the wallet of this browser's session."""
        if secret is not None:
            secret_hash = hash_secret(secret)
            account = self._desk.account_of_link(secret_hash) if SECRET.fullmatch(secret) else None
            return None if account is None else Opened(account, f"/a/{secret}", secret_hash)
        wallet = self._visits.wallet(request, self._around.now_ms() // 1000)
        account = None if wallet is None else self._desk.account_of_wallet(wallet)
        return None if wallet is None or account is None else Opened(account, "/account", wallet)

    def _closed(self, request: IRequest, secret: str | None) -> bytes:
        if secret is None:
            return reply.see(request, "/login")
        return self._message(
            request,
            404,
            "No such account",
            "Check that the claim link is complete, and that no newer one took its place. If you made the"
            " account just now, try again in a few seconds.",
        )

    async def _ask(
        self, request: IRequest, account: str, wish: Wish, *, from_form: bool = True, back: str | None = None
    ) -> bytes | None:
        """File a wish; None when it was granted, else the page that says why not, and leads back."""
        if from_form and not same_origin(request, self._facts.public_url):
            return self._message(request, 403, "Not from here", "Press the button on this pool's own page.")
        if not self._wishes.take(self._around.now_ms(), visitor(request)):
            return self._too_many(request, back)
        verdict = await self._desk.ask(account, wish)
        if verdict is None:
            self._log.warn("A wish got no answer in time: is the payer running?")
            text = "The pool's payer did not answer: nothing was changed. Try again in a minute."
            return self._message(request, 503, "Not now", text, back)
        if not verdict.granted:
            reason = verdict.reason or "it was refused"
            return self._message(request, 409, "Not done", f"{reason[:1].upper()}{reason[1:]}.", back)
        return None

    def _link(self, request: IRequest, account: str, secret: str) -> bytes:
        """The page that shows a new claim link, this once."""
        link = f"{self._facts.public_url}/a/{secret}"
        page = self._pages.linked(account, link, self._around.now_ms())
        return reply.html(request, page, private=True)

    def _private(self, request: IRequest, page: str, secret: str | None) -> bytes:
        # a path with a secret in it is told to nobody; without one, forms may say where they come from
        return reply.html(request, page, private=True, referrer="no-referrer" if secret else "same-origin")

    def _message(self, request: IRequest, code: int, title: str, text: str, back: str | None = None) -> bytes:
        reply.status(request, code)
        page = self._pages.message(title, text, self._around.now_ms(), back)
        return reply.html(request, page, private=True)

    def _too_many(self, request: IRequest, back: str | None = None) -> bytes:
        return self._message(request, 429, "Too many at once", "Try again in a minute.", back)

    def _odd(self, request: IRequest, failure: Failure) -> bytes:
        """What is no page of ours, and what broke."""
        if isinstance(failure.value, HTTPException):
            code = failure.value.code or 400
            if code == 404:
                return self._message(request, 404, "No such page", "The link may be old or mistyped.")
            return self._message(request, code, "Not like this", "This page does not take such a request.")
        self._log.failure("Failed to answer {path}", failure, path=redacted(request.uri))
        return self._message(
            request, 500, "Something broke", "It was written down; the money is safe. Try again in a minute."
        )
