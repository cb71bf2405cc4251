"""The node port on a real bitcoind: the contract, the roles' rights, and work that survives its restarts."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import attrs
import pytest
from twisted.internet.task import Clock

from pool.chain import saved
from pool.chain.bitcoind import BitcoindNode
from pool.chain.block import block_hash
from pool.chain.coinbase import Payee, root_from_branch, sha256d
from pool.chain.node import Accepted, ChainUnavailable, MiningNode, SubmitResult, Unanswered, WrongCredentials
from pool.chain.rpc import Rpc, UserPassword
from pool.jobs import Settings
from pool.rates import RateBook
from pool.regtest.bitcoind import Bitcoind
from pool.regtest.fetch import Tools
from pool.regtest.processes import wait_until
from pool.store.database import connect
from pool.store.ledger import LedgerStore
from pool.work import Work
from stratum.jobs import Job
from stratum.ports import Solution
from tests.contracts.node import SCRIPT, Backstage, NodeContract, now
from tests.fakes_reactor import InlineReactor, PumpedReactor

pytestmark = pytest.mark.regtest
BANK = "bank"


@attrs.frozen
class Network:
    """A bitcoind of this module's own, and a wallet that has something to send."""

    bitcoind: Bitcoind
    address: str

    def add_transaction(self) -> None:
        self.bitcoind.rpc("sendtoaddress", self.address, 0.1, wallet=BANK)

    def grow(self) -> str:
        mined: str = self.bitcoind.rpc("generateblock", self.address, [])["hash"]
        return mined


