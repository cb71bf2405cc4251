"""Two real nodes: one hangs, dies, falls behind or is on another branch, and miners go on with the other."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import pytest
from twisted.internet.task import Clock

from pool.chain.bitcoind import BitcoindNode
from pool.chain.coinbase import Payee
from pool.chain.networks import RULES
from pool.chain.news import UnobservedNews
from pool.chain.rpc import Rpc, UserPassword
from pool.chain.template import TemplateError
from pool.jobs import Settings as WorkSettings
from pool.regtest.bitcoind import Bitcoind
from pool.regtest.fetch import Tools
from pool.regtest.processes import wait_until
from pool.work import Work
from stratum.jobs import Job
from tests.contracts.node import SCRIPT, now
from tests.fakes_reactor import InlineReactor, PumpedReactor
from tests.flow.front import Front, Settings, prepare_store
from tests.flow.miner import Miner
from tests.regtest.hanging_proxy import HangingProxy

pytestmark = pytest.mark.regtest
MINED_TO = "bcrt1qqqqsyqcyq5rqwzqfpg9scrgwpugpzysn6p5h4s"
WITHIN_S = 30.0


@attrs.frozen
class Pair:
    """Two nodes of one network."""

    first: Bitcoind
    second: Bitcoind

    def agree(self) -> str:
        """Wait until both have the same tip; its hash."""
        wait_until("both have the same tip", lambda: len({tip(self.first), tip(self.second)}) == 1, WITHIN_S)
        return tip(self.first)

    def join(self) -> None:
        """Connect them again, whatever was done to them."""
        for node in (self.first, self.second):
            if not node.program.running:
                node.start()
            node.rpc("setnetworkactive", True)
        if not self.first.rpc("getconnectioncount"):
            self.first.connect(self.second)


def tip(node: Bitcoind) -> str:
    found: str = node.rpc("getbestblockhash")
    return found


def grow(node: Bitcoind, count: int = 1) -> str:
    address = node.rpc("decodescript", SCRIPT.hex())["address"]
    return node.mine(count, address)[-1]


@pytest.fixture(scope="module")
def started(rig_tools: Tools, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    pair = Pair(*(Bitcoind(rig_tools, tmp_path_factory.mktemp(name)) for name in ("first", "second")))
    try:
        for node in (pair.first, pair.second):
            node.start()
        pair.first.connect(pair.second)
        grow(pair.first, 20)
        pair.agree()
        yield pair
    finally:
        for node in (pair.first, pair.second):
            node.stop()


@pytest.fixture
def pair(started: Pair) -> Pair:
    started.join()
    # two branches of the same work would never meet
    if tip(started.first) != tip(started.second):
        longest = max((started.first, started.second), key=lambda node: int(node.rpc("getblockcount")))
        grow(longest)
    started.agree()
    return started


def words(prev_hash: str) -> str:
    """A tip as it stands in a notify."""
    raw = bytes.fromhex(prev_hash)[::-1]
    return b"".join(raw[at : at + 4][::-1] for at in range(0, 32, 4)).hex()


def wait_for(miner: Miner, prev_hash: str) -> float:
    """Wait until the miner works on a tip; how long that took, in seconds."""
    began = time.monotonic()
    while miner.jobs[-1][1] != words(prev_hash):
        miner.wait_for_jobs(1)
    return time.monotonic() - began


def front_on(pair: Pair, port: int, directory: Path) -> Front:
    """A front process whose first node is behind a port of the test's."""
    prepare_store(directory / "store")
    login, other = pair.first.logins["front"], pair.second.logins["front"]
    settings = Settings(url=f"http://127.0.0.1:{port}", user=login.user, password=login.password)
    front = Front(directory, directory / "store", settings)
    text = front.config.read_text()
    also = (
        "\n[[node.also]]\n"
        f"url = {json.dumps(pair.second.url)}\n"
        f'front = {{ user = "{other.user}", password = "{other.password}" }}\n'
    )
    front.config.write_text(text.replace("\n[stratum]", f"{also}\n[stratum]"))
    return front


def test_miners_never_notice_that_a_node_hangs_or_is_killed_while_another_one_is_well(
    pair: Pair, tmp_path: Path
) -> None:
    with HangingProxy(pair.first.ports.rpc) as proxy:
        front = front_on(pair, proxy.port, tmp_path)
        front.start()
        try:
            with Miner(front.port, "alpha.rig") as miner:
                assert wait_for(miner, pair.agree()) < WITHIN_S
                proxy.hang()
                tip_while_hanging = grow(pair.second)
                assert wait_for(miner, tip_while_hanging) < 10

                proxy.resume()
                pair.agree()
                pair.second.kill()
                tip_while_killed = grow(pair.first)
                assert wait_for(miner, tip_while_killed) < 20

                # the connection is the same, and a share found now is a block that both nodes get
                assert miner.submit(miner.share(target=(0x7FFFFF << 232) - 1)) is None
            pair.second.start()
            pair.join()
            assert pair.agree() != tip_while_killed
        finally:
            front.terminate()
        assert "Traceback" not in front.log_text()


