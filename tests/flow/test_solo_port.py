"""Pool and solo side by side on one front: a block belongs to the port that it was found through."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from pool.config import load
from pool.ledger import miner
from pool.pots import policies_of
from pool.regtest.processes import free_ports, listens
from pool.settle import Settler
from pool.store.database import connect, connect_to_read
from pool.store.ledger import LedgerStore
from pool.store.windows import ShareWindows
from pool.verify import verify
from tests.fakes_node import StandIn
from tests.flow.front import Front, Settings, prepare_store
from tests.flow.miner import Miner
from tests.flow.test_share_to_payment import COINBASE_MSAT, ChainNode
from tests.payouts.fakes import result_of

NBITS = 0x1F0FFFFF
"""One hash in 4096 is a block, one in 16 a share."""
SOLO_MSAT = COINBASE_MSAT - COINBASE_MSAT * 50 // 10_000
POOL_MSAT = COINBASE_MSAT - COINBASE_MSAT * 100 // 10_000
TERMS = "\n[rewards.port.solo]\nfee_bps = 50\n"


@pytest.fixture
def node() -> Iterator[StandIn]:
    with StandIn(NBITS) as stand_in:
        yield stand_in


@pytest.fixture
def front(node: StandIn, tmp_path: Path) -> Iterator[Front]:
    store = tmp_path / "store"
    prepare_store(store)
    made = Front(tmp_path / "front", store, Settings(node.url))
    yield made
    made.kill()


def open_solo_port(front: Front) -> int:
    """Start the front with a second port; its number."""
    (number,) = free_ports(1)
    entry = f'\n[[stratum.port]]\nendpoint = "tcp:{number}:interface=127.0.0.1"\nscheme = "solo"\n'
    front.config.write_text(front.config.read_text() + entry + TERMS)
    front.start()
    front.program.wait_until("the solo port is open", lambda: listens(number), 10.0)
    return number


def settle(front: Front, node: StandIn) -> dict[str, int]:
    """One step of the book, as `sluice run` would make it, and the audit; what each account has, msat."""
    shares, books = connect_to_read(front.store, "shares"), connect(front.store, "ledger")
    with closing(shares), closing(books):
        store, windows = LedgerStore(books), ShareWindows(shares)
        store.adopt(policies_of(load(front.config)), windows.newest(), 0)
        result_of(Settler(store, windows, ChainNode(node.chain), 100, lambda: 0).step())
        assert verify(shares, books).differences == ()
        return {name: -store.balance(miner(name, "immature")) for name in ("alpha", "bravo", "carol")}


def test_a_block_of_the_solo_port_is_its_finders_and_one_of_the_pool_counts_no_solo_share(
    front: Front, node: StandIn
) -> None:
    solo_port = open_solo_port(front)
    with Miner(front.port, "alpha.rig") as alpha, Miner(solo_port, "bravo.rig") as bravo:
        assert alpha.submit(alpha.share()) is None
        assert bravo.submit(bravo.share()) is None
        won, block_hash = bravo.block(start=1 << 20)
        assert bravo.submit(won) is None
        front.program.wait_until("the node has the block", lambda: node.chain.tip.hash == block_hash, 10.0)
        assert settle(front, node) == {"alpha": 0, "bravo": SOLO_MSAT, "carol": 0}

        with Miner(front.port, "carol.rig") as carol:
            carol.wait_for_tip_other_than(bravo.jobs[0][1])
            won, block_hash = carol.block(start=1 << 20)
            assert carol.submit(won) is None
            front.program.wait_until("the node has this too", lambda: node.chain.tip.hash == block_hash, 10.0)
    each = settle(front, node)
    assert each["bravo"] == SOLO_MSAT
    # alpha's share came first and at the same difficulty: both have half
    assert each["alpha"] == each["carol"] == POOL_MSAT // 2


def test_a_session_cannot_be_taken_from_the_pools_port_to_the_solo_port(front: Front) -> None:
    solo_port = open_solo_port(front)
    with Miner(front.port, "alpha.rig") as alpha:
        session_id = alpha.ask("mining.subscribe", ["by hand"])["result"][0][0][1]
        with Miner(solo_port, "alpha.rig", session_id) as moved:
            assert moved.extranonce1 != alpha.extranonce1
        assert alpha.submit(alpha.share()) is None
