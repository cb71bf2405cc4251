"""``sluice check``: everything that the configuration names is tried, and each failure says what to do."""

from __future__ import annotations

import os
import re
from collections.abc import Awaitable
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import attrs
import treq
from treq.client import HTTPClient
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import Factory
from twisted.web.client import Agent

from payouts.errors import PayoutError
from payouts.money import floor_sat
from pool import check_coinbase, check_early, check_node, check_treasury, fronts
from pool.chain.bitcoind import BitcoindNode, rpc_for_role
from pool.chain.node import ChainUnavailable
from pool.config import Config
from pool.errors import PoolError, StoreError
from pool.lightning import CREDENTIALS, credential_objection, lightning_node
from pool.payable import limits_in_words
from pool.pots import declared_reserve, policies_of, warnings
from pool.reserve import reserve_of
from pool.store.database import FILES, connect_to_read, schema_number
from pool.store.operator import is_running
from pool.store.queries import Queries
from stratum import proxy

HTTP_TIMEOUT_S: Final = 10
KEY_BYTES: Final = 32


@attrs.frozen
class Result:
    """One thing that was tried.  Attributes: what, is it in order, and what was seen or what to do."""

    what: str
    ok: bool
    says: str


class _Wrong(Exception):
    """Something is not in order; the text says what to do."""


def run(config: Config) -> list[Result]:
    """Try everything, one after the other."""
    from twisted.internet import reactor  # noqa: PLC0415, TID251 -- a command's entry takes the real one

    results: list[Result] = []

    async def try_all() -> None:
        for what, attempt in _attempts(config, reactor):
            results.append(await _tried(what, attempt))

    def begin() -> None:
        Deferred.fromCoroutine(try_all()).addBoth(_ended, results, reactor)

    reactor.callWhenRunning(begin)
    reactor.run()
    return results


def _attempts(config: Config, reactor: Any) -> list[tuple[str, Awaitable[str]]]:
    directory = config.store.directory
    serving = is_running(directory, "web")
    mining = any(is_running(directory, lock) for lock in fronts.locks(config).values())
    listens = [("stratum port", port.endpoint, mining) for _, port in config.stratum.ports()]
    listens += [("site's port", text, serving) for text in config.web.listen]
    return [
        ("store", _store(config)),
        ("databases", _databases(config)),
        *check_node.attempts(config, reactor),
        ("wallet", _wallet(config, reactor)),
        ("treasury", check_treasury.treasury(config)),
        ("coinbase", check_coinbase.coinbase(config)),
        ("lightning", _lightning(config, reactor)),
        ("lightning credential", _lightning_credential(config, reactor)),
        ("lightning limits", _limits(config)),
        *((what, _port(text, running, reactor)) for what, text, running in listens),
        ("fronts", _fronts(config)),
        ("public URL", _public_url(config.web.public_url, serving, reactor)),
        ("rewards", _rewards(config, reactor)),
        ("early credit", check_early.early_credit(config)),
    ]


def _ended(outcome: Any, results: list[Result], reactor: Any) -> None:
    if outcome is not None:
        results.append(Result("check itself", ok=False, says=outcome.getErrorMessage()))
    reactor.stop()


async def _tried(what: str, attempt: Awaitable[str]) -> Result:
    try:
        return Result(what, ok=True, says=await attempt)
    except (_Wrong, PoolError, PayoutError) as error:
        return Result(what, ok=False, says=str(error))
    except Exception as error:  # noqa: BLE001 -- the other things shall be tried all the same
        return Result(what, ok=False, says=f"could not be tried: {type(error).__name__}: {error}")


async def _store(config: Config) -> str:
    directory = config.store.directory
    if not directory.exists() and os.access(directory.parent, os.W_OK | os.X_OK):
        return f"{directory} is not there yet: `sluice run` makes it"
    if not os.access(directory, os.W_OK | os.X_OK):
        raise _Wrong(
            f"{directory} cannot be written by this user: give it to the pool's user, or name another"
            " [store] directory"
        )
    key = directory / "server.key"
    if not key.exists():
        raise _Wrong(
            f"{key} is missing: `sluice run` makes a new one (links made with an old one stop working)"
        )
    if key.stat().st_mode & 0o007:
        raise _Wrong(f"{key} can be read by everyone: chmod o= {key}")
    if key.stat().st_size < KEY_BYTES:
        raise _Wrong(f"{key} is shorter than {KEY_BYTES} bytes: restore it from its backup")
    return f"{directory} is writable, {key.name} is there"


async def _databases(config: Config) -> str:
    directory = config.store.directory
    versions = {name: _version(directory, name) for name in FILES if (directory / f"{name}.db").exists()}
    for name, version in versions.items():
        if version > len(FILES[name]):
            raise _Wrong(
                f"{directory / name}.db was written by a newer release (schema {version}): update sluice"
            )
    if not versions:
        return "none yet: the pool never ran"
    return ", ".join(f"{name}.db" for name in versions) + " can be read"


async def _rewards(config: Config, reactor: Any) -> str:
    found = [f"{pot}: {policy.text}" for pot, policy in policies_of(config).items()]
    if declared_reserve(config) is not None:
        found.append(await _reserve(config, reactor))
    return "; ".join([*found, *warnings(config)])


