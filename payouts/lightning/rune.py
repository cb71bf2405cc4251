"""What a Core Lightning rune allows, read from the rune itself, and what of it is more than the pool needs.

A rune is base64url of a 32-byte authentication code and its restrictions: ``&`` between restrictions that
must all hold, ``|`` between alternatives, a backslash before these where they are meant as themselves.  Only
a restriction whose alternatives all name a method bounds what can be called.

Source: ``lightning-createrune(7)``, github.com/rustyrussell/runes.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode
from collections.abc import Collection
from typing import Final

import attrs

_CODE_BYTES: Final = 32
_ALTERNATIVE: Final = re.compile(r"([^!-/:-@\[-^`{-~]*)([!=/^$~<>{}#])(.*)", re.DOTALL)
_WHOLE: Final = re.compile(r"(?:[^\\]|\\.)*", re.DOTALL)


@attrs.frozen
class Rune:
    """What a rune says of itself.

    Attributes:
        methods: exactly these may be called; None when no restriction says so.
        caps: whether it also bounds a parameter or its rate, which a budget would be made of.
    """

    methods: frozenset[str] | None
    caps: bool

    def excess(self, methods: Collection[str]) -> frozenset[str] | None:
        """What it allows beyond some methods; None for anything at all."""
        return None if self.methods is None else self.methods - set(methods)

    def lacks(self, methods: Collection[str]) -> frozenset[str]:
        """Methods that it does not allow."""
        return frozenset() if self.methods is None else frozenset(methods) - self.methods


def read(rune: str) -> Rune | None:
    """What a rune says; None when it is none.

    Args:
        rune: as ``lightning-cli createrune`` shows it.
    """
    try:
        binary = urlsafe_b64decode(rune + "=" * (-len(rune) % 4))
        restrictions = binary[_CODE_BYTES:].decode("utf-8")
    except ValueError:
        return None
    if len(binary) <= _CODE_BYTES or not _WHOLE.fullmatch(restrictions):
        return None
    allowed: frozenset[str] | None = None
    caps = False
    for restriction in _split(restrictions, "&"):
        found = [_ALTERNATIVE.fullmatch(alternative) for alternative in _split(restriction, "|")]
        if any(match is None for match in found):
            return None
        alternatives = [match.groups() for match in found if match is not None]
        if all((field, test) == ("method", "=") for field, test, _ in alternatives):
            named = frozenset(_plain(value) for _, _, value in alternatives)
            allowed = named if allowed is None else allowed & named
        caps = caps or any(field.startswith(("pname", "parr", "rate", "per")) for field, _, _ in alternatives)
    return Rune(allowed, caps)


def _split(text: str, mark: str) -> list[str]:
    """The parts between marks that no backslash takes the meaning from."""
    parts = [""]
    for piece in re.findall(r"\\.|[^\\]", text, re.DOTALL):
        if piece == mark:
            parts.append("")
        else:
            parts[-1] += piece
    return parts


def _plain(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text, flags=re.DOTALL)
