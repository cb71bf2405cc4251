"""check says before the start that a treasury is missing: without one, miners would have no work."""

from __future__ import annotations

from pathlib import Path

import pytest
from bdkpython import NetworkKind

from pool.check_treasury import treasury
from pool.config import Config, parse
from pool.errors import ConfigError
from pool.store.database import connect
from pool.store.treasury import TreasuryTable
from tests.contracts.node import now
from tests.pool.test_treasury import public


def configured(directory: Path, bps: int) -> Config:
    document = {
        "node": {"network": "regtest"},
        "onchain": {"treasury_bps": bps},
        "store": {"directory": str(directory)},
    }
    return parse(document, "sluice.toml")


def test_without_a_part_for_it_nothing_is_needed(tmp_path: Path) -> None:
    assert "wallet alone" in now(treasury(configured(tmp_path, 0)))


def test_a_part_for_a_treasury_that_is_not_there_is_told_with_the_mend(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="treasury import"):
        now(treasury(configured(tmp_path, 1)))
    connect(tmp_path, "ledger").close()
    with pytest.raises(ConfigError, match="treasury import"):
        now(treasury(configured(tmp_path, 1)))


def test_the_first_address_is_shown_to_be_compared(tmp_path: Path) -> None:
    connection = connect(tmp_path, "ledger")
    TreasuryTable(connection).add(public(network=NetworkKind.TEST), 1)
    connection.close()
    assert "index 0 is bcrt1q" in now(treasury(configured(tmp_path, 9000)))
