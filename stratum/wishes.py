"""What difficulty a miner asks for: a number, a target, or ``d=`` and ``md=`` in its password."""

from __future__ import annotations

import math
import re
from fractions import Fraction

import attrs

from stratum.units import Difficulty, Target, difficulty_from_target

_SEPARATORS = re.compile(r"[,;\s]+")
_LEAST, _GREATEST = Fraction(1, 10**12), Fraction(10**20)


def difficulty(value: object) -> Difficulty | None:
    """A difficulty that a miner wrote, as a JSON number or as text, or None when it is not usable as one."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, str) and len(value) > 32:
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    if not math.isfinite(number) or not _LEAST <= number <= _GREATEST:
        return None
    # exactly the double: the miner is told it back, and its shares are judged by the same number
    return Difficulty(Fraction(number))


def difficulty_of_target(value: object) -> Difficulty | None:
    """The difficulty of a target in up to 64 hex digits, or None when it is not usable as one."""
    if not isinstance(value, str) or not re.fullmatch(r"[0-9a-fA-F]{1,64}", value) or not value.strip("0"):
        return None
    wished = difficulty_from_target(Target(int(value, 16)))
    return wished if _LEAST <= wished <= _GREATEST else None


@attrs.frozen
class Wishes:
    """Attributes: the fixed difficulty and the least one, where they were given."""

    fixed: Difficulty | None = None
    minimum: Difficulty | None = None


def from_password(password: str) -> Wishes:
    """Read ``d=…`` and ``md=…`` out of a password such as ``x,d=500000``; everything else is ignored."""
    found = {}
    for part in _SEPARATORS.split(password[:256]):
        key, _, value = part.partition("=")
        if key in ("d", "md"):
            found[key] = difficulty(value)
    return Wishes(found.get("d"), found.get("md"))
