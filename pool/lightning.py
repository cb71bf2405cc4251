"""The Lightning node that ``[lightning]`` names, and whether its credentials can do more than they must."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Collection
from pathlib import Path
from typing import Any, assert_never
from urllib.parse import urlsplit

from OpenSSL.crypto import Error as TlsError
from treq.client import HTTPClient
from twisted.internet.abstract import isIPAddress
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.web.client import Agent, HTTPConnectionPool
from twisted.web.iweb import IAgentEndpointFactory
from zope.interface import implementer

from payouts.lightning import cln, lnd, macaroon, rune
from payouts.lightning.cln import ClnNode, ClnOptions
from payouts.lightning.electrum import ElectrumNode, ElectrumOptions
from payouts.lightning.http import NodeHttp
from payouts.lightning.lnd import LndNode, LndOptions
from payouts.lightning.phoenixd import PhoenixdNode, PhoenixdOptions
from payouts.lightning.reading import InspectableNode
from payouts.lightning.tls import Pinned
from pool.config import LightningConfig
from pool.errors import ConfigError

CONNECT_S = 10.0
MANUAL = "docs/lightning-nodes.md has the line that makes a narrow one"
CREDENTIALS = {
    "electrum": "Electrum has one user, who may do everything: keep no more in its wallet than you must",
    "lnd": "the macaroon allows what paying takes, and no more",
    "cln": "the rune allows what paying takes, and no more",
    "phoenixd": "phoenixd's password that pays may do everything: keep no more in it than you must",
}
"""What ``sluice check`` says of a credential that is in order."""


def lightning_node(config: LightningConfig, reactor: Any) -> InspectableNode:
    """The Lightning node of the configuration.

    Args:
        config: with its secrets.
        reactor: for connections and time-outs.

    Raises:
        ConfigError: a file that the section names cannot be used.
    """
    pay_timeout_s = config.pay_timeout_s
    match config.kind:
        case "electrum":
            user, password = config.user or "", config.password or ""
            options = ElectrumOptions(config.url, user, password, pay_timeout_s=pay_timeout_s)
            return ElectrumNode(HTTPClient(_agent(config, reactor)), reactor, options)
        case "lnd":
            binary = _macaroon(config)
            known = macaroon.read(binary)
            has_account = known is not None and known.has_account
            lnd_options = LndOptions(pay_timeout_s=pay_timeout_s, has_account=has_account)
            return LndNode(_http(config, reactor, {"Grpc-Metadata-macaroon": binary.hex()}), lnd_options)
        case "cln":
            headers = {"Rune": config.rune or ""}
            cln_options = ClnOptions(pay_timeout_s=pay_timeout_s)
            return ClnNode(_http(config, reactor, headers), reactor, cln_options)
        case "phoenixd":
            headers = {"Authorization": f"Basic {b64encode(f':{config.password}'.encode()).decode()}"}
            return PhoenixdNode(_http(config, reactor, headers), PhoenixdOptions(pay_timeout_s=pay_timeout_s))
        case _:
            assert_never(config.kind)


def _http(config: LightningConfig, reactor: Any, headers: dict[str, str]) -> NodeHttp:
    return NodeHttp(_agent(config, reactor), reactor, config.url, headers)


def _agent(config: LightningConfig, reactor: Any) -> Any:
    pool = HTTPConnectionPool(
        reactor, persistent=False
    )  # no payment ever meets a connection that is just closing
    if config.tls_cert is None and _is_numeric(config.url):
        return Agent.usingEndpointFactory(reactor, _AsItStands(reactor), pool)
    if config.tls_cert is None:
        return Agent(reactor, pool=pool, connectTimeout=CONNECT_S)
    try:
        pinned = Pinned(_read("tls_cert", config.tls_cert))
    except TlsError:
        raise ConfigError(f"lightning.tls_cert: {config.tls_cert} is no certificate in PEM form") from None
    return Agent(reactor, pinned, pool=pool, connectTimeout=CONNECT_S)


def _is_numeric(url: str) -> bool:
    """Whether a URL is plain http to an IPv4 address, as a node on this machine has it."""
    parts = urlsplit(url)
    return parts.scheme == "http" and isIPAddress(parts.hostname or "")


@implementer(IAgentEndpointFactory)
class _AsItStands:
    """Connects to an address in digits.  Twisted looks even that up, in a thread, a millisecond a call."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor

    def endpointForURI(self, uri: Any) -> TCP4ClientEndpoint:  # noqa: N802 - Twisted's spelling
        return TCP4ClientEndpoint(self._reactor, uri.host.decode(), uri.port, timeout=CONNECT_S)


def _macaroon(config: LightningConfig) -> bytes:
    assert config.macaroon_file is not None  # noqa: S101 - the configuration demands it of this kind
    return _read("macaroon_file", config.macaroon_file)


def _read(key: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"lightning.{key}: {path} cannot be read ({error.strerror})") from None


async def credential_objection(config: LightningConfig, node: InspectableNode) -> str | None:
    """What is wrong with the node's credential: it allows more than paying takes, or less.

    Args:
        config: names the credential.
        node: asked where only it can tell.

    Raises:
        NodeUnavailable: it was asked and does not answer.
        ConfigError: the credential's file cannot be read.
    """
    match config.kind:
        case "electrum":
            return None  # Electrum knows one user, who may do everything: keep no more in it than you must
        case "lnd":
            return _of_macaroon(macaroon.read(_macaroon(config)))
        case "cln":
            return _of_rune(rune.read(config.rune or ""))
        case "phoenixd":
            if isinstance(node, PhoenixdNode) and not await node.may_pay():
                return "this is http-password-limited-access, which cannot pay: take http-password"
            return None  # phoenixd has nothing between the two
        case _:
            assert_never(config.kind)


def _of_macaroon(read: macaroon.Macaroon | None) -> str | None:
    if read is None:
        return "lightning.macaroon_file is no macaroon of LND: it is the binary file, not its hex"
    if excess := read.excess(lnd.NEEDS):
        if read.has_account:
            return None  # the node itself keeps a budget for it
        return f"the macaroon can do more than it must ({_some(excess)}): {MANUAL}"
    if lacks := read.lacks(lnd.NEEDS):
        return f"the macaroon cannot do what it must ({_some(lacks)}): {MANUAL}"
    return None


def _of_rune(read: rune.Rune | None) -> str | None:
    if read is None:
        return "lightning.rune is no rune: it is the text that `lightning-cli createrune` calls rune"
    excess = read.excess(cln.NEEDS)
    if excess is None:
        return f"the rune can do anything at all: {MANUAL}"
    if excess:
        return f"the rune can do more than it must ({_some(excess)}): {MANUAL}"
    if lacks := read.lacks(cln.NEEDS):
        return f"the rune cannot do what it must ({_some(lacks)}): {MANUAL}"
    return None


def _some(names: Collection[str]) -> str:
    shown = sorted(names)
    return ", ".join(shown[:3]) + (f" and {len(shown) - 3} more" if len(shown) > 3 else "")
