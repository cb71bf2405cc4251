"""Where a stranger's URL may lead: https to a name at the usual port, or an onion service.

No name is resolved here: whether its addresses may be connected to is payouts.outbound's business.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import SplitResult, urlsplit

import attrs

from payouts.addresses import is_numeric

PORTS: Final = frozenset({443})
"""The only ports at which strangers are asked; onion services choose theirs."""
_PLAIN: Final = re.compile(r"[\x21-\x7e]+")
_HOST: Final = re.compile(r"(?=.{4,253}$)([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?\.)+[a-z0-9-]{2,63}")


@attrs.frozen
class NotFetched:
    """There is no answer.  Attributes: a reason that names no more of the URL than its host."""

    reason: str


@attrs.frozen
class Place:
    """A URL that may be asked for, taken apart; ``target`` is its path and query, unchanged."""

    secure: bool
    host: str
    port: int
    target: str = attrs.field(repr=False)

    @property
    def onion(self) -> bool:
        """Whether only Tor knows the way."""
        return self.host.endswith(".onion")

    @property
    def url(self) -> bytes:
        """Put together again from what was checked, so that no other parser reads it otherwise."""
        usual = 443 if self.secure else 80
        port = "" if self.port == usual else f":{self.port}"
        return f"{'https' if self.secure else 'http'}://{self.host}{port}{self.target}".encode("ascii")


def place(url: str, ports: frozenset[int] = PORTS) -> Place | NotFetched:
    """Take a stranger's URL apart, or say why it is not asked for.

    Args:
        url: theirs; not trusted.
        ports: at which a name may be asked.
    """
    try:
        parts = urlsplit(url) if _PLAIN.fullmatch(url) and "\\" not in url else None
        port = parts.port if parts is not None else None
    except ValueError:
        parts = None
    if parts is None or parts.hostname is None or "@" in parts.netloc:
        return NotFetched("the URL is malformed")
    host = parts.hostname.rstrip(".")
    found = Place(
        parts.scheme == "https", host, port or (443 if parts.scheme == "https" else 80), _target(parts)
    )
    objections = (
        (parts.scheme != "https" and not (parts.scheme == "http" and found.onion), "the URL is not https"),
        (is_numeric(host), "the URL has a number for its host"),
        (_HOST.fullmatch(host) is None, "the URL's host is no domain name"),
        (not found.onion and found.port not in ports, "the URL is at an unusual port"),
    )
    return next((NotFetched(reason) for applies, reason in objections if applies), found)


def _target(parts: SplitResult) -> str:
    path = parts.path or "/"
    return f"{path}?{parts.query}" if parts.query else path
