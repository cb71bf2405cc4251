"""The site tells every port where miners reach it, whatever stands in the configuration for it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from pool.config import parse
from pool.errors import ConfigError
from pool.web.miner_ports import MinerPort, miner_ports


def ports(
    listen: list[str], *more: dict[str, Any], host: str = "https://mine.example"
) -> tuple[MinerPort, ...]:
    document = {"stratum": {"listen": listen, "port": list(more)}, "web": {"public_url": host}}
    return miner_ports(parse(document, "test"))


@pytest.mark.parametrize(
    ("endpoint", "url"),
    [
        ("tcp:3333", "stratum+tcp://mine.example:3333"),
        ("tcp6:3333:interface=\\:\\:", "stratum+tcp://mine.example:3333"),
        ("tcp:port=3334", "stratum+tcp://mine.example:3334"),
        ("tcp:interface=0.0.0.0:port=3334", "stratum+tcp://mine.example:3334"),
        ("ssl:3335:privateKey=key.pem", "stratum+ssl://mine.example:3335"),
        ("ssl:interface=0.0.0.0:port=3336:privateKey=k", "stratum+ssl://mine.example:3336"),
        ("haproxy:tcp:3337", "stratum+tcp://mine.example:3337"),
        ("haproxy:ssl:3338:privateKey=k", "stratum+ssl://mine.example:3338"),
    ],
)
def test_the_url_comes_from_the_site_s_host_and_the_endpoint(endpoint: str, url: str) -> None:
    (port,) = ports([endpoint])
    assert port.url == url
    assert port.tls is url.startswith("stratum+ssl")


def test_a_port_has_its_own_difficulties_and_the_others_the_pool_s() -> None:
    rental = {"endpoint": "tcp:3334", "start_difficulty": 500_000, "vardiff": False, "purpose": "for rentals"}
    usual, rented = ports(["tcp:3333"], rental)
    assert usual == MinerPort(
        "stratum+tcp://mine.example:3333", Decimal(10_000), Decimal("0.001"), vardiff=True, purpose=""
    )
    assert rented == MinerPort(
        "stratum+tcp://mine.example:3334",
        Decimal(500_000),
        Decimal("0.001"),
        vardiff=False,
        purpose="for rentals",
    )


def test_behind_a_proxy_the_operator_says_where_a_port_is_reached() -> None:
    behind = {"endpoint": "haproxy:tcp:9000", "public_url": "stratum+ssl://[2001:db8::1]:443"}
    assert [port.url for port in ports([], behind)] == ["stratum+ssl://[2001:db8::1]:443"]


def test_what_cannot_be_named_is_left_out_and_what_is_one_for_miners_is_shown_once() -> None:
    assert [port.url for port in ports(["tcp:3333", "tcp6:3333", "unix:/run/pool"])] == [
        "stratum+tcp://mine.example:3333"
    ]
    assert [port.url for port in ports(["unix:/run/pool"], host="https://[2001:db8::1]")] == [
        "stratum+tcp://[2001:db8::1]:3333"
    ]


@pytest.mark.parametrize(
    "url",
    [
        "http://mine.example:1",
        "stratum+tcp://mine.example",
        "stratum+tcp://u:p@mine.example:1",
        "mine.example:1",
    ],
)
def test_a_public_url_that_no_miner_could_use_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match=r"stratum\.port\.0\.public_url"):
        ports([], {"endpoint": "tcp:1", "public_url": url})
