"""Who may ask what, and what is written down about it: same origin, safe headers, a log without secrets."""

from __future__ import annotations

import re
from ipaddress import ip_address, ip_network
from typing import Final
from urllib.parse import unquote, urlsplit

from twisted.logger import Logger
from twisted.web.http import Request
from twisted.web.iweb import IRequest
from twisted.web.server import Request as PageRequest
from twisted.web.server import Site

from payouts.addresses import is_public

POLICY: Final = (
    "default-src 'none'; style-src 'self'; img-src data: 'self'; form-action 'self';"
    " frame-ancestors 'none'; base-uri 'none'"
)
MOST_BODY: Final = 16_384  # bytes; the longest form has a signature of a thousand characters
_HOST_BITS: Final = 64  # of an IPv6 address, those that one network gives out
_PLAIN: Final = frozenset({"", "start", "blocks", "static", "healthz", "metrics", "api", "account", "login"})
_SECRET: Final = frozenset({"a", "u", "lnurl", "prove"})
_HARMLESS: Final = re.compile(r"/*([\w-]{1,16}(\.\w{1,4})?/?){0,3}", re.ASCII)


def redacted(uri: bytes) -> str:
    """A request's path as it may be logged: no query, and nothing that could be, or hide, a secret.

    What is known to be harmless is kept and everything else is an ellipsis, so that a claim link with a
    typing error in it does not end up in a log either: no segment that is shown is as long as a secret.
    """
    path = unquote(uri.partition(b"?")[0].decode("latin-1"))
    first, _, rest = path.lstrip("/").partition("/")
    if first in _SECRET:
        return f"/{first}/…/cb" if first == "lnurl" and rest.endswith("/cb") else f"/{first}/…"
    if first == "api" and "/account" in path:
        return "/api/v1/account/…"
    return path if first in _PLAIN and _HARMLESS.fullmatch(path) else "/…"


class BoundedRequest(PageRequest):
    """A request whose body is a form at the most: a longer one would fill the disk until it is whole."""

    received = 0

    def handleContentChunk(self, data: bytes) -> None:  # noqa: N802 -- Twisted's spelling
        """Take a piece of the body, or hang up."""
        self.received += len(data)
        if self.received > MOST_BODY:
            self.channel.loseConnection()  # type: ignore[no-untyped-call]
        else:
            super().handleContentChunk(data)  # type: ignore[no-untyped-call]

    def requestReceived(self, *what: bytes) -> None:  # noqa: N802 -- Twisted's spelling
        """Answer, unless the body was too long."""
        if self.received <= MOST_BODY:
            super().requestReceived(*what)  # type: ignore[no-untyped-call]


class AccessLog(Site):
    """An HTTP factory with bounded bodies and a log of redacted paths, without queries and referrers."""

    requestFactory = BoundedRequest  # noqa: N815 -- Twisted's spelling

    noisy = False
    _events = Logger()

    def log(self, request: Request) -> None:
        """Write down one answered request."""
        self._events.info(
            "Answered {method} {path} with {status}, {bytes} bytes",
            method=request.method.decode("latin-1") if request.method.isalpha() else "?",
            path=redacted(request.uri),
            status=request.code,
            bytes=request.sentLength,
        )


def visitor(request: IRequest) -> str | None:
    """The address that a request comes from, as far as it can be told; None when it cannot.

    A peer on the open internet is the visitor.  Any other is a proxy of the operator's, or Tor, or a
    neighbour: of what X-Forwarded-For says the last address is the proxy's own word, and all before it, or
    all of it at a peer on the open internet, is the visitor's.  An IPv6 address stands for its /64, since
    that is what one visitor has.
    """
    peer = getattr(request.getClientAddress(), "host", "")  # type: ignore[no-untyped-call]
    if is_public(peer):
        return _network(peer)
    forwarded = _header(request, "X-Forwarded-For").rpartition(",")[2].strip()
    return _network(forwarded)


def _network(address: str) -> str | None:
    try:
        number = ip_address(address)
    except ValueError:
        return None
    if number.version == 6:
        return str(ip_network((int(number) >> _HOST_BITS << _HOST_BITS, 64)))
    return str(number)


def protect(request: IRequest, *, private: bool = False, referrer: str = "no-referrer") -> None:
    """Set the headers of every page; a private one is kept by no cache."""
    headers = request.responseHeaders
    headers.setRawHeaders("Content-Security-Policy", [POLICY])
    headers.setRawHeaders("X-Content-Type-Options", ["nosniff"])
    headers.setRawHeaders("Referrer-Policy", [referrer])
    headers.setRawHeaders("Cross-Origin-Opener-Policy", ["same-origin"])
    if private:
        headers.setRawHeaders("Cache-Control", ["no-store"])
        headers.setRawHeaders("X-Robots-Tag", ["noindex"])


def same_origin(request: IRequest, public_url: str) -> bool:
    """Whether a POST comes from our own page (Fetch Metadata, else the Origin header).

    Every browser sends one of the two with a POST from another site; what sends neither is no browser, and
    has no user whose name could be misused.
    """
    site = _header(request, "Sec-Fetch-Site")
    if site:
        return site == "same-origin"
    origin = _header(request, "Origin")
    if not origin:
        return True
    return urlsplit(origin).netloc in {urlsplit(public_url).netloc, _header(request, "Host")} - {""}


def _header(request: IRequest, name: str) -> str:
    values: list[str] = request.requestHeaders.getRawHeaders(name, [])
    return values[-1] if values else ""
