"""One rig of real programs for the whole regtest suite, in working order at the start of each test."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pool.regtest.fetch import Tools, cache_directory, tools
from pool.regtest.rig import Rig

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.regtest)


def _progress(line: str) -> None:
    sys.stderr.write(f"{line}\n")


@pytest.fixture(scope="session")
def rig_tools() -> Tools:
    return tools(cache_directory(), _progress)


@pytest.fixture(scope="session")
def rig_of_session(rig_tools: Tools, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with Rig(tmp_path_factory.mktemp("rig"), rig_tools, _progress) as rig:
        yield rig


@pytest.fixture
def rig(rig_of_session: Rig) -> Rig:
    """The rig with whatever the test before has killed running again, and the channel open."""
    rig_of_session.revive()
    return rig_of_session
