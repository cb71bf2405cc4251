"""Which network addresses are on the open internet, and may be connected to at a stranger's word.

What is no public address of a single host is refused: private, loopback, link-local and shared space,
multicast, documentation, and every form that carries an IPv4 address inside an IPv6 one, since those lead
where the inner address does.  The lists are IANA's special-purpose registries (RFC 6890).
"""

from __future__ import annotations

from ipaddress import AddressValueError, IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final

_SPECIAL_V4: Final = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",
        "100.64.0.0/10",  # shared by carriers (RFC 6598)
        "127.0.0.0/8",
        "169.254.0.0/16",  # link-local; clouds answer questions about themselves here
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",
        "192.175.48.0/24",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
    )
)
_UNICAST_V6: Final = IPv6Network("2000::/3")
"""The only IPv6 space that is given out; mapped, NAT64, unique-local and link-local addresses lie outside."""
_SPECIAL_V6: Final = tuple(
    IPv6Network(text)
    for text in (
        "2001::/23",  # protocol assignments: Teredo, ORCHID, benchmarks
        "2001:db8::/32",
        "2002::/16",  # 6to4
        "2620:4f:8000::/48",
        "3fff::/20",
    )
)


def is_public(text: str) -> bool:
    """Whether a numeric address is a public one of a single host.

    Args:
        text: as a resolver gives it; one with a zone (``%eth0``) is never public.
    """
    try:
        if ":" in text:
            six = IPv6Address(text)
            inside = six in _UNICAST_V6 and six.scope_id is None
            return inside and not any(six in special for special in _SPECIAL_V6)
        four = IPv4Address(text)
    except AddressValueError:
        return False
    return not any(four in special for special in _SPECIAL_V4)


def is_numeric(host: str) -> bool:
    """Whether a URL's host is a number, in any spelling that a resolver takes (``0x7f.1``, ``2130706433``).

    Such a host names nobody: a Lightning Address and its service have a name.
    """
    if ":" in host:
        return True
    last = host.rstrip(".").rpartition(".")[2].lower()
    return last.isdecimal() or (last.startswith("0x") and all(c in "0123456789abcdef" for c in last[2:]))
