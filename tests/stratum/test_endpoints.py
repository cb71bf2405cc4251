"""The door behind real sockets and Twisted's endpoint strings: TLS, the PROXY protocol, IPv6."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import trustme
from twisted.internet import reactor as global_reactor
from twisted.internet.epollreactor import EPollReactor

from stratum import proxy
from stratum.options import Options
from stratum.server import StratumServer
from tests.stratum.fakes import FakeAuthorizer, FakeFeed, FakeSink, job, line, lines
from tests.stratum.test_server import EVERY_HASH, share

# Twisted hands certificates to pyOpenSSL in a form that this has deprecated
pytestmark = pytest.mark.filterwarnings("ignore:Passing pyOpenSSL:DeprecationWarning")

HELLO = line("mining.subscribe", "test", request_id=1) + line("mining.authorize", "bob.rig", request_id=2)
V2_SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
V2_LOCAL = V2_SIGNATURE + b"\x20\x00\x00\x00"
V2_NO_ADDRESS = V2_SIGNATURE + b"\x21\x00\x00\x00"
V2_UNIX = V2_SIGNATURE + b"\x21\x31\x00\xd8" + bytes(216)
V1_UNKNOWN = b"PROXY UNKNOWN\r\n"


def v1(host: str) -> bytes:
    return f"PROXY TCP4 {host} 192.0.2.1 1000 3333\r\n".encode()


def v2(host: str) -> bytes:
    addresses = socket.inet_aton(host) + socket.inet_aton("192.0.2.1") + bytes.fromhex("03e80d05")
    return V2_SIGNATURE + b"\x21\x11" + len(addresses).to_bytes(2, "big") + addresses


class Door:
    """A server on a reactor of the test's, which turns only while somebody waits."""

    def __init__(self) -> None:
        self.reactor: Any = EPollReactor()  # type: ignore[no-untyped-call]
        self.links = ExitStack()
        self.sink = FakeSink()
        options = Options(
            start_difficulty=EVERY_HASH,
            minimum_difficulty=EVERY_HASH,
            max_connections_per_address=1,
            front_id=3,
        )
        self.server = StratumServer(
            FakeFeed(job()), self.sink, FakeAuthorizer(), self.reactor, options, lambda: 1.0
        )

    def listen(self, description: str) -> int:
        ports: list[Any] = []
        self.server.listen(proxy.endpoint(self.reactor, description)).addCallback(ports.append)
        return int(ports[0].getHost().port)

    def connect(self, port: int, host: str = "127.0.0.1") -> socket.socket:
        return self.links.enter_context(socket.create_connection((host, port), 5))

    def until(self, found: Callable[[], Any]) -> Any:
        for _ in range(400):
            self.reactor.iterate(0.01)
            # TLS gathers small writes by a timer of the global reactor, whichever it was listened with
            global_reactor.runUntilCurrent()  # type: ignore[attr-defined]
            answer = found()
            if answer is not None:
                return answer
        raise AssertionError("nothing came")

    def says(self, link: socket.socket) -> str:
        """The method that comes last in a greeting, or ``closed``."""
        link.settimeout(0)
        heard = b""

        def look() -> str | None:
            nonlocal heard
            try:
                data = link.recv(65536)
            except (BlockingIOError, ssl.SSLWantReadError):
                return None
            except ConnectionError:
                return "closed"
            heard += data
            if not data:
                return "closed"
            return "notify" if heard.endswith(b"\n") and lines(heard)[-1].get("method") else None

        return str(self.until(look))

    def everything(self, link: socket.socket) -> list[dict[str, Any]]:
        """What comes until the server has said all."""
        link.settimeout(0)
        heard = b""

        def look() -> bool | None:
            nonlocal heard
            try:
                data = link.recv(65536)
            except (BlockingIOError, ssl.SSLWantReadError):
                return None
            heard += data
            return None if data else True

        self.until(look)
        return lines(heard)

    def close(self) -> None:
        self.links.close()
        stopped: list[Any] = []
        self.server.stop().addBoth(stopped.append)
        self.until(lambda: stopped or None)
        self.reactor._poller.close()
        for reader in list(self.reactor._internalReaders):
            reader.connectionLost(None)


@pytest.fixture
def door() -> Iterator[Door]:
    door = Door()
    yield door
    door.close()


def greeted(door: Door, link: socket.socket, *data: bytes) -> str:
    link.sendall(b"".join(data))
    return door.says(link)


class Tls:
    """A certificate, and a client that trusts it."""

    def __init__(self, directory: Path) -> None:
        authority = trustme.CA()
        certificate = authority.issue_cert("pool.test")
        self.pem, self.key = directory / "cert.pem", directory / "key.pem"
        certificate.cert_chain_pems[0].write_to_path(self.pem)
        certificate.private_key_pem.write_to_path(self.key)
        self._context = ssl.create_default_context()
        authority.configure_trust(self._context)

    def listen(self, door: Door, prefix: str = "") -> int:
        return door.listen(
            f"{prefix}ssl:0:privateKey={self.key}:certKey={self.pem}:interface=127.0.0.1",
        )

    def connect(self, door: Door, port: int, first: bytes = b"") -> ssl.SSLSocket:
        """Send something in the clear, then shake hands."""
        link = door.connect(port)
        link.sendall(first)
        link.settimeout(0)
        secure = self._context.wrap_socket(link, server_hostname="pool.test", do_handshake_on_connect=False)
        door.links.enter_context(secure)

        def shaken() -> str | None:
            try:
                secure.do_handshake()
            except ssl.SSLWantReadError:
                return None
            return secure.version()

        assert door.until(shaken) in {"TLSv1.2", "TLSv1.3"}
        return secure


