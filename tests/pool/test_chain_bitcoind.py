"""The adapter for bitcoind, over real HTTP to the stand-in: the contract, and how foreign errors come out."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from twisted.internet.defer import Deferred

from payouts import errors as payout_errors
from payouts.money import Sat
from pool.chain.bitcoind import BitcoindNode, rpc_for_role, rpcs_for_role, wallet_call
from pool.chain.block import block_hash
from pool.chain.node import (
    Accepted,
    BlockFees,
    BookNode,
    ChainRefused,
    ChainUnavailable,
    MiningNode,
    Refused,
    SubmitResult,
    Unanswered,
    WrongCredentials,
    word_for,
)
from pool.chain.rpc import CookieFile, Credentials, Rpc, UserPassword
from pool.config import NodeConfig, NodeLink, NodeUser
from pool.errors import ChainError, ConfigError
from stratum.units import Height
from tests.contracts.node import Backstage, NodeContract, now, solved
from tests.fakes_node import EASY, PASSWORD, USER, StandIn
from tests.fakes_reactor import InlineReactor
from tests.pool.chain_samples import GENESIS, GENESIS_HASH

SECRET = "s3cret-of-the-test"


@pytest.fixture
def stand_in() -> Iterator[StandIn]:
    with StandIn(EASY) as server:
        yield server


def rpc(stand_in: StandIn, credentials: Credentials | None = None) -> Rpc:
    return Rpc(stand_in.url, credentials or UserPassword("front", USER, PASSWORD), InlineReactor())


class TestStandIn(NodeContract):
    @pytest.fixture
    def node(self, stand_in: StandIn) -> MiningNode:
        return BitcoindNode(rpc(stand_in))

    @pytest.fixture
    def backstage(self, stand_in: StandIn) -> Backstage:
        return stand_in.chain


def test_wrong_credentials_name_role_and_user_but_not_the_password(stand_in: StandIn) -> None:
    node = BitcoindNode(rpc(stand_in, UserPassword("book", "somebody", SECRET)))

    with pytest.raises(WrongCredentials, match="'somebody' of role book") as caught:
        now(node.tip())

    assert SECRET not in str(caught.value)


def test_the_password_shows_in_no_repr() -> None:
    assert SECRET not in repr(UserPassword("front", "front", SECRET))


def test_a_node_that_is_down_is_unavailable_and_says_where(stand_in: StandIn) -> None:
    node = BitcoindNode(rpc(stand_in))
    stand_in.stop()

    with pytest.raises(ChainUnavailable, match=f"{node.name} did not answer getbestblockhash: Conn"):
        now(node.tip())
    assert isinstance(now(node.submit("00")), Unanswered)


def test_a_node_answers_again_after_it_was_down(stand_in: StandIn) -> None:
    node = BitcoindNode(rpc(stand_in))
    before = now(node.tip())
    stand_in.stop()
    stand_in.start()

    assert now(node.tip()) == before


def test_a_refusal_carries_the_node_s_code_and_words(stand_in: StandIn) -> None:
    with pytest.raises(ChainRefused) as caught:
        now(rpc(stand_in).call("getbalances", wallet="w"))

    assert (caught.value.code, caught.value.message) == (-32601, "Method not found")


def test_the_payout_engine_s_bridge_translates_refusals_and_silence(stand_in: StandIn) -> None:
    call = wallet_call(rpc(stand_in))

    async def ask(method: str) -> object:
        return await call(method, wallet=None)

    assert now(ask("getblockcount")) == 599
    with pytest.raises(payout_errors.RpcRefused, match="Method not found"):
        now(ask("getbalances"))
    stand_in.stop()
    with pytest.raises(payout_errors.NodeUnavailable):
        now(ask("getblockcount"))


def test_the_cookie_is_read_again_for_each_call(stand_in: StandIn, tmp_path: Path) -> None:
    cookie = tmp_path / ".cookie"
    cookie.write_text("__cookie__:old")
    node = BitcoindNode(rpc(stand_in, CookieFile(cookie)))
    with pytest.raises(WrongCredentials, match="the cookie"):
        now(node.tip())

    cookie.write_text(f"{USER}:{PASSWORD}\n")

    assert len(now(node.tip())) == 64


def test_a_missing_cookie_is_said_to_be_missing(stand_in: StandIn, tmp_path: Path) -> None:
    with pytest.raises(WrongCredentials, match="No such file"):
        now(BitcoindNode(rpc(stand_in, CookieFile(tmp_path / "none"))).tip())


def test_the_library_never_logs_arguments() -> None:
    assert not logging.getLogger("BitcoinRPC").isEnabledFor(logging.DEBUG)


def test_a_role_uses_its_own_user_and_else_the_cookie(tmp_path: Path) -> None:
    own = NodeConfig(front=NodeUser(user="f", password=SECRET), cookie_file=tmp_path / "c")

    assert rpc_for_role(own, "front", InlineReactor()).name == "127.0.0.1:8332"
    with pytest.raises(WrongCredentials, match="cookie"):
        now(rpc_for_role(own, "book", InlineReactor()).call("getblockcount"))


def test_every_node_is_called_with_its_own_user_and_named_once(tmp_path: Path) -> None:
    user = NodeUser(user="f", password=SECRET)
    second = NodeLink(url="http://10.0.0.2:8332", cookie_file=tmp_path / "c")
    config = NodeConfig(front=user, also=[second])

    assert [each.name for each in rpcs_for_role(config, "front", InlineReactor())] == [
        "127.0.0.1:8332",
        "10.0.0.2:8332",
    ]
    with pytest.raises(ConfigError, match=r"node\.also\[0\]\.book"):
        rpcs_for_role(NodeConfig(book=user, also=[NodeLink()]), "book", InlineReactor())
    with pytest.raises(ConfigError, match=r"node\.also\[0\]\.url: 127\.0\.0\.1:8332 is there already"):
        rpcs_for_role(NodeConfig(front=user, also=[NodeLink(front=user)]), "front", InlineReactor())


def test_a_node_that_may_not_be_asked_for_its_publisher_is_followed_without(stand_in: StandIn) -> None:
    async def subscribe() -> object:
        return await BitcoindNode(rpc(stand_in)).subscribe(lambda _: None)

    assert now(subscribe()) is None
    assert now(BitcoindNode(rpc(stand_in)).peers()) == 8


def test_a_proposal_to_a_node_that_does_not_answer_or_not_understand_is_told_apart(stand_in: StandIn) -> None:
    node = BitcoindNode(rpc(stand_in))
    assert now(node.propose("00" * 10)) == Refused("Block decode failed")
    stand_in.stop()
    assert isinstance(now(node.propose("00" * 10)), Unanswered)


def test_a_role_without_user_and_cookie_is_a_configuration_error() -> None:
    with pytest.raises(ConfigError, match=r"node\.payer"):
        rpc_for_role(NodeConfig(), "payer", InlineReactor())


@pytest.mark.parametrize("password", ["a/b", "a#b", "a?b", "päss", "a b"])
def test_a_password_that_the_library_would_misread_is_refused_without_showing_it(password: str) -> None:
    with pytest.raises(ConfigError, match=r"node\.front\.password") as caught:
        Rpc("http://127.0.0.1:1", UserPassword("front", "front", password), InlineReactor())

    assert password not in str(caught.value)


@pytest.mark.parametrize("url", ["127.0.0.1:8332", "ftp://node:1", "http://u:p@node:1"])
def test_a_url_of_another_form_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match=r"node\.url") as caught:
        Rpc(url, UserPassword("front", "front", "x"), InlineReactor())

    assert "u:p" not in str(caught.value)


def test_a_node_that_stops_ends_a_waiting_longpoll(stand_in: StandIn) -> None:
    node = BitcoindNode(rpc(stand_in))
    waiting = node.template(now(node.template(None)).longpoll_id)

    async def stop_soon() -> None:
        answer = Deferred.fromCoroutine(waiting)
        stand_in.stop()
        await answer

    with pytest.raises(ChainUnavailable):
        now(stop_soon())


def test_closing_hangs_up_on_a_waiting_longpoll(stand_in: StandIn) -> None:
    node = BitcoindNode(rpc(stand_in))
    waiting = node.template(now(node.template(None)).longpoll_id)

    async def close_soon() -> None:
        answer = Deferred.fromCoroutine(waiting)
        assert stand_in.chain.polled.wait(10)
        node.close()
        await answer

    with pytest.raises(ChainUnavailable):
        now(close_soon())


def test_closing_hangs_up_on_a_call_that_the_node_never_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"http://127.0.0.1:{mute.getsockname()[1]}"
        node = BitcoindNode(Rpc(url, UserPassword("front", USER, PASSWORD), InlineReactor()))

        def close_when_asked() -> None:
            link, _ = mute.accept()
            link.recv(1)
            node.close()
            link.close()

        threading.Thread(target=close_when_asked, daemon=True).start()
        with pytest.raises(ChainUnavailable, match="did not answer getbestblockhash"):
            now(node.tip())


def test_closing_a_node_that_was_never_asked_does_nothing(stand_in: StandIn) -> None:
    node = BitcoindNode(rpc(stand_in))
    node.close()

    assert len(now(node.tip())) == 64


@contextmanager
def answering(body: bytes, status: int = 200, content_type: str = "application/json") -> Iterator[BookNode]:
    """A server that answers everything with the same bytes."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=lambda: server.serve_forever(poll_interval=0.01), daemon=True).start()
    try:
        url = f"http://127.0.0.1:{server.server_address[1]}"
        yield BitcoindNode(Rpc(url, UserPassword("front", USER, PASSWORD), InlineReactor()))
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"7",
        b'"text"',
        b"\xff\xfe",
        b"{}",
        b'{"error": "text"}',
        b'{"error": {}}',
        b'{"result": 7, "error": null, "id": 1}',
        b'{"result": {"hash": 1}, "error": null, "id": 1}',
        b'{"result": [], "error": null, "id": 1}',
    ],
)
def test_nonsense_from_a_node_is_a_chain_error_and_tells_nothing_as_a_fact(body: bytes) -> None:
    with answering(body) as node:
        for question in (node.tip, node.chain_info):
            with pytest.raises(ChainError):
                now(question())
        for about in (node.header, node.block_outputs):
            with pytest.raises(ChainError):
                now(about("ab" * 32))
        with pytest.raises(ChainError):
            now(node.template(None))
        assert now(node.submit("00")) != Accepted()


