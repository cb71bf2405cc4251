"""The PROXY protocol's header, versions 1 and 2: who is behind a proxy (haproxy.org, proxy-protocol.txt)."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import Final

import attrs

MOST_V1_BYTES: Final = 107
_V1: Final = b"PROXY "
_V2: Final = b"\r\n\r\n\x00\r\nQUIT\n"
_V2_FIXED_BYTES: Final = 16
_STREAM: Final = 1
_LOCAL: Final = 0
_ADDRESS_BYTES: Final = {0: 0, 1: 12, 2: 36, 3: 216}
"""By family: none, IPv4, IPv6, Unix; two addresses each, with ports where there are any."""


@attrs.frozen
class Source:
    """Where the miner's connection to the proxy comes from.  Attributes: IP address as text, port."""

    host: str
    port: int


@attrs.frozen
class Header:
    """A whole header.

    Attributes:
        size: its bytes; what follows them is the miner's.
        source: None when the proxy speaks for itself (a health check) or does not tell an IP address.
    """

    size: int
    source: Source | None


@attrs.frozen
class Wrong:
    """No header.  Attributes: the reason, for the operator's log; nothing of what the peer sent is in it."""

    reason: str


def read(data: bytes | bytearray) -> Header | Wrong | None:
    """Read the header at the beginning of a connection, at most 107 bytes (version 1) or 65,551 (version 2).

    Args:
        data: everything that came so far.

    Returns:
        None while there is more to come.
    """
    if data.startswith(_V2):
        return _read_v2(data)
    if data.startswith(_V1):
        return _read_v1(data)
    if any(signature.startswith(data) for signature in (_V1, _V2)):
        return None
    return Wrong("it does not begin with a PROXY header")


def _read_v1(data: bytes | bytearray) -> Header | Wrong | None:
    end = data.find(b"\r\n", 0, MOST_V1_BYTES)
    if end < 0:
        return Wrong("the header is too long") if len(data) >= MOST_V1_BYTES else None
    words = bytes(data[len(_V1) : end]).split(b" ")
    size = end + 2
    if words[0] == b"UNKNOWN":  # whatever follows is to be passed over
        return Header(size, None)
    try:
        family, source, destination, source_port, destination_port = words
        kind = {b"TCP4": IPv4Address, b"TCP6": IPv6Address}[family]
        kind(destination.decode("ascii"))
        _port(destination_port)
        return Header(size, Source(str(kind(source.decode("ascii"))), _port(source_port)))
    except (ValueError, KeyError):
        return Wrong("the header cannot be read")


def _port(word: bytes) -> int:
    """A port in decimal.

    Raises:
        ValueError: it is none.
    """
    if not word.isdigit() or len(word) > 5 or int(word) > 0xFFFF:
        raise ValueError("no port")
    return int(word)


def _read_v2(data: bytes | bytearray) -> Header | Wrong | None:
    if len(data) < _V2_FIXED_BYTES:
        return None
    version, command = divmod(data[12], 16)
    family, transport = divmod(data[13], 16)
    length = int.from_bytes(data[14:16], "big")
    if version != 2 or command > 1 or family not in _ADDRESS_BYTES or transport > 2:
        return Wrong("the header is of a version or kind that is not known")
    if command != _LOCAL and length < _ADDRESS_BYTES[family]:
        return Wrong("the header is too short for its addresses")
    size = _V2_FIXED_BYTES + length
    if len(data) < size:
        return None
    # what follows the addresses (TLVs) is passed over
    told = command != _LOCAL and transport == _STREAM
    return Header(size, _source(family, bytes(data[_V2_FIXED_BYTES:size])) if told else None)


def _source(family: int, addresses: bytes) -> Source | None:
    """The first of two addresses, with the first of two ports behind them."""
    match family:
        case 1:
            return Source(str(IPv4Address(addresses[:4])), int.from_bytes(addresses[8:10], "big"))
        case 2:
            return Source(str(IPv6Address(addresses[:16])), int.from_bytes(addresses[32:34], "big"))
    return None
