"""The catalogue of metrics: what each is called, who records it, and how it is registered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

import attrs
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_QUICK_S: Final = (0.0005, 0.001, 0.002, 0.004, 0.008, 0.015, 0.03, 0.06, 0.125, 0.25, 0.5, 1.0, 5.0)
_SLOW_S: Final = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)


@attrs.frozen
class Metric:
    """One entry of the catalogue.

    Attributes:
        kind: counter, gauge or histogram.
        role: whose process records it; ``web`` reads it from the databases at scrape time.
        help: one line.
        labels: label names.
        buckets: upper bounds of a histogram, in the unit of its name.
    """

    kind: Literal["counter", "gauge", "histogram"]
    role: Literal["front", "book", "payer", "web"]
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


CATALOGUE: Final[Mapping[str, Metric]] = {
    "sluice_shares_total": Metric("counter", "front", "Submissions by result", ("result",)),
    "sluice_connections": Metric("gauge", "front", "Open Stratum connections"),
    "sluice_template_timestamp_seconds": Metric(
        "gauge", "front", "When the newest template came, at the front that waits for longest"
    ),
    "sluice_share_commit_seconds": Metric(
        "histogram", "front", "Time to write a group of shares to disk", buckets=_QUICK_S
    ),
    "sluice_job_broadcast_seconds": Metric(
        "histogram", "front", "Time to write a job to all connections", buckets=_QUICK_S
    ),
    "sluice_tip_first_notify_seconds": Metric(
        "histogram", "front", "From the first news of a tip to the first miner's job on it", buckets=_QUICK_S
    ),
    "sluice_tip_last_notify_seconds": Metric(
        "histogram", "front", "From the first news of a tip to the last miner's job on it", buckets=_QUICK_S
    ),
    "sluice_news_first_total": Metric(
        "counter", "front", "New tips by the way that they were told first", ("source",)
    ),
    "sluice_news_late_seconds": Metric(
        "histogram", "front", "How much later than the first the others told", ("source",), buckets=_QUICK_S
    ),
    "sluice_news_stalled": Metric(
        "gauge", "front", "1 while a way of telling new tips has stopped", ("node", "source")
    ),
    "sluice_node_well": Metric("gauge", "front", "1 while nothing forbids mining on a node", ("node",)),
    "sluice_node_mined_on": Metric("gauge", "front", "1 for the node that templates are taken of", ("node",)),
    "sluice_proposals_total": Metric(
        "counter", "front", "Blocks of new templates as their node judged them", ("answer",)
    ),
    "sluice_chain_height": Metric("gauge", "book", "Height of the tip that the book has followed to"),
    "sluice_chain_tip_timestamp_seconds": Metric("gauge", "book", "When the book last saw a new tip"),
    "sluice_settle_seconds": Metric(
        "histogram", "book", "Time to divide a block and write its rewards", buckets=_SLOW_S
    ),
    "sluice_reserve_msat": Metric(
        "gauge", "book", "What is left of the reserve that shares are paid from (PPS, FPPS)"
    ),
    "sluice_reserve_ruin_probability": Metric(
        "gauge", "book", "The odds that this reserve is ever used up, at the newest block"
    ),
    "sluice_early_credit_cap_msat": Metric(
        "gauge", "book", "The most that may be credited for blocks that have not matured; 0: nothing is"
    ),
    "sluice_payment_outcomes_total": Metric(
        "counter", "payer", "Lightning payment attempts by outcome", ("outcome",)
    ),
    "sluice_payment_seconds": Metric(
        "histogram", "payer", "From a claim's being taken to its definite outcome", buckets=_SLOW_S
    ),
    "sluice_lightning_outbound_msat": Metric("gauge", "payer", "What the Lightning node could send now"),
    "sluice_hot_wallet_msat": Metric("gauge", "payer", "What the node's wallet says it holds"),
    "sluice_hashrate_hps": Metric("gauge", "web", "Hashrate estimate over ten minutes"),
    "sluice_active_accounts": Metric("gauge", "web", "Accounts with a share within ten minutes"),
    "sluice_active_workers": Metric("gauge", "web", "Machines with a share within ten minutes"),
    "sluice_newest_share_timestamp_seconds": Metric("gauge", "web", "When the newest share was found"),
    "sluice_shares_kept": Metric("gauge", "web", "Shares that are in the log"),
    "sluice_shares_archived": Metric("gauge", "web", "Shares that have left it for files"),
    "sluice_archived_timestamp_seconds": Metric("gauge", "web", "When the newest archived share was found"),
    "sluice_commitment_timestamp_seconds": Metric(
        "gauge", "web", "When the book last wrote down what the next block fixes of the share log"
    ),
    "sluice_round_effort_ratio": Metric(
        "gauge", "web", "Work since the pool's last block over a block's expected work"
    ),
    "sluice_best_share_difficulty": Metric(
        "gauge", "web", "Best share ever, and since the pool's last block", ("since",)
    ),
    "sluice_blocks": Metric("gauge", "web", "Blocks found by state", ("state",)),
    "sluice_payments": Metric("gauge", "web", "Payments and on-chain batches by state", ("way", "state")),
    "sluice_ledger_balance_msat": Metric(
        "gauge", "web", "Ledger balances, debit positive; miners' accounts summed by part", ("account",)
    ),
    "sluice_ledger_unbalanced_msat": Metric(
        "gauge", "web", "Sum of all ledger balances; anything but 0 is an alarm"
    ),
    "sluice_early_credit_exposure_msat": Metric(
        "gauge", "web", "What was credited for blocks that have not matured: lost, if they are"
    ),
    "sluice_rewards_checked": Metric(
        "gauge", "web", "Rewards and paid slices that were counted again, share by share", ("result",)
    ),
    "sluice_sending_stopped": Metric("gauge", "web", "1 while payments are stopped by a breaker"),
    "sluice_stops": Metric(
        "gauge", "web", "Stops that nobody has resumed after, by what they are about", ("kind",)
    ),
    "sluice_payments_waiting": Metric(
        "gauge",
        "web",
        "Lightning payments that wait for an operator's approval, or for their outcome",
        ("on",),
    ),
    "sluice_lightning_balance_msat": Metric(
        "gauge", "web", "What the Lightning node had when it was last asked"
    ),
}


def counter(name: str, registry: CollectorRegistry) -> Counter:
    """A counter of the catalogue, registered."""
    metric = CATALOGUE[name]
    return Counter(name, metric.help, metric.labels, registry=registry)


def gauge(
    name: str, registry: CollectorRegistry, mode: Literal["livesum", "mostrecent", "livemax", "livemin"]
) -> Gauge:
    """A gauge of the catalogue, registered; the mode says what several processes' values make together."""
    metric = CATALOGUE[name]
    return Gauge(name, metric.help, metric.labels, registry=registry, multiprocess_mode=mode)


def histogram(name: str, registry: CollectorRegistry) -> Histogram:
    """A histogram of the catalogue, registered."""
    metric = CATALOGUE[name]
    return Histogram(name, metric.help, metric.labels, registry=registry, buckets=metric.buckets)
