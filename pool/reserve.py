"""The reserve that shares are paid from at once: what is left, and the odds that it is ever used up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import attrs

from payouts.money import Msat, Sat, floor_sat, to_msat
from pool import ledger
from pool.chain.networks import RULES, subsidy
from pool.config import Config
from pool.pots import declared_reserve, policies_of
from pool.rewards.fpps import Rate
from pool.rewards.policy import Scheme
from pool.simulate.ruin import ruin

_NOTHING: Final = Msat(0)


@attrs.frozen
class Reserve:
    """A pot's reserve now.

    Attributes:
        pot: whose shares are paid from it.
        left: what the operator declared, plus what blocks brought, less what shares were paid.
        block: B, what a block brings: the subsidy, and with FPPS what is paid for fees now.
        fee_bps: what keeps it from sinking.
        fees: the second part of B; None where fees are not paid for at once, and while no rate is known.
        waits: whether B is not known, since no rate is.
    """

    pot: str
    left: Msat
    block: Msat
    fee_bps: int
    fees: Msat | None = None
    waits: bool = False

    @property
    def ruin(self) -> float:
        """Probability that it is ever used up, exactly (Lundberg): e^(-theta R/B), see pool.simulate.ruin.

        With PPS, transaction fees, which stay in the reserve too, are not counted on.
        """
        if self.left <= 0 or self.fee_bps <= 0 or self.block <= 0 or self.waits:
            return 1.0
        if self.fee_bps >= 10_000:
            return 0.0
        return ruin(self.fee_bps / 10_000, self.left / self.block)

    def words(self) -> str:
        """The same in a sentence."""
        if self.left <= 0 or (self.block <= 0 and not self.waits):
            return f"{self.pot}: used up, what is paid for shares now is not covered"
        if self.waits:
            return f"{self.pot}: {floor_sat(self.left):,} sat; shares wait until the book knows what fees are"
        of_what = "subsidies"
        if self.fees is not None:
            of_what = "blocks with fees"
        return (
            f"{self.pot}: {floor_sat(self.left):,} sat, {self.left / self.block:.1f} {of_what};"
            f" ever used up with probability {self.ruin:.4%}"
        )


def reserve_of(
    config: Config, balances: Mapping[str, int], height: int, rate: Rate | None = None
) -> Reserve | None:
    """The reserve of the pot whose shares are paid at once; None when there is no such pot.

    Args:
        config: declares it.
        balances: of the ledger, debit positive, msat; what is missing is zero.
        height: of the chain, which the subsidy follows from.
        rate: the newest of the books, for FPPS.
    """
    found = declared_reserve(config)
    if found is None:
        return None
    pot, declared, fee_bps = found
    left = Msat(to_msat(declared) - balances.get(ledger.RESERVE, _NOTHING))
    block = to_msat(Sat(subsidy(height, RULES[config.node.network])))
    if policies_of(config)[pot].scheme is not Scheme.FPPS:
        return Reserve(pot, left, block, fee_bps)
    fees = None if rate is None else rate.part
    return Reserve(pot, left, Msat(block + (fees or 0)), fee_bps, fees, waits=fees is None)
