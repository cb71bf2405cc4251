"""The node port on a real bitcoind, and the same calls as the payout engine's wallet adapter wants them."""

from __future__ import annotations

import http.client
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Any

from twisted.internet.defer import Deferred, execute
from twisted.internet.interfaces import IReactorThreads

from payouts import errors as payout_errors
from payouts.money import Sat
from pool.chain import block, hashblock, rpc, template
from pool.chain.headers import Evidence
from pool.chain.networks import Rules
from pool.chain.node import (
    Accepted,
    BlockFees,
    ChainInfo,
    ChainRefused,
    ChainUnavailable,
    CoinbaseOutput,
    HeaderInfo,
    Refused,
    SubmitResult,
    Unanswered,
    WrongCredentials,
)
from pool.chain.rpc import CookieFile, Rpc, UserPassword
from pool.chain.submission import said_nothing_of, said_of_block
from pool.chain.template import Template
from pool.config import NodeConfig, NodeLink
from pool.errors import ChainError, ConfigError
from stratum.units import Height

SUBMIT_TIMEOUT_S = 120.0
LONGPOLL_TIMEOUT_S = (
    900.0  # the node answers about once a minute while transactions come; a dead peer never does
)
QUICK_TIMEOUT_S = 10.0
"""For questions that a node answers from its memory: one that needs longer hangs."""
_UNKNOWN_BLOCK = -5


def rpc_for_role(config: NodeLink, role: str, reactor: IReactorThreads, where: str = "node") -> Rpc:
    """A node of the configuration, with the rights of one role.

    Args:
        config: [node], which stands for its first node, or one of its ``also``.
        role: ``front``, ``book`` or ``payer``; without a user of its own, the node's cookie is used.
        reactor: the running one.
        where: the section's name, for errors.

    Raises:
        ConfigError: there is neither a user for the role nor a cookie file, or one cannot be used.
    """
    user = {"front": config.front, "book": config.book, "payer": config.payer}[role]
    if user is not None:
        return Rpc(config.url, UserPassword(role, user.user, user.password), reactor)
    if config.cookie_file is not None:
        return Rpc(config.url, CookieFile(config.cookie_file), reactor)
    raise ConfigError(f"{where}.{role}: name an RPC user for this role, or {where}.cookie_file")


def rpcs_for_role(config: NodeConfig, role: str, reactor: IReactorThreads) -> list[Rpc]:
    """All nodes of the configuration, the preferred one first, with the rights of one role.

    Whoever needs them all makes ``[BitcoindNode(rpc) for rpc in rpcs_for_role(…)]`` of it: a list of
    pool.chain.node.Node, each with a ``name`` of its own, which is how a found block goes to all of them
    and how two of them are compared.  The wallet is on the first one only (``rpc_for_role``).

    Raises:
        ConfigError: as rpc_for_role, or two nodes have the same host and port.
    """
    where = ["node", *(f"node.also[{number}]" for number in range(len(config.also)))]
    rpcs = [rpc_for_role(link, role, reactor, at) for link, at in zip(config.links(), where, strict=True)]
    for number, each in enumerate(rpcs):
        if each.name in [other.name for other in rpcs[:number]]:
            raise ConfigError(f"{where[number]}.url: {each.name} is there already: each node is named once")
    return rpcs


def wallet_call(calls: Rpc) -> Callable[..., Awaitable[Any]]:
    """The same calls for the payout engine, which knows no pool: ``call(method, *params, wallet=None)``.

    It raises payouts.errors.RpcRefused(code, message) when the node said no, and
    payouts.errors.NodeUnavailable for everything else.
    """

    async def call(method: str, *params: Any, wallet: str | None = None) -> Any:
        try:
            return await calls.call(method, *params, wallet=wallet)
        except ChainRefused as error:
            raise payout_errors.RpcRefused(error.code, error.message) from None
        except ChainError as error:
            raise payout_errors.NodeUnavailable(str(error)) from None

    return call


