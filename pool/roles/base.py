"""What every role gets and is: its context, and a start and a stop."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final, Protocol

import attrs
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IProtocolFactory
from twisted.internet.task import LoopingCall, deferLater
from twisted.logger import Logger

from payouts.errors import PayoutError
from pool.config import Config
from pool.errors import ConfigError, PoolError, StoreError
from pool.store.database import FILES, connect_to_read, schema_number
from stratum import proxy

RETRY_S: Final = 1.0


@attrs.frozen
class Context:
    """What a role is started with.

    Attributes:
        config: the whole configuration; a role reads its own part.
        reactor: the real one.
        wall: Unix seconds.
        log: the role's logger.
        give_up: ends the role with an error that no retry mends; a ConfigError ends the whole pool.
    """

    config: Config
    reactor: Any
    wall: Callable[[], float]
    log: Logger
    give_up: Callable[[Exception], None]

    def now_ms(self) -> int:
        """Unix milliseconds."""
        return int(self.wall() * 1000)

    async def read(self, name: str) -> sqlite3.Connection:
        """Open another role's file for reading; waits until its role has made it or brought it up to date."""
        waited = False
        while True:
            with suppress(StoreError):  # not there yet
                connection = connect_to_read(self.config.store.directory, name)
                if schema_number(connection) >= len(FILES[name]):
                    return connection
                connection.close()
            if not waited:
                self.log.warn("{name}.db is not there yet: waiting for its role", name=name)
            waited = True
            await deferLater(self.reactor, RETRY_S, lambda: None)

    async def listen(self, key: str, description: str, factory: IProtocolFactory) -> IListeningPort:
        """Listen on a Twisted endpoint string.

        Raises:
            ConfigError: the string is malformed, or the port cannot be had.
        """
        port = await self.bind(key, description, factory)
        self.log.info("Listening on {address}", address=port.getHost())
        return port

    async def bind(self, key: str, description: str, factory: IProtocolFactory) -> IListeningPort:
        """The same, without a word in the log."""
        try:
            endpoint = proxy.endpoint(self.reactor, description)
        except (ValueError, TypeError, OSError) as error:
            raise ConfigError(f"{key}: {description!r} is no usable endpoint: {error}") from error
        try:
            port: IListeningPort = await endpoint.listen(factory)
        except CannotListenError as error:
            raise ConfigError(
                f"{key}: {description.partition(':privateKey')[0]}: {error.socketError}: stop what listens"
                " there, or choose another"
            ) from error
        return port

    def server_key(self) -> bytes:
        """The key that withdraw links are signed with.

        Raises:
            ConfigError: it is missing.
        """
        path = self.config.store.directory / "server.key"
        try:
            return path.read_bytes()
        except OSError as error:
            raise ConfigError(f"{path} cannot be read ({error.strerror}): `sluice init` makes it") from error


class Loops:
    """Steps that a role does again and again; what fails is said once and tried again, and ends nothing."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._loops: list[LoopingCall] = []

    def add(self, what: str, step: Callable[[], Awaitable[None]], every_s: float) -> None:
        """Begin to do a step, first at once."""
        log, trouble = self._context.log, ""

        async def once() -> None:
            nonlocal trouble
            try:
                await step()
            except (PoolError, PayoutError) as error:
                if str(error) != trouble:
                    log.error("{what} failed, trying again: {error}", what=what, error=str(error))
                trouble = str(error)
            except CancelledError:
                raise
            except Exception:  # noqa: BLE001 -- a bug in one step must not end all others
                log.failure("{what} failed unexpectedly", what=what)
            else:
                if trouble:
                    log.info("{what} works again", what=what)
                trouble = ""

        loop = LoopingCall(lambda: Deferred.fromCoroutine(once()))
        loop.clock = self._context.reactor
        loop.start(every_s)
        self._loops.append(loop)

    def stop(self) -> None:
        """Begin no step any more."""
        for loop in self._loops:
            loop.stop()
        self._loops = []


class Role(Protocol):
    """A role of the pool."""

    lock: str
    """The file lock that keeps a second process out of this role on this store."""

    def __init__(self, context: Context) -> None: ...

    async def start(self) -> None:
        """Start working; raises PoolError when the configuration or the store cannot be used."""
        ...

    async def stop(self) -> None:
        """Stop cleanly; may be called when start has not finished."""
        ...
