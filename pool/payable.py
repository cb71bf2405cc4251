"""What the configuration means for money that leaves: limits, fee caps, and what can be claimed just now."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from payouts.limits import DAY_MS, Limits, allowed, told_to_wallets
from payouts.money import Msat, Sat, floor_sat, to_msat
from payouts.planner import FeePolicy
from pool.config import LightningConfig, PayoutsConfig
from pool.store.flows import FlowReader

STALE_MS = 300_000
"""What the node told longer ago than this says nothing about now."""


def limits_of(payouts: PayoutsConfig) -> Limits:
    """The section [payouts] as the payout engine's limits."""
    return Limits(
        account_day=_msat(payouts.account_day_sat),
        day=_msat(payouts.day_sat),
        in_flight=_msat(payouts.in_flight_sat),
        approve_above=_msat(payouts.approve_above_sat),
        hour_free=to_msat(Sat(payouts.hour_free_sat)),
        hour_times=payouts.hour_times,
        fee_ppm=payouts.fee_alarm_ppm,
        drift=to_msat(Sat(payouts.drift_sat)),
        float_most=_msat(payouts.float_most_sat),
    )


def _msat(amount_sat: int | None) -> Msat | None:
    return None if amount_sat is None else to_msat(Sat(amount_sat))


def fee_policy(lightning: LightningConfig, payouts: PayoutsConfig) -> FeePolicy:
    """The greatest fee of a Lightning payment, and who bears it."""
    base = to_msat(Sat(lightning.max_fee_base_sat))
    return FeePolicy(base, lightning.max_fee_ppm, by_pool=payouts.fees_by == "pool")


@attrs.frozen
class Ceiling:
    """What bounds a claim beside the balance.

    Attributes:
        most: the greatest amount that limits and node allow now.
        closed: why nothing at all can be claimed now, in words for the account's owner; None while it can.
        why: why it is no more, for a balance that would allow more.
    """

    most: Sat
    closed: str | None = None
    why: str = "the pool cannot pay more at the moment: try again later"


@attrs.frozen
class Payable:
    """Tells what can be claimed now, from what the payer wrote down; it decides again itself.

    Attributes:
        reader: of ``ledger.db``.
        limits: see ``limits_of``.
        maximum: the most that one withdrawal may take.
        fees: the greatest fee, and who bears it.
        now_ms: Unix milliseconds.
    """

    reader: FlowReader
    limits: Limits
    maximum: Sat
    fees: FeePolicy
    now_ms: Callable[[], int]

    def ceiling(self, account: str) -> Ceiling:
        """What bounds a claim of this account now."""
        now_ms = self.now_ms()
        stopped = self.reader.stopped()
        if stopped is not None:
            return Ceiling(Sat(0), told_to_wallets(stopped))
        rooms = [(self.maximum, "it is the most that one withdrawal may take")]
        left = allowed(self.reader.flow(now_ms), self.reader.spent(account, now_ms - DAY_MS), self.limits)
        if left is not None:
            rooms.append((floor_sat(left), "the limit of the last 24 hours is reached: try again tomorrow"))
        seen = self.reader.node_seen()
        if seen is not None and seen.seen_ms > now_ms - STALE_MS:
            rooms.append((floor_sat(seen.outbound), "the pool's Lightning node can send no more: try later"))
        most, why = min(rooms)
        return Ceiling(most, None, why)


def payable_now(
    reader: FlowReader, lightning: LightningConfig, payouts: PayoutsConfig, now_ms: Callable[[], int]
) -> Payable:
    """A Payable as the configuration has it; ``reader`` may be on a connection that only reads."""
    fees = fee_policy(lightning, payouts)
    return Payable(reader, limits_of(payouts), Sat(lightning.maximum_sat), fees, now_ms)
