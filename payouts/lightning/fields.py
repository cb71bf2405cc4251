"""What a node's JSON may say where something definite is expected; everything else is an unavailable node."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final, NoReturn

from payouts.errors import NodeUnavailable

_DIGITS: Final = re.compile(r"-?[0-9]{1,19}")
_HASH: Final = re.compile(r"[0-9a-f]{64}")
_KEY: Final = re.compile(r"0[23][0-9a-f]{64}")
_MOST: Final = (1 << 63) - 1  # what the books can hold; all bitcoins are a quarter of it, in millisatoshi


def parse(body: bytes) -> Any:
    """A JSON text with numbers that are exact; None when it is none.

    Args:
        body: UTF-8.
    """
    try:
        return json.loads(body, parse_float=Decimal, parse_constant=_refused)
    except (ValueError, RecursionError):
        return None


def _refused(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


def document(value: object, what: str) -> Mapping[str, Any]:
    """The value, if it is an object.

    Raises:
        NodeUnavailable: it is none; ``what`` was asked for.
    """
    if not isinstance(value, Mapping):
        raise NodeUnavailable(f"the node answered {what} with no JSON document")
    return value


def rows(value: object, what: str) -> list[Mapping[str, Any]]:
    """The value, if it is an array of objects.

    Raises:
        NodeUnavailable: it is none.
    """
    if not isinstance(value, list) or not all(isinstance(row, Mapping) for row in value):
        raise NodeUnavailable(f"the node answered {what} with no list of documents")
    return value


def integer(found: Mapping[str, Any], name: str) -> int:
    """A member that is a whole number of no more than 63 bits.

    Raises:
        NodeUnavailable: it is missing, or something else.
    """
    value = found.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) > _MOST:
        raise NodeUnavailable(f"the node's answer has no integer {name}")
    return value


def number(found: Mapping[str, Any], name: str) -> int:
    """A member that is a whole number, or one in a string: proto3's JSON writes 64-bit integers so.

    Raises:
        NodeUnavailable: it is missing, or something else.
    """
    value = found.get(name)
    if isinstance(value, str) and _DIGITS.fullmatch(value):
        return integer({name: int(value)}, name)
    return integer(found, name)


def amount(found: Mapping[str, Any], name: str) -> int:
    """A member that is a whole number and not negative, see ``number``.

    Raises:
        NodeUnavailable: it is anything else.
    """
    value = number(found, name)
    if value < 0:
        raise NodeUnavailable(f"the node's answer has a negative {name}")
    return value


def text(found: Mapping[str, Any], name: str) -> str:
    """A member that is a string.

    Raises:
        NodeUnavailable: it is missing, or something else.
    """
    value = found.get(name)
    if not isinstance(value, str):
        raise NodeUnavailable(f"the node's answer has no text {name}")
    return value


def public_key(found: Mapping[str, Any], name: str) -> str:
    """A member that is a compressed public key in hex.

    Raises:
        NodeUnavailable: it is none.
    """
    value = text(found, name)
    if not _KEY.fullmatch(value):
        raise NodeUnavailable(f"the node's answer has no public key {name}")
    return value


def hash_hex(found: Mapping[str, Any], name: str) -> str:
    """A member that is a payment hash in hex.

    Raises:
        NodeUnavailable: it is none.
    """
    value = text(found, name)
    if not is_hash(value):
        raise NodeUnavailable(f"the node's answer has no hash {name}")
    return value


def is_hash(value: object) -> bool:
    """Whether this is 32 bytes in lower-case hex."""
    return isinstance(value, str) and _HASH.fullmatch(value) is not None