@pytest.fixture
def tls(tmp_path: Path) -> Tls:
    return Tls(tmp_path)


def test_a_port_speaks_tls(door: Door, tls: Tls) -> None:
    assert greeted(door, tls.connect(door, tls.listen(door)), HELLO) == "notify"


def test_a_proxys_header_comes_before_tls_or_inside_it(door: Door, tls: Tls) -> None:
    port = tls.listen(door, "haproxy:")
    assert greeted(door, tls.connect(door, port, v2("203.0.113.1")), HELLO) == "notify"
    assert greeted(door, tls.connect(door, port), v1("203.0.113.2"), HELLO) == "notify"
    # both addresses are taken now: one connection from each, here
    with pytest.raises(ConnectionError):
        tls.connect(door, port, v1("203.0.113.2"))
    assert greeted(door, tls.connect(door, port), v2("203.0.113.1"), HELLO) == "closed"


def test_who_speaks_no_tls_there_is_hung_up_on(door: Door, tmp_path: Path) -> None:
    certificate = trustme.CA().issue_cert("pool.test")
    both = tmp_path / "both.pem"
    certificate.private_key_and_cert_chain_pem.write_to_path(both)
    port = door.listen(f"ssl:0:privateKey={both}:certKey={both}:interface=127.0.0.1")
    assert greeted(door, door.connect(port), HELLO) == "closed"


@pytest.mark.parametrize("header", [v1, v2])
def test_behind_a_proxy_limits_see_the_miners_address(door: Door, header: Callable[[str], bytes]) -> None:
    port = door.listen("haproxy:tcp:0:interface=127.0.0.1")
    assert greeted(door, door.connect(port), header("203.0.113.1"), HELLO) == "notify"
    assert greeted(door, door.connect(port), header("203.0.113.2"), HELLO) == "notify"
    assert greeted(door, door.connect(port), header("203.0.113.1"), HELLO) == "closed"


@pytest.mark.parametrize("header", [V2_LOCAL, V2_NO_ADDRESS, V2_UNIX, V1_UNKNOWN])
def test_what_claims_no_address_counts_as_the_proxys_own(door: Door, header: bytes) -> None:
    port = door.listen("haproxy:tcp:0:interface=127.0.0.1")
    assert greeted(door, door.connect(port), header, HELLO) == "notify"
    assert greeted(door, door.connect(port), header, HELLO) == "closed"


@pytest.mark.parametrize(
    "rubbish",
    [
        HELLO,
        b"PROXY " + b"x" * 200 + b"\r\n",
        b"PROXY TCP4 203.0.113.1 192.0.2.1 abc 3333\r\n",
        V2_SIGNATURE + b"\xff" * 40,
    ],
)
def test_a_wrong_header_ends_the_connection_and_nothing_else(door: Door, rubbish: bytes) -> None:
    port = door.listen("haproxy:tcp:0:interface=127.0.0.1")
    assert greeted(door, door.connect(port), rubbish) == "closed"
    assert greeted(door, door.connect(port), v1("203.0.113.1"), HELLO) == "notify"


@pytest.mark.parametrize("description", ["tcp6:0:interface=\\:\\:1", "tcp:0:interface=\\:\\:1"])
def test_miners_come_over_ipv6(door: Door, description: str) -> None:
    port = door.listen(description)
    first = door.connect(port, "::1")
    assert greeted(door, first, HELLO) == "notify"
    assert greeted(door, door.connect(port, "::1"), HELLO) == "closed"  # one from each address, here


def stopped_with_unread_input(door: Door, link: socket.socket) -> list[dict[str, Any]]:
    """All that a miner hears whose share was being written, and who sent on, when the server stopped."""
    door.sink.slow = True
    link.sendall(share(7))
    door.until(lambda: door.sink.batches or None)
    stopped = door.server.stop()
    link.sendall(share(8) * 500)
    for _ in range(5):
        door.reactor.iterate(0.01)
    door.sink.finish()
    said = door.everything(link)
    assert not stopped.called
    link.sendall(share(9))  # it is read and dropped: no reset while the miner has not closed
    for _ in range(5):
        door.reactor.iterate(0.01)
    assert link.fileno() >= 0
    link.close()
    door.until(lambda: stopped.called or None)
    assert len(door.sink.stored) == 1
    return said


@pytest.mark.parametrize("first", [b"", v1("203.0.113.1")])
def test_the_last_replies_reach_a_miner_that_sent_on_while_the_server_stopped(
    door: Door, first: bytes
) -> None:
    port = door.listen(("haproxy:" if first else "") + "tcp:0:interface=127.0.0.1")
    link = door.connect(port)
    assert greeted(door, link, first, HELLO) == "notify"
    said = stopped_with_unread_input(door, link)
    assert [each.get("method", each["id"]) for each in said] == [7, "client.reconnect"]


def test_they_reach_it_over_tls_too(door: Door, tls: Tls) -> None:
    link = tls.connect(door, tls.listen(door))
    assert greeted(door, link, HELLO) == "notify"
    assert [each["id"] for each in stopped_with_unread_input(door, link)] == [7, None]


def test_json_is_the_same_over_every_endpoint(door: Door) -> None:
    port = door.listen("tcp:0:interface=127.0.0.1")
    link = door.connect(port)
    link.sendall(line("mining.subscribe", "test", request_id="a"))
    link.settimeout(0)

    def reply() -> Any:
        try:
            return json.loads(link.recv(65536))
        except BlockingIOError:
            return None

    assert door.until(reply)["id"] == "a"