@pytest.mark.parametrize(
    ("status", "error", "words"),
    [
        (401, WrongCredentials, "does not know user 'front'"),
        (403, WrongCredentials, "forbids getbestblockhash to user 'front'"),
        (503, ChainUnavailable, "503 Service Unavailable"),
    ],
)
def test_http_errors_without_json_say_what_they_mean(
    status: int, error: type[ChainError], words: str
) -> None:
    with answering(b"", status, "text/html") as node, pytest.raises(error, match=words):
        now(node.tip())


def test_a_node_in_its_warmup_is_unavailable_and_not_a_refusal() -> None:
    body = b'{"result": null, "error": {"code": -28, "message": "Loading block index"}, "id": 1}'
    with answering(body, 500) as node, pytest.raises(ChainUnavailable, match="Loading block index"):
        now(node.tip())


def test_a_node_that_answers_with_another_header_is_not_believed() -> None:
    result = f'{{"hash": "{GENESIS_HASH}", "height": 0, "confirmations": 9, "time": 1231006505}}'
    with answering(f'{{"result": {result}, "error": null, "id": 1}}'.encode()) as node:
        header = now(node.header(GENESIS_HASH))
        assert header is not None
        assert (header.prev_hash, header.confirmations) == ("", 9)
        with pytest.raises(ChainUnavailable, match="another"):
            now(node.header("ab" * 32))


