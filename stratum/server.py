"""The Stratum server: sessions on Twisted's transports, one job for all, replies that wait for the disk."""

from __future__ import annotations

import secrets
from collections.abc import Callable

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IListeningPort,
    IReactorTime,
    IStreamServerEndpoint,
)
from twisted.internet.protocol import Factory
from twisted.logger import Logger

from stratum.board import Board
from stratum.commit import GroupCommit
from stratum.connection import Connection
from stratum.elsewhere import Elsewhere
from stratum.extra import ExtraJobs
from stratum.extranonce import Extranonces
from stratum.jobs import Job
from stratum.limits import Addresses
from stratum.notices import Notices
from stratum.options import Options
from stratum.ports import Authorizer, JobFeed, Observer, ShareSink, Unobserved
from stratum.returning import Returning
from stratum.session import Session
from stratum.transport import lengthen_queue

_SWEEP_S = 5.0
_FAREWELL_S = 2.0


class StratumFactory(Factory):
    """What an endpoint listens with."""

    noisy = False

    def __init__(self, server: StratumServer, options: Options) -> None:
        self._server = server
        self._options = options

    def buildProtocol(self, addr: IAddress | None) -> Connection | None:
        """A connection, or None (the socket is closed) at the limit or while stopping."""
        return self._server.connection(self._options)


class StratumServer:
    """A Stratum V1 server over a job feed, a durable share log and an authorizer.

    Args:
        feed: where jobs come from; watched from now on.
        sink: where shares and blocks go.
        authorizer: who may mine.
        clock: for time-outs and the group commit.
        options: the operator's settings.
        wall: Unix time in seconds, for the shares.
        observer: told what happens, for metrics.
        token: so many random bytes, for session ids.
    """

    _log = Logger()

    def __init__(
        self,
        feed: JobFeed,
        sink: ShareSink,
        authorizer: Authorizer,
        clock: IReactorTime,
        options: Options,
        wall: Callable[[], float],
        observer: Observer | None = None,
        token: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self.addresses = Addresses(options.max_connections_per_address)
        self.notices = Notices(clock, self._log)
        self.sink = sink
        self.clock = clock
        self.wall = wall
        self.observer: Observer = observer or Unobserved()
        self.factory = self.factory_for(options)
        self._authorizer = authorizer
        self._options = options
        self._board = Board()
        self.commit = GroupCommit(sink, clock, options.flush_s, self._board.forget, self.observer)
        self._extra_jobs = ExtraJobs(feed, self._board)
        self._returning = Returning(Extranonces(options.front_id), token)
        self._live: set[Connection] = set()
        self._ports: list[IListeningPort] = []
        self._sweeping: IDelayedCall | None = None
        self._stopping = False
        self._gone: Deferred[None] | None = None
        current = feed.current()
        if current is not None:
            self._board.post(current, clock.seconds())
        feed.watch(self._on_job)

    def factory_for(self, options: Options) -> StratumFactory:
        """A factory for a port with its own difficulties and time-outs; all else is the server's."""
        return StratumFactory(self, options)

    def share_seats(self, elsewhere: Elsewhere) -> None:
        """Before the ports open: where seats are kept for other fronts, and over a planned restart."""
        self._returning.share(elsewhere)

    def listen(
        self, endpoint: IStreamServerEndpoint, options: Options | None = None
    ) -> Deferred[IListeningPort]:
        """Listen, with the server's options or the port's own; the port is closed by ``stop``."""
        factory = self.factory if options is None else self.factory_for(options)
        return endpoint.listen(factory).addCallback(lengthen_queue).addCallback(self._listening)

    def _listening(self, port: IListeningPort) -> IListeningPort:
        self._ports.append(port)
        return port

    def connection(self, options: Options) -> Connection | None:
        """A connection for a new socket, or None when there shall be none."""
        limit = self._options.max_connections
        if self._stopping or (limit is not None and len(self._live) >= limit):
            return None
        session = Session(options, self._board, self._authorizer, self._returning.take(), self._returning)
        return Connection(self, session, self.clock.seconds())

    def opened(self, connection: Connection) -> None:
        """A connection is up."""
        self._live.add(connection)
        self.observer.connections(len(self._live))
        if self._sweeping is None:
            self._sweeping = self.clock.callLater(_SWEEP_S, self._sweep)

    def closed(self, connection: Connection) -> None:
        """A connection is gone."""
        self._live.discard(connection)
        connection.session.leave(self.clock.seconds())
        self.observer.connections(len(self._live))
        if self._gone is not None and not self._live:
            gone, self._gone = self._gone, None
            gone.callback(None)

    def _on_job(self, job: Job) -> None:
        now = self.clock.seconds()
        posted = self._board.post(job, now)
        live = tuple(self._live)
        for connection in live:
            connection.offer(posted, now)
        self.observer.job_told(len(live), self.clock.seconds() - now)

    def withdraw(self, elsewhere: tuple[str, int] | None = None) -> None:
        """There is no work: shares are stale at once and nobody is given a job until the feed brings one.

        Args:
            elsewhere: host and port that the miners are sent to before their connections are closed; None:
                they stay, and wait.
        """
        self._board.withdraw()
        if elsewhere is None:
            return
        for connection in tuple(self._live):
            connection.release(connection.session.go_elsewhere(*elsewhere))
            connection.close("there is no work")

    def offer_fresh(self, connection: Connection) -> None:
        """A job that this miner has not had yet, out of turn."""
        now = self.clock.seconds()
        posted = self._extra_jobs.newer_than(connection.session.steering.last_number, now)
        if posted is not None:
            connection.offer(posted, now)

    def _sweep(self) -> None:
        """Close who never authorized, who fell silent and who moved on; one timer for all connections."""
        now = self.clock.seconds()
        for connection in tuple(self._live):
            reason = connection.session.overstays(now - connection.opened_at, now - connection.heard_at)
            if reason is not None:
                connection.close(reason)
        self._sweeping = self.clock.callLater(_SWEEP_S, self._sweep) if self._live else None

    def stop(self) -> Deferred[None]:
        """Stop listening and reading, write and answer what was accepted, then close all connections."""
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        self._stopping = True
        for port in self._ports:
            await maybeDeferred(port.stopListening)
        for connection in self._live:
            connection.stop_reading()
        await self.commit.drained()
        # before anybody is sent away: they may be at another front in a moment
        self._returning.hand_over(self.clock.seconds())
        if self._sweeping is not None:
            self._sweeping.cancel()
            self._sweeping = None
        if not self._live:
            return
        gone: Deferred[None] = Deferred()
        self._gone = gone
        cut = self.clock.callLater(_FAREWELL_S, self._cut_off)
        for connection in tuple(self._live):
            connection.part()
        await gone
        if cut.active():
            cut.cancel()

    def _cut_off(self) -> None:
        for connection in tuple(self._live):
            connection.abort()
