"""The benchmark of blocks runs on a real node and measures; what it measures is never judged here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.pool.cli_tools import run

FIGURES = {
    "tip_to_first_notify_ms_p50",
    "tip_to_last_notify_ms_p50",
    "solved_to_submit_ms_p50",
    "solved_to_submit_ms_p99",
}


@pytest.mark.regtest
def test_quick_prints_one_object_with_every_figure(tmp_path: Path) -> None:
    done = run(tmp_path, "bench", "blocks", "--quick", "--json", "--directory", ".", status=0)
    figures = json.loads(done.stdout)
    assert all(figures[name] > 0 for name in FIGURES), figures
    assert figures["tip_to_first_notify_ms_p50"] <= figures["tip_to_last_notify_ms_p50"]
    assert (figures["template_transactions"], figures["connections"]) == (50, 20)
    assert figures["block_bytes"] > 50 * 90  # the template's transactions are in the solved blocks
