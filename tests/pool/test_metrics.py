"""The metrics: recorders, figures from the databases, several processes, and the documentation's list."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import attrs
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from payouts.money import Msat
from payouts.values import PaymentState
from pool import metrics
from pool.catalogue import CATALOGUE
from pool.metrics import BookMetrics, FrontMetrics, PayerMetrics, StoreCollector
from pool.proof.commitment import Commitment
from pool.store.database import connect
from pool.store.log_tree import LogTable
from pool.store.queries import Queries
from stratum.errors import Code
from stratum.ports import Observer
from tests.contracts.book import claim, intent, k1_hash_for
from tests.pool.test_store_payments import make
from tests.pool.test_store_queries import ADDRESS, NOW_MS, add_found, add_shares, post

ROOT = Path(__file__).parents[2]
ROW = re.compile(r"^\| `(sluice_\w+)(?:\{([\w, ]+)\})?` \| (\w+) \| (\w+) \| (.+) \|$", re.MULTILINE)


def samples(registry: CollectorRegistry) -> dict[tuple[str, tuple[str, ...]], float]:
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in registry.collect()
        for sample in family.samples
    }


def scraped(queries: Queries) -> dict[tuple[str, tuple[str, ...]], float]:
    registry = CollectorRegistry()
    registry.register(StoreCollector(queries, lambda: NOW_MS))
    return samples(registry)


def test_the_documentation_lists_exactly_the_metrics_that_exist() -> None:
    text = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    rows = ROW.findall(text)
    listed = {name: (tuple(re.findall(r"\w+", labels)), kind, role) for name, labels, kind, role, _ in rows}
    assert listed == {name: (it.labels, it.kind, it.role) for name, it in CATALOGUE.items()}
    mentioned = set(re.findall(r"sluice_[a-z_]+[a-z]", text))
    assert {name.removesuffix("_bucket") for name in mentioned} == set(CATALOGUE)


def test_every_metric_of_the_catalogue_is_registered_with_its_name_and_kind(tmp_path: Path) -> None:
    registry = CollectorRegistry()
    FrontMetrics(registry)
    BookMetrics(registry)
    PayerMetrics(registry)
    registry.register(StoreCollector(Queries(tmp_path), lambda: NOW_MS))
    kinds = {
        family.name + ("_total" if family.type == "counter" else ""): family.type
        for family in registry.collect()
    }
    assert kinds == {name: metric.kind for name, metric in CATALOGUE.items()}


def test_every_error_code_of_the_protocol_has_a_result() -> None:
    assert set(metrics.RESULTS) == set(Code)


def test_names_carry_units_that_prometheus_knows() -> None:
    for name, metric in CATALOGUE.items():
        assert re.fullmatch(r"sluice_[a-z]+(_[a-z]+)*", name)
        assert metric.help
        assert name.endswith("_total") == (metric.kind == "counter")
        assert metric.kind != "histogram" or name.endswith("_seconds")


def test_a_front_counts_shares_by_result() -> None:
    registry = CollectorRegistry()
    front = FrontMetrics(registry)
    observer: Observer = front
    observer.accepted(3)
    observer.rejected(Code.STALE)
    observer.rejected(Code.OTHER)
    observer.connections(7)
    front.template(1234.5)
    front.commit_seconds(0.003)
    observer.job_told(1000, 0.02)
    found = samples(registry)
    assert found["sluice_shares_total", ("accepted",)] == 3
    assert found["sluice_shares_total", ("stale",)] == 1
    assert found["sluice_shares_total", ("other",)] == 1
    assert found["sluice_connections", ()] == 7
    assert found["sluice_template_timestamp_seconds", ()] == 1234.5
    assert found["sluice_share_commit_seconds_count", ()] == 1
    assert found["sluice_job_broadcast_seconds_sum", ()] == 0.02


def test_book_and_payer_record_what_they_did() -> None:
    registry = CollectorRegistry()
    book, payer = BookMetrics(registry), PayerMetrics(registry)
    book.tip(840_000, 99.0)
    book.settle_seconds(0.4)
    book.reserve(Msat(9_000), 0.001)
    payer.outcome(PaymentState.SETTLED)
    payer.payment_seconds(1.5)
    payer.outbound(Msat(5_000))
    payer.hot_wallet(Msat(7_000))
    found = samples(registry)
    assert found["sluice_chain_height", ()] == 840_000
    assert found["sluice_settle_seconds_count", ()] == 1
    assert found["sluice_reserve_msat", ()] == 9_000
    assert found["sluice_reserve_ruin_probability", ()] == 0.001
    assert found["sluice_payment_outcomes_total", ("settled",)] == 1
    assert found["sluice_lightning_outbound_msat", ()] == 5_000
    assert found["sluice_hot_wallet_msat", ()] == 7_000


def test_an_empty_store_exports_zeros_and_no_false_moments(tmp_path: Path) -> None:
    found = scraped(Queries(tmp_path))
    assert found["sluice_ledger_unbalanced_msat", ()] == 0
    assert found["sluice_blocks", ("mature",)] == 0
    assert found["sluice_payments", ("lightning", "unknown")] == 0
    assert not any(name == "sluice_newest_share_timestamp_seconds" for name, _ in found)


def test_miners_balances_are_summed_and_no_miner_is_named(tmp_path: Path) -> None:
    ledger, shares = connect(tmp_path, "ledger"), connect(tmp_path, "shares")
    post(
        ledger,
        "reward:x:0",
        {
            "assets:immature": 800,
            "assets:advanced": 100,
            f"liabilities:miners:{ADDRESS}:immature": -600,
            "liabilities:miners:m-abc:immature": -290,
            "income:pool_fee": -10,
        },
    )
    add_shares(shares, ADDRESS, 4, NOW_MS - 5_000)
    add_found(shares, "a" * 64, 4, 100)
    found = scraped(Queries(tmp_path))
    assert found["sluice_ledger_balance_msat", ("liabilities:miners:immature",)] == -890
    assert found["sluice_ledger_balance_msat", ("assets:immature",)] == 800
    assert found["sluice_early_credit_exposure_msat", ()] == 100
    assert found["sluice_ledger_unbalanced_msat", ()] == 0
    assert found["sluice_blocks", ("submitted",)] == 1
    assert found["sluice_newest_share_timestamp_seconds", ()] == (NOW_MS - 5_000) / 1000
    assert not any(ADDRESS in label or "m-abc" in label for _, labels in found for label in labels)


def test_a_missing_millisatoshi_is_seen_even_among_huge_balances(tmp_path: Path) -> None:
    ledger = connect(tmp_path, "ledger")
    post(
        ledger, "k", {"assets:hot": 2_100_000_000_000_000_000, "equity:deposits": -2_099_999_999_999_999_999}
    )
    assert scraped(Queries(tmp_path))["sluice_ledger_unbalanced_msat", ()] == 1


def test_when_the_next_block_was_last_told_what_to_fix_shows(tmp_path: Path) -> None:
    ledger = connect(tmp_path, "ledger")
    name = ("sluice_commitment_timestamp_seconds", ())
    assert name not in scraped(Queries(tmp_path))
    LogTable(ledger).write([], Commitment(0, bytes(32), {}, "00" * 32), 5_000, 1)
    assert scraped(Queries(tmp_path))[name] == 5.0


def test_a_tripped_breaker_shows(tmp_path: Path) -> None:
    ledger = connect(tmp_path, "ledger")
    reasons = ("fees: routing took 9 millionths", "drift: 1 sat", "by the operator: tea", "something else")
    ledger.executemany("INSERT INTO breaker (reason, tripped_ms) VALUES (?, 1)", [(r,) for r in reasons])
    found = scraped(Queries(tmp_path))
    assert found["sluice_sending_stopped", ()] == 1
    assert found["sluice_rewards_checked", ("wrong",)] == 0
    stops = {labels[0]: value for (name, labels), value in found.items() if name == "sluice_stops"}
    assert {kind for kind, value in stops.items() if value} == {"fees", "drift", "operator", "other"}
    assert stops["ledger"] == 0


def test_what_waits_for_the_operator_and_what_the_node_had_show(tmp_path: Path) -> None:
    book = make(tmp_path, {"alice": 10_000})
    large = attrs.evolve(intent(claim()), held_back="it is above 0 sat")
    book.take(large, k1_hash_for, NOW_MS, limit=5)
    found = scraped(Queries(tmp_path))
    assert found["sluice_payments_waiting", ("approval",)] == 1
    assert found["sluice_payments_waiting", ("outcome",)] == 0
    assert not any(name == "sluice_lightning_balance_msat" for name, _ in found)
    book.note_node(Msat(77), Msat(5), NOW_MS)
    assert scraped(Queries(tmp_path))["sluice_lightning_balance_msat", ()] == 77


RECORD = """
import sys
from pool.metrics import FrontMetrics
front = FrontMetrics()
front.accepted(int(sys.argv[1])); front.connections(int(sys.argv[1])); front.template(float(sys.argv[1]))
import os; print(os.getpid())
"""
SCRAPE = """
import sys
from pathlib import Path
from pool.metrics import exposition
from pool.store.queries import Queries
sys.stdout.buffer.write(exposition(Queries(Path(sys.argv[1])), lambda: 1))
"""


def run(environment: dict[str, str], code: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_the_web_adds_up_what_other_processes_recorded(tmp_path: Path) -> None:
    directory = tmp_path / "metrics"
    (directory).mkdir()
    (directory / "counter_1.db").write_bytes(b"left over from an earlier run")
    environment = metrics.prepare(directory)
    assert not list(directory.iterdir())
    dead = int(run(environment, RECORD, "2"))
    run(environment, RECORD, "3")
    metrics.process_ended(dead, directory)
    families = text_string_to_metric_families(run(environment, SCRAPE, str(tmp_path)))
    found = {sample.name: sample for family in families for sample in family.samples if sample.value}
    assert found["sluice_shares_total"].value == 5
    assert found["sluice_connections"].value == 3
    assert found["sluice_template_timestamp_seconds"].value == 3


def test_a_role_that_ended_with_no_supervisor_is_forgotten_by_the_next_one_that_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    metrics.forget_the_dead()  # where no directory is shared there is nothing to forget
    environment = metrics.prepare(tmp_path / "metrics")
    dead = run(environment, RECORD, "2").strip()
    monkeypatch.setenv(metrics.DIRECTORY, environment[metrics.DIRECTORY])
    alive = tmp_path / "metrics" / f"gauge_livesum_{os.getpid()}.db"
    alive.write_bytes(b"ours")
    metrics.forget_the_dead()
    left = {path.name for path in (tmp_path / "metrics").glob("gauge_live*")}
    assert left == {alive.name}
    assert (tmp_path / "metrics" / f"counter_{dead}.db").exists()


def test_the_exposition_parses_and_needs_no_shared_directory(tmp_path: Path) -> None:
    text = metrics.exposition(Queries(tmp_path), lambda: NOW_MS).decode()
    assert {family.name for family in text_string_to_metric_families(text)} == {
        name for name, metric in CATALOGUE.items() if metric.role == "web"
    }
