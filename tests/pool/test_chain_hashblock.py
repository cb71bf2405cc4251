"""The ZeroMQ subscription, against a real publisher on loopback; and where its address comes from."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import zmq

from pool.chain.hashblock import TOPIC, address_among, subscribe
from pool.errors import ConfigError
from tests.fakes_reactor import InlineReactor

WAIT_S = 10


@pytest.fixture
def publisher() -> Iterator[zmq.Socket[bytes]]:
    with zmq.Context() as context, context.socket(zmq.XPUB) as socket:  # tells when somebody has subscribed
        socket.setsockopt(zmq.LINGER, 0)
        socket.bind("tcp://127.0.0.1:*")
        yield socket


def address(publisher: zmq.Socket[bytes]) -> str:
    return publisher.getsockopt(zmq.LAST_ENDPOINT).rstrip(b"\0").decode()  # type: ignore[union-attr]


def test_each_published_hash_is_told_and_nothing_else_is(publisher: zmq.Socket[bytes]) -> None:
    told: list[str] = []
    done = threading.Event()

    def hear(tip: str) -> None:
        told.append(tip)
        if len(told) == 2:
            done.set()

    end = subscribe(address(publisher), hear, InlineReactor())
    assert publisher.poll(WAIT_S * 1000)
    assert publisher.recv() == b"\x01" + TOPIC
    publisher.send_multipart([TOPIC, b"\xaa" * 32, bytes(4)])
    publisher.send_multipart([TOPIC, b"short", bytes(4)])
    publisher.send_multipart([b"hashblockchain", b"\xcc" * 32, bytes(4)])
    publisher.send_multipart([TOPIC])
    publisher.send_multipart([TOPIC, b"\xbb" * 32, bytes(4)])

    assert done.wait(WAIT_S)
    end()
    assert told == ["aa" * 32, "bb" * 32]
    assert publisher.poll(WAIT_S * 1000)  # it has hung up
    assert publisher.recv() == b"\x00" + TOPIC


@pytest.mark.parametrize("wrong", ["tcp://127.0.0.1", "nonsense", "tcp://127.0.0.1:port"])
def test_an_address_that_cannot_be_used_is_a_configuration_error(wrong: str) -> None:
    with pytest.raises(ConfigError, match=r"node\.zmq"):
        subscribe(wrong, lambda _: None, InlineReactor())


@pytest.mark.parametrize(
    ("entries", "found"),
    [
        ([], None),
        (None, None),
        ([{"type": "pubrawtx", "address": "tcp://127.0.0.1:1"}], None),
        ([{"type": "pubhashblock", "address": "tcp://127.0.0.1:28332"}], "tcp://127.0.0.1:28332"),
        ([{"type": "pubhashblock", "address": "tcp://0.0.0.0:28332", "hwm": 1}], "tcp://node.lan:28332"),
        ([{"type": "pubhashblock", "address": "ipc:///run/blocks"}], "ipc:///run/blocks"),
        ([7, {"type": "pubhashblock"}], None),
    ],
)
def test_the_node_s_own_list_names_the_address(entries: object, found: str | None) -> None:
    assert address_among(entries, "node.lan") == found
