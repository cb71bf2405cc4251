"""The adapter for bitcoind, over real HTTP to the stand-in: the contract, and how foreign errors come out."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from twisted.internet.defer import Deferred

from payouts import errors as payout_errors
from pool.chain.bitcoind import BitcoindNode, rpc_for_role, wallet_call
from pool.chain.node import ChainRefused, ChainUnavailable, Node, Unanswered, WrongCredentials
from pool.chain.rpc import CookieFile, Credentials, Rpc, UserPassword
from pool.config import NodeConfig, NodeUser
from pool.errors import ConfigError
from tests.contracts.node import Backstage, NodeContract, now
from tests.fakes_node import EASY, PASSWORD, USER, StandIn
from tests.fakes_reactor import InlineReactor

SECRET = "s3cret-of-the-test"


@pytest.fixture
def stand_in() -> Iterator[StandIn]:
    with StandIn(EASY) as server:
        yield server


def rpc(stand_in: StandIn, credentials: Credentials | None = None) -> Rpc:
    return Rpc(stand_in.url, credentials or UserPassword("front", USER, PASSWORD), InlineReactor())


class TestStandIn(NodeContract):
    @pytest.fixture
    def node(self, stand_in: StandIn) -> Node:
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

    assert now(ask("getblockcount")) == 199
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


def test_hanging_up_ends_a_waiting_longpoll(stand_in: StandIn) -> None:
    node = BitcoindNode(rpc(stand_in))
    template = now(node.template(None))
    waiting = node.template(template.longpoll_id)

    async def hang_up_soon() -> None:
        answer = Deferred.fromCoroutine(waiting)
        stand_in.stop()
        await answer

    with pytest.raises(ChainUnavailable):
        now(hang_up_soon())
