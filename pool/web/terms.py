"""How the terms of a pot read to people: what a block of it pays to whom."""

from __future__ import annotations

from typing import assert_never

from pool.rewards.policy import Policy, Scheme
from pool.store.policies import PolicyChange
from pool.web.words import fee
from stratum.options import POOL


def policy_words(policy: Policy) -> str:
    """What a policy promises, and what it does not, in one sentence."""
    window = float(policy.window)
    match policy.scheme:
        case Scheme.PPLNS:
            return (
                f"PPLNS: each block is shared out over the newest shares worth {window:g} blocks of work,"
                " each counted by the difficulty of its own time, so that hopping gains nothing"
            )
        case Scheme.TIDES:
            return (
                f"PPLNS by TIDES' rule: each block is shared out over the newest shares worth {window:g}"
                " blocks of work at the block's difficulty; hopping around a change of difficulty gains at"
                " the others' cost"
            )
        case Scheme.PROP:
            return (
                "proportional: each block is shared out over the shares since the one before; hopping, mining"
                " early in a round only, gains at the others' cost"
            )
        case Scheme.SOLO:
            return "solo: a block is its finder's alone, and until then there is nothing"
        case Scheme.PPS | Scheme.PPS_PLUS | Scheme.FPPS:
            return f"{policy.scheme.upper()}: each share is paid its part of the subsidy{_also_paid(policy)}"
        case _:
            assert_never(policy.scheme)


def _also_paid(policy: Policy) -> str:
    """What a share is paid beside its part of the subsidy, and when."""
    match policy.scheme:
        case Scheme.PPS_PLUS:
            return (
                " within minutes, whatever is found; what a block brings in fees is shared out over the"
                f" newest shares worth {float(policy.window):g} blocks of work"
            )
        case Scheme.FPPS:
            return (
                " and of a block's fees within minutes, whatever is found; fees by the mean of the last"
                f" {policy.fee_blocks} blocks when it was mined, without the {policy.fee_trim} dearest and"
                f" the {policy.fee_trim} cheapest"
            )
        case _:
            return " within minutes, whatever is found"


def change_words(change: PolicyChange) -> str:
    """A change of terms as it is announced."""
    policy = change.term.policy
    whose = "the pool" if change.pot == POOL else f"ports with scheme {change.pot}"
    return f"{whose}: {policy_words(policy)}; fee {fee(policy.fee_bps)}"
