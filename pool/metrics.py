"""What Prometheus sees: recorders for the roles, and figures read at scrape time.

Fronts, book and payer are processes of their own.  ``sluice run`` gives them one directory (the environment
variable that prometheus-client looks for when it is first imported), they record into files there, and the
web adds those up.  What the databases know is read from them whenever ``/metrics`` is asked for.  Moments are
exported as timestamps, never as ages: nothing can be computed at scrape time in another process.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest, multiprocess
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from payouts.limits import STOPS, stop_kind
from payouts.money import Msat
from payouts.values import BatchState, PaymentState
from pool.advances import exposure
from pool.catalogue import CATALOGUE, counter, gauge, histogram
from pool.news_metrics import NewsMetrics
from pool.store.figures import Bests
from pool.store.queries import MINERS, Queries

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
DIRECTORY: Final = "PROMETHEUS_MULTIPROC_DIR"
RESULTS: Final = {
    20: "other",
    21: "stale",
    22: "duplicate",
    23: "low_difficulty",
    24: "unauthorized",
    25: "not_subscribed",
}
BLOCK_STATES: Final = ("submitted", "immature", "mature", "orphaned")


class FrontMetrics:
    """What a front records: a stratum.ports.Observer, and what only the pool knows.

    Attributes:
        news: of the nodes.
    """

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        """Args: registry: for tests; in a pool's process the shared directory takes its place."""
        registry = registry or CollectorRegistry()
        self._shares = counter("sluice_shares_total", registry)
        self._accepted = self._shares.labels("accepted")
        self._connections = gauge("sluice_connections", registry, "livesum")
        self._template = gauge("sluice_template_timestamp_seconds", registry, "livemin")
        self._commit = histogram("sluice_share_commit_seconds", registry)
        self._broadcast = histogram("sluice_job_broadcast_seconds", registry)
        self.news = NewsMetrics(registry)

    def accepted(self, shares: int) -> None:
        """So many shares are on disk and were acknowledged."""
        self._accepted.inc(shares)

    def rejected(self, code: int) -> None:
        """A submission was refused with a Stratum error code."""
        self._shares.labels(RESULTS.get(code, "other")).inc()

    def connections(self, live: int) -> None:
        """So many connections are open now."""
        self._connections.set(live)

    def job_told(self, connections: int, seconds: float) -> None:
        """A job was written to all connections, which took so long."""
        if connections:
            self.broadcast_seconds(seconds)

    def broadcast_seconds(self, seconds: float) -> None:
        """A job took so long to reach the last connection."""
        self._broadcast.observe(seconds)

    def template(self, time_s: float) -> None:
        """A template came, at a Unix time."""
        self._template.set(time_s)

    def commit_seconds(self, seconds: float) -> None:
        """A group of shares took so long to be on disk."""
        self._commit.observe(seconds)


class BookMetrics:
    """What the book records."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        registry = registry or CollectorRegistry()
        self._height = gauge("sluice_chain_height", registry, "mostrecent")
        self._tip = gauge("sluice_chain_tip_timestamp_seconds", registry, "mostrecent")
        self._settle = histogram("sluice_settle_seconds", registry)
        self._reserve = gauge("sluice_reserve_msat", registry, "mostrecent")
        self._ruin = gauge("sluice_reserve_ruin_probability", registry, "mostrecent")
        self._early_cap = gauge("sluice_early_credit_cap_msat", registry, "mostrecent")

    def tip(self, height: int, time_s: float) -> None:
        """The chain's tip is at this height since a Unix time."""
        self._height.set(height)
        self._tip.set(time_s)

    def reserve(self, left: Msat, ruin: float) -> None:
        """Shares are paid from a reserve with so much left, which is ever used up with this probability."""
        self._reserve.set(left)
        self._ruin.set(ruin)

    def early_credit_cap(self, cap: Msat) -> None:
        """So much may be credited for blocks that have not matured."""
        self._early_cap.set(cap)

    def settle_seconds(self, seconds: float) -> None:
        """A block's rewards took so long to be divided and written."""
        self._settle.observe(seconds)


class PayerMetrics:
    """What the payer records."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        registry = registry or CollectorRegistry()
        self._outcomes = counter("sluice_payment_outcomes_total", registry)
        self._seconds = histogram("sluice_payment_seconds", registry)
        self._outbound = gauge("sluice_lightning_outbound_msat", registry, "mostrecent")
        self._hot = gauge("sluice_hot_wallet_msat", registry, "mostrecent")

    def outcome(self, state: PaymentState) -> None:
        """An attempt ended in this state."""
        self._outcomes.labels(state.value).inc()

    def payment_seconds(self, seconds: float) -> None:
        """A payment took so long from its claim to a definite outcome."""
        self._seconds.observe(seconds)

    def outbound(self, amount: Msat) -> None:
        """The Lightning node could send so much."""
        self._outbound.set(amount)

    def hot_wallet(self, amount: Msat) -> None:
        """The node's wallet holds so much."""
        self._hot.set(amount)


