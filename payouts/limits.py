"""How much may leave: ceilings that a claim must keep below, and what stops all sending.

There are three answers to too much.  A claim above a *ceiling* is refused with a reason, and nothing else
happens.  A claim that is merely large is *held back* until an operator has approved of it.  And what does
not look like a pool that pays its miners any more *trips a breaker*: all sending stops until an operator has
looked and resumes.  What is under way is followed to its end in any case.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import attrs

from payouts.money import Msat, ceil_sat, floor_sat
from payouts.values import Flow, Past

DAY_MS: Final = 86_400_000
HOUR_MS: Final = 3_600_000
WEEK_MS: Final = 7 * DAY_MS
PAUSED: Final = "by the operator: "
"""How the reason of an operator's own pause begins."""
_MILLION: Final = 1_000_000
_HUNDRED_THOUSAND_SAT: Final = Msat(100_000_000)


@attrs.frozen
class Limits:
    """What an operator allows; None means no such limit.

    Attributes:
        account_day: most that one account gets over Lightning within 24 hours.
        day: most that all get within 24 hours.
        in_flight: most that payments under way may cost together.
        approve_above: larger payments wait for an operator.
        hour_free: an hour's payments up to this are never too many.
        hour_times: beyond that, this many times the busiest hour of the past week trips the breaker.
        fee_ppm: a day's routing fees beyond so many millionths of what they moved trip the breaker.
        fee_least: as soon as so much has moved; small payments cost much in proportion.
        drift: the node may have so much less than the books say.
        float_most: more than this in the node is told to the operator: it is a hot wallet.
    """

    account_day: Msat | None = None
    day: Msat | None = None
    in_flight: Msat | None = None
    approve_above: Msat | None = None
    hour_free: Msat | None = None
    hour_times: int = 10
    fee_ppm: int | None = None
    fee_least: Msat = _HUNDRED_THOUSAND_SAT
    drift: Msat | None = None
    float_most: Msat | None = None


NO_LIMITS: Final = Limits()


@attrs.frozen
class Fine:
    """It may go.  Attributes: why it first waits for an operator, if it does."""

    held_back: str | None = None


@attrs.frozen
class NotNow:
    """It is worth waiting a moment for payments that are under way."""

    reason: str


@attrs.frozen
class TooMuch:
    """It is refused, for a reason that a wallet can show to its owner."""

    reason: str


@attrs.frozen
class Tripped:
    """It is refused, and all sending stops.  Attributes: the reason, for the operator."""

    reason: str


Weighed = Fine | NotNow | TooMuch | Tripped


def weigh(amount: Msat, cost: Msat, flow: Flow, account_day: Msat, usual: Msat, limits: Limits) -> Weighed:
    """Whether one more payment may begin.

    Args:
        amount: what it pays.
        cost: the same with its greatest fee.
        flow: what is leaving already.
        account_day: what the account got within 24 hours.
        usual: the busiest hour of the past week.
        limits: of the operator.
    """
    for what, limit, spent in (
        ("an account gets", limits.account_day, account_day),
        ("the pool pays", limits.day, flow.day),
    ):
        if limit is not None and spent + amount > limit:
            return TooMuch(_ceiling(what, limit, spent))
    fast = too_fast(Msat(flow.hour + amount), usual, limits)
    if fast is not None:
        return Tripped(fast)
    if limits.in_flight is not None and flow.open_amount + cost > limits.in_flight:
        return _crowded(cost, limits.in_flight)
    if limits.approve_above is not None and amount > limits.approve_above:
        return Fine(f"it is above {floor_sat(limits.approve_above)} sat")
    return Fine()


def _crowded(cost: Msat, limit: Msat) -> NotNow | TooMuch:
    if cost > limit:
        return TooMuch(f"at most {floor_sat(limit)} sat may be on their way at once: ask for less")
    return NotNow("too much is on its way just now: try again in a minute")


