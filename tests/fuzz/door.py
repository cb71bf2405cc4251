"""What a hostile peer may send, played to a whole server; whatever it is, these things hold.

Nothing raises and nothing is logged as a bug; what is kept of an unfinished line is bounded; every line that
goes out is JSON with an id or a method; a header is credited only once, and is answered after its commit; no
two live connections have one extranonce1.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from fractions import Fraction
from typing import Any, Final

from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import ILogObserver, LogEvent, LogLevel, globalLogPublisher
from zope.interface import implementer

from stratum.connection import Connection
from stratum.options import MAX_LINE_BYTES, Options
from stratum.proxy import HeaderFactory
from stratum.server import StratumServer
from stratum.units import Difficulty
from tests.stratum.fakes import NTIME, FakeAuthorizer, FakeFeed, FakeSink, job, line

CUT: Final = b"\xff"
"""Where the peer's data is cut into packets; no UTF-8 has this byte, nor the next two."""
NEXT: Final = b"\xfe"
JOB: Final = b"\xfd"
GREETED: Final = b"\x01"
PROXIED: Final = b"\x02"
MOST_PEERS: Final = 3
_PACKETS: Final = re.compile(rb"[\xfd-\xff]|[^\xfd-\xff]+")
PROXY: Final = b"PROXY TCP4 203.0.113.7 192.0.2.1 1000 3333\r\n"
PROXY_2: Final = b"\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x03abc"
TELL_ME: Final = line("mining.extranonce.subscribe")
AGAIN: Final = line("mining.subscribe", "fuzz", f"{1:032x}")
EVERY_HASH: Final = Difficulty(Fraction(1, 2**40))
HELLO: Final = line("mining.subscribe", "fuzz") + line(
    "mining.authorize", "bob.rig", "d=1,md=0.1", request_id=2
)


def submission(nonce: int, *, extranonce2: str = "00" * 8, job_id: str = "1") -> bytes:
    """A share, since every hash is one."""
    return line("mining.submit", "bob.rig", job_id, extranonce2, f"{NTIME:08x}", f"{nonce:08x}")


SEEDS: Final[tuple[bytes, ...]] = (
    HELLO,
    GREETED + submission(1) + submission(1) + submission(2),
    GREETED + submission(3)[:40] + CUT + submission(3)[40:],
    GREETED + submission(4, extranonce2="00" * 4) + submission(5, job_id="zz"),
    GREETED + TELL_ME + NEXT + AGAIN + HELLO + JOB + submission(6) + NEXT + submission(6, job_id="j1"),
    GREETED + TELL_ME + NEXT + AGAIN + HELLO + TELL_ME + NEXT + AGAIN + JOB + NEXT + submission(7) + JOB,
    PROXIED + PROXY + HELLO + submission(8) + NEXT + PROXY_2 + HELLO + submission(9),
    PROXIED + PROXY[:9] + CUT + PROXY[9:] + NEXT + b"PROXY UNKNOWN\r\n" + NEXT + b"PROXY TCP4 x\r\n",
    line("mining.configure", ["version-rolling", "minimum-difficulty", "subscribe-extranonce", "info"])
    + line("mining.configure", ["version-rolling"], {"version-rolling.mask": "1fffe000"}),
    line("mining.configure", ["minimum-difficulty"], {"minimum-difficulty.value": 1e-9}),
    line("mining.suggest_difficulty", "0.001") + line("mining.suggest_target", "00ff" + "00" * 30),
    line("mining.extranonce.subscribe")
    + line("mining.multi_version", 1)
    + line("mining.get_transactions", "1"),
    line("mining.subscribe", "cgminer/4.11", "00" * 16, request_id=None)
    + line("mining.ping", request_id="x"),
    b'{"id": 1e999, "method": "mining.submit", "params": [NaN, null, {}, [[[[]]]]]}\n' + b"[" * 200 + b"\n",
    b'{"result": "cgminer/4.9", "id": 1}\n\x00\x00\n{"id": "'
    + "\ud800é".encode("utf-8", "replace")
    + b'"}\n',
)


@implementer(ILogObserver)
class _Bugs:
    """A log observer that keeps what a bug leaves."""

    def __init__(self) -> None:
        self.found: list[LogEvent] = []

    def __call__(self, event: LogEvent) -> None:
        if event["log_level"] >= LogLevel.error:
            self.found.append(event)


