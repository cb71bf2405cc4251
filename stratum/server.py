"""The Stratum server: sessions on Twisted's transports, one job for all, replies that wait for the disk."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import assert_never

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IListeningPort,
    IPushProducer,
    IReactorTime,
    IStreamServerEndpoint,
    ITCPTransport,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.tcp import Server
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from stratum.board import Board, Posted
from stratum.commit import GroupCommit
from stratum.effects import Credit, Effect, FreshJob, Refusal
from stratum.extra import ExtraJobs
from stratum.extranonce import Extranonces
from stratum.jobs import Job
from stratum.options import Options
from stratum.ports import Authorizer, JobFeed, Observer, ShareSink, Solution, Unobserved
from stratum.returning import Returning
from stratum.session import Session
from stratum.transport import Socket, lengthen_queue, plain_tcp, send_now

_SWEEP_S = 5.0
_FAREWELL_S = 2.0


@implementer(IPushProducer)
class Connection(Protocol):
    """A miner's socket.  It is registered as producer to learn when the peer does not read."""

    transport: Socket  # type: ignore[assignment]  # Twisted declares too little (no abortConnection)

    def __init__(self, server: StratumServer, session: Session, now: float) -> None:
        self._server = server
        self.session = session
        self.waiting = 0
        self.opened_at = self.heard_at = now
        self._closing = False
        self._plain: Server | None = None

    def connectionMade(self) -> None:
        """The miner is there."""
        if ITCPTransport.providedBy(self.transport):
            self.transport.setTcpNoDelay(True)
            self.transport.setTcpKeepAlive(True)
        self._plain = plain_tcp(self.transport)
        self.transport.registerProducer(self, streaming=True)
        self._server.opened(self)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The miner is gone; what it was credited stays in the batch."""
        self._closing = True
        self._server.closed(self)

    def dataReceived(self, data: bytes) -> None:
        """Judge all lines of one read; answer them with one write, or after the commit."""
        if self._closing:
            return
        server = self._server
        self.heard_at = now = server.clock.seconds()
        lines: list[bytes] = []
        for effect in self.session.receive(data, now, int(server.wall() * 1000)):
            self._perform(effect, lines)
        if lines:
            self._write(b"".join(lines))
        if self.session.broken is not None:
            self.close(self.session.broken)

    def _perform(self, effect: Effect, lines: list[bytes]) -> None:
        server = self._server
        match effect:
            case Credit():
                server.commit.share(self, effect)
            case bytes():
                self._say(effect, lines)
            case Refusal():
                server.observer.rejected(effect.code)
                self._say(effect.line, lines)
            case Solution():
                server.sink.solved(effect)
            case FreshJob():
                self._write(b"".join(lines))
                lines.clear()
                server.offer_fresh(self)
            case _:
                assert_never(effect)

    def _say(self, line: bytes, lines: list[bytes]) -> None:
        if self.waiting:
            self._server.commit.reply(self, line)
        else:
            lines.append(line)

    def offer(self, posted: Posted, now: float) -> None:
        """A new job; it does not wait behind replies."""
        data = self.session.offer(posted, now)
        if data and not self._closing:
            self._write(data)

    def _write(self, data: bytes) -> None:
        rest = data if self._plain is None else send_now(self._plain, data)
        if rest:
            self.transport.write(rest)

    def release(self, data: bytes) -> None:
        """Replies whose shares are on disk."""
        if not self._closing:
            self._write(data)

    def close(self, reason: str) -> None:
        """Close; when that was tried before and the peer does not take the rest, cut it off."""
        if self._closing:
            self.abort()
            return
        self._server.log.info("Closed a connection: {reason}", reason=reason)
        self._closing = True
        self.transport.unregisterProducer()
        self.transport.loseConnection()

    def abort(self) -> None:
        """Cut the connection off without waiting for the peer."""
        self._closing = True
        self.transport.abortConnection()

    def stop_reading(self) -> None:
        """Take no more submissions; replies still go out."""
        if not self._closing:
            self.transport.pauseProducing()

    def pauseProducing(self) -> None:
        """The write buffer (64 kB) is full: a peer that does not read its jobs is no miner."""
        self._server.log.info("Cut off a connection: {reason}", reason="does not read")
        self.abort()

    def resumeProducing(self) -> None:
        """Never asked for: the connection was cut off when it filled up."""

    def stopProducing(self) -> None:
        """The transport is going away; connectionLost follows."""


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

    log = Logger()

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

    def listen(self, endpoint: IStreamServerEndpoint) -> Deferred[IListeningPort]:
        """Listen; the port is closed by ``stop``."""
        return endpoint.listen(self.factory).addCallback(lengthen_queue).addCallback(self._listening)

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
        if self._sweeping is not None:
            self._sweeping.cancel()
            self._sweeping = None
        if not self._live:
            return
        gone: Deferred[None] = Deferred()
        self._gone = gone
        cut = self.clock.callLater(_FAREWELL_S, self._cut_off)
        for connection in tuple(self._live):
            connection.release(connection.session.farewell())
            connection.close("the pool is stopping")
        await gone
        if cut.active():
            cut.cancel()

    def _cut_off(self) -> None:
        for connection in tuple(self._live):
            connection.abort()
