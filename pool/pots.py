"""Pots: which shares a block is divided among.  Each has a name and a policy, and they never mix.

The ports of the pool share one pot.  A port with a scheme of its own belongs to another one, which has the
scheme's name: shares that come through it count there alone, and so do the blocks.
"""

from __future__ import annotations

from fractions import Fraction

from payouts.money import Sat
from pool.chain.networks import RULES
from pool.config import Config, PortConfig
from pool.rewards.fpps import FEE_BLOCKS, FEE_TRIM
from pool.rewards.policy import AT_ONCE, HOPPABLE, Policy, Scheme
from stratum.options import POOL


def pot_of(port: PortConfig) -> str:
    """The pot that a port's shares go into."""
    return POOL if port.scheme is None else port.scheme.value


def policies_of(config: Config) -> dict[str, Policy]:
    """The policy of each pot that the configuration makes, by the pot's name."""
    rewards = config.rewards
    found = {POOL: _policy(config, Fraction(rewards.window), rewards.fee_bps, rewards.scheme)}
    for port in config.stratum.port:
        if port.scheme is not None:
            found[pot_of(port)] = _port_policy(config, port.scheme)
    return found


def _port_policy(config: Config, scheme: Scheme) -> Policy:
    own, rewards = config.rewards.port.get(scheme), config.rewards
    window = rewards.window if own is None or own.window is None else own.window
    fee_bps = rewards.fee_bps if own is None or own.fee_bps is None else own.fee_bps
    return _policy(config, Fraction(window), fee_bps, scheme)


def _policy(config: Config, window: Fraction, fee_bps: int, scheme: Scheme) -> Policy:
    halving = RULES[config.node.network].halving_blocks if scheme in AT_ONCE else 0
    mean = (FEE_BLOCKS, FEE_TRIM) if scheme is Scheme.FPPS else (0, 0)
    return Policy(window, fee_bps, scheme, halving, *mean)


def pays_for_fees(config: Config) -> bool:
    """Whether shares of some pot are paid for other blocks' fees, so that the book has to learn them."""
    return any(policy.scheme is Scheme.FPPS for policy in policies_of(config).values())


def declared_reserve(config: Config) -> tuple[str, Sat, int] | None:
    """The pot whose shares are paid at once, the reserve declared for it, and its fee in basis points."""
    for pot, policy in policies_of(config).items():
        own = config.rewards.port.get(policy.scheme)
        sat = config.rewards.reserve_sat if own is None or own.reserve_sat is None else own.reserve_sat
        if policy.scheme in AT_ONCE and sat is not None:
            return pot, Sat(sat), policy.fee_bps
    return None


def warnings(config: Config) -> list[str]:
    """What an operator should know about the schemes that were chosen, in a sentence each."""
    return [
        f"pot {pot!r} is divided by {policy.scheme}: who comes and goes at the right moments gains there,"
        " and the others pay it"
        for pot, policy in policies_of(config).items()
        if policy.scheme in HOPPABLE
    ]
