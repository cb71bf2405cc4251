"""The main job as its user runs it: ``sluice demo --once`` on real nodes, judged by report and exit."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pool.proof.blockproof import coinbase_of, from_block
from pool.proof.commitment import find
from pool.proof.document import read
from pool.proof.statement import Statement
from pool.regtest.fetch import Tools

LONGEST_S = 240


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory, rig_tools: Tools) -> dict[str, Any]:
    directory = tmp_path_factory.mktemp("demo")
    command = [sys.executable, "-m", "pool", "demo", "--once", "--json", str(directory / "out.json")]
    done = subprocess.run(
        [*command, "--directory", str(directory / "stage")],
        check=False,
        capture_output=True,
        text=True,
        timeout=LONGEST_S,
    )
    log = directory / "stage/pool/pool.log"
    evidence = done.stdout + done.stderr + (log.read_text(encoding="utf-8") if log.exists() else "")
    assert done.returncode == 0, evidence
    found: dict[str, Any] = json.loads((directory / "out.json").read_text(encoding="utf-8"))
    found["stage"] = str(directory / "stage")
    found["log"] = log.read_text(encoding="utf-8")
    return found


def test_everything_was_right(report: dict[str, Any]) -> None:
    assert report["ok"] is True
    assert report["shares_accepted"] >= report["blocks_found"] >= 12


def test_the_wallet_received_what_was_sent(report: dict[str, Any]) -> None:
    lightning = report["lightning"]
    assert lightning["wallet_received_msat"] == lightning["amount_msat"] == 25_000_000
    preimage = bytes.fromhex(lightning["preimage"])
    assert hashlib.sha256(preimage).hexdigest() == lightning["payment_hash"]


def test_the_batch_is_buried(report: dict[str, Any]) -> None:
    assert report["onchain"]["amount_sat"] > 0
    assert report["onchain"]["confirmations"] >= 2


def test_the_books_balance_and_agree_with_the_nodes_per_asset(report: dict[str, Any]) -> None:
    books = report["ledger"]
    assert books["balanced"] is True
    assert books["assets_msat"] == books["liabilities_msat"] + books["equity_msat"]
    assert books["assets_in_the_books_msat"] == books["assets_outside_msat"]
    assert sum(books["assets_outside_msat"].values()) == books["assets_msat"]


def test_a_miners_reward_is_proven_with_only_the_nodes_block(report: dict[str, Any]) -> None:
    proof = report["proof"]
    assert (proof["ok"], proof["wrong"]) == (True, [])
    assert proof["claims_proven"] >= 8

    block = from_block(bytes.fromhex((Path(report["stage"]) / "pool/block.hex").read_text()))
    statement = read((Path(report["stage"]) / "pool/statement.json").read_text())
    assert isinstance(statement, Statement)
    assert find(coinbase_of(block).outputs) == (statement.commitment.digest,)
    assert statement.commitment.size > 0
    assert statement.shares


def test_the_pool_logged_neither_bugs_nor_secrets(report: dict[str, Any]) -> None:
    log = report["log"]
    assert "Traceback" not in log
    assert report["lightning"]["preimage"] not in log
    assert "k1=" not in log
    assert "/lnurl/…/cb" in log  # the wallet's requests are there, without what they carried


def test_the_cpu_miner_found_blocks_with_versions_that_it_rolled(report: dict[str, Any]) -> None:
    saved = [json.loads(path.read_text()) for path in Path(report["stage"]).rglob("blocks/*.json")]
    versions = {int.from_bytes(bytes.fromhex(each["block"])[:4], "little") for each in saved}
    assert len(versions) > 1
    assert {version & ~0x1FFFE000 for version in versions} == {0x20000000}


def test_nothing_is_left_running(report: dict[str, Any]) -> None:
    commands = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            commands.append(process.read_bytes().decode(errors="replace"))
        except OSError:
            continue  # it ended while we looked
    left = [command for command in commands if report["stage"] in command]
    assert left == []
    assert Path(report["stage"]).is_dir()  # kept, since it was named
