"""A front whose only node is gone: shares stop counting, miners may go elsewhere, and work begins again."""

from __future__ import annotations

import time
from contextlib import suppress

from pool.miner_link import Lost
from stratum.errors import Code
from tests.fakes_node import StandIn
from tests.flow.conftest import MakeFront
from tests.flow.front import Front
from tests.flow.miner import Miner

WITHIN_S = 30.0


def configure(front: Front, *lines: str) -> None:
    text = front.config.read_text()
    more = "".join(f"{line}\n" for line in ("silent_s = 0.5", *lines))
    front.config.write_text(text.replace("\n[stratum]", f"{more}\n[stratum]"))


def hear_until_hung_up(miner: Miner) -> list[dict[str, object]]:
    with suppress(Lost, ConnectionError):
        miner._hear(time.monotonic() + WITHIN_S)
        while not miner._answers or miner._answers[-1].get("method") != "client.reconnect":
            miner._hear(time.monotonic() + WITHIN_S)
    return list(miner._answers)


def test_without_a_node_shares_are_stale_and_work_begins_again_with_a_clean_job(
    make_front: MakeFront, node: StandIn
) -> None:
    front = make_front()
    configure(front)
    front.start()
    with Miner(front.port, "alpha.rig") as miner:
        share = miner.share()
        node.stop()
        front.wait_for_log("No work is left")
        assert miner.submit(share) == Code.STALE

        node.start()
        miner.wait_for_jobs(1)
        assert miner.jobs[-1][8] is True
        assert miner.submit(miner.share()) is None


def test_without_a_node_miners_are_sent_elsewhere_if_so_configured(
    make_front: MakeFront, node: StandIn
) -> None:
    front = make_front()
    configure(front, 'when_lost = "reconnect"', 'reconnect_to = "backup.pool.example:3333"')
    front.start()
    with Miner(front.port, "alpha.rig") as miner:
        node.stop()
        said = hear_until_hung_up(miner)

    assert said[-1]["params"] == ["backup.pool.example", 3333, 0]