def _ceiling(what: str, limit: Msat, spent: Msat) -> str:
    left = floor_sat(Msat(max(0, limit - spent)))
    return f"{what} at most {floor_sat(limit)} sat in 24 hours: {left} sat are left for now"


def too_fast(hour: Msat, usual: Msat, limits: Limits) -> str | None:
    """Why so much in one hour is out of all proportion to the past week, if it is."""
    if limits.hour_free is None or hour <= max(limits.hour_free, limits.hour_times * usual):
        return None
    return (
        f"velocity: {ceil_sat(hour)} sat within an hour, when the busiest hour of the past week had "
        f"{floor_sat(usual)} sat"
    )


def allowed(flow: Flow, account_day: Msat, limits: Limits) -> Msat | None:
    """The most that one account may claim now; None when no ceiling applies."""
    rooms = [
        limit - spent
        for limit, spent in (
            (limits.account_day, account_day),
            (limits.day, flow.day),
            (limits.in_flight, flow.open_amount),
        )
        if limit is not None
    ]
    return Msat(max(0, min(rooms))) if rooms else None


class Kind(StrEnum):
    """What an alarm is about."""

    VELOCITY = "velocity"
    FEES = "fees"
    DRIFT = "drift"
    FLOAT = "float"


@attrs.frozen
class Alarm:
    """Something that the operator must know.

    Attributes:
        kind: what it is about.
        reason: with the figures.
        stops: whether sending stops for it.
    """

    kind: Kind
    reason: str
    stops: bool


def alarms(flow: Flow, past: Past, balance: Msat, limits: Limits) -> tuple[Alarm, ...]:
    """What is wrong with the figures of now.

    The drift counts in one direction only: a node has more than the books say when it earns by forwarding, or
    has money that was not booked yet.  It may have less by what is on its way.

    Args:
        flow: what is leaving.
        past: what is usual, and what the books say.
        balance: what the node says it has.
        limits: of the operator.
    """
    found = []
    fast = too_fast(flow.hour, past.busiest_hour, limits)
    if fast is not None:
        found.append(Alarm(Kind.VELOCITY, fast, stops=True))
    if limits.fee_ppm is not None and past.settled >= limits.fee_least:
        ppm = past.fees * _MILLION // past.settled
        if ppm > limits.fee_ppm:
            reason = f"fees: routing took {ppm} millionths of what was paid in the last 24 hours"
            found.append(Alarm(Kind.FEES, reason, stops=True))
    missing = past.books - flow.open_amount - balance
    if limits.drift is not None and missing > limits.drift:
        reason = f"drift: the node has {ceil_sat(Msat(missing))} sat less than the books say"
        found.append(Alarm(Kind.DRIFT, reason, stops=True))
    if limits.float_most is not None and balance > limits.float_most:
        surplus = ceil_sat(Msat(balance - limits.float_most))
        reason = f"float: the node has {surplus} sat more than it should: move them to a safer place"
        found.append(Alarm(Kind.FLOAT, reason, stops=False))
    return tuple(found)


STOPS: Final = (
    *(kind.value for kind in Kind if kind is not Kind.FLOAT),
    "operator",
    "ledger",
    "batch",
    "other",
)
"""What stops are about: a breaker's kind, an operator's pause, a comparison with node or wallet."""


def stop_kind(reason: str) -> str:
    """What a stop is about: one of STOPS."""
    beginnings = {
        PAUSED: "operator",
        "the node has sent": "ledger",
        "the wallet signed": "batch",
        **{f"{kind}:": kind.value for kind in Kind},
    }
    return next((kind for begins, kind in beginnings.items() if reason.startswith(begins)), "other")


def told_to_wallets(stopped: str) -> str:
    """What a wallet's owner is told while sending is stopped: no hashes and no figures of the pool."""
    if stopped.startswith(PAUSED):
        return "payouts are paused by the pool's operator: try again later"
    if stopped.startswith(f"{Kind.VELOCITY}:"):
        return "payouts are paused, since far more than usual was asked for: the operator will look into it"
    return "payouts are paused: try again later"
