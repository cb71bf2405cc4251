"""The measurement of pushes: a handful of them, with claims among them, and what it notices."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner

from pool.bench import pushes
from pool.cli import sluice


def test_quick_prints_one_object_with_every_figure_and_pays_once(tmp_path: Path) -> None:
    result = CliRunner().invoke(
        sluice, ["bench", "pushes", "--quick", "--json", "--directory", str(tmp_path)], catch_exceptions=False
    )
    assert result.exit_code == 0, result.output
    figures = json.loads(result.stdout)
    assert figures["pushed_exactly_once"] is True
    assert figures["claims_refused"] == 0
    assert 0 < figures["claims"] <= pushes.QUICK.pushes
    assert figures["pushes_per_s"] > 0
    assert figures["claim_ms_p50"] <= figures["claim_ms_most"]
    assert list(tmp_path.iterdir()) == []
