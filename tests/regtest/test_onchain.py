"""Batches on a real bitcoind: two addresses in one transaction, the same one whatever kills the payer."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from signal import SIGKILL
from typing import Any, Final

import attrs
import pytest

from payouts.money import SAT_PER_BTC
from payouts.values import Batch
from pool import ledger
from pool.regtest.bitcoind import Bitcoind
from pool.regtest.fetch import Tools
from pool.store.payments import SqliteBook
from tests.regtest.payer_bench import Books, Payers, payers
from tests.regtest.payer_child import CONFIRMATIONS

BANK: Final = "bank"
FUNDS: Final = 1_000_000  # sat in the pool's wallet
DUE: Final = (70_000, 60_000)  # sat
SIGNED: Final = "after book.take_batch"
LEAVING: Final = "after book.broadcasting"


@attrs.define
class Bench:
    """A bitcoind, the process that payers are forked from, and new books and a new wallet for each try."""

    bitcoind: Bitcoind
    payers: Payers
    directory: Path
    wallet: str = ""
    addresses: tuple[str, ...] = ()
    tries: int = 0

    def bank(self, method: str, *params: object) -> Any:
        return self.bitcoind.rpc(method, *params, wallet=BANK)

    def pool(self, method: str, *params: object) -> Any:
        return self.bitcoind.rpc(method, *params, wallet=self.wallet)

    def bury(self, depth: int = CONFIRMATIONS) -> None:
        self.bitcoind.mine(depth, self.bank("getnewaddress"))

    def begin(self, funds: int = FUNDS) -> Books:
        """Two miners with addresses that are due, and a wallet with one coin."""
        self.tries += 1
        self.wallet = f"{self.directory.name}-{self.tries}"
        self.bitcoind.open_wallet(self.wallet)
        self.fund(funds)
        self.addresses = tuple(self.bank("getnewaddress") for _ in DUE)
        due = {address: sat * 1000 + 7 for address, sat in zip(self.addresses, DUE, strict=True)}
        return Books(self.directory / f"store-{self.tries}", due)

    def fund(self, sat: int) -> None:
        self.bank("sendtoaddress", self.pool("getnewaddress"), f"{Decimal(sat) / SAT_PER_BTC:.8f}")
        self.bury(1)

    def look(self, books: Books, die_at: str | None = None) -> int:
        """One round of a payer's batcher."""
        login = self.bitcoind.logins["payer"]
        node = {"rail": "onchain", "url": self.bitcoind.url, "user": login.user, "password": login.password}
        return self.payers.begin(books, {**node, "wallet": self.wallet}, die_at=die_at).end()

    def steps(self) -> list[str]:
        """Of the last round."""
        return list(dict.fromkeys(self.payers.record.read_text(encoding="utf-8").splitlines()))

    def received(self, confirmations: int = 0) -> list[int]:
        """What the bank's wallet, which has the miners' addresses, says that came to each; sat."""
        amounts = [self.bank("getreceivedbyaddress", each, confirmations) for each in self.addresses]
        return [int(Decimal(amount) * SAT_PER_BTC) for amount in amounts]

    def payouts(self) -> set[str]:
        """The transactions that left the pool's wallet."""
        listed = self.pool("listtransactions", "*", 1000)
        return {each["txid"] for each in listed if each["category"] == "send"}

    def through(self, books: Books) -> None:
        """Let payers work until the batch is buried deeply enough, and judge."""
        assert self.look(books) == 0
        assert self.received() == list(DUE)
        self.bury()
        assert self.look(books) == 0
        self.assert_paid_once(books)

    def assert_paid_once(self, books: Books) -> None:
        (state, txid) = only_batch(books)
        assert state == "settled"
        assert self.payouts() == {txid}
        assert self.received(CONFIRMATIONS) == list(DUE)
        fee = -int(Decimal(self.pool("gettransaction", txid)["fee"]) * SAT_PER_BTC)
        for address, sat in zip(self.addresses, DUE, strict=True):
            assert (books.debited(address), books.held(address)) == (sat * 1000, 0)
        assert books.moved(ledger.CHAIN_FEES) == fee * 1000
        assert books.moved(ledger.HOT) == -(sum(DUE) + fee) * 1000
        books.assert_right()


def batches(books: Books) -> list[tuple[str, str]]:
    """State and txid of every batch."""
    with books.open() as connection:
        return list(connection.execute("SELECT state, txid FROM batch ORDER BY id").fetchall())


def only_batch(books: Books) -> tuple[str, str]:
    (batch,) = batches(books)
    return batch


def open_batch(books: Books) -> Batch:
    with books.open() as connection:
        (batch,) = SqliteBook(connection, lambda _: True).open_batches()
    return batch


