"""What a check found: a sentence for each thing that is proven, that is wrong, or that cannot be told."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from fractions import Fraction
from typing import Final

import attrs

_MOST_BITS: Final = 4_000
"""Larger numbers are of no use written out."""


class Kind(StrEnum):
    """What became of a claim."""

    PROVEN = "proven"
    WRONG = "wrong"
    OPEN = "not proven"  # it may be so, but not by this


@attrs.frozen
class Finding:
    """One claim.  Attributes: what became of it, what it is about, and a sentence."""

    kind: Kind
    about: str
    text: str


def proven(about: str, text: str) -> Finding:
    """This is so."""
    return Finding(Kind.PROVEN, about, text)


def wrong(about: str, text: str) -> Finding:
    """This is not so."""
    return Finding(Kind.WRONG, about, text)


def unproven(about: str, text: str) -> Finding:
    """This cannot be told from here."""
    return Finding(Kind.OPEN, about, text)


def decimal(value: Fraction, digits_: int = 12) -> str:
    """An exact fraction as people read it: its decimals cut off, or just how large it is."""
    whole, rest = divmod(value.numerator, value.denominator)
    if whole.bit_length() > _MOST_BITS:
        return f"more than 2^{whole.bit_length() - 1}"
    digits = str(rest * 10**digits_ // value.denominator).rjust(digits_, "0").rstrip("0")
    return f"{whole}.{digits}" if digits else str(whole)


def exact(value: Fraction) -> str:
    """The same with so many decimals that what differs is seen to."""
    return decimal(value, 40)


@attrs.frozen
class Verdict:
    """All that a check found."""

    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.of(Kind.WRONG)

    def of(self, kind: Kind) -> tuple[Finding, ...]:
        """The findings of one kind."""
        return tuple(each for each in self.findings if each.kind is kind)

    def lines(self) -> list[str]:
        """For people: what is wrong first, then what is proven, then what is not, and the verdict."""
        found = [each for kind in (Kind.WRONG, Kind.PROVEN, Kind.OPEN) for each in self.of(kind)]
        count = len(self.of(Kind.WRONG))
        end = (
            "everything that can be proven from this is proven" if not count else f"NOT RIGHT: {count} found"
        )
        return [*(f"{each.kind.value.upper()}  {each.about}: {each.text}" for each in found), end]

    def as_json(self) -> dict[str, object]:
        """For programs."""
        kinds = {kind.value.replace(" ", "_"): self._plain(self.of(kind)) for kind in Kind}
        return {"ok": self.ok, **kinds}

    @staticmethod
    def _plain(findings: Iterable[Finding]) -> list[dict[str, str]]:
        return [{"about": each.about, "text": each.text} for each in findings]
