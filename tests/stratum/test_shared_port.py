"""Ports of every form that two servers listen on at once: the kernel deals connections to both."""

from __future__ import annotations

import socket
import ssl
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import trustme
from twisted.internet import reactor as global_reactor
from twisted.internet.epollreactor import EPollReactor
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import Factory, Protocol

from stratum import proxy
from stratum.shared_port import Sharing
from tests.stratum.test_endpoints import v1

# Twisted hands certificates to pyOpenSSL in a form that this has deprecated
pytestmark = pytest.mark.filterwarnings("ignore:Passing pyOpenSSL:DeprecationWarning")

MINERS = 16


class Named(Protocol):
    """Answers with its server's name."""

    def dataReceived(self, data: bytes) -> None:
        assert data == b"hello"
        self.transport.write(self.factory.name)  # type: ignore[union-attr]


class Servers:
    """Two on a reactor of the test's, and their miners in threads."""

    def __init__(self) -> None:
        self.reactor: Any = EPollReactor()  # type: ignore[no-untyped-call]
        self.ports: list[Any] = []

    def listen(self, description: str, name: bytes) -> int:
        factory = Factory.forProtocol(Named)
        factory.name = name  # type: ignore[attr-defined]
        listening = proxy.endpoint(Sharing(self.reactor), description).listen(factory)
        failures: list[Any] = []
        listening.addCallbacks(self.ports.append, failures.append)
        for failure in failures:
            failure.raiseException()
        return int(self.ports[-1].getHost().port)

    def dealt(self, host: str, port: int, first: bytes, tls: ssl.SSLContext | None) -> Counter[bytes]:
        """Whom so many miners got."""

        def ask(_: int) -> bytes:
            with socket.create_connection((host, port), 10) as link:
                link.sendall(first)
                speaking = link if tls is None else tls.wrap_socket(link, server_hostname="pool.test")
                with speaking:
                    speaking.sendall(b"hello")
                    return speaking.recv(100)

        with ThreadPoolExecutor(MINERS) as threads:
            answers = [threads.submit(ask, number) for number in range(MINERS)]
            for _ in range(1_000):
                self.reactor.iterate(0.005)
                # TLS gathers small writes by a timer of the global reactor
                global_reactor.runUntilCurrent()  # type: ignore[attr-defined]
                if all(answer.done() for answer in answers):
                    break
            return Counter(answer.result(0) for answer in answers)

    def close(self) -> None:
        for port in self.ports:
            port.stopListening()
        for _ in range(3):
            self.reactor.iterate(0.005)
        self.reactor._poller.close()
        for reader in list(self.reactor._internalReaders):
            reader.connectionLost(None)


@pytest.mark.parametrize(
    ("form", "host", "first"),
    [
        ("tcp:{port}:interface=127.0.0.1", "127.0.0.1", b""),
        ("tcp6:{port}:interface=\\:\\:1", "::1", b""),
        ("haproxy:tcp:{port}:interface=127.0.0.1", "127.0.0.1", v1("203.0.113.1")),
        ("ssl:{port}:privateKey={pem}:certKey={pem}:interface=127.0.0.1", "127.0.0.1", b""),
        (
            "haproxy:ssl:{port}:privateKey={pem}:certKey={pem}:interface=127.0.0.1",
            "127.0.0.1",
            v1("203.0.113.1"),
        ),
    ],
)
def test_two_servers_share_a_port_of_every_form(form: str, host: str, first: bytes, tmp_path: Path) -> None:
    authority, pem = trustme.CA(), tmp_path / "both.pem"
    authority.issue_cert("pool.test").private_key_and_cert_chain_pem.write_to_path(pem)
    context = ssl.create_default_context()
    authority.configure_trust(context)

    servers = Servers()
    port = servers.listen(form.format(port=0, pem=pem), b"one")
    assert servers.listen(form.format(port=port, pem=pem), b"two") == port
    dealt = servers.dealt(host, port, first, context if "ssl" in form else None)
    servers.close()

    assert set(dealt) == {b"one", b"two"}
    assert dealt.total() == MINERS


def test_what_is_no_tcp_port_cannot_be_shared(tmp_path: Path) -> None:
    servers = Servers()
    with pytest.raises(CannotListenError, match="only TCP ports can be shared"):
        servers.listen(f"unix:{tmp_path}/door", b"one")
    with pytest.raises(CannotListenError, match="only TCP ports can be shared"):
        Sharing(servers.reactor).adoptStreamPort(0, socket.AF_INET, Factory())
    servers.close()
