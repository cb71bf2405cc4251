"""What the configuration means for money that leaves: limits, fee caps, and what can be claimed just now."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

import attrs

from payouts.limits import DAY_MS, Limits, allowed, told_to_wallets
from payouts.money import Msat, Sat, floor_sat, to_msat
from payouts.planner import FeePolicy, max_withdrawable
from payouts.values import Flow
from pool.config import LightningConfig, PayoutsConfig
from pool.store.flows import FlowReader

STALE_MS = 300_000
"""What the node told longer ago than this says nothing about now."""
_FRESH_MS = 1_000
_CROWDED = "too much is on its way just now: try again in a minute"
_NODE = "the pool's Lightning node can send no more: try later"


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


def _msat(amount_sat: int | Literal["unlimited"] | None) -> Msat | None:
    return to_msat(Sat(amount_sat)) if isinstance(amount_sat, int) else None


def limits_in_words(lightning: LightningConfig, payouts: PayoutsConfig) -> str:
    """What may leave over Lightning, for the operator."""
    parts = [f"a withdrawal takes up to {lightning.maximum_sat:,} sat"]
    for whose, limit in (("an account", payouts.account_day_sat), ("all", payouts.day_sat)):
        parts.append(f"{whose} up to " + (f"{limit:,} sat a day" if isinstance(limit, int) else "any sum"))
    if payouts.approve_above_sat is not None:
        parts.append(f"more than {payouts.approve_above_sat:,} sat waits for your approval")
    parts.append(
        f"more than {payouts.hour_free_sat:,} sat in an hour, and {payouts.hour_times} times the past week's"
        " busiest, stop all sending"
    )
    return "; ".join(parts)


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
class _Leaving:
    """What holds for every account: what is leaving, and what the node can still send if that is known."""

    flow: Flow
    sendable: Msat | None


@attrs.define
class _Lately:
    """The same, as it was summed up at a Unix millisecond."""

    at_ms: int = 0
    found: _Leaving | None = None


@attrs.frozen
class Payable:
    """Tells what can be claimed now, from what the payer wrote down; it decides again itself.

    Attributes:
        reader: of ``ledger.db``.
        limits: see ``limits_of``.
        maximum: the most that one withdrawal may take.
        fees: the greatest fee, and who bears it.
        open_per_account: most payments of one account under way.
        now_ms: Unix milliseconds.
    """

    reader: FlowReader
    limits: Limits
    maximum: Sat
    fees: FeePolicy
    open_per_account: int
    now_ms: Callable[[], int]
    _lately: _Lately = attrs.field(init=False, factory=_Lately, eq=False, repr=False)

    def ceiling(self, account: str) -> Ceiling:
        """What bounds a claim of this account now."""
        stopped = self.reader.stopped()
        if stopped is not None:
            return Ceiling(Sat(0), told_to_wallets(stopped))
        if self.reader.open_of(account) >= self.open_per_account:
            return Ceiling(Sat(0), None, "earlier payments are still on their way: wait until one has ended")
        most, why = min(
            [(self.maximum, "it is the most that one withdrawal may take"), *self._rooms(account)]
        )
        return Ceiling(most, None, why)

    def most(self, account: str, available: Msat) -> Sat:
        """The most that this account can claim of its balance now; may be below the minimum."""
        return max_withdrawable(available, self.fees, self.ceiling(account).most)

    def _rooms(self, account: str) -> Iterator[tuple[Sat, str]]:
        """What each limit and the node leave, whole sats, with the reason why it is no more."""
        now_ms, reader = self.now_ms(), self.reader
        leaving = self._leaving(now_ms)
        flow = leaving.flow
        left = allowed(flow, reader.spent(account, now_ms - DAY_MS), self.limits)
        if left is not None:
            yield floor_sat(left), "the limit of the last 24 hours is reached: try again tomorrow"
        if self.limits.in_flight is not None:
            yield self._with_fee(Msat(self.limits.in_flight - flow.open_amount)), _CROWDED
        yield self._with_fee(Msat(reader.lightning_books() - flow.open_amount)), _NODE
        if leaving.sendable is not None:
            yield floor_sat(leaving.sendable), _NODE

    def _leaving(self, now_ms: int) -> _Leaving:
        """Summed up at most a second ago: a day of payments is not read for each wallet that asks."""
        lately = self._lately
        if lately.found is None or not 0 <= now_ms - lately.at_ms < _FRESH_MS:
            seen = self.reader.node_seen()
            sendable = None
            if seen is not None and seen.seen_ms > now_ms - STALE_MS:
                # what was taken since is as good as gone, though the node was not asked again
                sendable = Msat(max(0, seen.outbound - self.reader.began_since(seen.seen_ms)))
            lately.found, lately.at_ms = _Leaving(self.reader.flow(now_ms), sendable), now_ms
        return lately.found

    def _with_fee(self, room: Msat) -> Sat:
        """The most that leaves within a room together with its greatest fee, whoever bears that."""
        return max_withdrawable(Msat(max(0, room)), attrs.evolve(self.fees, by_pool=False), self.maximum)


def payable_now(
    reader: FlowReader, lightning: LightningConfig, payouts: PayoutsConfig, now_ms: Callable[[], int]
) -> Payable:
    """A Payable as the configuration has it; ``reader`` may be on a connection that only reads."""
    return Payable(
        reader,
        limits_of(payouts),
        Sat(lightning.maximum_sat),
        fee_policy(lightning, payouts),
        lightning.open_per_account,
        now_ms,
    )
