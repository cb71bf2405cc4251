"""Calls to a bitcoind over python-bitcoinrpc: a fresh connection each, in threads, errors translated."""

from __future__ import annotations

import http.client
import logging
import socket
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar, cast
from urllib.parse import quote, urlsplit

import attrs
from bitcoinrpc.authproxy import AuthServiceProxy, JSONRPCException
from twisted.internet.interfaces import IReactorThreads
from twisted.internet.threads import deferToThreadPool

from pool.chain.node import ChainRefused, ChainUnavailable, WrongCredentials
from pool.errors import ChainError, ConfigError

CALL_TIMEOUT_S = 30.0
_NOT_HTTP_JSON = -342  # python-bitcoinrpc's own code: the answer was no JSON (401, 403, 503 …)
_NO_RESULT = -343  # the same for JSON without a result
_IN_WARMUP = -28

# at DEBUG the library writes all arguments and answers into the log: passphrases too
logging.getLogger("BitcoinRPC").setLevel(logging.CRITICAL)

T = TypeVar("T")


@attrs.frozen
class UserPassword:
    """An RPC user (rpcauth).  Attributes: role: whose it is, for messages; user; password."""

    role: str
    user: str
    password: str = attrs.field(repr=False)


@attrs.frozen
class CookieFile:
    """The node's own cookie, read again for each call: it changes with every start of the node."""

    path: Path


Credentials = UserPassword | CookieFile


_BULK = "the bulk goes here"
"""Stands for a long last parameter while the library encodes a call, which it does twice."""


class _Closing(http.client.HTTPConnection):
    """Closes with itself the answer too, which the library leaves unread when it is not JSON.

    Attributes:
        bulk: what the call's last parameter really is, or None.
    """

    bulk: str | None = None
    _answer: http.client.HTTPResponse | None = None

    def request(self, method: str, url: str, body: Any = None, headers: Any = None, **more: Any) -> None:
        """Send a call."""
        if self.bulk is not None:
            body = body.replace(_BULK, self.bulk, 1)
        super().request(method, url, body, headers or {}, **more)

    def getresponse(self) -> http.client.HTTPResponse:
        """Wait for the answer."""
        self._answer = super().getresponse()
        return self._answer

    def close(self) -> None:
        """Close the connection and its answer."""
        super().close()
        if self._answer is not None:
            self._answer.close()


class _ClosingTls(_Closing, http.client.HTTPSConnection):
    """The same over TLS."""


