"""The benchmark runs and measures; what it measures is never judged here."""

from __future__ import annotations

import json
import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from pool.bench.process import BenchError, allow_files, cpu_s, rss_bytes
from tests.pool.cli_tools import run

FIGURES = {
    "accepted_per_cpu_s_1000x1",
    "accepted_per_cpu_s_64x16",
    "cpu_us_per_share_at_1000_per_s",
    "reply_ms_p50",
    "reply_ms_p99",
    "fanout_ms_10000",
    "storm_s_10000",
    "wall_shares_per_s_1_process",
    "wall_shares_per_s_2_processes",
    "reply_ms_p99_2_processes",
}


@pytest.fixture
def file_limit() -> Iterator[tuple[int, int]]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield soft, hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_quick_prints_one_object_with_every_figure(tmp_path: Path) -> None:
    done = run(tmp_path, "bench", "stratum", "--quick", "--json", "--directory", ".", status=0)
    figures = json.loads(done.stdout)
    assert figures.keys() >= FIGURES | {"rss_bytes_per_idle_connection"}
    assert all(figures[name] > 0 for name in FIGURES), figures
    assert "one share outstanding" in done.stderr


def test_a_process_is_measured_by_what_the_kernel_says() -> None:
    own = os.getpid()
    before = cpu_s(own)
    while cpu_s(own) < before + 0.02:
        sum(range(10_000))
    assert rss_bytes(own) > 10_000_000


def test_the_soft_limit_of_open_files_is_raised_as_far_as_needed(file_limit: tuple[int, int]) -> None:
    _, hard = file_limit
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, hard))
    allow_files(300)
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 300
    allow_files(250)
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 300


def test_too_low_a_hard_limit_is_said_with_the_mend(file_limit: tuple[int, int]) -> None:
    _, hard = file_limit
    if hard == resource.RLIM_INFINITY:
        return
    with pytest.raises(BenchError, match="raise the hard limit"):
        allow_files(hard + 1)
