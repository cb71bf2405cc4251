"""Strangers' servers, real ones over TLS: what they may answer, and how they cannot lead us astray."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import attrs
import pytest
from twisted.internet.endpoints import TCP4ClientEndpoint

from payouts.outbound import Fetched, Outbound, Rule, Told, by_reactor
from payouts.places import NotFetched
from tests.payouts.strangers import HOST, Proxy, Served, Stranger, document, listen
from tests.regtest.payer_reactor import reactor, rest, run

ONION = "a" * 56 + ".onion"


@attrs.define
class World:
    """A stranger's server, and the resolver's answers."""

    addresses: list[str] = attrs.Factory(lambda: ["127.0.0.1"])
    resolved: list[str] = attrs.Factory(list)
    strangers: list[Stranger] = attrs.Factory(list)
    ports: list[Any] = attrs.Factory(list)

    async def resolve(self, host: str) -> Sequence[str]:
        self.resolved.append(host)
        return self.addresses

    def stranger(self, answer: bytes | None, host: str = HOST, *, secure: bool = True) -> Stranger:
        made = listen(reactor, Served(lambda _: answer), host, secure=secure)
        self.strangers.append(made)
        self.ports.append(made.port)
        return made

    def rule(self, stranger: Stranger, **changes: Any) -> Rule:
        rule = Rule(
            self.resolve,
            allowed=lambda address: address == "127.0.0.1",
            ports=frozenset({stranger.number}),
            trust=stranger.trust,
            timeout_s=5.0,
        )
        return attrs.evolve(rule, **changes)

    def fetch(self, stranger: Stranger, path: str = "/x", host: str = HOST, **changes: Any) -> Any:
        url = f"https://{host}:{stranger.number}{path}"
        return run(Outbound(reactor, self.rule(stranger, **changes)).fetch(url))


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    for port in made.ports:
        port.stopListening()
    for _ in range(10):
        reactor.iterate(0)


@pytest.fixture(scope="module", autouse=True)
def _threads() -> Iterator[None]:
    yield
    rest()


def test_a_document_comes_from_the_address_that_was_checked_and_nothing_of_ours_goes_there(
    world: World,
) -> None:
    stranger = world.stranger(document(b'{"a": 1.5}'))
    fetched = world.fetch(stranger, "/cb?id=7&x=%20y")
    assert isinstance(fetched, Fetched)
    assert str(fetched.document) == "{'a': Decimal('1.5')}"
    assert world.resolved == [HOST]
    (request,) = stranger.served.requests
    first, *headers = request.decode().strip().split("\r\n")
    assert first == "GET /cb?id=7&x=%20y HTTP/1.1"
    assert {header.partition(":")[0].lower() for header in headers} == {"host", "connection", "accept"}
    assert f"host: {HOST}:{stranger.number}" in {header.lower() for header in headers}


def test_a_service_may_answer_an_error_with_a_document(world: World) -> None:
    stranger = world.stranger(document(b'{"status":"ERROR","reason":"no"}', b"404 Not Found"))
    assert world.fetch(stranger) == Fetched({"status": "ERROR", "reason": "no"})


@pytest.mark.parametrize("addresses", [["10.0.0.1"], ["127.0.0.1", "::1"], [], ["127.0.0.1"] * 33])
def test_every_address_of_a_name_must_be_allowed(world: World, addresses: list[str]) -> None:
    stranger = world.stranger(document(b"{}"))
    world.addresses = addresses
    assert isinstance(world.fetch(stranger), NotFetched)
    assert stranger.served.connections == 0


def test_by_default_loopback_is_not_allowed(world: World) -> None:
    stranger = world.stranger(document(b"{}"))
    refused = world.fetch(stranger, allowed=Rule(world.resolve).allowed)
    assert refused == NotFetched(f"{HOST} has an address that is not public")
    assert stranger.served.connections == 0


def test_a_redirect_is_not_followed(world: World) -> None:
    target = world.stranger(document(b"{}"))
    where = f"Location: https://{HOST}:{target.number}/\r\n".encode()
    stranger = world.stranger(document(b"", b"302 Found", where))
    refused = world.fetch(stranger, ports=frozenset({stranger.number, target.number}))
    assert isinstance(refused, NotFetched)
    assert "redirect" in refused.reason
    assert target.served.connections == 0


def test_a_body_without_end_is_cut(world: World) -> None:
    endless = b"HTTP/1.1 200 OK\r\n\r\n" + b" " * 200_000
    refused = world.fetch(world.stranger(endless))
    assert isinstance(refused, NotFetched)
    assert "more than it should" in refused.reason


def test_a_head_without_end_is_cut_too(world: World) -> None:
    refused = world.fetch(world.stranger(b"HTTP/1.1 200 OK\r\n" + b"x: " + b"y" * 100_000))
    assert isinstance(refused, NotFetched)


def test_a_server_that_never_answers_is_given_up(world: World) -> None:
    refused = world.fetch(world.stranger(None), timeout_s=0.3)
    assert refused == NotFetched(f"{HOST} took too long")


def test_a_name_that_is_never_resolved_is_given_up(world: World) -> None:
    stranger = world.stranger(document(b"{}"))
    from twisted.internet.defer import Deferred  # noqa: PLC0415 - only here

    refused = world.fetch(stranger, resolve=lambda _: Deferred(), timeout_s=0.2)
    assert refused == NotFetched(f"{HOST} took too long")


@pytest.mark.parametrize(
    "answer", [document(b"no json"), document(b"[" * 30_000), b"", b"garbage\r\n\r\n", b"HTTP/1.1 200 OK\r\n"]
)
def test_nonsense_is_no_document(world: World, answer: bytes) -> None:
    refused = world.fetch(world.stranger(answer))
    assert isinstance(refused, NotFetched)
    assert "id=" not in refused.reason


def test_a_certificate_of_another_name_is_refused(world: World) -> None:
    stranger = world.stranger(document(b"{}"), "elsewhere.example.com")
    assert isinstance(world.fetch(stranger), NotFetched)
    assert stranger.served.requests == []


def test_a_certificate_that_nobody_vouches_for_is_refused(world: World) -> None:
    stranger, other = world.stranger(document(b"{}")), world.stranger(document(b"{}"))
    assert isinstance(world.fetch(stranger, trust=other.trust), NotFetched)
    assert stranger.served.requests == []


# ------------------------------------------------------------------------------------------------ being told


def tell(world: World, stranger: Stranger, **changes: Any) -> Any:
    url = f"https://{HOST}:{stranger.number}/wake?token=t0psecret"
    return run(Outbound(reactor, world.rule(stranger, **changes)).tell(url))


def test_a_wallet_is_told_by_an_empty_post_and_its_answer_is_not_read(world: World) -> None:
    stranger = world.stranger(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n" + b"x" * 100_000)
    assert tell(world, stranger) == Told(200)
    (request,) = stranger.served.requests
    head, _, body = request.decode().partition("\r\n\r\n")
    first, *headers = head.split("\r\n")
    assert (first, body) == ("POST /wake?token=t0psecret HTTP/1.1", "")
    names = {header.partition(":")[0].lower() for header in headers}
    assert names == {"host", "connection", "content-length"}
    assert "content-length: 0" in {header.lower() for header in headers}


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (document(b"gone", b"410 Gone"), Told(410)),
        (b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n", Told(204)),
        (document(b"moved", b"307 Temporary Redirect", b"Location: https://10.0.0.1/\r\n"), None),
        (b"", None),
        (None, None),
    ],
)
def test_only_a_status_is_heard_and_no_redirect_followed(
    world: World, answer: bytes | None, expected: Told | None
) -> None:
    told = tell(world, world.stranger(answer), timeout_s=0.5)
    assert told == expected if expected is not None else isinstance(told, NotFetched)
    assert "t0psecret" not in repr(told)


@pytest.mark.parametrize("address", ["10.0.0.1", "169.254.169.254", "::1", "100.64.0.1", "::ffff:127.0.0.1"])
def test_nobody_inside_is_told_whatever_a_name_leads_to(world: World, address: str) -> None:
    stranger = world.stranger(document(b"{}"))
    world.addresses = [address]
    refused = tell(world, stranger, allowed=Rule(world.resolve).allowed)
    assert refused == NotFetched(f"{HOST} has an address that is not public")
    assert stranger.served.connections == 0


# --------------------------------------------------------------------------------------------------- onions


def onion_rule(world: World, proxy: Proxy) -> Rule:
    port = proxy.listen(reactor)
    world.ports.append(port)
    where = TCP4ClientEndpoint(reactor, "127.0.0.1", port.getHost().port)
    return Rule(world.resolve, proxy=where, timeout_s=5.0)


def test_an_onion_service_is_reached_through_the_proxy_by_its_name(world: World) -> None:
    stranger = world.stranger(document(b'{"tag": "payRequest"}'), secure=False)
    proxy = Proxy(stranger.number)
    fetched = run(Outbound(reactor, onion_rule(world, proxy)).fetch(f"http://{ONION}/.well-known/lnurlp/a"))
    assert fetched == Fetched({"tag": "payRequest"})
    assert proxy.asked == [b"\x05\x01\x00\x03" + bytes([62]) + ONION.encode() + b"\x00\x50"]
    assert world.resolved == []


@pytest.mark.parametrize("proxy", [Proxy(1, code=5), Proxy(1, methods=b"\x05\xff"), Proxy(1, methods=b"HT")])
def test_a_proxy_that_refuses_is_no_way(world: World, proxy: Proxy) -> None:
    refused = run(Outbound(reactor, onion_rule(world, proxy)).fetch(f"http://{ONION}/"))
    assert isinstance(refused, NotFetched)


def test_without_a_proxy_no_onion_is_asked_for(world: World) -> None:
    refused = run(Outbound(reactor, Rule(world.resolve)).fetch(f"http://{ONION}/"))
    assert isinstance(refused, NotFetched)
    assert "no way there" in refused.reason
    assert world.resolved == []


def test_the_systems_resolver_names_all_addresses() -> None:
    async def ask() -> Sequence[str]:
        return await by_reactor(reactor)("localhost")

    assert "127.0.0.1" in run(ask())
