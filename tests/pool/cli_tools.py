"""How tests run the command line: in this process for answers, in one of its own for exit statuses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from pool.cli import sluice

CONFIG = '[node]\nnetwork = "regtest"\n[store]\ndirectory = "."\n'


def configure(directory: Path, text: str = CONFIG) -> Path:
    """A configuration whose store is the directory that it lies in."""
    path = directory / "sluice.toml"
    path.write_text(text, encoding="utf-8")
    return path


def invoke(directory: Path, *arguments: str) -> Result:
    """Run a command in this process; errors come out as exceptions."""
    options = ["--config", str(directory / "sluice.toml")]
    return CliRunner().invoke(sluice, [*arguments, *options], catch_exceptions=False, standalone_mode=False)


def text_of(directory: Path, *arguments: str) -> str:
    """What a command prints for people: no line is wider than 100 columns."""
    result = invoke(directory, *arguments)
    assert result.exit_code == 0, result.output
    assert max(map(len, result.output.splitlines()), default=0) <= 100, result.output
    return result.output


def json_of(directory: Path, *arguments: str) -> Any:
    """What a command prints for programs."""
    return json.loads(invoke(directory, *arguments, "--json").output)


def run(directory: Path, *arguments: str, status: int) -> subprocess.CompletedProcess[str]:
    """Run ``python -m pool`` there: its status is as expected, and an error is one line on stderr."""
    done = subprocess.run(
        [sys.executable, "-m", "pool", *arguments],
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert done.returncode == status, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


def complaint(directory: Path, *arguments: str, status: int) -> str:
    """The one line that a failing command writes, without the newline."""
    done = run(directory, *arguments, status=status)
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("sluice: ")
    return line
