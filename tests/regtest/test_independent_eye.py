"""Every kind of block that Sluice builds is judged by a real node and by Bitcoin Core's consensus code."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import attrs
import pytest

from payouts.money import Sat
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
    size_bytes,
)
from pool.chain.node import Accepted, CoinbaseOutput, Refused, SubmitResult
from pool.chain.rpc import Rpc, UserPassword
from pool.chain.template import Template
from pool.regtest.bitcoind import Bitcoind
from pool.regtest.fetch import Tools
from pool.regtest.processes import wait_until
from tests.contracts.node import now
from tests.fakes_reactor import InlineReactor
from tests.regtest.kernel import Kernel

BANK = "bank"
SCRIPTS = {
    "p2pkh": bytes.fromhex("76a914") + b"\x11" * 20 + bytes.fromhex("88ac"),
    "p2sh": bytes.fromhex("a914") + b"\x22" * 20 + b"\x87",
    "p2wpkh": bytes.fromhex("0014") + b"\x33" * 20,
    "p2wsh": bytes.fromhex("0020") + b"\x44" * 32,
    "p2tr": bytes.fromhex("5120")
    + bytes.fromhex("79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"),
}
HALVING = 150


@attrs.frozen
class Judges:
    """A bitcoind, and the kernel beside it, on the same chain."""

    bitcoind: Bitcoind
    kernel: Kernel
    address: str

    def node(self) -> BitcoindNode:
        login = self.bitcoind.logins["front"]
        return BitcoindNode(
            Rpc(self.bitcoind.url, UserPassword("front", login.user, login.password), InlineReactor())
        )

    def template(self) -> Template:
        return now(self.node().template(None))

    def mine(self, count: int) -> None:
        for each in self.bitcoind.rpc("generatetoaddress", count, self.address):
            assert self.kernel.take(bytes.fromhex(self.bitcoind.rpc("getblock", each, 0)))

    def mine_to(self, height: int) -> None:
        self.mine(height - int(self.bitcoind.rpc("getblockcount")))

    def judge(self, raw: bytes) -> SubmitResult:
        """The node's verdict; the kernel's is the same."""
        result = now(self.node().submit(raw.hex()))
        assert self.kernel.take(raw) == isinstance(result, Accepted)
        assert self.kernel.tip() == self.bitcoind.rpc("getbestblockhash")
        return result


@pytest.fixture(scope="module")
def judges(rig_tools: Tools, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Judges]:
    bitcoind = Bitcoind(rig_tools, tmp_path_factory.mktemp("node"))
    bitcoind.start()
    try:
        bitcoind.open_wallet(BANK)
        made = Judges(
            bitcoind, Kernel(tmp_path_factory.mktemp("kernel")), bitcoind.rpc("getnewaddress", wallet=BANK)
        )
        made.mine(110)
        yield made
    finally:
        bitcoind.stop()


def block(
    template: Template, outputs: Sequence[CoinbaseOutput], *, data: bytes = b"", reserved_weight: int = 8000
) -> bytes:
    """A whole block on the template, solved."""
    mark = Mark(1, 2, template.height)
    coinb1, coinb2 = build_paying(
        template, outputs, mark, b"/sluice/", data=data, reserved_weight=reserved_weight
    )
    coinbase = coinb1 + bytes(range(EXTRANONCE_BYTES)) + coinb2
    head = template.version.to_bytes(4, "little") + template.prev_hash
    head += root_from_branch(sha256d(coinbase), template.branches)
    head += template.curtime_s.to_bytes(4, "little") + template.nbits.to_bytes(4, "little")
    headers = (head + nonce.to_bytes(4, "little") for nonce in range(1 << 16))
    header = next(h for h in headers if int.from_bytes(sha256d(h), "little") <= template.network_target)
    return assemble(header, coinbase, template.transactions)


def whole(template: Template, script: bytes) -> list[CoinbaseOutput]:
    return [CoinbaseOutput(script, template.value)]


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=list(SCRIPTS))
def test_a_block_that_pays_each_kind_of_script_is_valid_with_transactions_and_without(
    judges: Judges, script: bytes
) -> None:
    empty = judges.template()
    assert judges.judge(block(empty, whole(empty, script))) == Accepted()
    for _ in range(3):
        judges.bitcoind.rpc("sendtoaddress", judges.address, 0.1, wallet=BANK)
    # a node makes a new template at once only when its tip moves: by a block that takes no transactions
    moved = judges.bitcoind.rpc("generateblock", judges.address, [])["hash"]
    assert judges.kernel.take(bytes.fromhex(judges.bitcoind.rpc("getblock", moved, 0)))
    # not all of them at the first moment; when its mempool has changed, it looks again after seconds
    wait_until("the template has them", lambda: len(judges.template().transactions) >= 3, 20.0)
    full = judges.template()
    assert judges.judge(block(full, whole(full, script))) == Accepted()


def test_several_payees_and_data_make_a_valid_block_with_every_length_of_push(judges: Judges) -> None:
    payees = [Payee(name, script, 2000) for name, script in SCRIPTS.items()]
    for data in (b"\x01", b"s" * 75, b"s" * 76, b"s" * 80):
        template = judges.template()
        raw = block(template, outputs_for(template.value, payees), data=data)
        assert judges.judge(raw) == Accepted()
        paid = now(judges.node().block_outputs(block_hash(raw)))
        assert sum(output.value for output in paid) == template.value
        assert paid[-1].script.endswith(data)


@pytest.mark.parametrize("count", [100, 500])
def test_a_coinbase_of_many_outputs_is_valid(judges: Judges, count: int) -> None:
    template = judges.template()
    paid = [CoinbaseOutput(SCRIPTS["p2wpkh"], Sat(1000 + n)) for n in range(count - 1)]
    paid.append(CoinbaseOutput(SCRIPTS["p2tr"], Sat(template.value - sum(output.value for output in paid))))

    raw = block(template, paid, reserved_weight=100_000)

    assert size_bytes((raw[:0], raw)) > 3000
    assert judges.judge(raw) == Accepted()


def test_blocks_around_halvings_pay_exactly_the_subsidy_and_a_satoshi_more_is_refused(judges: Judges) -> None:
    values = []
    for halving in (HALVING, 2 * HALVING):
        for height in (halving - 1, halving, halving + 1):
            judges.mine_to(height - 1)
            template = judges.template()
            assert template.height == height
            greedy = attrs.evolve(template, value=Sat(template.value + 1))
            assert judges.judge(block(greedy, whole(greedy, SCRIPTS["p2tr"]))) == Refused("bad-cb-amount")
            assert judges.judge(block(template, whole(template, SCRIPTS["p2tr"]))) == Accepted()
            values.append(template.value)
    assert values == [50 * 10**8, 25 * 10**8, 25 * 10**8, 25 * 10**8, 1250_000_000, 1250_000_000]


def test_both_judges_refuse_a_block_with_a_changed_byte(judges: Judges) -> None:
    template = judges.template()
    raw = bytearray(block(template, whole(template, SCRIPTS["p2wsh"])))
    raw[-60] ^= 1  # in the witness commitment or the payout: the merkle root is another then

    assert isinstance(judges.judge(bytes(raw)), Refused)
