"""What an LND macaroon allows, read from the macaroon itself, and what of it is more than the pool needs.

LND's own ``/v1/macaroon/checkpermissions`` wants a macaroon that may read macaroons, which one for paying
must not.  What is read here decides nothing: it only warns the operator.

Sources: libmacaroons ``doc/format.txt`` (binary, version 2: type, length, data); the identifier is one byte
of version and a protobuf ``MacaroonId {nonce, storageId, repeated Op {entity, repeated actions}}``
(``lnd/macaroons``, macaroon-bakery ``macaroonpb``).  litd's accounts are a caveat ``lnd-custom account …``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Final

import attrs

_VERSION: Final = 2
_BAKERY_VERSION: Final = 3
_END, _IDENTIFIER = 0, 2
_OPS, _ENTITY, _ACTIONS = 3, 1, 2
_BYTES: Final = 2  # protobuf's wire type of strings and messages


@attrs.frozen
class Macaroon:
    """What a macaroon says of itself.

    Attributes:
        allows: permissions as ``lncli bakemacaroon`` takes them, ``uri:/lnrpc.Lightning/GetInfo`` or
            ``offchain:write``.
        caveats: what it is bound to.
    """

    allows: frozenset[str]
    caveats: tuple[str, ...]

    @property
    def has_account(self) -> bool:
        """Whether the node itself keeps a budget for it (litd accounts)."""
        return any(caveat.startswith("lnd-custom account") for caveat in self.caveats)

    def excess(self, methods: Collection[str]) -> frozenset[str]:
        """What it allows beyond some methods."""
        return self.allows - {f"uri:{method}" for method in methods}

    def lacks(self, methods: Collection[str]) -> frozenset[str]:
        """Methods that it does not name; whole entities (``offchain:read``) may allow them even so."""
        return frozenset(method for method in methods if f"uri:{method}" not in self.allows)


def read(macaroon: bytes) -> Macaroon | None:
    """What a macaroon says; None when it is none that LND makes.

    Args:
        macaroon: as in LND's ``.macaroon`` files, binary.
    """
    try:
        if macaroon[0] != _VERSION:
            return None
        identifiers = list(_identifiers(macaroon))
        if identifiers[0][0] != _BAKERY_VERSION:
            return None
        allows = frozenset(_permissions(identifiers[0][1:]))
        return Macaroon(allows, tuple(caveat.decode("utf-8", "replace") for caveat in identifiers[1:]))
    except (IndexError, UnicodeDecodeError):
        return None


def _identifiers(macaroon: bytes) -> Iterator[bytes]:
    """The identifier of the macaroon, then of each caveat: sections end with 0, the last one is empty."""
    place, empty = 1, True
    while True:
        kind, place = macaroon[place], place + 1
        if kind == _END:
            if empty:
                return
            empty = True
            continue
        size, place = _varint(macaroon, place)
        if kind == _IDENTIFIER:
            yield macaroon[place : place + size]
        place, empty = place + size, False


def _permissions(message: bytes) -> Iterator[str]:
    for number, operation in _fields(message):
        if number == _OPS:
            parts = list(_fields(operation))
            entity = next((data.decode() for field, data in parts if field == _ENTITY), "")
            yield from (f"{entity}:{data.decode()}" for field, data in parts if field == _ACTIONS)


def _fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """The length-delimited fields of a protobuf message; LND's identifiers have no others."""
    place = 0
    while place < len(message):
        tag, place = _varint(message, place)
        if tag & 7 != _BYTES:
            raise IndexError("a field of another kind")
        size, place = _varint(message, place)
        if place + size > len(message):
            raise IndexError("a field is cut")
        yield tag >> 3, message[place : place + size]
        place += size


def _varint(data: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte, place = data[place], place + 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
        shift += 7
