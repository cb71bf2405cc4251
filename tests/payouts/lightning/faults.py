"""How a node's answers are spoilt, after it has done what it was asked to do."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Any


class Fault(StrEnum):
    """What becomes of an answer."""

    SILENCE = "silence"
    SLOW = "slow"  # in two pieces, with a pause between them
    CUT = "cut"  # in its middle
    TWICE = "twice"  # said again in the same breath
    BROKEN = "broken"  # HTTP 500 and a text
    GATEWAY = "gateway"  # HTTP 502, from a proxy whose node is away
    MOVED = "moved"  # a redirect
    HTML = "html"  # as from a proxy
    EMPTY = "empty"
    NULL = "null"
    TEXT = "text"  # JSON, but no object
    ARRAY = "array"  # the answer in a list
    HUGE = "huge"  # all numbers are
    NAN = "nan"  # no number is one


UNREADABLE = {
    Fault.CUT,
    Fault.BROKEN,
    Fault.GATEWAY,
    Fault.MOVED,
    Fault.HTML,
    Fault.EMPTY,
    Fault.NULL,
    Fault.TEXT,
}
"""Nothing that any of the four takes for an answer is left of it."""
STATUS = {Fault.BROKEN: 500, Fault.GATEWAY: 502, Fault.MOVED: 302}
BODIES = {
    Fault.BROKEN: b"Internal Server Error",
    Fault.GATEWAY: b"<html>502 Bad Gateway</html>",
    Fault.MOVED: b"",
    Fault.HTML: b"<html>It works!</html>",
    Fault.EMPTY: b"",
    Fault.NULL: b"null",
    Fault.TEXT: b'"ok"',
}


def spoilt(text: bytes, fault: Fault) -> bytes:
    """What is left of a body."""
    match fault:
        case Fault.TWICE:
            return text + text
        case Fault.ARRAY:
            return b"[" + text.strip() + b"]"
        case Fault.HUGE:
            return with_numbers(text, 10**30)
        case Fault.NAN:
            return with_numbers(text, float("nan"))
        case _:
            return BODIES[fault]


def with_numbers(text: bytes, number: float) -> bytes:
    """Every number replaced, also those in strings; a stream has a document on each line."""
    documents = [text] if text.count(b"\n}") else text.splitlines()
    return b"\n".join(json.dumps(_replaced(json.loads(each), number)).encode() for each in documents) + b"\n"


def _replaced(found: Any, number: float) -> Any:
    match found:
        case dict():
            return {name: _replaced(value, number) for name, value in found.items()}
        case list():
            return [_replaced(value, number) for value in found]
        case bool():
            return found
        case int():
            return number
        case str() if found.isdecimal():
            return str(number)
        case _:
            return found