class _Peer:
    """One connection, and what it heard before the disk answered."""

    def __init__(self, server: StratumServer, clock: Clock, *, proxied: bool) -> None:
        factory = HeaderFactory(server.factory, clock) if proxied else server.factory
        found: Any = factory.buildProtocol(None)
        self.protocol = found
        self.transport = StringTransport()  # type: ignore[no-untyped-call]
        self.protocol.makeConnection(self.transport)
        self._proxied = proxied

    def hears(self, packet: bytes) -> None:
        self.protocol.dataReceived(packet)
        connection = self.connection()
        if connection is not None:
            session = connection.session
            assert len(session._rest) <= MAX_LINE_BYTES or session.broken

    def connection(self) -> Connection | None:
        """None behind a proxy that has not said for whom it speaks."""
        found = self.protocol._inner if self._proxied else self.protocol
        return found if isinstance(found, Connection) else None

    def said(self) -> list[dict[str, Any]]:
        return _read(self.transport.value())  # type: ignore[no-untyped-call]


class _Door:
    """A server, and the peers that a run opens one after the other."""

    def __init__(self, *, proxied: bool) -> None:
        self._clock, self._sink, self._proxied = Clock(), FakeSink(), proxied
        self._feed = FakeFeed(job())
        options = Options(start_difficulty=EVERY_HASH, minimum_difficulty=EVERY_HASH, vardiff=False)
        self._server = StratumServer(
            self._feed, self._sink, FakeAuthorizer(), self._clock, options, lambda: 1.0, token=self._token
        )
        self._tokens = self._jobs = 0
        self.peers: list[_Peer] = []
        self.next()

    def _token(self, size: int) -> bytes:
        self._tokens += 1
        return self._tokens.to_bytes(size, "big")

    def next(self) -> None:
        """Another connection, or the first one again when there are enough."""
        if len(self.peers) < MOST_PEERS:
            self.peers.append(_Peer(self._server, self._clock, proxied=self._proxied))
        else:
            self.peers.append(self.peers.pop(0))

    def new_job(self) -> None:
        self._jobs += 1
        self._feed.new(job(f"j{self._jobs}"))

    def hears(self, packet: bytes) -> None:
        self.peers[-1].hears(packet)
        live = [each for peer in self.peers if (each := peer.connection()) is not None]
        seats = [each.session.extranonce1 for each in live if each.session.broken is None]
        assert len(seats) == len(set(seats))

    def check(self, submissions: int) -> None:
        """After the disk has answered: every reply is there, and no header was credited twice."""
        waiting = [(len(peer.said()), peer.connection()) for peer in self.peers]
        expected = [said + (each.waiting if each else 0) for said, each in waiting]
        self._clock.advance(1.0)
        for peer, total, (said, connection) in zip(self.peers, expected, waiting, strict=True):
            closing = connection is not None and connection._closing
            assert len(peer.said()) == (said if closing else total)
            assert connection is None or closing or connection.waiting == 0
        assert len(self._sink.stored) == len(self._server._board.seen) <= submissions


def play(data: bytes) -> None:
    """Play peers' bytes.

    Args:
        data: the first byte tells how far the conversation is (see GREETED and PROXIED); then CUT ends a
            packet, NEXT goes on with another connection and JOB brings everybody a new job.

    Raises:
        AssertionError: what must hold does not.
    """
    bugs = _Bugs()
    globalLogPublisher.addObserver(bugs)
    try:
        _play(data)
    finally:
        globalLogPublisher.removeObserver(bugs)
    assert not bugs.found, bugs.found


def _play(data: bytes) -> None:
    door = _Door(proxied=data[:1] == PROXIED)
    if data[:1] == GREETED:
        door.hears(HELLO)
    data = data[1:] if data[:1] in (GREETED, PROXIED) else data
    for packet in _PACKETS.findall(data):
        match packet:
            case b"\xff":
                pass
            case b"\xfe":
                door.next()
            case b"\xfd":
                door.new_job()
            case _:
                door.hears(packet)
    door.check(data.count(b"submit"))


def _read(written: bytes) -> list[dict[str, Any]]:
    """Everything that went out so far: whole lines of JSON."""
    assert written == b"" or written.endswith(b"\n")
    messages: list[dict[str, Any]] = [
        json.loads(text, parse_constant=_refuse) for text in written.splitlines()
    ]
    assert all("method" in message or message.keys() == {"id", "result", "error"} for message in messages)
    return messages


def _refuse(constant: str) -> Callable[[], None]:
    raise AssertionError(f"{constant} is no JSON")
