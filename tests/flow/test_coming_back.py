"""A planned restart of a front: its miners come back to the same session."""

from __future__ import annotations

from tests.flow.conftest import MakeFront
from tests.flow.miner import Miner


def test_a_miner_finds_its_extranonce1_after_a_planned_restart_and_nobody_else_does(
    make_front: MakeFront,
) -> None:
    front = make_front()
    front.start()
    with Miner(front.port, "alpha.rig") as miner:
        session_id = miner.ask("mining.subscribe", ["by hand"])["result"][0][0][1]
        extranonce1 = miner.extranonce1
        assert miner.submit(miner.share()) is None

    front.terminate()
    front.start()

    with Miner(front.port, "bravo.rig") as stranger:
        assert stranger.extranonce1 != extranonce1
    with Miner(front.port, "alpha.rig", session_id) as again:
        assert again.extranonce1 == extranonce1
        assert again.submit(again.share()) is None
    assert session_id not in front.log_text()
