"""A block's part under offline keys is an asset of its own through its whole life, which is on record."""

from __future__ import annotations

import attrs
import pytest

from payouts.money import Msat, Sat
from pool import ledger
from pool.chain.node import CoinbaseOutput
from pool.errors import LedgerError
from pool.store.blocks import history
from pool.store.treasury import TreasuryTable
from pool.treasury import Derived, transfer
from tests.pool.test_settle import HASH, SCRIPT, VALUE, Pool, pool

__all__ = ["pool"]  # a fixture: a block in the share log, and a chain to show it in
COLD = Derived(0, "bcrt1qcold", b"\x00\x14" + b"\x07" * 20)
COLD_MSAT = VALUE * 1000 * 9 // 10
HOT_MSAT = VALUE * 1000 - COLD_MSAT


@pytest.fixture
def cold(pool: Pool) -> Pool:
    """The block pays nine tenths to the treasury."""
    table = TreasuryTable(pool.books)
    table.add("wpkh(…)", 1)
    table.stock(1, [COLD], 1)
    pool.chain.outputs = (
        CoinbaseOutput(COLD.script, Sat(VALUE * 9 // 10)),
        CoinbaseOutput(SCRIPT, Sat(VALUE - VALUE * 9 // 10)),
        CoinbaseOutput(b"\x6a", Sat(0)),
    )
    return pool


def assets(pool: Pool) -> dict[str, int]:
    names = (ledger.IMMATURE, ledger.TREASURY_IMMATURE, ledger.HOT, ledger.TREASURY)
    return {name: pool.balance(name) for name in names if pool.balance(name)}


def test_the_treasury_s_part_matures_into_the_treasury_and_miners_are_owed_the_whole(cold: Pool) -> None:
    cold.see(1)
    assert assets(cold) == {ledger.IMMATURE: HOT_MSAT, ledger.TREASURY_IMMATURE: COLD_MSAT}
    cold.see(100)
    assert assets(cold) == {ledger.HOT: HOT_MSAT, ledger.TREASURY: COLD_MSAT}
    owed = cold.of("ann") + cold.of("bob")
    assert owed + cold.balance(ledger.POOL_FEE) + cold.balance(ledger.RESIDUAL) == VALUE * 1000
    cold.verified()


@pytest.mark.parametrize("depth", [1, 100])
def test_an_orphan_takes_the_treasury_s_part_back_from_where_it_is(cold: Pool, depth: int) -> None:
    cold.see(depth)
    cold.see(-1)
    assert assets(cold) == {}
    cold.see(depth)
    cold.verified()


def test_what_is_in_the_treasury_can_be_paid_out_only_after_it_was_moved(cold: Pool) -> None:
    cold.see(100)
    amount = Msat(cold.of("ann"))
    cold.store.post(ledger.batch_hold(1, {"ann": amount}), 1)
    with pytest.raises(LedgerError, match="overdraw assets:hot"):
        cold.store.post(ledger.batch_settle(1, {"ann": amount}, Sat(100)), 2)
    cold.store.post(transfer("txid", "treasury", Msat(COLD_MSAT - 1000), Sat(1)), 2)
    cold.store.post(ledger.batch_settle(1, {"ann": amount}, Sat(100)), 3)
    assert cold.balance(ledger.TREASURY) == 0


def test_every_change_of_a_block_is_on_record_with_its_entry_once(cold: Pool) -> None:
    for confirmations in (1, 1, 100, 100, -1, -1, 2, 100):
        cold.see(confirmations)

    events = [(each.state, each.activations) for each in history(cold.books, HASH)]

    assert events == [
        ("submitted", 0),
        ("immature", 1),
        ("mature", 1),
        ("orphaned", 1),
        ("immature", 2),
        ("mature", 2),
    ]
    with pytest.raises(Exception, match="append-only"):
        cold.books.execute("DELETE FROM block_event")


def test_a_node_on_a_shorter_branch_than_the_block_was_seen_in_takes_nothing_away(cold: Pool) -> None:
    cold.see(50)
    before = cold.store.balances()
    cold.chain.confirmations[HASH] = -1
    cold.chain.height = 200 + 48  # the block at 200 was seen with 50 confirmations: up to height 249
    assert cold.step() == []
    assert cold.store.balances() == before
    cold.chain.height += 1
    assert cold.step() == [("immature", "orphaned")]
    assert attrs.asdict(history(cold.books, HASH)[-1])["state"] == "orphaned"
