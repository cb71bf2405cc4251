"""Version rolling as BIP 310 negotiates it."""

from __future__ import annotations

from collections.abc import Mapping

from stratum.options import VERSION_MASK

_NEEDED = ("version-rolling.min-bit-count", "version-rolling.bit-count")
"""BIP 310 says the first, S9 firmware the second."""


def negotiate(parameters: Mapping[str, object]) -> int:
    """The bits that the miner may roll: those it asks for and we allow; 0 when that is not enough for it."""
    asked = parameters.get("version-rolling.mask", "ffffffff")
    mask = _number(asked) & VERSION_MASK
    needed = next((parameters[key] for key in _NEEDED if key in parameters), 0)
    enough = not isinstance(needed, int) or mask.bit_count() >= needed
    return mask if enough else 0


def _number(text: object) -> int:
    if not isinstance(text, str) or not 0 < len(text) <= 8 or not text.isalnum():
        return 0
    try:
        return int(text, 16)
    except ValueError:
        return 0
