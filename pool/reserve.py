"""The reserve that shares are paid from at once (PPS): what is left, and the odds that it is ever used up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import attrs

from payouts.money import Msat, Sat, floor_sat, to_msat
from pool import ledger
from pool.chain.networks import RULES, subsidy
from pool.config import Config
from pool.pots import declared_reserve
from pool.simulate.ruin import ruin

_NOTHING: Final = Msat(0)


@attrs.frozen
class Reserve:
    """A pot's reserve now.

    Attributes:
        pot: whose shares are paid from it.
        left: what the operator declared, plus what blocks brought, less what shares were paid.
        block: what a block brings for certain, the subsidy.
        fee_bps: what keeps it from sinking.
    """

    pot: str
    left: Msat
    block: Msat
    fee_bps: int

    @property
    def ruin(self) -> float:
        """Probability that it is ever used up, exactly (Lundberg): e^(-theta R/B), see pool.simulate.ruin.

        Transaction fees, which stay in the reserve too, are not counted on.
        """
        if self.left <= 0 or self.fee_bps <= 0 or self.block <= 0:
            return 1.0
        if self.fee_bps >= 10_000:
            return 0.0
        return ruin(self.fee_bps / 10_000, self.left / self.block)

    def words(self) -> str:
        """The same in a sentence."""
        if self.left <= 0 or self.block <= 0:
            return f"{self.pot}: used up, what is paid for shares now is not covered"
        return (
            f"{self.pot}: {floor_sat(self.left):,} sat, {self.left / self.block:.1f} subsidies;"
            f" ever used up with probability {self.ruin:.4%}"
        )


def reserve_of(config: Config, balances: Mapping[str, int], height: int) -> Reserve | None:
    """The reserve of the pot whose shares are paid at once; None when there is no such pot.

    Args:
        config: declares it.
        balances: of the ledger, debit positive, msat; what is missing is zero.
        height: of the chain, which the subsidy follows from.
    """
    found = declared_reserve(config)
    if found is None:
        return None
    pot, declared, fee_bps = found
    left = Msat(to_msat(declared) - balances.get(ledger.RESERVE, _NOTHING))
    return Reserve(pot, left, to_msat(Sat(subsidy(height, RULES[config.node.network]))), fee_bps)
