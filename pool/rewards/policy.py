"""Policies: by which scheme and terms the blocks of a pot are divided, and what names them for good."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from enum import StrEnum
from fractions import Fraction
from typing import Any

import attrs


class Scheme(StrEnum):
    """How the blocks of a pot are divided."""

    PPLNS = "pplns"  # the newest shares worth X blocks, each by the difficulty of its own time
    TIDES = "tides"  # the newest shares worth X blocks, all by the difficulty of the block
    PROP = "prop"  # the shares since the pot's last block
    SOLO = "solo"  # all to who found it
    PPS = "pps"  # each share its part of the subsidy at once, from the operator's reserve
    PPS_PLUS = "pps+"  # that, and what blocks bring in fees as in PPLNS
    FPPS = "fpps"  # that, and its part of what blocks lately brought in fees at once too


HOPPABLE = frozenset({Scheme.PROP, Scheme.TIDES})
"""Schemes in which a share is worth more at some moments than at others, which who comes and goes can use."""


AT_ONCE = frozenset({Scheme.PPS, Scheme.PPS_PLUS, Scheme.FPPS})
"""Schemes in which shares are paid before blocks are found."""
RESERVED = frozenset({Scheme.PPS, Scheme.FPPS})
"""Those of them whose blocks go to the reserve whole."""
WINDOWED = frozenset({Scheme.PPLNS, Scheme.TIDES, Scheme.PPS_PLUS})
"""Schemes with a window of X units."""


@attrs.frozen
class Policy:
    """How blocks are divided.

    Attributes:
        window: X, in units of network work; a decimal is taken exactly.  Without meaning to PROP and SOLO.
        fee_bps: the pool's fee in basis points.
        scheme: the rule.
        halving_blocks: of the network, where shares are paid by the subsidy (PPS, PPS+, FPPS); else 0.
        fee_blocks: how many blocks' fees the fee part of FPPS is a mean of; else 0.
        fee_trim: how many of them are left out at each end of it; else 0.
    """

    window: Fraction = attrs.field(converter=Fraction)
    fee_bps: int
    scheme: Scheme = Scheme.PPLNS
    halving_blocks: int = 0
    fee_blocks: int = 0
    fee_trim: int = 0

    @property
    def terms(self) -> dict[str, str | int]:
        """What miners are promised, as plain data; a window only where the scheme has one."""
        found: dict[str, str | int] = {"scheme": self.scheme.value, "fee_bps": self.fee_bps}
        if self.scheme in WINDOWED:
            found["window"] = str(self.window)
        if self.scheme in AT_ONCE:
            found["halving_blocks"] = self.halving_blocks
        if self.scheme is Scheme.FPPS:
            found["fee_blocks"], found["fee_trim"] = self.fee_blocks, self.fee_trim
        return found

    @property
    def text(self) -> str:
        """The terms as canonical JSON: sorted keys, no spaces."""
        return json.dumps(self.terms, sort_keys=True, separators=(",", ":"))

    @property
    def hash(self) -> str:
        """Hex SHA-256 of the text: the name under which each reward says what it was divided by."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def policy_of(terms: Mapping[str, Any]) -> Policy:
    """The policy with these terms.  Books from before there was a choice name no scheme.

    Raises:
        KeyError, ValueError: they are not the terms of a policy.
    """
    scheme = Scheme(terms.get("scheme", Scheme.PPLNS))
    halving_blocks = int(terms["halving_blocks"]) if scheme in AT_ONCE else 0
    mean = (int(terms["fee_blocks"]), int(terms["fee_trim"])) if scheme is Scheme.FPPS else (0, 0)
    return Policy(Fraction(terms.get("window", 1)), int(terms["fee_bps"]), scheme, halving_blocks, *mean)


@attrs.frozen
class Term:
    """A policy in force.  Attributes: the policy; the log id after which shares are mined under it."""

    policy: Policy
    after_share: int
