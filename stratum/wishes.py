"""What a miner asks for in the password field: ``d=`` a fixed difficulty, ``md=`` a minimum."""

from __future__ import annotations

import re

import attrs

from stratum import wire
from stratum.units import Difficulty

_SEPARATORS = re.compile(r"[,;\s]+")


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
            found[key] = wire.difficulty(value)
    return Wishes(found.get("d"), found.get("md"))
