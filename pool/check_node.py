"""``sluice check``'s part on nodes: each role's rights, whether there is work, and whether nodes agree."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from pool.chain.bitcoind import BitcoindNode, rpc_for_role
from pool.chain.networks import RULES
from pool.chain.node import ChainRefused, ChainUnavailable, WrongCredentials
from pool.chain.rpc import Rpc
from pool.config import Config, NodeLink
from pool.errors import ChainError, ConfigError
from pool.pots import pays_for_fees
from pool.rewards.fpps import FEE_BLOCKS


def attempts(config: Config, reactor: Any) -> list[tuple[str, Awaitable[str]]]:
    """What is tried: a name for each, and what says what was seen or raises PoolError with the mend."""
    links = config.node.links()
    names = [f"node {number}" if len(links) > 1 else "node" for number in range(1, len(links) + 1)]
    tried: list[tuple[str, Awaitable[str]]] = []
    for number, name in enumerate(names):
        # the wallet is on the first one only
        roles = ("front", "book", "payer") if number == 0 else ("front", "book")
        tried += [(f"{name} as {role}", node(config, role, reactor, number)) for role in roles]
        tried.append((f"{name}'s work", work(config, reactor, number)))
        if pays_for_fees(config):
            tried.append((f"{name}'s fees", fees(config, reactor, number)))
    if len(links) > 1:
        tried.append(("nodes together", together(config, reactor)))
    return tried


def _section(config: Config, number: int) -> tuple[NodeLink, str]:
    return config.node.links()[number], "node" if number == 0 else f"node.also[{number - 1}]"


def _rpc(config: Config, role: str, reactor: Any, number: int) -> Rpc:
    link, where = _section(config, number)
    return rpc_for_role(link, role, reactor, where)


async def node(config: Config, role: str, reactor: Any, number: int = 0) -> str:
    """Ask one node as one role.

    Raises:
        PoolError: it does not answer, is not the right one, or lets the role do too much.
    """
    link, where = _section(config, number)
    rpc = rpc_for_role(link, role, reactor, where)
    try:
        info = await BitcoindNode(rpc).chain_info()
    except WrongCredentials as error:
        raise ConfigError(f"{error}: docs/operations.md has the lines for bitcoin.conf") from None
    except ChainUnavailable as error:
        raise ConfigError(f"{error}: does it run, and is {where}.url right?") from None
    rules = RULES[config.node.network]
    if info.chain != rules.chain:
        raise ConfigError(
            f"the node is on {info.chain}, node.network says {config.node.network}: mend one of them"
        )
    if info.syncing and not rules.quiet:
        raise ConfigError(
            f"the node is still downloading the chain (height {info.height}): wait until it is done"
        )
    own_user = getattr(link, role) is not None
    if own_user and role != "payer" and await _may_use_wallets(rpc):
        raise ConfigError(f"the {role}'s user may call wallets: give it an rpcwhitelist (docs/operations.md)")
    return f"{info.chain} at height {info.height}" + ("" if own_user else ", with the node's cookie")


async def _may_use_wallets(rpc: Rpc) -> bool:
    try:
        await rpc.call("listwallets")
    except WrongCredentials:
        return False
    except ChainRefused:  # a node that was built or started without wallets
        return False
    return True


async def work(config: Config, reactor: Any, number: int = 0) -> str:
    """Ask for a template as a front does, and for news of blocks.

    Raises:
        PoolError: there is no template that can be mined on.
    """
    link, _ = _section(config, number)
    mined = BitcoindNode(_rpc(config, "front", reactor, number), RULES[config.node.network], link.zmq)
    try:
        template = await mined.template(None)
    except ChainError as error:
        raise ConfigError(f"no work is to be had: {error}") from None
    end = await mined.subscribe(lambda _: None)
    if end is not None:
        end()
    news = "and blocks are published" if end is not None else "but no blocks are published (zmqpubhashblock)"
    return f"a template of {len(template.transactions)} transactions at height {template.height}, {news}"


async def fees(config: Config, reactor: Any, number: int = 0) -> str:
    """Ask as the book for what FPPS is worked out from: the fees of the newest block and of the oldest.

    Raises:
        PoolError: it may not ask, or the node has not kept them.
    """
    asked = BitcoindNode(_rpc(config, "book", reactor, number))
    try:
        info = await asked.chain_info()
        newest = await asked.block_fees(info.best_hash)
        oldest = max(1, info.height + 1 - FEE_BLOCKS)
        if info.height > oldest:
            await asked.block_fees(await asked.hash_at(oldest))
    except WrongCredentials as error:
        raise ConfigError(f"{error}: docs/operations.md has the lines for bitcoin.conf") from None
    except ChainError as error:
        raise ConfigError(
            f'scheme = "fpps" needs the fees of the last {FEE_BLOCKS} blocks, and shares wait without them:'
            f" {error}"
        ) from None
    return f"the last {FEE_BLOCKS} blocks are there, the newest brought {newest.fees:,} sat"


async def together(config: Config, reactor: Any) -> str:
    """Whether all nodes are on the same chain.

    Raises:
        PoolError: one does not know the block of the one that is the furthest behind.
    """
    numbers = range(len(config.node.links()))
    nodes = [BitcoindNode(_rpc(config, "front", reactor, number)) for number in numbers]
    infos = [await each.chain_info() for each in nodes]
    lowest = min(infos, key=lambda info: info.height)
    for each, info in zip(nodes, infos, strict=True):
        header = await each.header(lowest.best_hash)
        if header is None or header.confirmations < 1:
            raise ConfigError(
                f"the node at {each.name} (height {info.height}) is on another branch than the one whose"
                f" tip is {lowest.best_hash}: `bitcoin-cli getchaintips` on both says more"
            )
    return f"all are on one chain, {max(info.height for info in infos) - lowest.height} blocks apart at most"