@pytest.fixture(scope="module")
def bitcoind(rig_tools: Tools, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bitcoind]:
    node = Bitcoind(rig_tools, tmp_path_factory.mktemp("onchain"))
    node.start()
    try:
        node.open_wallet(BANK)
        node.mine(120, node.rpc("getnewaddress", wallet=BANK))
        yield node
    finally:
        node.stop()


@pytest.fixture
def bench(bitcoind: Bitcoind, tmp_path: Path) -> Iterator[Bench]:
    with payers(tmp_path) as process:
        yield Bench(bitcoind, process, tmp_path)


def test_two_addresses_are_paid_in_one_transaction_that_settles_when_it_is_buried(bench: Bench) -> None:
    books = bench.begin()
    assert bench.look(books) == 0
    state, txid = only_batch(books)
    assert state == "broadcast"
    assert bench.bitcoind.rpc("getrawmempool") == [txid]
    assert bench.received() == list(DUE)

    bench.bury(CONFIRMATIONS - 1)
    assert bench.look(books) == 0
    assert only_batch(books) == ("broadcast", txid)
    assert [books.held(address) for address in bench.addresses] == [sat * 1000 for sat in DUE]

    bench.bury(1)
    assert bench.look(books) == 0
    bench.assert_paid_once(books)


def test_killed_at_any_step_everybody_is_paid_by_one_transaction(bench: Bench) -> None:
    rehearsal = bench.begin()
    assert bench.look(rehearsal) == 0
    steps = bench.steps()
    bench.through(rehearsal)
    assert {"after wallet.fund_and_sign", SIGNED, LEAVING, "before wallet.broadcast"} <= {*steps}

    for step in steps:
        books = bench.begin()
        assert bench.look(books, die_at=step) == -SIGKILL, step
        bench.through(books)


@pytest.mark.parametrize("step", [SIGNED, LEAVING, "after wallet.broadcast"])
def test_killed_together_with_the_node_the_same_transaction_leaves(bench: Bench, step: str) -> None:
    books = bench.begin()
    assert bench.look(books, die_at=step) == -SIGKILL
    written = open_batch(books).signed
    bench.bitcoind.kill()
    bench.bitcoind.start()
    bench.bitcoind.open_wallet(BANK)

    assert bench.look(books) == 0

    assert only_batch(books) == ("broadcast", written.txid)
    assert bench.bitcoind.rpc("getrawtransaction", written.txid) == written.raw_tx
    bench.through(books)


def test_a_batch_is_settled_by_the_round_that_dies_or_by_the_next(bench: Bench) -> None:
    for step in ("before book.settle_batch", "after book.settle_batch"):
        books = bench.begin()
        assert bench.look(books) == 0
        bench.bury()
        assert bench.look(books, die_at=step) == -SIGKILL
        assert bench.look(books) == 0
        bench.assert_paid_once(books)


def test_too_little_spendable_money_waits_and_nothing_is_held(bench: Bench) -> None:
    books = bench.begin(funds=min(DUE))  # the fee is missing
    assert bench.look(books) == 0
    assert batches(books) == []
    assert [books.held(address) for address in bench.addresses] == [0, 0]
    assert bench.pool("listlockunspent") == []

    bench.fund(sum(DUE))
    bench.through(books)


def test_who_is_owed_most_waits_for_money_and_not_the_other_with_him(bench: Bench) -> None:
    books = bench.begin(funds=sum(DUE))  # the fee for both is missing
    assert bench.look(books) == 0
    assert bench.received() == [0, min(DUE)]
    bench.bury()
    bench.fund(sum(DUE))
    assert bench.look(books) == 0
    assert bench.received() == list(DUE)
    assert len(batches(books)) == 2


def test_a_signed_batch_whose_coin_was_spent_elsewhere_is_rejected_and_made_anew(bench: Bench) -> None:
    books = bench.begin()
    assert bench.look(books, die_at=SIGNED) == -SIGKILL
    _, txid = only_batch(books)
    bench.pool("lockunspent", True)
    elsewhere = bench.pool("sendtoaddress", bench.pool("getnewaddress"), "0.0001")
    bench.bury(1)

    assert bench.look(books) == 0

    (first, second) = batches(books)
    assert first == ("rejected", txid)
    assert second[0] == "broadcast"
    assert second[1] != txid
    bench.bury()
    assert bench.look(books) == 0
    assert bench.payouts() == {elsewhere, second[1]}
    assert bench.received(CONFIRMATIONS) == list(DUE)
    assert [books.debited(address) for address in bench.addresses] == [sat * 1000 for sat in DUE]
    books.assert_right()
