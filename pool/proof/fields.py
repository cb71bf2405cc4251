"""Reading JSON that a stranger may have written: each value is what it must be, or a sentence says so."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any, Final, TypeVar

from pool.errors import ProofError
from pool.proof.merkle import HASH_BYTES
from pool.rewards.exact import read_fraction

MAX_TEXT: Final = 64 * 1024 * 1024
"""Characters of a document; ten thousand shares are two million."""
MAX_ID: Final = (1 << 63) - 1
MAX_FRACTION: Final = 130_000
"""Characters of an exact fraction; each difficulty that a window goes through has some forty."""
_HALF: Final = 4300  # digits that Python reads and writes (sys.int_info)
_DIGITS: Final = 20  # of a number in JSON: 63 bits have 19
_HEX: Final = re.compile(r"(?:[0-9a-f]{2})*")
_AMOUNT: Final = re.compile(r"0|[1-9][0-9]{0,18}")
_FRACTION: Final = re.compile(
    rf"(?:0|[1-9][0-9]{{0,{_HALF - 1}}})(?:/[1-9][0-9]{{0,{_HALF - 1}}})?"
    r"|0x[1-9a-f][0-9a-f]*/0x[1-9a-f][0-9a-f]*"
)
_TOKEN: Final = re.compile(r"[\x21-\x7e]+")
_MAX_TOKEN: Final = 127

T = TypeVar("T")


def parse(text: str) -> Mapping[str, Any]:
    """A JSON object without floats, NaN, endless numbers, or two values under one name.

    Raises:
        ProofError: it is something else.
    """
    if len(text) > MAX_TEXT:
        raise ProofError("the document is too long")
    try:
        value = json.loads(
            text,
            parse_float=_no_float,
            parse_constant=_no_float,
            parse_int=_integer,
            object_pairs_hook=_object,
        )
    except (ValueError, RecursionError) as error:
        raise ProofError("the document is not JSON") from error
    if not isinstance(value, dict):
        raise ProofError("the document is no JSON object")
    return value


def _no_float(text: str) -> None:
    raise ProofError(f"the document has a number that is not whole: {text[:_DIGITS]}")


def _integer(text: str) -> int:
    if len(text) > _DIGITS:
        raise ProofError(f"the document has too long a number: {text[:_DIGITS]}…")
    return int(text)


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ProofError("the document says something twice")
    return found


def members(value: Any, names: Sequence[str], where: str) -> Mapping[str, Any]:
    """An object with exactly these members."""
    if not isinstance(value, dict):
        raise ProofError(f"{where} is no object")
    missing = [name for name in names if name not in value]
    more = [name for name in value if name not in names]
    if missing or more:
        raise ProofError(
            f"{where} lacks {missing[0]}" if missing else f"{where} has a strange {more[0][:40]!r}"
        )
    return value


def items(value: Any, most: int, where: str, read: Callable[[Any], T]) -> tuple[T, ...]:
    """A list, each of whose items is read."""
    if not isinstance(value, list):
        raise ProofError(f"{where} is no list")
    if len(value) > most:
        raise ProofError(f"{where} has more than {most} items")
    return tuple(read(each) for each in value)


def number(value: Any, where: str, least: int = 0, most: int = MAX_ID) -> int:
    """A whole number within bounds."""
    if type(value) is not int or not least <= value <= most:
        raise ProofError(f"{where} is no number from {least} to {most}")
    return value


def truth(value: Any, where: str) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise ProofError(f"{where} is neither true nor false")
    return value


def amount(value: Any, where: str) -> int:
    """Msat, written as a text: JSON's readers break above 2^53."""
    if not isinstance(value, str) or _AMOUNT.fullmatch(value) is None or int(value) > MAX_ID:
        raise ProofError(f"{where} is no amount of msat")
    return int(value)


def fraction(value: Any, where: str) -> Fraction:
    """An exact fraction, not negative, in its lowest terms."""
    if not isinstance(value, str) or len(value) > MAX_FRACTION or _FRACTION.fullmatch(value) is None:
        raise ProofError(f"{where} is no fraction")
    try:
        return read_fraction(value)
    except ValueError as error:
        raise ProofError(f"{where} is not in its lowest terms") from error


def token(value: Any, where: str, most: int = _MAX_TOKEN) -> str:
    """A name without spaces."""
    if not isinstance(value, str) or len(value) > most or _TOKEN.fullmatch(value) is None:
        raise ProofError(f"{where} is no name")
    return value


def hexed(value: Any, where: str, most: int = MAX_TEXT) -> bytes:
    """Bytes in small hex digits."""
    if not isinstance(value, str) or len(value) > 2 * most or _HEX.fullmatch(value) is None:
        raise ProofError(f"{where} is no hex of up to {most} bytes")
    return bytes.fromhex(value)


def digest(value: Any, where: str) -> bytes:
    """A hash of 32 bytes."""
    found = hexed(value, where, HASH_BYTES)
    if len(found) != HASH_BYTES:
        raise ProofError(f"{where} is no hash")
    return found