def test_what_a_block_brought_in_fees_is_told_with_its_place_in_the_chain(stand_in: StandIn) -> None:
    node = BitcoindNode(rpc(stand_in))
    for _ in range(3):
        stand_in.chain.add_transaction()
    block = solved(now(node.template(None)))
    assert now(node.submit(block.hex())) == Accepted()
    found = now(node.block_fees(block_hash(block)))
    assert found == BlockFees(block_hash(block), Height(600), stand_in.chain.active[0].hash, Sat(300))
    assert now(node.hash_at(600)) == found.hash
    assert now(node.block_fees(found.prev_hash)).fees == 0
    with pytest.raises(ChainUnavailable, match="does not know block abab"):
        now(node.block_fees("ab" * 32))
    with pytest.raises(ChainRefused, match="out of range"):
        now(node.hash_at(601))


@pytest.mark.parametrize("fees", ["0.5", '"7"', "true", "null"])
def test_fees_that_are_no_whole_satoshis_are_not_believed(fees: str) -> None:
    header = f'"hash": "{GENESIS_HASH}", "height": 5, "confirmations": 9, "time": 1231006505'
    stats = f'"blockhash": "{GENESIS_HASH}", "totalfee": {fees}'
    body = f'{{"result": {{{header}, {stats}}}, "error": null, "id": 1}}'.encode()
    with answering(body) as node, pytest.raises(ChainUnavailable, match="getblockstats"):
        now(node.block_fees(GENESIS_HASH))


def test_a_node_that_answers_with_another_block_is_not_believed() -> None:
    body = b'{"result": "' + GENESIS.hex().encode() + b'", "error": null, "id": 1}'
    with answering(body) as node:
        assert len(now(node.block_outputs(GENESIS_HASH))) == 1
        with pytest.raises(ChainUnavailable, match="another block"):
            now(node.block_outputs("ab" * 32))


@pytest.mark.parametrize(
    ("result", "word"),
    [(Accepted(), "accepted"), (Refused("high-hash"), "high-hash"), (Unanswered("no route"), "unanswered")],
)
def test_every_answer_to_a_block_has_one_word(result: SubmitResult, word: str) -> None:
    assert word_for(result) == word
