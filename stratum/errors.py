"""The one root of everything that this package raises, and the error codes of the protocol."""

from __future__ import annotations

from enum import IntEnum


class StratumError(Exception):
    """A broken peer or a broken promise of the surrounding pool; never an expected outcome."""


class Code(IntEnum):
    """Error codes that miners know (slush pool's table, used by every firmware)."""

    OTHER = 20
    STALE = 21
    DUPLICATE = 22
    LOW_DIFFICULTY = 23
    UNAUTHORIZED = 24
    NOT_SUBSCRIBED = 25