class Rpc:
    """Calls to one node with one user's rights."""

    def __init__(
        self,
        url: str,
        credentials: Credentials,
        reactor: IReactorThreads,
        *,
        timeout_s: float = CALL_TIMEOUT_S,
    ) -> None:
        """Remember where and as whom; nothing is connected.

        Args:
            url: ``http://host:port``, without credentials.
            credentials: the user.
            reactor: the running one; calls wait in its thread pool.
            timeout_s: for each read from the node.

        Raises:
            ConfigError: the URL or the password cannot be used.
        """
        self._split = urlsplit(url)
        if self._split.scheme not in ("http", "https") or not self._split.hostname:
            raise ConfigError("node.url: not of the form http://host:port")
        if self._split.username or self._split.password:
            raise ConfigError("node.url: holds credentials; name them under their own keys")
        self._port = self._split.port or (443 if self._split.scheme == "https" else 80)
        self._credentials = credentials
        self._reactor = reactor
        self._timeout_s = timeout_s
        self._open: set[http.client.HTTPConnection] = set()
        if isinstance(credentials, UserPassword):
            _check_password(credentials)

    @property
    def name(self) -> str:
        """``host:port``, for logs and tables."""
        return f"{self._split.hostname}:{self._port}"

    @property
    def reactor(self) -> IReactorThreads:
        """The reactor that calls are made from."""
        return self._reactor

    async def call(
        self,
        method: str,
        *params: Any,
        wallet: str | None = None,
        timeout_s: float | None = None,
        bulk: str | None = None,
    ) -> Any:
        """Ask in a thread of the reactor's pool.

        Args:
            method: RPC name.
            params: positional; a Decimal is sent as a number with 8 places.
            wallet: of the node, for wallet calls.
            timeout_s: instead of the usual one.
            bulk: one more parameter, of hex digits only: megabytes of them are sent without being looked at.

        Returns:
            The decoded result; numbers with a point are Decimal.

        Raises:
            ChainRefused: the node said no.
            WrongCredentials: it does not let this user in, or not to this method.
            ChainUnavailable: anything else; whether the call took effect is not known.
        """
        return await self.in_thread(
            lambda: self.ask(method, *params, wallet=wallet, timeout_s=timeout_s, bulk=bulk)
        )

    async def in_thread(self, function: Callable[[], T]) -> T:
        """Run something that blocks in the reactor's thread pool."""
        return await deferToThreadPool(self._reactor, self._reactor.getThreadPool(), function)

    def connection(
        self, timeout_s: float | None = None, bulk: str | None = None
    ) -> http.client.HTTPConnection:
        """A new, unconnected connection; whoever takes it closes it."""
        kind = _ClosingTls if self._split.scheme == "https" else _Closing
        made = kind(cast(str, self._split.hostname), self._port, timeout=timeout_s or self._timeout_s)
        made.bulk = bulk
        return made

    def ask(
        self,
        method: str,
        *params: Any,
        wallet: str | None = None,
        timeout_s: float | None = None,
        connection: http.client.HTTPConnection | None = None,
        bulk: str | None = None,
    ) -> Any:
        """The same as call, blocking; for threads."""
        user, password = self._login()
        path = f"{self._split.path}/wallet/{quote(wallet, safe='')}" if wallet else self._split.path or "/"
        host = f"[{self._split.hostname}]" if ":" in (self._split.hostname or "") else self._split.hostname
        url = f"{self._split.scheme}://{user}:{password}@{host}:{self._port}{path}"
        with closing(connection or self.connection(timeout_s, bulk)) as link, self._listed(link):
            proxy = AuthServiceProxy(url, method, timeout_s or self._timeout_s, link)
            try:
                return proxy(*params) if bulk is None else proxy(*params, _BULK)
            except JSONRPCException as error:
                raise self._translated(method, error) from None
            except (OSError, http.client.HTTPException) as error:
                what = getattr(error, "strerror", None) or str(error) or type(error).__name__
                raise ChainUnavailable(f"the node at {self.name} did not answer {method}: {what}") from None
            except (ValueError, TypeError, AttributeError, KeyError):
                # what the library meets in JSON of another shape; the text may hold the answer
                raise ChainUnavailable(f"the node at {self.name} answered {method} with nonsense") from None

    def hang_up(self) -> None:
        """Give up all calls that are waiting: they raise ChainUnavailable.  Later ones connect again."""
        for link in list(self._open):
            hang_up_on(link)

    @contextmanager
    def _listed(self, link: http.client.HTTPConnection) -> Iterator[None]:
        self._open.add(link)
        try:
            yield
        finally:
            self._open.discard(link)

    def _login(self) -> tuple[str, str]:
        match self._credentials:
            case UserPassword(_, user, password):
                return user, password
            case CookieFile(path):
                try:
                    user, _, password = path.read_text(encoding="ascii").strip().partition(":")
                except (OSError, UnicodeDecodeError) as error:
                    why = getattr(error, "strerror", None) or "not text"
                    raise WrongCredentials(f"the node's cookie {path} cannot be read ({why})") from None
                return user, password

    def _who(self) -> str:
        match self._credentials:
            case UserPassword(role, user, _):
                return f"user {user!r} of role {role}"
            case CookieFile(path):
                return f"the cookie {path}"

    def _translated(self, method: str, error: JSONRPCException) -> ChainError:
        message = str(error.message or "")
        code = error.code if type(error.code) is int else 0
        if code == _NOT_HTTP_JSON and "'401" in message:
            return WrongCredentials(f"the node at {self.name} does not know {self._who()}, or its password")
        if code == _NOT_HTTP_JSON and "'403" in message:
            return WrongCredentials(
                f"the node at {self.name} forbids {method} to {self._who()} (rpcwhitelist)"
            )
        if code in (_NOT_HTTP_JSON, -343, _IN_WARMUP):
            return ChainUnavailable(f"the node at {self.name} cannot answer {method} now: {message}")
        return ChainRefused(code, message)


def hang_up_on(link: http.client.HTTPConnection) -> None:
    """Wake the thread that reads from this connection; closing it would not."""
    if link.sock is not None:
        with suppress(OSError):  # it may end by itself at the same moment
            link.sock.shutdown(socket.SHUT_RDWR)


def _check_password(credentials: UserPassword) -> None:
    # python-bitcoinrpc takes them from a URL and decodes no escapes: these would end its host part early
    if any(letter in "/?#[]" or not "!" <= letter <= "~" for letter in credentials.password):
        raise ConfigError(
            f"node.{credentials.role}.password: holds one of / ? # [ ] or no plain letter; choose another"
        )