async def _reserve(config: Config, reactor: Any) -> str:
    try:
        info = await BitcoindNode(rpc_for_role(config.node, "book", reactor)).chain_info()
    except ChainUnavailable:
        return "the odds that the reserve is ever used up are told once the node answers"
    queries = Queries(config.store.directory)
    with closing(queries):
        reserve = reserve_of(config, queries.ledger_balances(), info.height, queries.newest_rate())
    if reserve is None or reserve.left <= 0:
        raise _Wrong("the reserve that shares are paid from is used up: declare more, or change the scheme")
    return f"the reserve of {reserve.words()}"


def _version(directory: Path, name: str) -> int:
    try:
        with closing(connect_to_read(directory, name)) as connection:
            return schema_number(connection)
    except StoreError as error:
        raise _Wrong(
            f"{directory / name}.db: {error}: may this user read it? else restore it from its backup"
        ) from None


async def _wallet(config: Config, reactor: Any) -> str:
    rpc = rpc_for_role(config.node, "payer", reactor)
    wallet = config.onchain.wallet
    known = {entry["name"] for entry in (await rpc.call("listwalletdir"))["wallets"]}
    if wallet not in known:
        return f"{wallet} is not there yet: the payer makes it at its first start"
    return f"{wallet} is there" + (" and open" if wallet in await rpc.call("listwallets") else "")


async def _lightning(config: Config, reactor: Any) -> str:
    if config.lightning is None:
        return "no [lightning] section: the pool pays on-chain only"
    node = lightning_node(config.lightning, reactor)
    try:
        network, node_id, behind = await node.network(), await node.node_id(), await node.behind()
        outbound = floor_sat(await node.outbound())
    except PayoutError as error:
        raise _Wrong(
            f"{error}: does it run with what [lightning] says, and is its wallet open?"
            " (docs/lightning-nodes.md)"
        ) from None
    if network != config.node.network:
        raise _Wrong(
            f"the Lightning node is on {network}, node.network says {config.node.network}: mend one of them"
        )
    if behind is not None:
        raise _Wrong(f"{behind}: payments fail until it is; is the node's bitcoind, or its server, there?")
    if outbound < config.lightning.minimum_sat:
        raise _Wrong(f"the node can send {outbound} sat only: open a channel, or wait until its peer is back")
    return f"{config.lightning.kind} node {node_id[:16]}… on {network} can send {outbound} sat"


async def _limits(config: Config) -> str:
    """What can leave, and what bounds it: in order, unless nothing but the node's own balance does."""
    lightning, payouts = config.lightning, config.payouts
    if lightning is None:
        return "no [lightning] section"
    said = limits_in_words(lightning, payouts)
    if payouts.day_sat == "unlimited" and payouts.account_day_sat == "unlimited":
        raise _Wrong(f"{said}: whoever takes over the site empties the node: set payouts.day_sat")
    return said


async def _lightning_credential(config: Config, reactor: Any) -> str:
    """What the credential allows; more than paying takes is not in order, as with the node's RPC users."""
    if config.lightning is None:
        return "no [lightning] section"
    objection = await credential_objection(config.lightning, lightning_node(config.lightning, reactor))
    if objection is not None:
        raise _Wrong(objection)
    return CREDENTIALS[config.lightning.kind]


async def _fronts(config: Config) -> str:
    stratum, cores = config.stratum, len(os.sched_getaffinity(0))
    last = stratum.front_id + stratum.processes - 1
    if stratum.processes == 1:
        return f"one process, front id {stratum.front_id}"
    said = f"{stratum.processes} processes, front ids {stratum.front_id} to {last}"
    if stratum.processes > cores:
        raise _Wrong(f"{said}, on {cores} cores: set stratum.processes to {cores} or less")
    return f"{said}, on {cores} cores"


async def _port(description: str, running: bool, reactor: Any) -> str:  # noqa: FBT001 -- a fact, no switch
    where = description.partition(":privateKey")[0]
    if running:
        return f"{where}: the pool is running and has it"
    try:
        port = await proxy.endpoint(reactor, description).listen(Factory())
    except CannotListenError as error:
        raise _Wrong(f"{where}: {error.socketError}: stop what listens there, or choose another") from None
    except (ValueError, TypeError, OSError) as error:
        raise _Wrong(f"{where} is no usable endpoint: {error}") from None
    await maybeDeferred(port.stopListening)
    return f"{where} is free"


async def _public_url(url: str, running: bool, reactor: Any) -> str:  # noqa: FBT001 -- a fact, no switch
    if not running:
        return f"{url} is tried only while the pool runs"
    client = HTTPClient(Agent(reactor))
    try:
        answer = await client.get(f"{url.rstrip('/')}/healthz", timeout=HTTP_TIMEOUT_S)
        await treq.content(answer)
    except Exception as error:  # noqa: BLE001 -- treq raises whatever TLS, DNS and sockets do
        raise _Wrong(
            f"{url} is not reached from here ({_innermost(error)}): wallets need it, mend DNS, certificate"
            " or proxy"
        ) from None
    if answer.code != 200:
        raise _Wrong(f"{url}/healthz answers {answer.code}: does the proxy point at [web] listen?")
    return f"{url} answers"


def _innermost(error: Exception) -> str:
    """What Twisted has wrapped: the fault itself, in its own words."""
    reasons = getattr(error, "reasons", None)
    while reasons:
        error = reasons[0].value
        reasons = getattr(error, "reasons", None)
    words = str(error) or type(error).__name__
    found = re.search(r"'([a-z ]*(?:certificate|verify|version|handshake)[a-z ]*)'", words)  # OpenSSL's tuple
    return found.group(1) if found else words
