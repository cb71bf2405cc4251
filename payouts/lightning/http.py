"""One exchange with a node's HTTP interface: bounded in time and size, JSON, silent about its secrets."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import urlencode

import attrs
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.interfaces import IConsumer, IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IBodyProducer, IResponse
from zope.interface import implementer

from payouts.errors import NodeUnavailable
from payouts.lightning.fields import parse

MAX_BYTES: Final = 64 << 20  # of an answer: a list of all payments of years has tens of megabytes


@attrs.frozen
class Answer:
    """What came back.  Attributes: the HTTP status, and the JSON; None when the body was none."""

    status: int
    document: Any


@attrs.frozen
class Ask:
    """A request.

    Attributes:
        what: names it in errors; no secret and no address.
        path: from the first slash, with its query.
        json: sent as JSON, if given.
        form: sent as a form, if given.
        method: ``POST`` when there is something to send.
    """

    what: str
    path: str = attrs.field(repr=False)
    json: Mapping[str, object] | None = attrs.field(default=None, repr=False)
    form: Mapping[str, str] | None = attrs.field(default=None, repr=False)

    @property
    def method(self) -> bytes:
        """POST or GET."""
        return b"GET" if self.json is None and self.form is None else b"POST"

    def body(self) -> tuple[bytes, str] | None:
        """What is sent, and its content type."""
        if self.json is not None:
            return json.dumps(self.json).encode(), "application/json"
        if self.form is not None:
            return urlencode(self.form).encode(), "application/x-www-form-urlencoded"
        return None


class NodeHttp:
    """A node's HTTP interface.  Redirects are not followed: they would carry secrets away.

    Args:
        agent: makes the requests, with whatever TLS asks for.
        clock: for time-outs.
        url: scheme, host and port.
        headers: sent with each request: the credentials.
    """

    def __init__(self, agent: IAgent, clock: IReactorTime, url: str, headers: Mapping[str, str]) -> None:
        self._agent = agent
        self._clock = clock
        self._url = url.rstrip("/")
        self._headers = dict(headers)

    async def ask(self, ask: Ask, timeout_s: float) -> Answer:
        """The whole answer.

        Raises:
            NodeUnavailable: none in time, cut off, or too long.
        """
        return await self._timed(ask, timeout_s, None)

    async def follow(self, ask: Ask, timeout_s: float, until: Callable[[Any], bool]) -> Answer:
        """The first document of a stream, one a line, that is enough, or else the last; then the line is cut.

        Args:
            ask: the request.
            timeout_s: for all of it.
            until: whether a document is enough.

        Raises:
            NodeUnavailable: none in time, or the stream was cut off before.
        """
        return await self._timed(ask, timeout_s, until)

    async def _timed(self, ask: Ask, timeout_s: float, until: Callable[[Any], bool] | None) -> Answer:
        exchange = Deferred.fromCoroutine(self._exchange(ask, until))
        try:
            return await exchange.addTimeout(timeout_s, self._clock)
        except (CancelledError, NodeUnavailable):
            raise
        except Exception as error:  # noqa: BLE001 - whatever HTTP and TLS can fail with; texts may hold the URL
            raise NodeUnavailable(f"the node did not answer {ask.what} ({_kind(error)})") from None

    async def _exchange(self, ask: Ask, until: Callable[[Any], bool] | None) -> Answer:
        headers, body = Headers({name: [value] for name, value in self._headers.items()}), ask.body()
        if body is not None:
            headers.setRawHeaders("content-type", [body[1]])
        sent = None if body is None else _Whole(body[0])
        uri = f"{self._url}{ask.path}".encode("ascii")
        response: IResponse = await self._agent.request(ask.method, uri, headers, sent)
        reader = _Reader(until)
        response.deliverBody(reader)  # type: ignore[no-untyped-call] # Twisted's interface has no types
        return Answer(response.code, await reader.document)


def _kind(error: Exception) -> str:
    """What kind of fault it was: the innermost one of those that Twisted wraps."""
    reasons = getattr(error, "reasons", None)
    while reasons:
        error = reasons[0].value
        reasons = getattr(error, "reasons", None)
    return "TimeoutError" if isinstance(error, CancelledError) else type(error).__name__


@implementer(IBodyProducer)
class _Whole:
    """A short body, written at once."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self.length = len(body)

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:  # noqa: N802
        consumer.write(self._body)
        return succeed(None)

    def pauseProducing(self) -> None:  # noqa: N802
        """Nothing is left to pause."""

    def resumeProducing(self) -> None:  # noqa: N802
        """Nothing is left to resume."""

    def stopProducing(self) -> None:  # noqa: N802
        """Nothing is left to stop."""


class _Reader(Protocol):
    """Reads a body to its end, or a stream of lines until one is enough."""

    def __init__(self, until: Callable[[Any], bool] | None) -> None:
        self._until = until
        self._seen = bytearray()
        self._last: Any = None
        self.document: Deferred[Any] = Deferred(lambda _: self._cut())

    def dataReceived(self, data: bytes) -> None:  # noqa: N802
        if self.document.called:
            return
        self._seen += data
        if len(self._seen) > MAX_BYTES:
            self._cut()
            self.document.errback(NodeUnavailable("the node's answer is too long"))
        elif self._until is not None and b"\n" in data:
            self._look(self._until)

    def _look(self, until: Callable[[Any], bool]) -> None:
        *lines, rest = self._seen.split(b"\n")
        self._seen = rest
        for line in lines:
            self._last = parse(bytes(line)) if line.strip() else self._last
            if self._last is not None and until(self._last):
                self.document.callback(self._last)
                self._cut()
                return

    def connectionLost(self, reason: Failure = connectionDone) -> None:  # noqa: N802
        if self.document.called:
            return
        if not isinstance(reason.value, ResponseDone | PotentialDataLoss):
            self.document.errback(reason)
        elif self._until is not None and not self._seen.strip():
            self.document.callback(self._last)
        else:
            self.document.callback(parse(bytes(self._seen)))

    def _cut(self) -> None:
        """Hang up: whatever else the node says is of no interest, and an open stream would cost it memory."""
        if self.transport is not None:
            self.transport.loseConnection()
