"""Rates are learnt once for each height, from one chain, and stay; what a node does not tell waits."""

from __future__ import annotations

from collections.abc import Collection, Coroutine, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from payouts.money import Sat
from pool.chain.node import BlockFees, ChainInfo, ChainRefused, ChainUnavailable
from pool.rates import MOST_AT_A_STEP, RateBook
from pool.rewards.fpps import FEE_BLOCKS, FEE_TRIM, fee_part
from pool.store.database import connect
from pool.store.ledger import LedgerStore
from pool.verify import verify
from stratum.units import Height

NOW_MS = 1_800_000_000_000


@attrs.define
class FakeChain:
    """A chain in memory: block names by height, fees by name, and ways to be of no use."""

    names: list[str]
    asked: list[str] = attrs.field(factory=list)
    lost: set[str] = attrs.field(factory=set)
    odd: dict[str, BlockFees] = attrs.field(factory=dict)
    known: dict[str, BlockFees] = attrs.field(factory=dict)
    syncing: bool = False

    @classmethod
    def of(cls, height: int) -> FakeChain:
        made = cls(["genesis"])
        made.grow(height)
        return made

    def grow(self, count: int = 1, branch: str = "a") -> None:
        for _ in range(count):
            height, name = len(self.names), f"{branch}{len(self.names)}"
            fees = Sat(1000 * height + (500 if branch == "b" else 0))
            self.known[name] = BlockFees(name, Height(height), self.names[-1], fees)
            self.names.append(name)

    def info(self) -> ChainInfo:
        height = len(self.names) - 1
        return ChainInfo("regtest", Height(height), self.names[-1], height, self.syncing)

    async def hash_at(self, height: int) -> str:
        return self.names[height]

    async def block_fees(self, block_hash: str) -> BlockFees:
        self.asked.append(block_hash)
        if block_hash in self.lost:
            raise ChainRefused(-1, "Block not available (pruned data)")
        return self.odd.get(block_hash) or self.known[block_hash]


@attrs.define
class House:
    """Books, a chain, and the learner between them."""

    store: LedgerStore
    chain: FakeChain

    def step(self, waiting: Collection[int] = (), *, ahead: bool = True) -> int:
        """A step of a book that was just started."""
        return self.next(RateBook(self.store, self.chain, lambda: NOW_MS), waiting, ahead=ahead)

    def next(self, rates: RateBook, waiting: Collection[int] = (), *, ahead: bool = True) -> int:
        return done(rates.step(self.chain.info(), waiting, ahead=ahead))

    def fees(self, height: int) -> tuple[int, ...]:
        rate = self.store.rates.get(height)
        assert rate is not None
        return rate.fees


def done(coroutine: Coroutine[Any, Any, int]) -> int:
    """Run what never waits."""
    try:
        coroutine.send(None)
    except StopIteration as ended:
        return int(ended.value)
    raise AssertionError("it waited")


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    shares, books = connect(tmp_path, "shares"), connect(tmp_path, "ledger")
    yield House(LedgerStore(books), FakeChain.of(200))
    assert verify(shares, books).differences == ()
    shares.close()
    books.close()


def test_the_first_rate_asks_for_a_day_of_blocks_and_each_later_one_for_one(house: House) -> None:
    assert house.step() == 1
    assert len(house.chain.asked) == FEE_BLOCKS
    assert house.fees(201) == tuple(1000 * height for height in range(57, 201))
    newest = house.store.rates.newest()
    assert newest is not None
    assert (newest.after, newest.part) == ("a200", fee_part(newest.fees, FEE_BLOCKS, FEE_TRIM))
    assert newest.part == 128_500_000  # the mean of 57,000 … 200,000 sat, both ends cut alike
    for _ in range(3):
        house.chain.grow()
        house.chain.asked.clear()
        assert house.step() == 1
        assert house.step() == 0
        assert len(house.chain.asked) == 1
    assert house.fees(204) == tuple(1000 * height for height in range(60, 204))


