"""How likely a pool that pays per share runs out of money, and what reserve makes that rare.

Each share costs (1-f) p B and brings B with probability p.  A reserve R is used up at some time with
probability exactly e^(-θ R / B) where θ > 0 solves (1-f) θ = 1 - e^-θ (Lundberg's equation: the reserve sinks
without jumps, so it meets zero exactly; in first order θ = 2f, which is Rosenfeld's approximation).
"""

from __future__ import annotations

from math import exp, expm1, log
from random import Random
from typing import Final

from pool.simulate.figures import Figure, proportion_error, simulated

GROUP: Final = "4. Ruin of a pool that pays per share"
_SAFE: Final = 1e-6  # a reserve that is ruined less often than this is counted as safe


def exponent(fee: float) -> float:
    """The positive θ of (1-f) θ = 1 - e^-θ.

    Args:
        fee: f as a fraction, 0 < f < 1.
    """
    low, high = fee, 1 / (1 - fee)  # the left side is smaller at the lower end, greater at the upper
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if (1 - fee) * middle < -expm1(-middle) else (low, middle)
    return (low + high) / 2


def ruin(fee: float, reserve: float) -> float:
    """Probability ψ that a reserve, in blocks' rewards, is ever used up."""
    return exp(-exponent(fee) * reserve)


def reserve_for(fee: float, risk: float) -> float:
    """The reserve, in blocks' rewards, that is used up with probability ``risk``."""
    return -log(risk) / exponent(fee)


def figures(rng: Random, trials: int) -> list[Figure]:
    """The published reserves and ψ, and pools played out until they are ruined or safe."""
    result = [
        Figure(
            GROUP, f"reserve for 0.1 %, f = {fee:.0%}, B", published, reserve_for(fee, 0.001), 0.05, "exact"
        )
        for fee, published in ((0.02, 170.4), (0.01, 343.1), (0.05, 66.8))
    ]
    result.append(Figure(GROUP, "psi for f = 20%, R = 5 B", 0.0982, ruin(0.2, 5.0), 0.00005, "exact"))
    # the reserves for 0.1 % themselves would take hours to play: the same θ, at odds that show
    for fee, reserve, count in ((0.2, 5.0, trials), (0.05, reserve_for(0.05, 0.1), trials // 5)):
        psi = ruin(fee, reserve)
        ruined = sum(_plays_to_ruin(rng, fee, reserve) for _ in range(count))
        name = f"psi for f = {fee:.0%}, R = {reserve:.4g} B"
        result.append(simulated(GROUP, name, psi, ruined / count, proportion_error(psi, count)))
    return result


def _plays_to_ruin(rng: Random, fee: float, reserve: float) -> bool:
    """One pool: pays between blocks, is paid at each."""
    safe = reserve_for(fee, _SAFE)
    cost = 1 - fee
    while reserve < safe:
        reserve -= cost * rng.expovariate(1.0)
        if reserve < 0:
            return True
        reserve += 1
    return False
