"""``sluice check``: what is broken is found, the rest is tried all the same, and the words name the mend."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Awaitable, Coroutine, Iterator
from pathlib import Path
from typing import Any, cast

import attrs
import pytest
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.testing import MemoryReactorClock

from payouts.money import Msat
from pool import check, check_node
from pool.config import Config, parse
from pool.store.database import FILES, connect, sole_role
from tests.fakes_node import PASSWORD, USER, StandIn
from tests.fakes_reactor import InlineReactor

REACTOR: Any = MemoryReactorClock  # not annotated in Twisted


@pytest.fixture
def node() -> Iterator[StandIn]:
    with StandIn() as stand_in:
        yield stand_in


def configured(
    directory: Path, url: str = "http://127.0.0.1:1", password: str = PASSWORD, **more: Any
) -> Config:
    user = {"user": USER, "password": password}
    document = {
        "node": {"network": "regtest", "url": url, "front": user, "book": user, "payer": user},
        "stratum": {"listen": ["tcp:3333:interface=127.0.0.1"]},
        "web": {"listen": ["tcp:8080:interface=127.0.0.1"], "public_url": "https://pool.invalid"},
        "store": {"directory": str(directory)},
    }
    return parse({**document, **more}, "sluice.toml")


def tried(attempt: Awaitable[str]) -> check.Result:
    """The result of an attempt whose calls are answered before they return."""
    results: list[Any] = []
    Deferred.fromCoroutine(check._tried("it", attempt)).addBoth(results.append)
    assert isinstance(results[0], check.Result)
    return results[0]


def says(attempt: Awaitable[str], *words: str, ok: bool = False) -> None:
    result = tried(attempt)
    assert result.ok is ok, result.says
    assert all(word in result.says for word in words), result.says
    assert "\n" not in result.says


def key(directory: Path, mode: int = 0o600, size: int = 32) -> Path:
    path = directory / "server.key"
    path.write_bytes(bytes(size))
    path.chmod(mode)
    return path


def test_a_node_that_answers_is_in_order(node: StandIn, tmp_path: Path) -> None:
    attempt = check_node.node(configured(tmp_path, node.url), "front", InlineReactor())
    says(attempt, "regtest at height", ok=True)


def test_a_wrong_password_is_named_with_its_role_and_never_shown(node: StandIn, tmp_path: Path) -> None:
    attempt = check_node.node(configured(tmp_path, node.url, "wrong-one"), "book", InlineReactor())
    result = tried(attempt)
    assert not result.ok
    assert "role book" in result.says
    assert "docs/operations.md" in result.says
    assert "wrong-one" not in result.says


def test_a_node_that_does_not_answer_is_asked_about(tmp_path: Path) -> None:
    says(check_node.node(configured(tmp_path), "front", InlineReactor()), "127.0.0.1:1", "node.url")


def test_a_node_of_another_network_names_both(node: StandIn, tmp_path: Path) -> None:
    user = {"user": USER, "password": PASSWORD}
    config = configured(tmp_path, node={"network": "mainnet", "url": node.url, "front": user})
    says(check_node.node(config, "front", InlineReactor()), "on regtest", "node.network says mainnet")


def test_a_role_without_user_or_cookie_is_told_which_keys_it_wants(node: StandIn, tmp_path: Path) -> None:
    config = configured(tmp_path, node={"network": "regtest", "url": node.url})
    says(check_node.node(config, "payer", InlineReactor()), "node.payer", "node.cookie_file")


def test_work_is_tried_and_what_forbids_it_is_named(node: StandIn, tmp_path: Path) -> None:
    config = configured(tmp_path, node.url)
    says(check_node.work(config, InlineReactor()), "a template of 0 transactions", "zmqpubhashblock", ok=True)
    node.chain.rules = ["!segwit", "!covenants"]
    says(check_node.work(config, InlineReactor()), "no work is to be had", "'!covenants'")


def test_a_pool_that_pays_for_fees_at_once_needs_a_node_that_tells_them(
    node: StandIn, tmp_path: Path
) -> None:
    config = configured(tmp_path, node.url, rewards={"scheme": "fpps", "reserve_sat": 5})
    tried_there = check_node.attempts(config, InlineReactor())
    names = [what for what, attempt in tried_there if not cast(Coroutine[Any, Any, str], attempt).close()]
    assert "node's fees" in names
    # this node's chain begins at 599, as if what is older were pruned
    says(check_node.fees(config, InlineReactor()), 'scheme = "fpps" needs the fees of the last 144', "range")
    node.chain.active = [attrs.evolve(node.chain.tip, height=height) for height in (1, 2)]
    says(check_node.fees(config, InlineReactor()), "144 blocks are there, the newest brought 0 sat", ok=True)
    node.chain.forbidden = {"getblockstats"}
    says(check_node.fees(config, InlineReactor()), "forbids getblockstats", "role book", "docs/operations.md")


def test_a_second_node_is_tried_and_compared_and_names_its_own_section(node: StandIn, tmp_path: Path) -> None:
    user = {"user": USER, "password": PASSWORD}

    def beside(url: str) -> Config:
        also = [{"url": url, "front": user, "book": user}]
        return configured(tmp_path, node={"network": "regtest", "url": node.url, "front": user, "also": also})

    with StandIn() as other:
        tried_there = check_node.attempts(beside(other.url), InlineReactor())
        names = [what for what, attempt in tried_there if not cast(Coroutine[Any, Any, str], attempt).close()]
        assert "node 2 as book" in names
        assert "node 2 as payer" not in names
        says(check_node.together(beside(node.url), InlineReactor()), "on one chain, 0 blocks apart", ok=True)
        other.chain.grow()
        other.chain.blocks.pop(node.chain.tip.hash, None)  # made in the same second, both may have it
        says(check_node.together(beside(other.url), InlineReactor()), "another branch", other.url[7:])
        says(check_node.node(beside(other.url), "front", InlineReactor(), 1), "regtest at height", ok=True)
    says(check_node.node(beside(other.url), "book", InlineReactor(), 1), "is node.also[0].url right?")


def test_the_store_says_what_is_missing_and_what_is_open_to_all(tmp_path: Path) -> None:
    config = configured(tmp_path)
    says(check._store(configured(tmp_path / "data")), "`sluice run` makes it", ok=True)
    says(check._store(config), "server.key is missing")
    key(tmp_path, 0o604)
    says(check._store(config), "chmod o=")
    key(tmp_path, size=8)
    says(check._store(config), "backup")
    key(tmp_path)
    says(check._store(config), "server.key is there", ok=True)
    says(check._store(configured(Path("/proc/nothing/here"))), "cannot be written")


def test_databases_are_read_and_what_is_no_database_is_named(tmp_path: Path) -> None:
    config = configured(tmp_path)
    says(check._databases(config), "never ran", ok=True)
    for name in FILES:
        connect(tmp_path, name).close()
    says(check._databases(config), "shares.db, ledger.db, inbox.db", ok=True)
    (tmp_path / "inbox.db").write_bytes(b"no database at all, and long enough to be told from one")
    says(check._databases(config), "inbox.db: cannot be read", "backup")


def test_a_database_of_a_newer_release_asks_for_an_update(tmp_path: Path) -> None:
    connect(tmp_path, "ledger").close()
    with sqlite3.connect(tmp_path / "ledger.db") as newer:
        newer.execute("PRAGMA user_version = 99")
    newer.close()
    says(check._databases(configured(tmp_path)), "ledger.db", "update sluice")


def test_a_free_port_is_free_and_is_let_go_of() -> None:
    reactor = REACTOR()
    says(check._port("tcp:3333", False, reactor), "tcp:3333 is free", ok=True)
    says(check._port("haproxy:tcp:3333", False, reactor), "haproxy:tcp:3333 is free", ok=True)


class _Taken(MemoryReactorClock):
    def listenTCP(self, port: int, *_: Any, **__: Any) -> Any:
        refused: Any = CannotListenError
        raise refused("127.0.0.1", port, OSError(98, "Address already in use"))


TAKEN: Any = _Taken


def test_a_port_that_somebody_has_says_so_unless_it_is_our_own_pool() -> None:
    says(check._port("tcp:3333", False, TAKEN()), "Address already in use", "choose another")
    says(check._port("tcp:3333", True, TAKEN()), "the pool is running", ok=True)


@pytest.mark.parametrize("text", ["tpc:3333", "tcp:many", "ssl:443:privateKey=/nowhere/at.all"])
def test_an_endpoint_string_that_cannot_be_used_is_shown_without_where_its_key_is(text: str) -> None:
    says(check._port(text, False, REACTOR()), text.partition(":privateKey")[0], "no usable endpoint")


def test_a_running_pool_is_known_by_its_roles_locks(tmp_path: Path) -> None:
    def whats(config: Config) -> dict[str, str]:
        attempts = check._attempts(config, REACTOR())
        found = {what: tried(attempt).says for what, attempt in attempts if what.endswith("port")}
        for _, attempt in attempts:
            attempt.close()  # type: ignore[attr-defined]
        return found

    config = configured(tmp_path)
    assert "is free" in whats(config)["stratum port"]
    with sole_role(tmp_path, "front-0"):
        assert "the pool is running" in whats(config)["stratum port"]
        assert "is free" in whats(config)["site's port"]


def test_a_port_that_any_front_of_the_pool_has_is_the_pools_own(tmp_path: Path) -> None:
    config = configured(tmp_path)
    config = config.model_copy(update={"stratum": config.stratum.model_copy(update={"processes": 3})})
    with sole_role(tmp_path, "front-2"):
        found = dict(check._attempts(config, REACTOR()))
        says(found.pop("stratum port"), "the pool is running", ok=True)
    for attempt in found.values():
        attempt.close()  # type: ignore[attr-defined]


def test_more_fronts_than_cores_are_said_to_be_too_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1})
    config = configured(tmp_path)
    says(check._fronts(config), "one process, front id 0", ok=True)
    for processes, ok in ((2, True), (3, False)):
        part = config.stratum.model_copy(update={"processes": processes})
        many = config.model_copy(update={"stratum": part})
        says(check._fronts(many), f"front ids 0 to {processes - 1}, on 2 cores", ok=ok)


def test_a_pool_without_lightning_is_in_order(tmp_path: Path) -> None:
    says(check._lightning(configured(tmp_path), InlineReactor()), "on-chain only", ok=True)


@attrs.frozen
class Node:
    """A Lightning node that answers what is asked of it."""

    chain_is: str | None

    async def network(self) -> str:
        return "regtest"

    async def node_id(self) -> str:
        return "02" + "ab" * 32

    async def behind(self) -> str | None:
        return self.chain_is

    async def outbound(self) -> Msat:
        return Msat(5_000_000)


def test_a_lightning_node_that_does_not_know_the_present_chain_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = configured(tmp_path, lightning={"user": "u", "password": "p"})
    for chain_is in (None, "LND is not synced to the chain yet"):
        monkeypatch.setattr(check, "lightning_node", lambda *_, chain_is=chain_is: Node(chain_is))
        words = "can send 5000 sat" if chain_is is None else "not synced to the chain yet: payments fail"
        says(check._lightning(config, InlineReactor()), words, ok=chain_is is None)


def test_what_may_leave_is_told_and_nothing_that_bounds_it_is_not_in_order(tmp_path: Path) -> None:
    lightning = {"user": "u", "password": "p"}
    says(check._limits(configured(tmp_path, lightning=lightning)), "all up to 20,000,000 sat a day", ok=True)
    open_wide = {"day_sat": "unlimited", "account_day_sat": "unlimited"}
    config = configured(tmp_path, lightning=lightning, payouts=open_wide)
    says(check._limits(config), "any sum", "set payouts.day_sat")
    says(check._limits(configured(tmp_path)), "no [lightning] section", ok=True)


def test_what_cannot_be_tried_at_all_is_a_result_and_ends_nothing() -> None:
    async def bug() -> str:
        raise KeyError("surprise")

    says(bug(), "could not be tried", "KeyError")


def test_the_fault_inside_what_twisted_wraps_is_told_in_plain_words() -> None:
    class Wrapped(Exception):
        reasons: Any = ()

    inner = Exception([("SSL routines", "", "certificate verify failed")])
    outer = Wrapped()
    outer.reasons = [type("Failure", (), {"value": inner})]
    assert check._innermost(outer) == "certificate verify failed"
    assert check._innermost(OSError(111, "Connection refused")) == "[Errno 111] Connection refused"


def test_the_command_tries_everything_and_exits_1_when_something_fails(node: StandIn, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, socket.create_server(("127.0.0.1", 0)) as freed:
        port, free = taken.getsockname()[1], freed.getsockname()[1]
        freed.close()
        config = tmp_path / "sluice.toml"
        login = f'{{ user = "{USER}", password = "{PASSWORD}" }}'
        config.write_text(
            f'[node]\nnetwork = "regtest"\nurl = "{node.url}"\nfront = {login}\nbook = {login}\n'
            f'[stratum]\nlisten = ["tcp:{port}:interface=127.0.0.1"]\n'
            f'[web]\nlisten = ["tcp:{free}:interface=127.0.0.1"]\npublic_url = "https://pool.invalid"\n',
            encoding="utf-8",
        )
        done = subprocess.run(
            [sys.executable, "-m", "pool", "check", "--json", "--config", config],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            env={**os.environ, "PYTHONWARNINGS": "ignore"},
        )
    assert done.returncode == 1
    assert done.stderr == ""
    results = {result["what"]: result["ok"] for result in json.loads(done.stdout)}
    assert results == {
        "store": True,
        "databases": True,
        "node as front": True,
        "node as book": True,
        "node as payer": False,
        "node's work": True,
        "wallet": False,
        "treasury": True,
        "coinbase": True,
        "lightning": True,
        "lightning credential": True,
        "lightning limits": True,
        "stratum port": False,
        "site's port": True,
        "fronts": True,
        "public URL": True,
        "rewards": True,
        "early credit": True,
    }
    assert not (tmp_path / "data").exists()