def test_a_reorganisation_changes_no_rate_that_is_known_and_the_next_one_is_of_the_new_chain(
    house: House,
) -> None:
    house.step()
    before = house.store.rates.get(201)
    del house.chain.names[-2:]
    house.chain.grow(2, "b")
    assert house.step() == 0
    assert house.store.rates.get(201) == before
    house.chain.grow(1, "b")
    house.chain.asked.clear()
    assert house.step() == 1
    assert house.chain.asked[:3] == ["b201", "b200", "b199"]
    assert house.fees(202)[-4:] == (198_000, 199_500, 200_500, 201_500)
    assert house.fees(202)[0] == 58_000


def test_a_short_chain_is_averaged_over_what_there_is(house: House) -> None:
    house.chain = FakeChain.of(0)
    assert house.step() == 1
    assert house.fees(1) == ()
    house.chain.grow(12)
    assert house.step() == 1
    assert house.fees(13) == tuple(1000 * height for height in range(1, 13))
    house.chain.grow(1)
    house.chain.asked.clear()
    house.step()
    assert house.chain.asked == ["a13"]
    assert house.fees(14)[:2] == (1000, 2000)


def test_heights_that_passed_while_the_book_was_off_are_learnt_when_shares_wait_for_them(
    house: House,
) -> None:
    house.step()
    house.chain.grow(40)
    rates = RateBook(house.store, house.chain, lambda: NOW_MS)
    waiting = range(202, 260)  # the last ones seek blocks that this node has not heard of
    assert house.next(rates, waiting) == MOST_AT_A_STEP + 1
    missing = {height for height in waiting if house.store.rates.get(height) is None}
    while learnt := house.next(rates, missing, ahead=False):
        assert learnt <= MOST_AT_A_STEP
        missing = {height for height in missing if house.store.rates.get(height) is None}
    assert missing == set(range(242, 260))
    assert house.fees(220) == tuple(1000 * height for height in range(76, 220))
    assert len(house.chain.asked) == len(set(house.chain.asked)) == FEE_BLOCKS + 40


@pytest.mark.parametrize("height", [200, 100])
def test_what_a_node_has_pruned_or_does_not_answer_waits_and_what_was_told_is_not_asked_again(
    house: House, height: int
) -> None:
    house.chain.lost = {f"a{height}"}
    rates = RateBook(house.store, house.chain, lambda: NOW_MS)
    for _ in range(2):
        with pytest.raises(ChainRefused, match="pruned data"):
            house.next(rates)
    assert house.store.rates.newest() is None
    house.chain.lost.clear()
    assert house.next(rates) == 1
    assert len(house.chain.asked) == FEE_BLOCKS + 2


def test_an_old_height_that_nobody_can_tell_keeps_no_other_from_being_learnt(house: House) -> None:
    house.chain.lost = {"a20"}
    with pytest.raises(ChainRefused):
        house.step({30})
    assert house.store.rates.get(30) is None
    assert house.store.rates.get(201) is not None


@pytest.mark.parametrize(
    "odd",
    [
        {"hash": "another"},
        {"height": Height(3)},
        {"fees": Sat(-1)},
        {"fees": Sat(21_000_000 * 100_000_000 + 1)},
    ],
)
def test_a_node_that_says_what_cannot_be_is_not_believed(house: House, odd: dict[str, Any]) -> None:
    house.chain.odd["a150"] = attrs.evolve(house.chain.known["a150"], **odd)
    with pytest.raises(ChainUnavailable, match="a150 at 150 what cannot be"):
        house.step()
    assert house.store.rates.newest() is None


def test_a_node_that_catches_up_or_a_pool_that_pays_for_no_fees_makes_no_rate_ahead(house: House) -> None:
    house.chain.syncing = True
    assert house.step() == 0
    house.chain.syncing = False
    assert house.step(ahead=False) == 0
    assert house.step({201}, ahead=False) == 1
