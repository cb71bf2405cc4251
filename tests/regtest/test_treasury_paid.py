"""A front and a book as operators run them: a miner's block pays the treasury at its first index."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from bdkpython import NetworkKind

from pool.regtest.bitcoind import Bitcoind
from pool.regtest.fetch import Tools
from pool.regtest.processes import Program, wait_until
from pool.store.database import FILES, connect
from tests.flow.front import Front, Settings, prepare_store
from tests.flow.miner import Miner
from tests.pool.cli_tools import configure, invoke, json_of, text_of
from tests.pool.test_treasury import public

WAIT_S = 60.0
SOMEBODY = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"


@pytest.fixture
def bitcoind(rig_tools: Tools, tmp_path: Path) -> Iterator[Bitcoind]:
    made = Bitcoind(rig_tools, tmp_path / "node")
    made.start()
    try:
        made.mine(2, SOMEBODY)
        yield made
    finally:
        made.stop()


def test_a_miner_s_block_pays_the_treasury_and_its_life_can_be_shown(
    bitcoind: Bitcoind, tmp_path: Path
) -> None:
    store, login = tmp_path / "store", bitcoind.logins["front"]
    prepare_store(store)
    for name in FILES:
        connect(store, name).close()
    front = Front(tmp_path, store, Settings(bitcoind.url, user=login.user, password=login.password))
    with front.config.open("a", encoding="utf-8") as config:
        config.write("\n[onchain]\ntreasury_bps = 9000\n")
    (tmp_path / "cold.txt").write_text(public(network=NetworkKind.TEST), encoding="utf-8")
    options = ["--config", str(configure(tmp_path, front.config.read_text(encoding="utf-8")))]
    assert json_of(tmp_path, "treasury", "import", str(tmp_path / "cold.txt"))["imported"] is True
    command = [sys.executable, "-m", "pool", "run", "--role", "book", *options]
    book = Program("book", command, tmp_path / "book.log", directory=Path(__file__).parents[2])
    try:
        book.start()
        front.start()
        with Miner(front.port, "alpha.rig") as miner:
            submission, block_hash = miner.block()
            assert miner.submit(submission) is None
        wait_until(
            "the book names the index",
            lambda: "pays the treasury: index 0 of descriptor 1" in book.log.read_text(encoding="utf-8"),
            WAIT_S,
            [book],
        )
    finally:
        front.program.stop()
        book.stop()
    (cold,) = bitcoind.rpc("deriveaddresses", public(network=NetworkKind.TEST), [0, 0])
    outputs = bitcoind.rpc("getblock", block_hash, 2)["tx"][0]["vout"]
    assert outputs[0]["scriptPubKey"]["address"] == cold
    assert outputs[0]["value"] == 45
    shown = invoke(tmp_path, "blocks", "show", block_hash).output
    assert f"{cold} (the treasury, index 0)" in shown
    assert "became immature" in shown
    assert " said accepted" in shown
    assert "assets:immature_treasury" in text_of(tmp_path, "ledger", "balances")
    assert json_of(tmp_path, "ledger", "verify")["ok"] is True
    assert json_of(tmp_path, "treasury", "check")["ok"] is True
