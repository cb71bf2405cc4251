"""HTTP to strangers: documents from where miners have said, fetched so that nothing of ours is reached.

A stranger's URL can point anywhere: into our network, to a file without end, back to ourselves.  So only
https (and http for ``.onion``, through a proxy) is spoken, to a name and at a port that are allowed; the name
is resolved once, every address of it must be public, and *that* address is connected to, with the name for
TLS.  Redirects are not followed, and neither time nor size are theirs to choose.  LUD-01, LUD-06 and LUD-16
need no more.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from decimal import Decimal
from typing import Any, Final, TypeVar, cast

import attrs
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.defer import TimeoutError as TimedOut
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint, wrapClientTLS
from twisted.internet.error import ConnectError, ConnectionClosed, DNSLookupError
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Protocol
from twisted.internet.ssl import optionsForClientTLS
from twisted.python.failure import Failure
from twisted.web.client import Agent, HTTPConnectionPool, ResponseDone, ResponseNeverReceived
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgentEndpointFactory
from zope.interface import implementer

from payouts.addresses import is_public
from payouts.errors import PayoutError
from payouts.places import PORTS, NotFetched, Place, place
from payouts.socks import ProxyRefused, ThroughProxy

T = TypeVar("T")
MOST_BYTES: Final = 65_536
TIMEOUT_S: Final = 15.0
_MOST_ADDRESSES: Final = 32


@attrs.frozen
class Fetched:
    """The document, as JSON gives it; numbers with a point are Decimals."""

    document: object


@attrs.frozen
class Told:
    """A stranger was told.  Attributes: the HTTP status of its answer; 2xx means that it took it."""

    status: int


@attrs.frozen
class Rule:
    """Where and how far strangers may be followed.

    Attributes:
        resolve: the numeric addresses of a name.
        allowed: whether a numeric address may be connected to.
        ports: at which ports.
        proxy: of Tor, for ``.onion``; None: such names are refused.
        trust: roots of certificates; None: the system's.
        timeout_s: for everything together.
    """

    resolve: Callable[[str], Awaitable[Sequence[str]]]
    allowed: Callable[[str], bool] = is_public
    ports: frozenset[int] = PORTS
    proxy: IStreamClientEndpoint | None = None
    trust: Any = None
    timeout_s: float = TIMEOUT_S


class _Refused(PayoutError):
    """The URL leads where we do not go."""


class Outbound:
    """Fetches JSON documents from strangers, and tells them that there is something to fetch.

    Args:
        reactor: for connections and time.
        rule: where they may be.
    """

    def __init__(self, reactor: Any, rule: Rule) -> None:
        self._reactor = reactor
        self._rule = rule

    async def fetch(self, url: str) -> Fetched | NotFetched:
        """Ask for a document; never raises for what a stranger does.

        Args:
            url: theirs; not trusted.
        """
        return await self._ask(url, self._document)

    async def tell(self, url: str) -> Told | NotFetched:
        """Send an empty POST (LUD-15); of the answer nothing but its status is looked at.

        Args:
            url: theirs; not trusted.
        """
        return await self._ask(url, self._status)

    async def _ask(
        self, url: str, exchange: Callable[[Place], Coroutine[Any, Any, T | NotFetched]]
    ) -> T | NotFetched:
        where = place(url, self._rule.ports)
        if isinstance(where, NotFetched):
            return where
        asked: Deferred[T | NotFetched] = Deferred.fromCoroutine(exchange(where))
        try:
            return await asked.addTimeout(self._rule.timeout_s, self._reactor)
        except CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - TLS and HTTP have many ways to fail, and their texts hold URLs
            return NotFetched(f"{where.host} {_what_happened(error)}")

    async def _document(self, where: Place) -> Fetched | NotFetched:
        response = await self._request(where, b"GET", Headers({b"accept": [b"application/json"]}))
        body = _Body(MOST_BYTES)
        response.deliverBody(body)
        text = await body.whole
        try:  # services answer errors with a document too, under any status
            return Fetched(json.loads(text, parse_float=Decimal))
        except (ValueError, RecursionError):
            return NotFetched(f"{where.host} answered with no JSON (status {response.code})")

    async def _status(self, where: Place) -> Told | NotFetched:
        response = await self._request(where, b"POST", Headers())
        response.deliverBody(_Unread())
        return Told(int(response.code))

    async def _request(self, where: Place, method: bytes, headers: Headers) -> Any:
        endpoint = await self._endpoint(where)
        pool = cast(Any, HTTPConnectionPool)(self._reactor, persistent=False)
        agent = cast(Any, Agent).usingEndpointFactory(self._reactor, _OneEndpoint(endpoint), pool)
        response = await agent.request(method, where.url, headers)
        if 300 <= response.code < 400:
            response.deliverBody(_Unread())
            raise _Refused("answers with a redirect, which is not followed")
        return response

    async def _endpoint(self, where: Place) -> IStreamClientEndpoint:
        rule = self._rule
        plain: IStreamClientEndpoint
        if where.onion:
            if rule.proxy is None:
                raise _Refused("is an onion service, and this pool has no way there")
            plain = ThroughProxy(rule.proxy, where.host, where.port)
        else:
            address = self._checked(await rule.resolve(where.host))
            kind = TCP6ClientEndpoint if ":" in address else TCP4ClientEndpoint
            plain = kind(self._reactor, address, where.port, timeout=int(rule.timeout_s) + 1)
        if not where.secure:
            return plain
        options = optionsForClientTLS(where.host, trustRoot=rule.trust)
        return wrapClientTLS(options, plain)

    def _checked(self, addresses: Sequence[str]) -> str:
        """The first address, when all of them may be connected to."""
        if not addresses or len(addresses) > _MOST_ADDRESSES:
            raise _Refused("has no address")
        if not all(self._rule.allowed(address) for address in addresses):
            raise _Refused("has an address that is not public")
        return addresses[0]


def _what_happened(error: Exception) -> str:
    """A failure in words that name no more of the URL than its host."""
    match error:
        case _Refused():
            return str(error)
        case TimedOut():
            return "took too long"
        case ResponseNeverReceived():
            gave_up = any(isinstance(failure.value, CancelledError) for failure in error.reasons)
            return "took too long" if gave_up else "gave no answer"
        case DNSLookupError() | ConnectError() | ConnectionClosed() | ProxyRefused():
            return f"cannot be reached ({type(error).__name__})"
        case _:
            return f"did not answer as it should ({type(error).__name__})"


@implementer(IAgentEndpointFactory)
@attrs.frozen
class _OneEndpoint:
    """Connects to what was resolved and checked, whatever the URL says."""

    endpoint: IStreamClientEndpoint

    def endpointForURI(self, uri: Any) -> IStreamClientEndpoint:  # noqa: N802 - Twisted's spelling
        """See IAgentEndpointFactory."""
        return self.endpoint


class _Body(Protocol):
    """Collects a body up to a size; ``whole`` fails beyond it."""

    def __init__(self, most: int) -> None:
        self.whole: Deferred[bytes] = Deferred(lambda _: self._abort())
        self._most = most
        self._parts: list[bytes] = []
        self._size = 0

    def dataReceived(self, data: bytes) -> None:  # noqa: N802 - Twisted's spelling
        """Keep it, unless it is too much."""
        self._size += len(data)
        self._parts.append(data)
        if self._size > self._most and not self.whole.called:
            self._abort()
            self.whole.errback(_Refused("sends more than it should"))

    def _abort(self) -> None:
        _hang_up(self)

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]  # noqa: N802
        """The end, or a cut."""
        if self.whole.called:
            return
        if isinstance(reason.value, ResponseDone):
            self.whole.callback(b"".join(self._parts))
        else:
            self.whole.errback(reason)


class _Unread(Protocol):
    """Hangs up on a body that nobody wants."""

    def connectionMade(self) -> None:  # noqa: N802 - Twisted's spelling
        """It is about to begin."""
        _hang_up(self)


def _hang_up(protocol: Protocol) -> None:
    abort = getattr(protocol.transport, "abortConnection", None)
    if abort is not None:
        abort()


def by_reactor(reactor: Any) -> Callable[[str], Awaitable[Sequence[str]]]:
    """The system's resolver, as a Rule wants it."""

    async def resolve(host: str) -> Sequence[str]:
        collected = _Addresses()
        reactor.nameResolver.resolveHostName(collected, host, 443)
        return await collected.found

    return resolve


class _Addresses:
    """Twisted's IResolutionReceiver: the numeric addresses of one name."""

    def __init__(self) -> None:
        self.found: Deferred[list[str]] = Deferred()
        self._addresses: list[str] = []

    def resolutionBegan(self, resolution: object) -> None:  # noqa: N802 - Twisted's spelling
        """Nothing is known yet."""

    def addressResolved(self, address: Any) -> None:  # noqa: N802 - Twisted's spelling
        """One more."""
        self._addresses.append(str(address.host))

    def resolutionComplete(self) -> None:  # noqa: N802 - Twisted's spelling
        """That was all."""
        if not self.found.called:
            self.found.callback(list(dict.fromkeys(self._addresses)))