class Seen(UnobservedNews):
    """Who told of tips, who has stalled, and what was said to proposals."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.stalls: list[tuple[str, bool]] = []
        self.proposals: list[str] = []
        self.mined_on = ""

    def node_is(self, node: str, *, well: bool, mined_on: bool) -> None:
        self.mined_on = node if mined_on else self.mined_on

    def told_first(self, source: str) -> None:
        self.told.append(source)

    def told_late(self, source: str, seconds: float) -> None:
        self.told.append(source)

    def stalled(self, node: str, source: str, *, is_so: bool) -> None:
        self.stalls.append((source, is_so))

    def proposed(self, word: str) -> None:
        self.proposals.append(word)


class Bench:
    """Work on the two nodes with time in the test's hands."""

    def __init__(self, pair: Pair, directory: Path, zmq: str | None = None) -> None:
        self.clock, self.reactor, self.seen = Clock(), PumpedReactor(), Seen()
        self.jobs: list[Job] = []
        self.nodes = [self._node(pair.first, zmq), self._node(pair.second, "")]
        settings = WorkSettings(front_id=1, boot=secrets.randbits(31), tag="/sluice/", directory=directory)
        payee = Payee(MINED_TO, SCRIPT)
        self.work = Work(self.nodes, lambda: [payee], lambda *_: None, settings, self.clock, self.seen)
        self.work.watch(self.jobs.append)
        self.work.start()

    def _node(self, bitcoind: Bitcoind, zmq: str | None) -> BitcoindNode:
        login = bitcoind.logins["front"]
        user = UserPassword("front", login.user, login.password)
        return BitcoindNode(Rpc(bitcoind.url, user, self.reactor), RULES["regtest"], zmq)

    @property
    def tip(self) -> str:
        return self.jobs[-1].prev_hash[::-1].hex()

    def pass_s(self, seconds: float) -> None:
        for _ in range(round(seconds * 2)):
            self.reactor.pump()
            self.clock.advance(0.5)

    def wait(self, what: str, there: Callable[[], bool]) -> None:
        """Wait without moving time: what threads bring is enough."""

        def look() -> bool:
            self.reactor.pump()
            self.clock.advance(0)
            return there()

        wait_until(what, look, WITHIN_S)

    def close(self) -> None:
        self.work.stop()
        for node in self.nodes:
            node.close()


@pytest.fixture
def bench(pair: Pair, tmp_path: Path) -> Iterator[Bench]:
    made = Bench(pair, tmp_path)
    yield made
    made.close()


def test_of_two_branches_the_one_with_more_work_is_mined_on(pair: Pair, bench: Bench) -> None:
    assert bench.tip == pair.agree()
    pair.first.rpc("setnetworkactive", False)
    grow(pair.first)
    ahead = grow(pair.second, 2)
    bench.pass_s(3)
    assert bench.tip == ahead

    ahead = grow(pair.first, 2)
    bench.pass_s(3)
    assert bench.tip == ahead


def test_a_node_that_no_longer_knows_our_password_is_left_for_the_other(pair: Pair, bench: Bench) -> None:
    bench.pass_s(2)
    assert bench.seen.mined_on == bench.nodes[0].name
    wrong = UserPassword("front", "front", "no-longer-the-password")
    bench.nodes[0]._rpc._credentials = wrong
    bench.pass_s(8)

    assert bench.seen.mined_on == bench.nodes[1].name
    grown = grow(pair.second)
    bench.wait("work on the new tip", lambda: bench.tip == grown)


def test_the_publisher_tells_and_each_template_s_block_is_good(pair: Pair, bench: Bench) -> None:
    bench.pass_s(5)
    assert "refused" not in bench.seen.proposals
    accepted = bench.seen.proposals.count("accepted")
    assert accepted > 0
    for _ in range(3):
        grown = grow(pair.first)
        bench.wait("work on the new tip", lambda grown=grown: bench.tip == grown)  # type: ignore[misc]
        bench.pass_s(5)

    # whether it is the first depends on what else the machine has to do
    assert bench.seen.told.count("zmq") == 3
    assert bench.seen.proposals.count("accepted") == accepted + 3
    assert "refused" not in bench.seen.proposals


def test_a_publisher_that_is_not_there_is_noticed_and_mined_without(pair: Pair, tmp_path: Path) -> None:
    bench = Bench(pair, tmp_path, zmq="tcp://127.0.0.1:1")
    try:
        grown = grow(pair.first)
        bench.wait("work on the new tip", lambda: bench.tip == grown)
        bench.pass_s(20)
        assert ("zmq", True) in bench.seen.stalls
        assert ("longpoll", True) not in bench.seen.stalls
    finally:
        bench.close()


@pytest.mark.parametrize(
    ("challenge", "refusal"),
    [("51", None), ("5121" + "02" * 33 + "51ae", "signet_challenge: only the signet's owner")],
)
def test_a_signet_is_mined_on_when_anyone_may_make_its_blocks_and_else_refused(
    rig_tools: Tools, tmp_path: Path, challenge: str, refusal: str | None
) -> None:
    bitcoind = Bitcoind(rig_tools, tmp_path / "node", "signet", f"signetchallenge={challenge}")
    bitcoind.start()
    try:
        login = bitcoind.logins["front"]
        user = UserPassword("front", login.user, login.password)
        node = BitcoindNode(Rpc(bitcoind.url, user, InlineReactor()), RULES["signet"])
        if refusal is None:
            assert now(node.template(None)).height == 1
        else:
            with pytest.raises(TemplateError, match=refusal):
                now(node.template(None))
    finally:
        bitcoind.stop()
