"""On-chain batches: paid once whatever crashes, rejected only while they never left."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import pytest

from payouts.errors import NodeUnavailable
from payouts.money import Sat
from payouts.onchain.batch import Batcher, BatcherOptions
from payouts.onchain.wallet import Draft, NotEnough, TxOutput
from payouts.values import BatchState, Output
from tests.contracts.book import ADDRESS_A, ADDRESS_B
from tests.payouts.fake_book import FakeBook
from tests.payouts.fakes import Time, result_of

CHANGE = "bcrt1qchange"
OPTIONS = BatcherOptions(threshold=Sat(50_000), fee_rate_msat_vb=2000, confirmations=3, interval_s=600)


def address(number: int) -> str:
    """One of many; the fake book takes any."""
    return f"bcrt1q{number:038x}"


@attrs.define
class FakeWallet:
    """A wallet whose transactions are numbered; the network is a dictionary of depths."""

    spendable: int = 1_000_000
    up: bool = True
    fee: int = 300
    refusal: str | None = None
    steals: bool = False
    tries: int = 0
    made: dict[str, Draft] = attrs.Factory(dict)  # raw -> draft
    network: dict[str, int] = attrs.Factory(dict)  # txid -> depth
    broadcasts: list[str] = attrs.Factory(list)
    locks: set[str] = attrs.Factory(set)

    def _reached(self) -> None:
        if not self.up:
            raise NodeUnavailable("connection refused")

    async def lock_exactly(self, inputs: Sequence[str]) -> None:
        self._reached()
        self.locks = set(inputs)

    async def fund_and_sign(self, outputs: Sequence[Output], fee_rate_msat_vb: int) -> Draft | NotEnough:
        self._reached()
        self.tries += 1
        total = sum(o.amount for o in outputs)
        if total + self.fee > self.spendable:
            return NotEnough("the wallet's spendable balance is too small")
        number = len(self.made) + 1
        paid = [TxOutput(o.address, o.amount, ours=False) for o in outputs]
        change = TxOutput(CHANGE, Sat(self.spendable - total - self.fee), ours=not self.steals)
        draft = Draft(
            txid=f"{number:064x}",
            raw_tx=f"02{number:04x}",
            inputs=(f"{number:064x}:7",),
            outputs=(*paid, change),
            fee=Sat(self.fee),
            vsize=200,
        )
        self.made[draft.raw_tx] = draft
        self.locks |= set(draft.inputs)
        return draft

    async def fee_rate(self) -> int:
        self._reached()
        return 2000

    async def test_accept(self, raw_tx: str) -> str | None:
        self._reached()
        return self.refusal

    async def broadcast(self, raw_tx: str) -> str | None:
        self._reached()
        self.broadcasts.append(raw_tx)
        self.network.setdefault(self.made[raw_tx].txid, 0)
        return None

    async def confirmations(self, txid: str) -> int | None:
        self._reached()
        return self.network.get(txid)

    def bury(self, depth: int) -> None:
        for txid in self.network:
            self.network[txid] = depth

    def paid_out(self) -> int:
        """What really left for others, in all transactions that the network has."""
        drafts = [draft for draft in self.made.values() if draft.txid in self.network]
        return sum(o.amount for draft in drafts for o in draft.outputs if o.address != CHANGE)


@attrs.define
class House:
    """Everything that survives the payer's death."""

    book: FakeBook = attrs.Factory(
        lambda: FakeBook.with_balances({ADDRESS_A: 70_000_500, ADDRESS_B: 60_000_000, "alice": 10**9})
    )
    wallet: FakeWallet = attrs.Factory(FakeWallet)
    time: Time = attrs.Factory(Time)

    def batcher(self, options: BatcherOptions = OPTIONS) -> Batcher:
        return Batcher(self.book, self.wallet, self.time.clock, self.time.now_ms, options)

    def look(self, batcher: Batcher | None = None) -> None:
        result_of((batcher or self.batcher()).look())

    def state(self, number: int = 1) -> BatchState:
        return self.book.batches[number].state


@pytest.fixture
def house() -> House:
    return House()


def test_everybody_who_is_due_is_paid_in_one_batch_and_settled_when_it_is_buried(house: House) -> None:
    house.look()
    assert house.state() is BatchState.BROADCAST
    assert house.wallet.paid_out() == 130_000
    assert house.book.balances == {ADDRESS_A: 500, ADDRESS_B: 0, "alice": 10**9}
    house.wallet.bury(2)
    house.look()
    assert house.state() is BatchState.BROADCAST
    house.wallet.bury(3)
    house.look()
    assert house.state() is BatchState.SETTLED


def test_nobody_due_means_no_transaction(house: House) -> None:
    house.book.balances = {ADDRESS_A: 49_999_999}
    house.look()
    assert house.wallet.made == {}


def test_too_little_spendable_money_waits(house: House) -> None:
    house.wallet.spendable = 60_000
    batcher = house.batcher()
    house.look(batcher)
    assert house.book.batches == {}
    house.wallet.spendable = 200_000
    house.look(batcher)
    assert house.state() is BatchState.BROADCAST


