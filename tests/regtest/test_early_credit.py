"""Early credit on a real node: lent, spent, lost to a reorganisation, made good when the block comes back."""

from __future__ import annotations

import asyncio

from payouts.money import Msat
from pool import ledger
from pool.advances import Advancer, EarlyCredit
from pool.chain.view import ManyNodes
from pool.recheck import Rechecker
from pool.settle import Settler
from pool.store.blocks import history
from pool.store.flows import FlowReader
from pool.store.reward_checks import RewardChecks
from pool.store.windows import ShareWindows
from tests.pool.test_advances import pay
from tests.pool.test_recheck import at_once
from tests.pool.test_settle import FakeChain, Pool
from tests.regtest.test_block_lives import ASSETS, House, bitcoind, hand_in, house, node_of, run_slowly

__all__ = ["bitcoind", "house"]  # fixtures: a real node, and books that follow it

DEPTH = 6


def turn(house: House) -> None:
    """The book follows the node, counts new rewards again share by share, and lends what it may."""
    view = ManyNodes([node_of(house.bitcoind, "book")])
    settler = Settler(house.store, ShareWindows(house.shares), view, 100, lambda: 1)
    run_slowly(settler)
    checks = RewardChecks(house.books)
    while checks.next() is not None:
        asyncio.run(Rechecker(house.directory, house.books, lambda: 1, at_once).step())
    terms, flows = EarlyCredit(DEPTH, Msat(10**13)), FlowReader(house.books)
    Advancer(house.store, checks, flows, terms, lambda: 1).step(settler.shown)


def test_what_was_spent_of_a_block_that_was_undone_is_lost_until_it_comes_back(house: House) -> None:
    house.store.post(ledger.deposit("own", "hot", Msat(10**13)), 1)
    store, available = house.store, ledger.miner("ann", "available")
    ours = house.find()
    hand_in(house.bitcoind, ours)
    house.mine(DEPTH - 2)
    turn(house)
    assert store.balance(ledger.ADVANCED) == 0
    house.mine(1)
    turn(house)
    lent = -store.balance(available)
    assert store.balance(ledger.ADVANCED) == lent > 0
    pay(Pool(house.directory, house.shares, house.books, FakeChain()), "ann", 5_000)

    house.bitcoind.rpc("invalidateblock", ours.hash)
    house.mine(DEPTH + 1)
    turn(house)
    assert (store.balance(ledger.ADVANCED), store.balance(available)) == (0, 0)
    assert store.balance(ledger.ORPHAN_LOSS) == 5_000
    house.verified()

    rival = house.bitcoind.rpc("getblockhash", ours.height)
    house.bitcoind.rpc("reconsiderblock", ours.hash)
    house.bitcoind.rpc("invalidateblock", rival)
    house.mine(3)
    turn(house)
    assert store.balance(ledger.ORPHAN_LOSS) == 0
    assert store.balance(ledger.ADVANCED) == -store.balance(available) == lent - 5_000
    house.mine(100)
    turn(house)
    assert store.balance(ledger.ADVANCED) == 0
    assert -store.balance(available) == lent - 5_000
    assert store.balance(ledger.IMMATURE) == store.balance(ledger.TREASURY_IMMATURE) == 0
    assert sum(store.balance(name) for name in ASSETS) > 10**13
    assert [each.state for each in history(house.books, ours.hash)][-1] == "mature"
    house.verified()