class BitcoindNode:
    """pool.chain.node.Node on a bitcoind."""

    def __init__(self, calls: Rpc, rules: Rules | None = None, zmq: str | None = None) -> None:
        """Connect to nothing yet.

        Args:
            calls: with the rights of the role that asks.
            rules: of the network, to check templates by.
            zmq: where it publishes hashblock; empty: nowhere; None: it is asked.
        """
        self._rpc = calls
        self._rules = rules
        self._zmq = zmq

    @property
    def name(self) -> str:
        """``host:port``."""
        return self._rpc.name

    async def template(self, longpoll_id: str | None) -> Template:
        """See Node.  A longpoll has a daemon thread of its own: one of the pool would hold up its stop.

        Cancelling it hangs up.
        """
        if longpoll_id is None:
            return await self._rpc.in_thread(self._ask_template)
        connection = self._rpc.connection(LONGPOLL_TIMEOUT_S)
        answer: Deferred[Template] = Deferred(lambda _: rpc.hang_up_on(connection))

        def deliver(result: Any) -> None:
            if not answer.called:  # nobody waits any more when it was cancelled
                answer.callback(result)

        def wait() -> None:
            # in a list: a failed Deferred that a stopped reactor never delivers would complain in the log
            outcome: list[Any] = []
            execute(self._ask_template, longpoll_id, connection).addBoth(outcome.append)
            self._rpc.reactor.callFromThread(deliver, outcome[0])

        Thread(target=wait, name="longpoll", daemon=True).start()
        return await answer

    def close(self) -> None:
        """Hang up a waiting longpoll and whatever else is waited for; their threads end soon after."""
        self._rpc.hang_up()

    def _ask_template(
        self, longpoll_id: str | None = None, connection: http.client.HTTPConnection | None = None
    ) -> Template:
        request: dict[str, Any] = dict(template.REQUEST)
        timeout_s = None
        if longpoll_id is not None:
            request["longpollid"] = longpoll_id
            timeout_s = LONGPOLL_TIMEOUT_S
        answer = self._rpc.ask("getblocktemplate", request, timeout_s=timeout_s, connection=connection)
        return template.parse(answer, self._rules)

    async def submit(self, block_hex: str) -> SubmitResult:
        """See Node: null and ``duplicate`` (we had submitted it before) both mean that the node has it."""
        try:
            word = await self._rpc.call("submitblock", bulk=block_hex, timeout_s=SUBMIT_TIMEOUT_S)
        except ChainError as error:
            return said_nothing_of(error)
        return said_of_block(word)

    async def propose(self, block_hex: str) -> SubmitResult:
        """See MiningNode: getblocktemplate's mode ``proposal`` (BIP 23)."""
        request = {**template.REQUEST, "mode": "proposal", "data": block_hex}
        try:
            word = await self._rpc.call("getblocktemplate", request)
        except ChainRefused as error:
            return Refused(error.message)
        except ChainError as error:
            return Unanswered(str(error))
        return Accepted() if word in (None, "duplicate") else Refused(str(word))

    async def _header(self, block_hash: str) -> Any:
        try:
            return await self._rpc.call("getblockheader", block_hash, timeout_s=QUICK_TIMEOUT_S)
        except ChainRefused as error:
            if error.code == _UNKNOWN_BLOCK:
                return None
            raise

    async def evidence(self, block_hash: str) -> Evidence | None:
        """See MiningNode."""
        answer = await self._header(block_hash)
        if answer is None:
            return None
        with _reading("getblockheader"):
            return header_evidence(answer)

    async def peers(self) -> int:
        """See MiningNode."""
        answer = await self._rpc.call("getnetworkinfo", timeout_s=QUICK_TIMEOUT_S)
        with _reading("getnetworkinfo"):
            return int(answer["connections"])

    async def subscribe(self, told: Callable[[str], None]) -> Callable[[], None] | None:
        """See MiningNode: over ZeroMQ, at the configured address, or where getzmqnotifications says."""
        address = self._zmq
        if address is None:
            try:
                answer = await self._rpc.call("getzmqnotifications", timeout_s=QUICK_TIMEOUT_S)
            except (WrongCredentials, ChainRefused):  # not among this user's calls, or not compiled in
                return None
            address = hashblock.address_among(answer, self.name.rpartition(":")[0])
        return hashblock.subscribe(address, told, self._rpc.reactor) if address else None

    async def header(self, block_hash: str) -> HeaderInfo | None:
        """See Node."""
        answer = await self._header(block_hash)
        if answer is None:
            return None
        with _reading("getblockheader"):
            if answer["hash"] != block_hash:
                raise ChainUnavailable(f"the node at {self.name} answered getblockheader with another one")
            return HeaderInfo(
                hash=str(answer["hash"]),
                height=Height(int(answer["height"])),
                confirmations=int(answer["confirmations"]),
                prev_hash=str(answer.get("previousblockhash", "")),
                time_s=int(answer["time"]),
            )

    async def block_outputs(self, block_hash: str) -> tuple[CoinbaseOutput, ...]:
        """See Node.  Read from the raw block: exact, and no decoding of all its transactions by the node."""
        answer = await self._rpc.call("getblock", block_hash, 0)
        with _reading("getblock"):
            raw = bytes.fromhex(answer)
        if block.block_hash(raw) != block_hash:
            raise ChainUnavailable(f"the node at {self.name} answered getblock with another block")
        return block.coinbase_outputs(raw)

    async def hash_at(self, height: int) -> str:
        """See BookNode."""
        answer = await self._rpc.call("getblockhash", height, timeout_s=QUICK_TIMEOUT_S)
        with _reading("getblockhash"):
            return bytes.fromhex(answer).hex()

    async def block_fees(self, block_hash: str) -> BlockFees:
        """See BookNode.  The node works it out from the block and what it spent: both must not be pruned."""
        header = await self.header(block_hash)
        if header is None:
            raise ChainUnavailable(f"the node at {self.name} does not know block {block_hash}")
        answer = await self._rpc.call("getblockstats", block_hash, ["blockhash", "height", "totalfee"])
        with _reading("getblockstats"):
            said = (answer["blockhash"], answer["height"], type(answer["totalfee"]))
            if said != (block_hash, header.height, int):
                raise ChainUnavailable(f"the node at {self.name} answered getblockstats with something else")
            return BlockFees(block_hash, header.height, header.prev_hash, Sat(answer["totalfee"]))

    async def tip(self) -> str:
        """See Node."""
        answer = await self._rpc.call("getbestblockhash", timeout_s=QUICK_TIMEOUT_S)
        with _reading("getbestblockhash"):
            return bytes.fromhex(answer).hex()

    async def chain_info(self) -> ChainInfo:
        """See Node."""
        answer = await self._rpc.call("getblockchaininfo", timeout_s=QUICK_TIMEOUT_S)
        with _reading("getblockchaininfo"):
            return ChainInfo(
                chain=str(answer["chain"]),
                height=Height(int(answer["blocks"])),
                best_hash=str(answer["bestblockhash"]),
                headers=int(answer["headers"]),
                syncing=bool(answer["initialblockdownload"]),
                work=int(answer.get("chainwork", "0"), 16),
            )


def header_evidence(answer: Any) -> Evidence:
    """The header in getblockheader's answer, its 80 bytes put together again.

    Raises:
        KeyError: or TypeError, ValueError, OverflowError: it is not what getblockheader documents.
    """
    nbits = int(answer["bits"], 16)
    prev_hash = str(answer.get("previousblockhash", "00" * 32))
    raw = (int(answer["version"]) & 0xFFFFFFFF).to_bytes(4, "little") + bytes.fromhex(prev_hash)[::-1]
    raw += bytes.fromhex(answer["merkleroot"])[::-1]
    raw += b"".join(int(part).to_bytes(4, "little") for part in (answer["time"], nbits, answer["nonce"]))
    return Evidence(
        hash=str(answer["hash"]),
        height=Height(int(answer["height"])),
        prev_hash=prev_hash,
        nbits=nbits,
        time_s=int(answer["time"]),
        median_s=int(answer["mediantime"]),
        said_work=int(answer["chainwork"], 16),
        raw=raw,
    )


@contextmanager
def _reading(method: str) -> Iterator[None]:
    """Turn what a surprising answer raises into ChainUnavailable."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        raise ChainUnavailable(f"the node answered {method} with something else than it documents") from None
