"""demo and miner: their options, and the wrong ones."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from pool.cli import sluice
from tests.pool.cli_tools import complaint, run


def test_every_command_has_a_help_whose_first_line_is_whole_in_the_list() -> None:
    listed = CliRunner().invoke(sluice, ["--help"]).output
    assert "..." not in listed.partition("Commands:")[2]
    for group in ("account", "blocks", "ledger", "payouts", "treasury", "bench"):
        help_text = CliRunner().invoke(sluice, [group, "--help"]).output
        assert "..." not in help_text.partition("Commands:")[2], help_text


def test_commands_are_listed_in_the_order_in_which_they_are_needed() -> None:
    assert list(sluice.commands)[:4] == ["init", "check", "run", "status"]


def test_the_version_is_told(tmp_path: Path) -> None:
    assert run(tmp_path, "--version", status=0).stdout.startswith("sluice, version ")


@pytest.mark.parametrize(
    "url", ["pool.example:3333", "stratum+ssl://pool.example:3333", "stratum+tcp://pool"]
)
def test_the_miner_says_which_form_of_url_it_takes(tmp_path: Path, url: str) -> None:
    line = complaint(tmp_path, "miner", "--url", url, "--user", "alice", status=2)
    assert "stratum+tcp://host:port" in line
    assert "sluice miner --help" in line


def test_the_demo_starts_from_nothing(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "file").touch()
    assert "is not empty" in complaint(tmp_path, "demo", "--once", "--directory", "kept", status=2)