def test_who_has_most_waits_when_there_is_too_little_for_all_and_the_others_are_paid(house: House) -> None:
    house.wallet.spendable = 100_000
    batcher = house.batcher()
    house.look(batcher)
    assert house.book.balances == {ADDRESS_A: 70_000_500, ADDRESS_B: 0, "alice": 10**9}
    house.wallet.bury(3)
    house.look(batcher)
    house.wallet.spendable = 200_000
    house.time.clock.advance(OPTIONS.interval_s)
    house.look(batcher)
    assert house.book.balances[ADDRESS_A] == 500
    assert house.wallet.paid_out() == 130_000


@pytest.mark.parametrize("enough_for", range(13))
def test_of_many_the_smallest_are_paid_in_few_tries(house: House, enough_for: int) -> None:
    amounts = [50_000 + 1_000 * n for n in range(12)]
    house.book = FakeBook.with_balances({address(n): 1_000 * amount for n, amount in enumerate(amounts)})
    house.wallet.spendable = sum(amounts[:enough_for]) + house.wallet.fee
    house.look()
    paid = [amount for n, amount in enumerate(amounts) if not house.book.balances[address(n)]]
    assert paid == amounts[: len(paid)]
    assert bool(paid) is bool(enough_for)
    assert house.wallet.tries <= 5


def test_what_is_not_in_the_mempool_any_more_is_sent_again_with_the_same_bytes(house: House) -> None:
    house.look()
    house.wallet.network.clear()
    house.look()
    assert house.wallet.broadcasts == ["020001", "020001"]
    assert len(house.wallet.made) == 1


def test_a_reorganised_batch_stays_broadcast_and_is_sent_again(house: House) -> None:
    house.look()
    house.wallet.bury(2)
    house.look()
    house.wallet.bury(0)
    house.look()
    assert house.state() is BatchState.BROADCAST
    assert house.wallet.broadcasts == ["020001", "020001"]


def test_a_batch_that_our_node_refuses_gives_the_money_back_and_its_coins(house: House) -> None:
    house.wallet.refusal = "min relay fee not met"
    house.look()
    assert house.state() is BatchState.REJECTED
    assert house.book.balances[ADDRESS_A] == 70_000_500
    assert house.wallet.locks == set()
    assert house.wallet.broadcasts == []


def test_a_signed_batch_that_the_network_knows_already_is_never_rejected(house: House) -> None:
    """A restored backup: the book says signed, the network has it."""
    house.look()
    house.book.batches[1] = attrs.evolve(house.book.batches[1], state=BatchState.SIGNED)
    house.wallet.refusal = "bad-txns-inputs-missingorspent"
    house.wallet.bury(1)
    house.look()
    assert house.state() is BatchState.BROADCAST
    assert house.book.balances[ADDRESS_A] == 500


@pytest.mark.parametrize("wrong", [{"steals": True}, {"fee": 801}])
def test_a_wrong_transaction_stops_sending_and_holds_nothing(house: House, wrong: dict[str, int]) -> None:
    for name, value in wrong.items():
        setattr(house.wallet, name, value)
    house.look()
    assert "wrong batch" in str(house.book.stopped())
    assert house.book.batches == {}
    house.look()
    assert house.wallet.broadcasts == []


def test_a_stopped_book_makes_no_batches_but_settles_them(house: House) -> None:
    house.look()
    house.book.stop_sending("an operator said so", 0)
    house.book.balances[ADDRESS_A] = 90_000_000
    house.wallet.bury(3)
    house.look()
    assert house.state() is BatchState.SETTLED
    assert len(house.wallet.made) == 1


def test_the_open_batches_coins_are_locked_after_a_restart_of_the_node(house: House) -> None:
    house.look()
    house.wallet.locks.clear()
    house.look()
    assert house.wallet.locks == {f"{1:064x}:7"}


def test_the_next_batch_is_an_interval_away(house: House) -> None:
    batcher = house.batcher()
    house.look(batcher)
    house.book.balances[ADDRESS_B] = 80_000_000
    house.look(batcher)
    assert len(house.book.batches) == 1
    house.time.pass_s(600, step_s=100)
    house.look(batcher)
    assert len(house.book.batches) == 2


def test_without_a_fee_rate_the_node_is_asked(house: House) -> None:
    house.look(house.batcher(attrs.evolve(OPTIONS, fee_rate_msat_vb=None)))
    assert house.state() is BatchState.BROADCAST


def test_it_runs_by_itself_and_outlives_a_node_that_is_down(house: House) -> None:
    house.wallet.up = False
    batcher = house.batcher()
    batcher.start()
    house.time.pass_s(30, step_s=1)
    house.wallet.up = True
    house.time.pass_s(20, step_s=1)
    house.wallet.bury(3)
    house.time.pass_s(20, step_s=1)
    assert house.state() is BatchState.SETTLED
    batcher.stop()
    assert not house.time.clock.getDelayedCalls()
