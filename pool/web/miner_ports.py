"""Which ports miners are told of: where each is reached, what it is for, where difficulty starts there."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final
from urllib.parse import urlsplit

import attrs

from pool.config import Config, PortConfig, StratumConfig
from pool.pots import policies_of, pot_of
from pool.web.terms import policy_words
from pool.web.words import fee

_NUMBER: Final = re.compile(r"^(?:tcp[46]?|ssl):(\d+)|:port=(\d+)")
"""Twisted's endpoint strings begin ``kind:port`` or carry ``port=``."""
_USUAL: Final = 3333


@attrs.frozen
class MinerPort:
    """One port as the site shows it.

    Attributes:
        url: ``stratum+tcp://`` or ``stratum+ssl://``, host and port.
        start_difficulty: where most machines start.
        minimum_difficulty: the least that is given.
        vardiff: whether difficulty follows the machine from there.
        purpose: what it is for, in the operator's words; may be empty.
        terms: how its blocks are divided, where that is not as in the rest of the pool; else empty.
    """

    url: str
    start_difficulty: Decimal
    minimum_difficulty: Decimal
    vardiff: bool
    purpose: str
    terms: str = ""

    @property
    def tls(self) -> bool:
        """Whether the connection is encrypted."""
        return self.url.startswith("stratum+ssl:")


def miner_ports(config: Config) -> tuple[MinerPort, ...]:
    """Every port that can be named, the first ones first; never none.

    Where a port names no ``public_url``, miners are told the site's host and the port that it listens on.
    What has no number there (a Unix socket) is left out, and of ports with one URL the first is shown.
    """
    stratum = config.stratum
    host = urlsplit(config.web.public_url).hostname or "localhost"
    host = f"[{host}]" if ":" in host else host
    named = [(_url(host, port), port) for _, port in stratum.ports()]
    found: dict[str, MinerPort] = {}
    for url, port in named:
        if url is not None:
            found.setdefault(url, attrs.evolve(_port(url, port, stratum), terms=_terms(port, config)))
    if not found:
        plain = PortConfig(endpoint="")
        return (_port(f"stratum+tcp://{host}:{_USUAL}", plain, stratum),)
    return tuple(found.values())


def _terms(port: PortConfig, config: Config) -> str:
    if port.scheme is None:
        return ""
    policy = policies_of(config)[pot_of(port)]
    return f"{policy_words(policy)}; fee {fee(policy.fee_bps)}"


def _url(host: str, port: PortConfig) -> str | None:
    if port.public_url is not None:
        return port.public_url
    endpoint = port.endpoint.removeprefix("haproxy:")
    number = _NUMBER.search(endpoint)
    if number is None:
        return None
    scheme = "stratum+ssl" if endpoint.startswith("ssl:") else "stratum+tcp"
    return f"{scheme}://{host}:{number[1] or number[2]}"


def _port(url: str, port: PortConfig, usual: StratumConfig) -> MinerPort:
    return MinerPort(
        url=url,
        start_difficulty=usual.start_difficulty if port.start_difficulty is None else port.start_difficulty,
        minimum_difficulty=(
            usual.minimum_difficulty if port.minimum_difficulty is None else port.minimum_difficulty
        ),
        vardiff=usual.vardiff if port.vardiff is None else port.vardiff,
        purpose=port.purpose,
    )
