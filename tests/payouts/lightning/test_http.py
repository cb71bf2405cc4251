"""One exchange: what is bounded, what is followed, whom https trusts, and that secrets stay inside."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from typing import Any

import attrs
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from twisted.internet.defer import Deferred
from twisted.internet.ssl import PrivateCertificate
from twisted.internet.task import Clock
from twisted.web.client import Agent, HTTPConnectionPool
from twisted.web.http import Request
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site

from payouts.errors import NodeUnavailable
from payouts.lightning import http
from payouts.lightning.http import Answer, Ask, NodeHttp
from payouts.lightning.tls import Pinned
from tests.payouts.lightning.simulator import agent, turn
from tests.regtest.payer_reactor import reactor, rest, run

SECRET = "a header that nobody may see"


@attrs.define(slots=False, eq=False)
class Says(Resource):
    """Answers everything as the test wants."""

    isLeaf = True  # noqa: N815 - Twisted's spelling
    answer: Callable[[Any], bytes | int] = lambda _: b"{}"
    seen: list[tuple[bytes, bytes]] = attrs.Factory(list)
    left: int = 0  # how often a caller hung up
    url: str = ""

    def __attrs_post_init__(self) -> None:
        Resource.__init__(self)  # type: ignore[no-untyped-call]

    def render(self, request: Request) -> bytes | int:
        assert request.content is not None
        self.seen.append((request.uri, request.content.read()))
        request.notifyFinish().addErrback(self._gone)
        return self.answer(request)

    def _gone(self, _: object) -> None:
        self.left += 1


@pytest.fixture
def says() -> Iterator[Says]:
    resource = Says()
    site: Any = Site(resource)  # type: ignore[no-untyped-call]
    port = reactor.listenTCP(0, site, interface="127.0.0.1")
    resource.url = f"http://127.0.0.1:{port.getHost().port}/"
    yield resource
    port.stopListening()


@pytest.fixture(scope="module", autouse=True)
def _threads_end() -> Iterator[None]:
    yield
    rest()


def client(says: Says) -> NodeHttp:
    return NodeHttp(agent(), Clock(), says.url, {"Authorization": SECRET})


def test_json_and_forms_are_sent_as_such(says: Says) -> None:
    run(client(says).ask(Ask("it", "/a?b=c", json={"d": 1}), 5.0))
    run(client(says).ask(Ask("it", "/e", form={"f": "g h"}), 5.0))
    assert says.seen == [(b"/a?b=c", b'{"d": 1}'), (b"/e", b"f=g+h")]


def test_an_answer_that_is_no_json_has_no_document(says: Says) -> None:
    for text in (b"", b"<html>", b'{"a": NaN}', b"[" * 100_000, b"\xff"):
        says.answer = lambda _, text=text: text  # type: ignore[misc]
        assert run(client(says).ask(Ask("it", "/"), 5.0)) == Answer(200, None)


def test_an_answer_without_end_is_cut_off(says: Says, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "MAX_BYTES", 1000)
    says.answer = lambda _: b"7" * 1001
    with pytest.raises(NodeUnavailable, match="too long"):
        run(client(says).ask(Ask("it", "/"), 5.0))


def test_a_redirect_is_an_answer_and_is_not_followed(says: Says) -> None:
    def moved(request: Any) -> bytes:
        request.redirect(b"/elsewhere")
        return b"{}"

    says.answer = moved
    assert run(client(says).ask(Ask("it", "/"), 5.0)).status == 302
    assert len(says.seen) == 1


def lines(*parts: bytes, end: bool) -> Callable[[Any], int]:
    """A stream in parts, that ends or goes on for ever."""

    def answer(request: Any) -> int:
        for delay, part in enumerate(parts):
            reactor.callLater(delay * 0.003, request.write, part)
        if end:
            reactor.callLater(len(parts) * 0.003, request.finish)
        return NOT_DONE_YET

    return answer


def test_a_stream_is_left_as_soon_as_a_line_is_enough(says: Says) -> None:
    says.answer = lines(b'{"n": 1}\n\n{"n"', b': 2}\n{"n": 3', b"}\n", end=False)
    told = run(client(says).follow(Ask("it", "/"), 5.0, lambda line: line.get("n") == 2))
    assert told.document == {"n": 2}
    run(until(lambda: says.left == 1))


def test_a_call_that_is_given_up_is_hung_up_on(says: Says) -> None:
    for part in (b"", b'{"n": 1}\n'):
        says.answer, clock, before = lines(part, end=False), Clock(), len(says.seen)

        async def give_up(clock: Clock = clock, before: int = before) -> None:
            asked = NodeHttp(agent(), clock, says.url, {}).follow(Ask("it", "/"), 5.0, lambda _: False)
            told = Deferred.fromCoroutine(asked)
            await until(lambda: len(says.seen) > before)
            await turn()
            clock.advance(5.0)
            await told

        with pytest.raises(NodeUnavailable, match="TimeoutError"):
            run(give_up())
    run(until(lambda: says.left == 2))


async def until(what: Callable[[], bool]) -> None:
    while not what():
        await turn()


@pytest.mark.parametrize("last", [b'{"n": 2}', b'{"n": 2}\n', b'{"n": 2}\n\n'])
def test_the_last_line_of_a_stream_that_ends_counts(says: Says, last: bytes) -> None:
    says.answer = lines(b'{"n": 1}\n', last, end=True)
    told = run(client(says).follow(Ask("it", "/"), 5.0, lambda _: False))
    assert told.document == {"n": 2}


def test_a_fault_names_what_was_asked_and_neither_address_nor_secret(says: Says) -> None:
    nobody = NodeHttp(agent(), Clock(), "http://user:hidden@127.0.0.1:1", {"Authorization": SECRET})
    with pytest.raises(NodeUnavailable, match=r"^the node did not answer payments \(\w+\)$"):
        run(nobody.ask(Ask("payments", "/x?y=hidden"), 5.0))
    assert "hidden" not in repr(Ask("payments", "/x?y=hidden", json={"hidden": 1}))
    assert SECRET not in repr(nobody)


# ------------------------------------------------------------------------------------------------ https


def self_signed(name: str) -> tuple[bytes, bytes]:
    """A certificate as LND makes its own (an authority of itself) and its key, in PEM form."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    form = serialization.PrivateFormat.PKCS8
    pem = key.private_bytes(serialization.Encoding.PEM, form, plain)
    return certificate.public_bytes(serialization.Encoding.PEM), pem


@pytest.mark.filterwarnings("ignore:Passing pyOpenSSL:DeprecationWarning")  # by Twisted itself
def test_https_leads_to_the_pinned_certificate_and_to_no_other_of_the_same_name() -> None:
    (certificate, key), (other, _) = self_signed("lnd"), self_signed("lnd")
    loaded: Any = PrivateCertificate.loadPEM(certificate + key)  # type: ignore[no-untyped-call]
    site: Any = Site(Says())  # type: ignore[no-untyped-call]
    port = reactor.listenSSL(0, site, loaded.options(), interface="127.0.0.1")

    def ask(pem: bytes) -> Answer:
        pool: Any = HTTPConnectionPool(reactor, persistent=False)  # type: ignore[no-untyped-call]
        pinned: Any = Agent(reactor, Pinned(pem), pool=pool)  # type: ignore[no-untyped-call]
        url = f"https://127.0.0.1:{port.getHost().port}"
        return run(NodeHttp(pinned, Clock(), url, {}).ask(Ask("it", "/"), 5.0))

    assert ask(certificate) == Answer(200, {})
    with pytest.raises(NodeUnavailable):
        ask(other)
    port.stopListening()
