"""What becomes of found blocks on a real node: reorganisations of any depth, rivals, a full disk, payees."""

from __future__ import annotations

import resource
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
import pytest
from bdkpython import NetworkKind
from twisted.internet.task import Clock

from payouts.money import Sat, to_msat
from pool import ledger
from pool.chain import saved
from pool.chain.bitcoind import BitcoindNode
from pool.chain.block import assemble, block_hash
from pool.chain.coinbase import (
    EXTRANONCE_BYTES,
    Mark,
    Payee,
    build_paying,
    outputs_for,
    root_from_branch,
    sha256d,
)
from pool.chain.node import Accepted, Node, Refused
from pool.chain.rpc import Rpc, UserPassword
from pool.chain.submission import Submitter
from pool.chain.template import Template
from pool.chain.view import ManyNodes
from pool.regtest.bitcoind import Bitcoind
from pool.regtest.fetch import Tools
from pool.settle import Settler
from pool.store.blocks import history
from pool.store.database import connect, connect_to_read
from pool.store.ledger import LedgerStore
from pool.store.shares import Found, ShareStore
from pool.store.stock import payees
from pool.store.treasury import TreasuryTable
from pool.store.windows import ShareWindows
from pool.treasury import checked, derive
from pool.verify import verify
from stratum.ports import Share
from stratum.units import Height
from tests.contracts.node import now
from tests.fakes_reactor import InlineReactor
from tests.pool.test_chain_saved import BLOCK
from tests.pool.test_settle import POLICY
from tests.pool.test_treasury import bare, key_of, public

SOMEBODY = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
HOT = [(f"bcrt1qhot{n}", bytes([0, 20, *[n] * 20])) for n in range(1, 5)]
COLD_BPS = 9_000


@pytest.fixture(scope="module")
def bitcoind(rig_tools: Tools, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bitcoind]:
    made = Bitcoind(rig_tools, tmp_path_factory.mktemp("node"))
    made.start()
    try:
        made.mine(1, SOMEBODY)
        yield made
    finally:
        made.stop()


def node_of(bitcoind: Bitcoind, role: str) -> BitcoindNode:
    login = bitcoind.logins[role]
    return BitcoindNode(Rpc(bitcoind.url, UserPassword(role, login.user, login.password), InlineReactor()))


@attrs.define
class House:
    """Books that follow a real node, whose blocks pay the treasury nine tenths."""

    bitcoind: Bitcoind
    directory: Path
    shares: sqlite3.Connection
    books: sqlite3.Connection
    jobs: int = 0

    @property
    def store(self) -> LedgerStore:
        return LedgerStore(self.books)

    def find(self) -> saved.SavedBlock:
        """A block of ours on the node's tip, saved but not submitted."""
        store = ShareStore(self.shares, 0)
        paid = payees(self.books, store.used_addresses, COLD_BPS)()
        assert paid is not None
        template = now(node_of(self.bitcoind, "front").template(None))
        self.jobs += 1
        raw = solved(template, paid, self.jobs)
        found_hash, addresses = block_hash(raw), " ".join(payee.address for payee in paid)
        height = Height(template.height)
        share = Share("ann", "w", template.network_target, template.nbits, height, self.jobs, "1", found_hash)
        made = attrs.evolve(
            BLOCK, hash=found_hash, height=height, address=addresses, account="ann", share=share, block=raw
        )
        row = Found(found_hash, "00" * 32, height, "ann", "w", addresses, self.jobs, "file")
        store.write([share], {found_hash: row})
        return made

    def step(self) -> list[tuple[str, str]]:
        view = ManyNodes([node_of(self.bitcoind, "book")])
        settler = Settler(self.store, ShareWindows(self.shares), view, 100, lambda: 1)
        return run_slowly(settler)

    def mine(self, count: int) -> None:
        self.bitcoind.rpc("generatetoaddress", count, SOMEBODY)

    def state(self, block: saved.SavedBlock) -> str:
        found = self.store.blocks.get(block.hash)
        assert found is not None
        return found.state.value

    def verified(self) -> None:
        shares, books = connect_to_read(self.directory, "shares"), connect_to_read(self.directory, "ledger")
        report = verify(shares, books)
        shares.close()
        books.close()
        assert report.differences == ()


def run_slowly(settler: Settler) -> list[tuple[str, str]]:
    return [(change.before.value, change.block.state.value) for change in now(settler.step())]


def solved(template: Template, paid: tuple[Payee, ...], job: int) -> bytes:
    coinb1, coinb2 = build_paying(
        template, outputs_for(template.value, paid), Mark(1, 2, job), b"/sluice/", data=b"of the pool"
    )
    coinbase = coinb1 + bytes(EXTRANONCE_BYTES) + coinb2
    head = template.version.to_bytes(4, "little") + template.prev_hash
    head += root_from_branch(sha256d(coinbase), template.branches)
    head += template.curtime_s.to_bytes(4, "little") + template.nbits.to_bytes(4, "little")
    headers = (head + nonce.to_bytes(4, "little") for nonce in range(1 << 16))
    header = next(h for h in headers if int.from_bytes(sha256d(h), "little") <= template.network_target)
    return assemble(header, coinbase, template.transactions)