class StoreCollector(Collector):
    """Figures of the databases, read when Prometheus asks."""

    def __init__(self, queries: Queries, now_ms: Callable[[], int]) -> None:
        """Args: queries: to read with; now_ms: Unix milliseconds."""
        self._queries = queries
        self._now_ms = now_ms

    def describe(self) -> list[GaugeMetricFamily]:
        """The families without samples: registering reads nothing."""
        return [_family(name) for name, metric in CATALOGUE.items() if metric.role == "web"]

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Read and yield every family of the catalogue that has the role ``web``."""
        for name, samples in self._figures().items():
            family = _family(name)
            for labels, value in samples.items():
                family.add_metric(labels, value)
            yield family

    def _figures(self) -> dict[str, dict[tuple[str, ...], float]]:
        stats = self._queries.pool(self._now_ms())
        balances = self._queries.ledger_balances()
        blocks = self._queries.blocks_by_state()
        newest, fixed = stats.newest_share_ms, self._queries.fixed_ms()
        checked, wrong = self._queries.rewards_checked()
        return {
            "sluice_hashrate_hps": {(): stats.hashrate.hps},
            "sluice_active_accounts": {(): stats.accounts},
            "sluice_active_workers": {(): stats.workers},
            "sluice_newest_share_timestamp_seconds": _seconds(newest),
            "sluice_shares_kept": {(): stats.log.kept},
            "sluice_shares_archived": {(): stats.log.archived},
            "sluice_archived_timestamp_seconds": _seconds(stats.log.archived_ms),
            "sluice_commitment_timestamp_seconds": _seconds(fixed),
            "sluice_round_effort_ratio": {(): stats.round_effort},
            "sluice_best_share_difficulty": _best(stats.best),
            "sluice_blocks": {(state,): blocks.get(state, 0) for state in BLOCK_STATES},
            "sluice_payments": dict((_no_payments() | self._queries.payments_by_state()).items()),
            "sluice_ledger_balance_msat": {(name,): value for name, value in _aggregated(balances).items()},
            # summed as integers: a sum of floats would hide a missing millisatoshi
            "sluice_ledger_unbalanced_msat": {(): sum(balances.values())},
            "sluice_early_credit_exposure_msat": {(): exposure(balances)},
            "sluice_rewards_checked": {("right",): checked - wrong, ("wrong",): wrong},
            "sluice_sending_stopped": {(): int(self._queries.sending_stopped())},
            **_of_payments(self._queries),
        }


def prepare(directory: Path) -> dict[str, str]:
    """Empty (or make) the directory that the roles share; call before any role starts.

    Returns:
        What the roles' environment needs.
    """
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    for old in directory.glob("*.db"):
        old.unlink()
    return {DIRECTORY: str(directory)}


def process_ended(pid: int, directory: Path) -> None:
    """Forget the live gauges of a role's process that ended (its counters stay)."""
    multiprocess.mark_process_dead(pid, str(directory))  # type: ignore[no-untyped-call]


def forget_the_dead() -> None:
    """Forget the live gauges of roles that ended with no supervisor to say so, in our directory if any."""
    directory = os.environ.get(DIRECTORY)
    pids = {path.stem.rpartition("_")[2] for path in Path(directory or os.devnull).glob("gauge_live*_*.db")}
    for pid in pids:
        if directory and not Path("/proc", pid).exists():
            process_ended(int(pid), Path(directory))


def exposition(queries: Queries, now_ms: Callable[[], int]) -> bytes:
    """The text that ``/metrics`` answers, CONTENT_TYPE being its type."""
    registry = CollectorRegistry()
    if DIRECTORY in os.environ:
        multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    registry.register(StoreCollector(queries, now_ms))
    return generate_latest(registry)


def _aggregated(balances: Mapping[str, int]) -> dict[str, int]:
    """Miners' accounts become one for each part: a label for each miner would never end."""
    sums = {f"{MINERS}{part}": 0 for part in ("immature", "available", "held")}
    for name, amount in balances.items():
        key = MINERS + name.rpartition(":")[2] if name.startswith(MINERS) else name
        sums[key] = sums.get(key, 0) + amount
    return sums


def _seconds(time_ms: int | None) -> dict[tuple[str, ...], float]:
    """A moment, where there was one."""
    return {} if time_ms is None else {(): time_ms / 1000}


def _of_payments(queries: Queries) -> dict[str, dict[tuple[str, ...], float]]:
    """What waits for the operator, and what the books can be compared with."""
    waiting, balance = queries.waiting(), queries.lightning_balance()
    kinds = [stop_kind(reason) for reason in waiting.stops]
    return {
        "sluice_stops": {(kind,): kinds.count(kind) for kind in STOPS},
        "sluice_payments_waiting": {("approval",): waiting.approvals, ("outcome",): waiting.unknown},
        "sluice_lightning_balance_msat": {} if balance is None else {(): balance},
    }


def _best(bests: Bests) -> dict[tuple[str, ...], float]:
    known = {"ever": bests.ever, "round": bests.round}
    return {(since,): share.difficulty for since, share in known.items() if share is not None}


def _no_payments() -> dict[tuple[str, str], int]:
    lightning = {("lightning", state.value): 0 for state in PaymentState}
    return lightning | {("onchain", state.value): 0 for state in BatchState}


def _family(name: str) -> GaugeMetricFamily:
    metric = CATALOGUE[name]
    return GaugeMetricFamily(name, metric.help, labels=metric.labels)
