"""What Prometheus is told of news and nodes."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from pool.chain.news import NewsObserver
from pool.news_metrics import NewsMetrics


def test_news_nodes_and_proposals_are_counted_by_name() -> None:
    registry = CollectorRegistry()
    metrics = NewsMetrics(registry)
    observer: NewsObserver = metrics
    observer.told_first("zmq")
    observer.told_late("poll", 0.5)
    observer.stalled("a:1", "longpoll", is_so=True)
    observer.stalled("b:1", "longpoll", is_so=False)
    observer.node_is("a:1", well=False, mined_on=False)
    observer.node_is("b:1", well=True, mined_on=True)
    observer.proposed("refused")
    metrics.tip_told(0.003, 0.05)

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(f"sluice_{name}", labels)

    assert value("news_first_total", source="zmq") == 1
    assert value("news_late_seconds_sum", source="poll") == 0.5
    assert value("news_stalled", node="a:1", source="longpoll") == 1
    assert value("news_stalled", node="b:1", source="longpoll") == 0
    assert (value("node_well", node="a:1"), value("node_well", node="b:1")) == (0, 1)
    assert (value("node_mined_on", node="a:1"), value("node_mined_on", node="b:1")) == (0, 1)
    assert value("proposals_total", answer="refused") == 1
    assert value("tip_first_notify_seconds_sum") == 0.003
    assert value("tip_last_notify_seconds_sum") == 0.05
