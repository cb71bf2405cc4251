"""One miner's socket: what its session wants done, done; and what one peer may take of the door."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from twisted.internet.interfaces import IPushProducer, ITCPTransport
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.tcp import Server
from twisted.python.failure import Failure
from zope.interface import implementer

from stratum.announce import RECONNECT
from stratum.board import Posted
from stratum.effects import Credit, Effect, FreshJob, Prompt, Refusal
from stratum.limits import MOST_UNANSWERED, Conduct, Measure, holder
from stratum.ports import Solution
from stratum.session import Session
from stratum.transport import Socket, finish_writing, host_of, plain_tcp, send_now

if TYPE_CHECKING:
    from stratum.server import StratumServer


@implementer(IPushProducer)
class Connection(Protocol):
    """A miner's socket.  It is registered as producer to learn when the peer does not read."""

    transport: Socket  # type: ignore[assignment]  # Twisted declares too little (no abortConnection)

    def __init__(self, server: StratumServer, session: Session, now: float) -> None:
        self._server = server
        self.session = session
        self.waiting = 0
        self.opened_at = self.heard_at = now
        self._conduct = Conduct(now)
        self._holder: str | None = None
        self._closing = self._held = self._read_out = False
        self._plain: Server | None = None

    def connectionMade(self) -> None:
        """The miner is there."""
        if ITCPTransport.providedBy(self.transport):
            self.transport.setTcpNoDelay(True)
            self.transport.setTcpKeepAlive(True)
        self._plain = plain_tcp(self.transport)
        self.transport.registerProducer(self, streaming=True)
        self._server.opened(self)
        self._enter()

    def _enter(self) -> None:
        """Are there too many from the miner's address?"""
        name = holder(host_of(self.transport.getPeer()))
        if self._server.addresses.enter(name):
            self._holder = name
        else:
            self._cut_off("too many connections from one address")

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The miner is gone; what it was credited stays in the batch."""
        self._closing = True
        if self._holder:
            self._server.addresses.leave(self._holder)
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
        elif self.waiting > MOST_UNANSWERED and not self._held:
            self._held = True
            self.transport.pauseProducing()

    def _perform(self, effect: Effect, lines: list[bytes]) -> None:
        server = self._server
        match effect:
            case Credit():
                self._conduct.accepted += 1
                server.commit.share(self, effect)
            case bytes():
                if isinstance(effect, Prompt):
                    lines.append(effect)
                else:
                    self._say(effect, lines)
                if not self._conduct.requested(self.heard_at):
                    self.close("too many requests")
            case Refusal():
                server.observer.rejected(effect.code)
                self._say(effect.line, lines)
                self._act(self._conduct.refused(effect.code), lines)
            case Solution():
                server.sink.solved(effect)
            case FreshJob():
                self._write(b"".join(lines))
                lines.clear()
                server.offer_fresh(self)
            case _:
                assert_never(effect)

    def _act(self, measure: Measure, lines: list[bytes]) -> None:
        match measure:
            case Measure.NONE:
                pass
            case Measure.RESEND:
                self._note("Sent a fresh job to a connection with mostly invalid shares")
                self._perform(FreshJob(), lines)
            case Measure.RECONNECT:
                self._note("Asked a connection with mostly invalid shares to reconnect")
                lines.append(RECONNECT)
            case Measure.DROP:
                self.close("nothing but invalid shares")
            case _:
                assert_never(measure)

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
        if self._closing:
            return
        self._write(data)
        if self._held and not self.waiting and not self._read_out:
            self._held = False
            self.transport.resumeProducing()

    def close(self, reason: str) -> None:
        """Close; when that was tried before and the peer does not take the rest, cut it off."""
        if self._closing:
            self.abort()
            return
        self._note(f"Closed a connection: {reason}")
        self._closing = True
        self.transport.unregisterProducer()
        self.transport.loseConnection()

    def part(self) -> None:
        """Say the last there is to say, then read and drop until the peer closes: its replies must arrive."""
        if self._closing:
            return
        self._write(self.session.farewell())
        self._closing = True
        self.transport.unregisterProducer()
        finish_writing(self.transport)

    def abort(self) -> None:
        """Cut the connection off without waiting for the peer."""
        self._closing = True
        self.transport.abortConnection()

    def stop_reading(self) -> None:
        """Take no more submissions; replies still go out."""
        self._read_out = True
        if not self._closing:
            self.transport.pauseProducing()

    def pauseProducing(self) -> None:
        """The write buffer (64 kB) is full: a peer that does not read its jobs is no miner."""
        self._cut_off("does not read")

    def _cut_off(self, reason: str) -> None:
        self._note(f"Cut off a connection: {reason}")
        self.abort()

    def _note(self, event: str) -> None:
        self._server.notices.tell(event, host_of(self.transport.getPeer()))

    def resumeProducing(self) -> None:
        """Never asked for: the connection was cut off when it filled up."""

    def stopProducing(self) -> None:
        """The transport is going away; connectionLost follows."""
