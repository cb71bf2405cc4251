"""What a browser keeps of a visit, in two cookies: a ticket for one log-in, and a wallet's session."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

import attrs
from twisted.web.iweb import IRequest

from payouts.lnurl import k1_hash
from payouts.login import Challenge, Purpose, make_k1, make_session, read_session

TICKET_S: Final = 600
SESSION_S: Final = 12 * 3600
_TICKET: Final = re.compile(r"(\d{1,12})\.[0-9a-f]{32}")


@attrs.frozen
class Ticket:
    """A browser's secret for one log-in, and the challenge that is made of it.

    Attributes:
        text: the cookie.
        k1: the challenge, for the wallet.
        fresh: whether the browser has yet to be given the cookie.
    """

    text: str = attrs.field(repr=False)
    k1: str = attrs.field(repr=False)
    fresh: bool

    @property
    def k1_hash(self) -> str:
        """Under which the signed challenge is kept."""
        return k1_hash(self.k1)


@attrs.frozen
class Visits:
    """Reads and writes the cookies.

    Attributes:
        key: the server key.
        secure: whether the site is reached by https; an onion site is not.
        entropy: so many random bytes.
    """

    key: bytes = attrs.field(repr=False)
    secure: bool
    entropy: Callable[[int], bytes]

    def ticket(self, request: IRequest, purpose: Purpose, account: str, now_s: int) -> Ticket:
        """The browser's ticket and challenge; a new one when it has none that is still good."""
        text = self._cookie(request, "ticket")
        match = _TICKET.fullmatch(text)
        fresh = match is None or not now_s < int(match[1]) <= now_s + TICKET_S
        if fresh:
            text = f"{now_s + TICKET_S}.{self.entropy(16).hex()}"
        expires_s = int(text.partition(".")[0])
        k1 = make_k1(self.key, Challenge(purpose, expires_s), text, account)
        return Ticket(text, k1, fresh)

    def give_ticket(self, request: IRequest, ticket: Ticket) -> None:
        """Let the browser keep its ticket."""
        if ticket.fresh:
            self._keep(request, "ticket", ticket.text, TICKET_S)

    def wallet(self, request: IRequest, now_s: int) -> str | None:
        """The wallet that logged in with this browser."""
        return read_session(self.key, self._cookie(request, "session"), now_s)

    def begin(self, request: IRequest, wallet: str, now_s: int) -> None:
        """Let the browser keep a wallet's session; its ticket has done its work."""
        self._keep(request, "ticket", "", 0)
        self._keep(request, "session", make_session(self.key, wallet, now_s + SESSION_S), SESSION_S)

    def end(self, request: IRequest, name: str) -> None:
        """Let the browser forget its ``session`` or ``ticket``."""
        self._keep(request, name, "", 0)

    def _name(self, name: str) -> str:
        # the prefix lets no other host of the domain, and no plain http, set it
        return f"__Host-sluice-{name}" if self.secure else f"sluice-{name}"

    def _cookie(self, request: IRequest, name: str) -> str:
        value: bytes | None = request.getCookie(self._name(name).encode())  # type: ignore[no-untyped-call]
        return "" if value is None else value.decode("latin-1")

    def _keep(self, request: IRequest, name: str, value: str, seconds: int) -> None:
        parts = [f"{self._name(name)}={value}", "Path=/", "HttpOnly", "SameSite=Lax", f"Max-Age={seconds}"]
        request.responseHeaders.addRawHeader("Set-Cookie", "; ".join(parts + ["Secure"] * self.secure))
