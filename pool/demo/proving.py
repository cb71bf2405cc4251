"""The demo's act of proof: what a miner got is checked with nothing but a statement and the node's block."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from pool.demo.scene import Scene, fetch, sluice
from pool.regtest.errors import RigError


def prove(stage: Scene, username: str, claim_link: str) -> dict[str, Any]:
    """Have the site make a statement of a miner's newest reward, and ``sluice verify`` judge it.

    Args:
        stage: where everything is.
        username: of the pool account.
        claim_link: of its page.

    Returns:
        Which block, how many claims are proven, and whether none is wrong.

    Raises:
        RigError: the pool paid the account nothing, or its statement is none.
    """
    rewards = sluice(stage, "account", "show", username)["rewards"]
    if not rewards:
        raise RigError(f"{username} has no reward")
    block = str(rewards[0]["block_hash"])
    statement, raw = stage.directory / "statement.json", stage.directory / "block.hex"
    statement.write_text(fetch(stage, f"{claim_link}/statement/{block}"), encoding="utf-8")
    raw.write_text(stage.rig.bitcoind.rpc("getblock", block, 0), encoding="ascii")
    done = subprocess.run(  # noqa: S603 -- ourselves, where there is no pool: neither its files nor its settings
        [sys.executable, "-m", "pool", "verify", str(statement), "--block", str(raw), "--json"],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        cwd="/",
    )
    if not done.stdout:
        raise RigError(f"the statement cannot be verified: {done.stderr.strip()}")
    verdict = json.loads(done.stdout)
    return {
        "block": block,
        "statement": str(statement),
        "claims_proven": len(verdict["proven"]),
        "wrong": verdict["wrong"],
        "ok": bool(verdict["ok"]),
    }
