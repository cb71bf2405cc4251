"""What Prometheus sees of the nodes: a pool.chain.news.NewsObserver, and how soon miners hear of a tip."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from pool.catalogue import counter, gauge, histogram


class NewsMetrics:
    """Recorded by a front."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Args: registry: of the front."""
        self._first = counter("sluice_news_first_total", registry)
        self._late = histogram("sluice_news_late_seconds", registry)
        self._stalled = gauge("sluice_news_stalled", registry, "livemax")
        self._well = gauge("sluice_node_well", registry, "livemin")
        self._mined_on = gauge("sluice_node_mined_on", registry, "livemax")
        self._proposals = counter("sluice_proposals_total", registry)
        self._first_notify = histogram("sluice_tip_first_notify_seconds", registry)
        self._last_notify = histogram("sluice_tip_last_notify_seconds", registry)

    def told_first(self, source: str) -> None:
        """See NewsObserver."""
        self._first.labels(source).inc()

    def told_late(self, source: str, seconds: float) -> None:
        """See NewsObserver."""
        self._late.labels(source).observe(seconds)

    def stalled(self, node: str, source: str, *, is_so: bool) -> None:
        """See NewsObserver."""
        self._stalled.labels(node, source).set(is_so)

    def node_is(self, node: str, *, well: bool, mined_on: bool) -> None:
        """See NewsObserver."""
        self._well.labels(node).set(well)
        self._mined_on.labels(node).set(mined_on)

    def proposed(self, word: str) -> None:
        """See NewsObserver."""
        self._proposals.labels(word).inc()

    def tip_told(self, first_s: float, last_s: float) -> None:
        """The first job on a tip was written to all miners.

        Args:
            first_s: seconds from the first news of the tip until writing began.
            last_s: until it ended.
        """
        self._first_notify.observe(first_s)
        self._last_notify.observe(last_s)
