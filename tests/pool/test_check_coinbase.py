"""check says how long the coinbase becomes, and which machines do not take it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pool.check_coinbase import coinbase
from pool.config import parse
from pool.store.database import connect
from pool.store.ledger import LedgerStore
from tests.contracts.node import now


def said(directory: Path, **sections: dict[str, Any]) -> str:
    document = {"node": {"network": "regtest"}, "store": {"directory": str(directory)}, **sections}
    return now(coinbase(parse(document, "sluice.toml")))


def test_what_a_coinbase_fixes_costs_47_bytes_and_every_machine_takes_it(tmp_path: Path) -> None:
    with_it, without = said(tmp_path), said(tmp_path, rewards={"commit": False})
    assert with_it.endswith("fixes the share log: every known machine takes it")
    assert without.endswith("bytes: every known machine takes it")
    assert int(with_it.split()[0]) - int(without.split()[0]) == 47


@pytest.mark.parametrize("made", [False, True])
def test_what_is_too_long_is_told_with_the_machine_and_the_mend(made: bool, tmp_path: Path) -> None:
    if made:  # the addresses that blocks will pay are known
        with_addresses = connect(tmp_path, "ledger")
        LedgerStore(with_addresses).add_addresses([("bcrt1p", b"\x51\x20" + bytes(32))], 0)
        with_addresses.close()
    text = said(
        tmp_path, stratum={"tag": "t" * (39 if made else 40)}, onchain={"treasury_bps": 0 if made else 5_000}
    )
    if made:
        assert text.startswith("255 bytes")  # the most that a NerdMiner takes
    else:
        assert "too long for NerdMiner" in text
        assert "shorten stratum.tag, or set rewards.commit = false" in text
