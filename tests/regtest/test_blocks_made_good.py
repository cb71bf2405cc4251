"""A found block reaches the real node, and its winning share the log once, whatever dies in between."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import pytest

from pool.miner_link import Lost
from pool.regtest.bitcoind import Bitcoind
from pool.regtest.errors import RpcError
from pool.regtest.fetch import Tools
from pool.regtest.processes import wait_until
from tests.flow.dying_front import AFTER_SUBMISSION, BEFORE_COMMIT, BEFORE_SUBMISSION, VARIABLE
from tests.flow.front import SCRIPTS, Front, Settings, prepare_store, query
from tests.flow.miner import Miner

WAIT_S = 60.0


@attrs.frozen
class Network:
    """A bitcoind of this module's own."""

    bitcoind: Bitcoind
    address: str

    def mine(self) -> str:
        """A block of somebody else's, which survives a kill of the node."""
        return self.bitcoind.mine(1, self.address)[0]

    def confirmations(self, block_hash: str) -> int:
        """0 when the node does not know the block."""
        try:
            return int(self.bitcoind.rpc("getblockheader", block_hash)["confirmations"])
        except RpcError:
            return 0

    def wait_for(self, block_hash: str) -> None:
        wait_until("the block is in the chain", lambda: self.confirmations(block_hash) > 0, WAIT_S)


@pytest.fixture(scope="module")
def network(rig_tools: Tools, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    bitcoind = Bitcoind(rig_tools, tmp_path_factory.mktemp("node"))
    bitcoind.start()
    try:
        bitcoind.open_wallet("bank")
        address = bitcoind.rpc("getnewaddress", wallet="bank")
        bitcoind.mine(2, address)
        yield Network(bitcoind, address)
    finally:
        bitcoind.stop()


@pytest.fixture
def front(network: Network, tmp_path: Path) -> Iterator[Front]:
    network.mine()
    prepare_store(tmp_path / "store")
    login = network.bitcoind.logins["front"]
    made = Front(
        tmp_path, tmp_path / "store", Settings(network.bitcoind.url, user=login.user, password=login.password)
    )
    yield made
    made.program.stop()


def answers(front: Front, block_hash: str) -> list[str]:
    """What the log has of the node's answers to a block, oldest first."""
    rows = query(front.store, "SELECT result FROM submission WHERE hash = ? ORDER BY id", block_hash)
    return [result for (result,) in rows]


def wait_for_answer(front: Front, block_hash: str) -> None:
    wait_until("the answer is written down", lambda: "accepted" in answers(front, block_hash), WAIT_S)


def assert_credited_once(front: Front, block_hash: str) -> None:
    """The block is in the log with its share, and no other share is."""
    ((share_id, account),) = query(
        front.store, "SELECT share_id, account FROM found WHERE hash = ?", block_hash
    )
    shares = query(front.store, "SELECT id, account, worker FROM share")
    assert shares == [(share_id, account, "rig")]
    assert account == "alpha"


def saved_blocks(front: Front) -> list[str]:
    return [path.stem.partition("-")[2] for path in (front.store / "blocks").glob("*.json")]


@pytest.mark.parametrize("moment", [BEFORE_COMMIT, BEFORE_SUBMISSION, AFTER_SUBMISSION])
def test_a_front_that_is_killed_with_a_block_in_its_hands_makes_it_good_at_its_next_start(
    network: Network, front: Front, moment: str
) -> None:
    front.start(module="tests.flow.dying_front", **{VARIABLE: moment})
    with Miner(front.port, "alpha.rig") as miner:
        submission, block_hash = miner.block()
        with pytest.raises((Lost, OSError)):
            miner.submit(submission)
    assert front.program.join(WAIT_S)
    assert saved_blocks(front) == [block_hash]
    assert (network.confirmations(block_hash) > 0) == (moment == AFTER_SUBMISSION)
    assert answers(front, block_hash) == []

    front.start()
    network.wait_for(block_hash)
    wait_for_answer(front, block_hash)
    assert_credited_once(front, block_hash)
    assert network.bitcoind.rpc("getbestblockhash") == block_hash

    # made good is made good: nothing more happens at further starts, and the address is never used again
    front.kill()
    front.start()
    with Miner(front.port, "alpha.rig") as miner:
        assert SCRIPTS[0].hex() not in miner.jobs[-1][3]
        assert SCRIPTS[1].hex() in miner.jobs[-1][3]
        assert miner.submit(submission) == 21
    assert answers(front, block_hash) == ["accepted"]
    assert_credited_once(front, block_hash)


def find_while_the_node_is_down(network: Network, front: Front) -> str:
    """A miner has a job, the node dies, the miner finds a block and is told that its share counts."""
    front.start()
    with Miner(front.port, "alpha.rig") as miner:
        submission, block_hash = miner.block()
        network.bitcoind.kill()
        assert miner.submit(submission) is None
    wait_until("the failure is written down", lambda: answers(front, block_hash) == ["unanswered"], WAIT_S)
    return block_hash


def test_a_block_found_while_the_node_is_down_is_submitted_when_it_is_back(
    network: Network, front: Front
) -> None:
    block_hash = find_while_the_node_is_down(network, front)

    network.bitcoind.start()

    network.wait_for(block_hash)
    wait_for_answer(front, block_hash)
    assert answers(front, block_hash) == ["unanswered", "accepted"]
    assert_credited_once(front, block_hash)
    with Miner(front.port, "alpha.rig") as miner:  # and work goes on, on top of it
        miner.wait_for_tip_other_than("")
        _, later = miner.block()
        assert later != block_hash
    network.mine()


@pytest.mark.parametrize("end", [Front.kill, Front.terminate])
def test_a_block_that_no_node_had_answered_for_when_the_front_ended_is_submitted_at_its_next_start(
    network: Network, front: Front, end: Callable[[Front], None]
) -> None:
    block_hash = find_while_the_node_is_down(network, front)
    end(front)
    network.bitcoind.start()
    assert network.confirmations(block_hash) == 0

    front.start()

    network.wait_for(block_hash)
    wait_for_answer(front, block_hash)
    assert_credited_once(front, block_hash)
    network.mine()


def test_a_block_found_on_an_old_tip_is_submitted_although_its_share_is_stale(
    network: Network, front: Front
) -> None:
    front.start()
    with Miner(front.port, "alpha.rig") as miner:
        submission, block_hash = miner.block()
        tip = miner.jobs[-1][1]
        network.mine()
        miner.wait_for_tip_other_than(tip)
        assert miner.submit(submission) == 21

    wait_until("the node has answered", lambda: answers(front, block_hash), WAIT_S)
    assert answers(front, block_hash) == ["inconclusive"]
    assert network.confirmations(block_hash) == -1
    found = query(front.store, "SELECT hash, share_id FROM found")
    assert found == [(block_hash, None)]
    assert query(front.store, "SELECT id FROM share") == []