@pytest.fixture
def house(bitcoind: Bitcoind, tmp_path: Path) -> Iterator[House]:
    bitcoind.mine(1, SOMEBODY)
    shares, books = connect(tmp_path, "shares"), connect(tmp_path, "ledger")
    made = House(bitcoind, tmp_path, shares, books)
    made.store.add_addresses(HOT, 1)
    descriptor = checked(public(network=NetworkKind.TEST), "regtest")
    table = TreasuryTable(books)
    table.add(descriptor, 1)
    table.stock(1, list(derive(descriptor, 0, 5, "regtest")), 1)
    made.store.adopt({"pool": POLICY}, 0, 1)
    yield made
    shares.close()
    books.close()


def hand_in(bitcoind: Bitcoind, block: saved.SavedBlock) -> None:
    assert now(node_of(bitcoind, "front").submit(block.block.hex())) == Accepted()


@pytest.mark.parametrize("depth", [1, 6, 101])
def test_a_reorganisation_of_any_depth_reverses_a_block_and_its_return_rewards_it_again(
    house: House, depth: int
) -> None:
    ours = house.find()
    hand_in(house.bitcoind, ours)
    house.mine(depth - 1)
    house.step()
    assert house.state(ours) == ("mature" if depth > 100 else "immature")
    value = sum(house.store.balance(name) for name in ASSETS)
    assert value > 0
    house.bitcoind.rpc("invalidateblock", ours.hash)
    assert house.step() == []  # a chain that is shorter takes nothing away
    house.mine(depth + 1)
    house.step()
    assert house.state(ours) == "orphaned"
    assert all(house.store.balance(name) == 0 for name in ASSETS)

    house.bitcoind.rpc("reconsiderblock", ours.hash)
    assert house.step() == []  # known again, but with less work than the chain
    rival = house.bitcoind.rpc("getblockhash", ours.height)
    house.bitcoind.rpc("invalidateblock", rival)
    house.mine(3)
    house.step()

    assert house.state(ours) == ("mature" if depth > 100 else "immature")
    assert sum(house.store.balance(name) for name in ASSETS) == value
    orphaned = [each.state for each in history(house.books, ours.hash)].count("orphaned")
    assert orphaned == 1
    house.verified()


ASSETS = (ledger.IMMATURE, ledger.TREASURY_IMMATURE, ledger.HOT, ledger.TREASURY)


def test_of_two_blocks_found_at_once_one_is_rewarded_and_the_other_is_recorded_as_what_it_is(
    house: House,
) -> None:
    first, second = house.find(), house.find()
    recorded: list[tuple[str, object]] = []
    nodes: list[Node] = [node_of(house.bitcoind, "front")]
    submitter = Submitter(nodes, lambda found, _, result: recorded.append((found, result)), Clock())

    for block in (first, second, first):
        submitter.submit(block)

    assert recorded == [
        (first.hash, Accepted()),
        (second.hash, Refused("inconclusive")),
        (first.hash, Accepted()),
    ]
    house.step()
    assert (house.state(first), house.state(second)) == ("immature", "orphaned")
    # the loser wins when the next block is found on it
    house.bitcoind.rpc("invalidateblock", first.hash)
    house.mine(2)
    house.step()
    assert (house.state(first), house.state(second)) == ("orphaned", "immature")
    house.bitcoind.rpc("reconsiderblock", first.hash)
    house.verified()


def test_a_block_s_coins_go_where_node_and_books_say_in_the_configured_parts(house: House) -> None:
    ours = house.find()
    hand_in(house.bitcoind, ours)
    house.step()

    outputs = house.bitcoind.rpc("getblock", ours.hash, 2)["tx"][0]["vout"]
    paid = {each["scriptPubKey"].get("address"): int(each["value"] * 10**8) for each in outputs}
    (index0,) = house.bitcoind.rpc(
        "deriveaddresses", checked(public(network=NetworkKind.TEST), "regtest"), [0, 0]
    )
    value = sum(paid.values())
    assert paid[index0] == value - value * (10_000 - COLD_BPS) // 10_000
    cold, hot = (house.store.balance(name) for name in (ledger.TREASURY_IMMATURE, ledger.IMMATURE))
    assert (cold, cold + hot) == (to_msat(Sat(paid[index0])), to_msat(Sat(value)))
    later = house.find()
    assert later.address.split()[0] != ours.address.split()[0]
    house.verified()


def test_the_node_derives_the_same_addresses_from_every_kind_of_descriptor(bitcoind: Bitcoind) -> None:
    key = key_of(public(network=NetworkKind.TEST))
    two = f"{key},{key.replace('/0/*', '/7/*')}"
    forms = [f"wpkh({key})", f"sh(wpkh({key}))", f"tr({key})", f"pkh({key})", f"wsh(sortedmulti(2,{two}))"]
    for text in (checked(form, "regtest") for form in forms):
        ours = [each.address for each in derive(text, 0, 4, "regtest")]
        assert bitcoind.rpc("deriveaddresses", text, [0, 3]) == ours
        assert bitcoind.rpc("getdescriptorinfo", bare(text))["descriptor"] == text


@contextmanager
def no_file_longer_than(size: int) -> Iterator[None]:
    """As on a full disk, a write fails in the middle; the limit is the process's own."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_block_that_does_not_fit_on_the_disk_leaves_no_half_a_file_and_can_still_be_submitted(
    house: House,
) -> None:
    ours = house.find()
    with no_file_longer_than(200), pytest.raises(OSError, match="File too large"):
        saved.write(house.directory, ours)

    assert list((house.directory / saved.FOLDER).iterdir()) == []
    hand_in(house.bitcoind, ours)
    assert saved.read(saved.write(house.directory, ours)).block == ours.block
