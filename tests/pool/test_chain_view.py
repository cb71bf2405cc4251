"""Several nodes: most work decides, an open race decides nothing, and who is behind takes no block away."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar, cast

import attrs
import pytest

from payouts.money import Sat
from pool.chain.node import (
    BlockFees,
    BookNode,
    ChainInfo,
    ChainRefused,
    ChainUnavailable,
    CoinbaseOutput,
    HeaderInfo,
)
from pool.chain.view import ManyNodes
from stratum.units import Height
from tests.contracts.node import now

T = TypeVar("T")
HASH = "ab" * 32
PAID = (CoinbaseOutput(b"\x51", Sat(5)),)


@attrs.define
class Fake:
    """A node with a chain of its own."""

    name: str
    work: int = 100
    tip: str = "aa"
    confirmations: int | None = 3
    syncing: bool = False
    down: bool = False
    pruned: bool = False

    async def chain_info(self) -> ChainInfo:
        if self.down:
            raise ChainUnavailable(f"{self.name} is down")
        return ChainInfo("main", Height(self.work), self.tip, self.work, self.syncing, self.work)

    async def header(self, block_hash: str) -> HeaderInfo | None:
        if self.down:
            raise ChainUnavailable(f"{self.name} is down")
        if self.confirmations is None:
            return None
        return HeaderInfo(block_hash, Height(50), self.confirmations, "00" * 32, 0)

    async def block_outputs(self, block_hash: str) -> tuple[CoinbaseOutput, ...]:
        if self.down or self.pruned:
            raise ChainRefused(-1, f"{self.name} has no such block data")
        return PAID

    async def hash_at(self, height: int) -> str:
        return self.tip

    async def block_fees(self, block_hash: str) -> BlockFees:
        if self.down or self.pruned:
            raise ChainRefused(-1, f"{self.name} has no such block data")
        return BlockFees(block_hash, Height(50), "00" * 32, Sat(7))


def view(*nodes: Fake) -> ManyNodes:
    return ManyNodes([cast(BookNode, node) for node in nodes])


def depth(seen: ManyNodes) -> int | None:
    """How deep the block is, after a new look at all tips."""
    tip: Coroutine[Any, Any, ChainInfo] = seen.chain_info()
    now(tip)
    found = now(seen.header(HASH))
    return None if found is None else found.confirmations


@pytest.mark.parametrize("order", [1, -1])
def test_the_node_with_more_work_decides_whatever_the_order(order: int) -> None:
    ahead, behind = Fake("ahead", work=101, confirmations=-1), Fake("behind", confirmations=3)
    assert depth(view(*[ahead, behind][::order])) == -1
    ahead.confirmations, behind.confirmations = 4, -1
    assert depth(view(*[ahead, behind][::order])) == 4


def test_a_node_in_its_initial_download_is_not_listened_to_while_another_is_well() -> None:
    loading = Fake("loading", work=500, syncing=True, confirmations=-1)
    assert depth(view(loading, Fake("well"))) == 3
    assert now(view(loading).chain_info()).syncing


def test_in_a_race_of_equal_chains_a_block_of_one_of_them_stays_as_it_is() -> None:
    one, two = Fake("one", tip="aa", confirmations=1), Fake("two", tip="bb", confirmations=-1)
    seen = view(one, two)
    assert depth(seen) == 0
    two.confirmations = None  # the other one has not even heard of it
    assert depth(seen) == 0
    two.confirmations, two.work = -1, 101
    assert depth(seen) == -1
    one.work, one.confirmations = 102, 3
    assert depth(seen) == 3


def test_blocks_below_a_race_are_deep_on_both_sides_and_go_on() -> None:
    assert depth(view(Fake("one", tip="aa", confirmations=7), Fake("two", tip="bb", confirmations=7))) == 7


def test_when_only_a_node_with_less_work_is_left_it_confirms_but_takes_no_block_away() -> None:
    ahead, other = Fake("ahead", work=101), Fake("other", work=100, tip="bb", confirmations=-1)
    seen = view(ahead, other)
    assert depth(seen) == 3
    ahead.down = True
    assert depth(seen) == 0
    other.confirmations = 2
    assert depth(seen) == 2
    other.work, other.confirmations = 102, -1  # now it is ahead of all that was seen: it decides
    assert depth(seen) == -1


def test_a_speaker_that_goes_away_between_two_questions_answers_none_and_the_next_look_finds_another() -> (
    None
):
    one, two = Fake("one", work=101), Fake("two", work=101, confirmations=5)
    seen = view(one, two)
    now(seen.chain_info())
    one.down = True
    with pytest.raises(ChainUnavailable):
        now(seen.header(HASH))
    assert depth(seen) == 5


def test_when_no_node_answers_the_text_has_all_of_their_words() -> None:
    with pytest.raises(ChainUnavailable, match="one is down; two is down"):
        now(view(Fake("one", down=True), Fake("two", down=True)).chain_info())


def test_a_coinbase_is_read_from_whichever_node_has_its_data() -> None:
    assert now(view(Fake("pruned", pruned=True), Fake("whole")).block_outputs(HASH)) == PAID
    with pytest.raises(ChainRefused, match="pruned"):
        now(view(Fake("pruned", pruned=True), Fake("down", down=True)).block_outputs(HASH))


def test_fees_are_told_by_whichever_node_has_the_block_and_heights_by_the_one_that_speaks() -> None:
    seen = view(Fake("pruned", pruned=True, tip="bb"), Fake("whole"))
    assert now(seen.block_fees(HASH)).fees == 7
    assert now(seen.hash_at(50)) == "bb"
    with pytest.raises(ChainRefused, match="pruned has no"):
        now(view(Fake("pruned", pruned=True), Fake("down", down=True)).block_fees(HASH))
