"""What a hostile peer may send, played to a whole server; whatever it is, these things hold.

Nothing raises and nothing is logged as a bug; what is kept of an unfinished line is bounded; every line that
goes out is JSON with an id or a method; a share is credited only once, and is answered only after its commit.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from fractions import Fraction
from typing import Any, Final

from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import ILogObserver, LogEvent, LogLevel, globalLogPublisher
from zope.interface import implementer

from stratum.options import MAX_LINE_BYTES, Options
from stratum.server import StratumServer
from stratum.units import Difficulty
from tests.stratum.fakes import NTIME, FakeAuthorizer, FakeFeed, FakeSink, job, line

CUT: Final = b"\xff"
"""Where the peer's data is cut into packets; no UTF-8 has this byte, so nothing is lost by it."""
EVERY_HASH: Final = Difficulty(Fraction(1, 2**40))
HELLO: Final = line("mining.subscribe", "fuzz") + line(
    "mining.authorize", "bob.rig", "d=1,md=0.1", request_id=2
)


def submission(nonce: int, *, extranonce2: str = "00" * 8, job_id: str = "1") -> bytes:
    """A share, since every hash is one."""
    return line("mining.submit", "bob.rig", job_id, extranonce2, f"{NTIME:08x}", f"{nonce:08x}")


SEEDS: Final[tuple[bytes, ...]] = (
    HELLO,
    b"\x01" + submission(1) + submission(1) + submission(2),
    b"\x01" + submission(3)[:40] + CUT + submission(3)[40:],
    b"\x01" + submission(4, extranonce2="00" * 4) + submission(5, job_id="zz"),
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


def play(data: bytes) -> None:
    """Play a peer's bytes: the first tells how far the conversation is, CUT ends a packet.

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
    clock, sink = Clock(), FakeSink()
    options = Options(start_difficulty=EVERY_HASH, minimum_difficulty=EVERY_HASH, vardiff=False)
    server = StratumServer(FakeFeed(job()), sink, FakeAuthorizer(), clock, options, lambda: 1.0, token=bytes)
    connection = server.factory.buildProtocol(None)
    assert connection is not None
    transport = StringTransport()  # type: ignore[no-untyped-call]
    connection.makeConnection(transport)  # type: ignore[no-untyped-call]
    if data[:1] == b"\x01":
        connection.dataReceived(HELLO)
        data = data[1:]
    for packet in data.split(CUT):
        connection.dataReceived(packet)
        assert len(connection.session._rest) <= MAX_LINE_BYTES or connection.session.broken
        said = _read(transport.value())  # type: ignore[no-untyped-call]
    waiting = connection.waiting
    clock.advance(1.0)
    assert connection.waiting == 0 or connection._closing
    answered = _read(transport.value())[len(said) :]  # type: ignore[no-untyped-call]
    assert len(answered) == (0 if connection._closing else waiting)
    assert len({repr(share) for share in sink.stored}) <= len(sink.stored) <= data.count(b"submit")


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