@pytest.fixture(scope="module")
def network(rig_tools: Tools, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    bitcoind = Bitcoind(rig_tools, tmp_path_factory.mktemp("node"))
    bitcoind.start()
    try:
        bitcoind.open_wallet(BANK)
        address = bitcoind.rpc("getnewaddress", wallet=BANK)
        bitcoind.mine(120, address)
        yield Network(bitcoind, address)
    finally:
        bitcoind.stop()


def front(
    network: Network, password: str | None = None, reactor: InlineReactor | None = None
) -> BitcoindNode:
    login = network.bitcoind.logins["front"]
    user = UserPassword("front", login.user, password or login.password)
    return BitcoindNode(Rpc(network.bitcoind.url, user, reactor or InlineReactor()))


class TestBitcoind(NodeContract):
    @pytest.fixture
    def node(self, network: Network) -> MiningNode:
        # the templates of a test start from an empty mempool and a chain that is not in its initial download
        network.bitcoind.mine(1, network.address)
        return front(network)

    @pytest.fixture
    def backstage(self, network: Network) -> Backstage:
        return network


def test_wrong_credentials_are_told_apart_from_a_node_that_is_down(network: Network) -> None:
    password = secrets.token_hex(8)

    with pytest.raises(WrongCredentials, match="'front' of role front") as caught:
        now(front(network, password).tip())

    assert password not in str(caught.value)


def test_a_call_outside_the_role_s_rights_says_so(network: Network) -> None:
    login = network.bitcoind.logins["front"]
    rpc = Rpc(network.bitcoind.url, UserPassword("front", login.user, login.password), InlineReactor())

    with pytest.raises(WrongCredentials, match="forbids sendtoaddress"):
        now(rpc.call("sendtoaddress", network.address, 1, wallet=BANK))


def test_the_book_learns_what_blocks_bring_in_fees_and_a_reorganisation_changes_no_rate(
    network: Network, tmp_path: Path
) -> None:
    login = network.bitcoind.logins["book"]
    user = UserPassword("book", login.user, login.password)
    node = BitcoindNode(Rpc(network.bitcoind.url, user, InlineReactor()))
    network.bitcoind.mine(1, network.address)
    for _ in range(3):
        network.add_transaction()
    (tip,) = network.bitcoind.mine(1, network.address)
    paid = network.bitcoind.rpc("getblock", tip, 2)["tx"][0]["vout"]
    height = network.bitcoind.rpc("getblockcount")
    subsidy = 5_000_000_000 >> height // 150
    fees = round(sum(output["value"] for output in paid) * 100_000_000) - subsidy
    assert fees > 0

    with closing(connect(tmp_path, "ledger")) as books:
        store = LedgerStore(books)
        rates = RateBook(store, node, lambda: 1)
        assert now(rates.step(now(node.chain_info()), (), ahead=True)) == 1
        rate = store.rates.get(height + 1)
        assert rate is not None
        assert (rate.after, len(rate.fees), rate.fees[-2:]) == (tip, min(144, height), (0, fees))

        network.bitcoind.rpc("invalidateblock", tip)
        try:
            network.grow()  # without the transactions
            assert now(rates.step(now(node.chain_info()), (), ahead=True)) == 0
            assert store.rates.get(height + 1) == rate
            network.grow()
            assert now(rates.step(now(node.chain_info()), (), ahead=True)) == 1
            after = store.rates.get(height + 2)
            assert after is not None
            assert after.fees[-3:] == (0, 0, 0)
        finally:
            network.bitcoind.rpc("reconsiderblock", tip)
            network.bitcoind.mine(2, network.address)


class Bench:
    """Work on a real node with time in the test's hands."""

    def __init__(self, network: Network, directory: Path) -> None:
        self.clock = Clock()
        self.reactor = PumpedReactor()
        self.jobs: list[Job] = []
        self.recorded: list[tuple[str, SubmitResult]] = []
        self.node = front(network, reactor=self.reactor)
        settings = Settings(front_id=1, boot=secrets.randbits(31), tag="/sluice/", directory=directory)
        self.work = Work(
            [self.node], lambda: (Payee(network.address, SCRIPT),), self._record, settings, self.clock
        )
        self.work.watch(self.jobs.append)
        self.work.start()

    def _record(self, block: str, _: str, result: SubmitResult) -> None:
        self.recorded.append((block, result))

    def pass_s(self, seconds: float) -> None:
        for _ in range(round(seconds * 2)):
            self.reactor.pump()
            self.clock.advance(0.5)

    def wait_for_work_on(self, tip: str) -> None:
        """No timer moves: it is the longpoll that brings it."""

        def there() -> bool:
            self.reactor.pump()
            self.clock.advance(0)
            return self.jobs[-1].prev_hash[::-1].hex() == tip

        wait_until("work on the new tip", there, 30.0)

    def solution(self) -> Solution:
        job = self.work.current()
        assert job is not None
        coinbase = job.coinb1 + b"\x01\x02\x03\x04" + bytes(8) + job.coinb2
        root = root_from_branch(sha256d(coinbase), job.branches)
        head = job.version.to_bytes(4, "little") + job.prev_hash + root
        head += job.ntime.to_bytes(4, "little") + job.nbits.to_bytes(4, "little")
        headers = (head + nonce.to_bytes(4, "little") for nonce in range(1 << 16))
        header = next(h for h in headers if int.from_bytes(sha256d(h), "little") <= job.network_target)
        return Solution(job, header, coinbase, block_hash(header), None, "alice", "rig1")


@pytest.fixture
def bench(network: Network, tmp_path: Path) -> Iterator[Bench]:
    made = Bench(network, tmp_path)
    yield made
    made.work.stop()
    made.node.close()


def test_solved_jobs_become_blocks_of_the_chain_with_the_mempool_s_transactions(
    network: Network, bench: Bench
) -> None:
    network.add_transaction()
    bench.wait_for_work_on(network.grow())
    found = bench.solution()

    kept = bench.work.solve(found)

    assert kept is not None
    assert bench.recorded == [(found.block_hash, Accepted())]
    block = network.bitcoind.rpc("getblock", found.block_hash)
    assert block["confirmations"] == 1
    assert block["nTx"] == 2
    bench.wait_for_work_on(found.block_hash)


def test_work_recovers_when_the_node_was_down_and_a_block_found_meanwhile_is_accepted(
    network: Network, bench: Bench
) -> None:
    bench.wait_for_work_on(network.bitcoind.mine(1, network.address)[0])  # mine() flushes the chain, too
    found = bench.solution()
    network.bitcoind.kill()
    with pytest.raises(ChainUnavailable):
        now(bench.node.tip())
    bench.work.solve(found)
    (first,) = bench.recorded
    assert isinstance(first[1], Unanswered)
    bench.pass_s(100)
    assert bench.work.current() is None

    network.bitcoind.start()
    bench.pass_s(50)

    assert bench.recorded[1:] == [(found.block_hash, Accepted())]
    assert now(bench.node.tip()) == found.block_hash
    job = bench.work.current()
    assert job is not None
    assert job.prev_hash[::-1].hex() == found.block_hash


def test_saved_blocks_of_a_front_that_died_are_submitted_at_the_next_start(
    network: Network, bench: Bench, tmp_path: Path
) -> None:
    found = bench.solution()
    bench.node.submit = _died  # type: ignore[method-assign]
    bench.work.solve(found)
    bench.work.stop()
    again = Bench(network, tmp_path)

    for block in saved.read_all(tmp_path):
        again.work.submit(block)

    assert again.recorded == [(found.block_hash, Accepted())]
    again.work.stop()
    again.node.close()


async def _died(block_hex: str) -> SubmitResult:
    return Unanswered("the front died before it could submit")
