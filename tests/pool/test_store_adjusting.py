"""An operator's entries take no money that is promised, owed, or not there, and are booked once."""

from __future__ import annotations

import attrs
import pytest

from payouts.money import Msat
from pool import ledger
from pool.adjustments import Adjustment, Kind
from pool.errors import LedgerError
from pool.store.adjusting import AdjustmentDesk
from pool.verify import verify
from tests.pool.test_settle import NOW_MS, Pool
from tests.pool.test_verify import pool

__all__ = ["pool"]  # a fixture: books with payments and batches in every state

OUT = Adjustment(Kind.WITHDRAWAL, "fees", "lightning", Msat(1000), "the fee of October")


def test_booked_once_by_its_reference_and_the_audit_agrees(pool: Pool) -> None:
    desk = AdjustmentDesk(pool.books)
    swap = Adjustment(Kind.MOVE, "tx", "hot", Msat(50_000_000), "channel", "lightning", Msat(200_000))
    before = pool.store.balances()
    for said in (OUT, swap, attrs.evolve(OUT, kind=Kind.LOSS), attrs.evolve(OUT, kind=Kind.CORRECTION)):
        assert desk.book(said, NOW_MS)
        assert not desk.book(said, NOW_MS + 1)
    after = pool.store.balances()
    assert after[ledger.HOT] == before[ledger.HOT] - 50_200_000
    assert after[ledger.LIGHTNING] == before[ledger.LIGHTNING] + 50_000_000 - 1000
    assert verify(pool.shares, pool.books).differences == ()
    with pytest.raises(LedgerError, match="other content"):
        desk.book(attrs.evolve(OUT, amount=Msat(999)), NOW_MS)


def test_what_open_payments_may_take_stays_where_they_leave_from(pool: Pool) -> None:
    desk = AdjustmentDesk(pool.books)
    assert desk.promised("lightning") == 1050  # one payment is reserved
    assert desk.promised("hot") == 50_002_000 + 200_000  # one batch is signed
    assert desk.promised("treasury") == 0
    for asset in ("lightning", "hot"):
        free = pool.store.balance(f"assets:{asset}") - desk.promised(asset)
        lost = Adjustment(Kind.LOSS, asset, asset, Msat(free + 1), "stolen")
        with pytest.raises(LedgerError, match="payments under"):
            desk.book(lost, NOW_MS)
        assert desk.book(attrs.evolve(lost, amount=Msat(free)), NOW_MS)


def test_an_operator_takes_out_no_more_than_is_the_pools_own(pool: Pool) -> None:
    desk = AdjustmentDesk(pool.books)
    own = desk.own()
    balances = pool.store.balances()
    assert own == sum(v for k, v in balances.items() if k.startswith(("assets:", "liabilities:")))
    most = attrs.evolve(OUT, asset="hot", amount=own)
    with pytest.raises(LedgerError, match="the miners'"):
        desk.book(attrs.evolve(most, amount=Msat(own + 1)), NOW_MS)
    assert desk.book(most, NOW_MS)
    assert desk.own() == 0


def test_what_has_not_matured_pays_nothing_out(pool: Pool) -> None:
    """Fees of an immature block are income already, but the coins that could pay them are not there."""
    pool.see(1, "ef" * 32)  # the orphan comes back
    desk = AdjustmentDesk(pool.books)
    spendable = sum(pool.store.balance(f"assets:{asset}") for asset in ("hot", "lightning", "treasury"))
    due = sum(
        amount
        for account, amount in pool.store.balances().items()
        if account.startswith("liabilities:miners:") and not account.endswith("immature")
    )
    assert 0 < desk.own() == spendable + due


def test_nothing_is_overdrawn_and_a_refusal_writes_nothing(pool: Pool) -> None:
    before = pool.store.head()
    with pytest.raises(LedgerError):
        AdjustmentDesk(pool.books).book(attrs.evolve(OUT, asset="treasury"), NOW_MS)
    assert pool.store.head() == before


def test_the_reserve_of_a_pool_that_pays_shares_at_once_stays(pool: Pool) -> None:
    desk = AdjustmentDesk(pool.books)
    before = desk.own()
    moves = [(ledger.RESERVE, -400), (ledger.POOL_FEE, 400)]
    pool.store.post(ledger.entry("x", "x", {}, moves), NOW_MS)
    assert desk.own() == before - 400


def test_a_declared_reserve_that_was_booked_as_a_deposit_stays_as_far_as_it_is_not_used(pool: Pool) -> None:
    own = AdjustmentDesk(pool.books).own()
    pool.store.post(ledger.deposit("reserve", "hot", Msat(1_000_000)), NOW_MS)
    desk = AdjustmentDesk(pool.books, Msat(1_000_000))
    assert desk.own() == own
    paid = [(ledger.RESERVE, 300_000), (ledger.miner("ann", "available"), -300_000)]
    pool.store.post(ledger.entry("x", "x", {}, paid), NOW_MS)
    assert (desk.reserve(), desk.own()) == (700_000, own)
    most = attrs.evolve(OUT, asset="hot", amount=Msat(own + 1))
    with pytest.raises(LedgerError, match="or the reserve of 700000 msat that shares are paid from"):
        desk.book(most, NOW_MS)
    assert AdjustmentDesk(pool.books).book(most, NOW_MS)  # whoever declares less may take the difference
