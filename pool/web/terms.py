"""How the terms of a pot read to people: what a block of it pays to whom."""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

import attrs

from pool.rewards.policy import WINDOWED, Policy, Scheme
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


@attrs.frozen
class News:
    """One thing that is new about a pot's terms.  Attributes: what; how it was; how it is."""

    what: str
    before: str
    after: str


@attrs.frozen
class Announcement:
    """Terms of a pot as they are announced.

    Attributes:
        whose: which ports they are about.
        from_ms: since when they hold, Unix milliseconds.
        change: as the books have it.
        text: what they promise.
        news: what they changed; empty for a pot's first ones.
    """

    whose: str
    from_ms: int
    change: PolicyChange
    text: str
    news: tuple[News, ...]


def announcements(changes: Sequence[PolicyChange]) -> list[Announcement]:
    """Every policy as it is announced, each beside the one before it.

    Args:
        changes: of all pots, newest first.
    """
    found: list[Announcement] = []
    before: dict[str, Policy] = {}
    for change in reversed(changes):
        policy = change.term.policy
        whose = "The pool" if change.pot == POOL else f"Ports with scheme {change.pot}"
        text = f"{policy_words(policy)}; fee {fee(policy.fee_bps)}"
        news = _news(before[change.pot], policy) if change.pot in before else ()
        before[change.pot] = policy
        found.append(Announcement(whose, change.from_ms, change, text, news))
    return found[::-1]


def _news(before: Policy, after: Policy) -> tuple[News, ...]:
    """What differs of what people decide by; of a scheme without a window there is none to tell."""
    told = (("Scheme", _scheme), ("Fee", _fee), ("Window", _window))
    pairs = ((what, words(before), words(after)) for what, words in told)
    return tuple(News(what, old, new) for what, old, new in pairs if old != new)


def _scheme(policy: Policy) -> str:
    return policy.scheme.value.upper()


def _fee(policy: Policy) -> str:
    return fee(policy.fee_bps)


def _window(policy: Policy) -> str:
    return f"{float(policy.window):g} blocks of work" if policy.scheme in WINDOWED else "none"
