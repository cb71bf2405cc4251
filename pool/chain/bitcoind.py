"""The node port on a real bitcoind, and the same calls as the payout engine's wallet adapter wants them."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Thread
from typing import Any

from twisted.internet.defer import Deferred, execute
from twisted.internet.interfaces import IReactorThreads

from payouts import errors as payout_errors
from pool.chain import block, template
from pool.chain.node import (
    Accepted,
    ChainInfo,
    ChainRefused,
    ChainUnavailable,
    CoinbaseOutput,
    HeaderInfo,
    Refused,
    SubmitResult,
    Unanswered,
)
from pool.chain.rpc import CookieFile, Rpc, UserPassword
from pool.chain.template import Template
from pool.config import NodeConfig, NodeLink
from pool.errors import ChainError, ConfigError
from stratum.units import Height

SUBMIT_TIMEOUT_S = 120.0
LONGPOLL_TIMEOUT_S = (
    900.0  # the node answers about once a minute while transactions come; a dead peer never does
)
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
    for number, rpc in enumerate(rpcs):
        if rpc.name in [other.name for other in rpcs[:number]]:
            raise ConfigError(f"{where[number]}.url: {rpc.name} is there already: each node is named once")
    return rpcs


def wallet_call(rpc: Rpc) -> Callable[..., Awaitable[Any]]:
    """The same calls for the payout engine, which knows no pool: ``call(method, *params, wallet=None)``.

    It raises payouts.errors.RpcRefused(code, message) when the node said no, and
    payouts.errors.NodeUnavailable for everything else.
    """

    async def call(method: str, *params: Any, wallet: str | None = None) -> Any:
        try:
            return await rpc.call(method, *params, wallet=wallet)
        except ChainRefused as error:
            raise payout_errors.RpcRefused(error.code, error.message) from None
        except ChainError as error:
            raise payout_errors.NodeUnavailable(str(error)) from None

    return call


class BitcoindNode:
    """pool.chain.node.Node on a bitcoind."""

    def __init__(self, rpc: Rpc) -> None:
        self._rpc = rpc
        self._longpoll: http.client.HTTPConnection | None = None

    @property
    def name(self) -> str:
        """``host:port``."""
        return self._rpc.name

    async def template(self, longpoll_id: str | None) -> Template:
        """See Node.  A longpoll has a daemon thread of its own: one of the pool would hold up its stop."""
        if longpoll_id is None:
            return await self._rpc.in_thread(self._ask_template)
        answer: Deferred[Template] = Deferred()
        connection = self._longpoll = self._rpc.connection(LONGPOLL_TIMEOUT_S)

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
        """Hang up a waiting longpoll; its thread ends soon after."""
        link = self._longpoll.sock if self._longpoll is not None else None
        if link is not None:
            with suppress(OSError):  # it may have ended by itself in the meantime
                # closing it would not wake the thread that reads
                link.shutdown(socket.SHUT_RDWR)

    def _ask_template(
        self, longpoll_id: str | None = None, connection: http.client.HTTPConnection | None = None
    ) -> Template:
        request: dict[str, Any] = dict(template.REQUEST)
        timeout_s = None
        if longpoll_id is not None:
            request["longpollid"] = longpoll_id
            timeout_s = LONGPOLL_TIMEOUT_S
        answer = self._rpc.ask("getblocktemplate", request, timeout_s=timeout_s, connection=connection)
        return template.parse(answer)

    async def submit(self, block_hex: str) -> SubmitResult:
        """See Node: null and ``duplicate`` (we had submitted it before) both mean that the node has it."""
        try:
            word = await self._rpc.call("submitblock", block_hex, timeout_s=SUBMIT_TIMEOUT_S)
        except ChainRefused as error:
            return Refused(error.message)
        except ChainError as error:
            return Unanswered(str(error))
        return Accepted() if word in (None, "duplicate") else Refused(str(word))

    async def header(self, block_hash: str) -> HeaderInfo | None:
        """See Node."""
        try:
            answer = await self._rpc.call("getblockheader", block_hash)
        except ChainRefused as error:
            if error.code == _UNKNOWN_BLOCK:
                return None
            raise
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

    async def tip(self) -> str:
        """See Node."""
        answer = await self._rpc.call("getbestblockhash")
        with _reading("getbestblockhash"):
            return bytes.fromhex(answer).hex()

    async def chain_info(self) -> ChainInfo:
        """See Node."""
        answer = await self._rpc.call("getblockchaininfo")
        with _reading("getblockchaininfo"):
            return ChainInfo(
                chain=str(answer["chain"]),
                height=Height(int(answer["blocks"])),
                best_hash=str(answer["bestblockhash"]),
                headers=int(answer["headers"]),
                syncing=bool(answer["initialblockdownload"]),
                work=int(answer.get("chainwork", "0"), 16),
            )


@contextmanager
def _reading(method: str) -> Iterator[None]:
    """Turn what a surprising answer raises into ChainUnavailable."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError):
        raise ChainUnavailable(f"the node answered {method} with something else than it documents") from None
