"""No address that leads into our own network, or to nobody in particular, counts as public."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payouts.addresses import is_numeric, is_public

NOT_PUBLIC = [
    "127.0.0.1",
    "10.1.2.3",
    "172.31.255.255",
    "192.168.0.1",
    "169.254.169.254",
    "100.64.0.1",
    "0.0.0.0",  # noqa: S104 - nothing listens there
    "224.0.0.1",
    "255.255.255.255",
    "240.0.0.1",
    "198.18.0.1",
    "192.88.99.1",
    "203.0.113.9",
    "::1",
    "::",
    "fe80::1",
    "fe80::1%eth0",
    "2606:4700::1111%eth0",
    "fc00::1",
    "fd12:3456::1",
    "ff02::1",
    "::ffff:127.0.0.1",
    "::ffff:8.8.8.8",
    "::127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b:1::1",
    "2002:7f00:1::",
    "2002:808:808::1",
    "2001::1",
    "2001:db8::1",
    "3fff::1",
    "100::1",
    "fec0::1",
    "",
    "localhost",
    "127.1",
    "0x7f000001",
    "2130706433",
    "010.0.0.1",
    "8.8.8.8 ",
    "8.8.8.8:443",
    "[::1]",
]


@pytest.mark.parametrize("text", NOT_PUBLIC)
def test_it_is_not_public(text: str) -> None:
    assert not is_public(text)


@pytest.mark.parametrize("text", ["8.8.8.8", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "2a00:1450::1"])
def test_it_is_public(text: str) -> None:
    assert is_public(text)


@given(st.integers(0, 2**32 - 1).map(IPv4Address))
def test_no_ipv4_address_becomes_public_by_being_wrapped_into_ipv6(inner: IPv4Address) -> None:
    number = int(inner)
    for wrapped in (
        number,
        0xFFFF << 32 | number,
        0x64FF9B << 96 | number,
        0x2002 << 112 | number << 80,
        0x20010000 << 96 | (number ^ 0xFFFFFFFF),
    ):
        assert not is_public(str(IPv6Address(wrapped)))


@given(st.ip_addresses())
def test_whatever_python_calls_special_is_not_public(address: IPv4Address | IPv6Address) -> None:
    special = address.is_private or address.is_loopback or address.is_link_local or address.is_multicast
    if special or address.is_reserved or address.is_unspecified:
        assert not is_public(str(address))


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "0x7f.1", "2130706433", "0X7F000001", "1.2.3.4.", "::1", "10.0x1"]
)
def test_a_number_in_any_spelling_is_no_name(host: str) -> None:
    assert is_numeric(host)


@pytest.mark.parametrize("host", ["example.com", "1.example", "0xbeef.cafe.example", "a.b"])
def test_a_name_is_no_number(host: str) -> None:
    assert not is_numeric(host)
