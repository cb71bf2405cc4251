"""Pushes and destinations on real files: who is due, one rail at a time, and a change that waits."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from payouts.money import Msat, Sat
from payouts.pushing import Due, PushIntent, pause_ms
from payouts.values import NotTaken, Output, Ruling, Taken
from pool import ledger
from pool.errors import StoreError
from pool.store import schema_payouts
from pool.store.database import connect
from pool.store.destinations import DestinationDesk
from pool.store.ledger import LedgerStore
from pool.store.operator import OperatorDesk
from pool.store.payments import SqliteBook
from pool.store.schema import LEDGER
from tests.contracts.book import ADDRESS_A, ADDRESS_B, NOW_MS, claim, intent, k1_hash_for, signed
from tests.pool.test_store_payments import make

DAY_MS = 86_400_000
ALICE = "a@ln.example.com"
PUSH = PushIntent("alice", ALICE, "lnbcrt1", "aa" * 32, Msat(1_000), Msat(50), Msat(0), NOW_MS // 1000 + 3600)


@attrs.define
class Store:
    book: SqliteBook
    desk: DestinationDesk

    def push_to(self, account: str, target: str | None = ALICE, now_ms: int = NOW_MS) -> None:
        self.desk.ask(account, "lightning", target, by="a test", now_ms=now_ms, wait_ms=0)

    def due(self, now_ms: int = NOW_MS, threshold: int = 1_000) -> list[Due]:
        return list(self.book.pushes_due(Msat(threshold), now_ms, 10))

    def held(self, account: str) -> int:
        return -LedgerStore(self.book._connection).balance(ledger.miner(account, "held"))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    book = make(tmp_path, {"alice": 5_000, "bob": 100_000_000, ADDRESS_A: 100_000_000})
    yield Store(book, DestinationDesk(book._connection))
    assert sum(LedgerStore(book._connection).balances().values()) == 0


# -------------------------------------------------------------------------------------------- destinations


def test_a_change_waits_is_shown_and_then_holds(store: Store) -> None:
    desk = store.desk
    wish = desk.ask("alice", "lightning", ALICE, by="page", now_ms=NOW_MS, wait_ms=DAY_MS)
    assert desk.valid("alice", "lightning", NOW_MS) is None
    assert desk.waiting("alice", "lightning", NOW_MS) == wish
    assert store.due() == []
    assert desk.valid("alice", "lightning", NOW_MS + DAY_MS) == wish
    assert desk.waiting("alice", "lightning", NOW_MS + DAY_MS) is None
    assert [due.target for due in store.due(NOW_MS + DAY_MS)] == [ALICE]


def test_asking_again_delays_nothing_and_asking_otherwise_calls_the_first_off(store: Store) -> None:
    desk = store.desk
    first = desk.ask("alice", "lightning", ALICE, by="page", now_ms=NOW_MS, wait_ms=DAY_MS)
    assert desk.ask("alice", "lightning", ALICE, by="page", now_ms=NOW_MS + 5, wait_ms=DAY_MS) == first
    other = desk.ask("alice", "lightning", "m@evil.example", by="page", now_ms=NOW_MS + 9, wait_ms=DAY_MS)
    assert desk.valid("alice", "lightning", NOW_MS + DAY_MS) is None
    desk.call_off(other.id, NOW_MS + 10)
    assert desk.valid("alice", "lightning", NOW_MS + 2 * DAY_MS) is None
    with pytest.raises(StoreError):
        desk.call_off(other.id, NOW_MS + 11)


def test_asking_for_what_holds_calls_off_the_change_that_waits(store: Store) -> None:
    store.push_to("alice")
    desk = store.desk
    desk.ask("alice", "lightning", "m@evil.example", by="page", now_ms=NOW_MS + 1, wait_ms=DAY_MS)
    kept = desk.ask("alice", "lightning", ALICE, by="owner", now_ms=NOW_MS + 2, wait_ms=DAY_MS)
    assert kept.target == ALICE
    assert desk.waiting("alice", "lightning", NOW_MS + 3) is None
    assert [due.target for due in store.due(NOW_MS + 3 * DAY_MS)] == [ALICE]


def test_a_change_that_holds_cannot_be_called_off_any_more(store: Store) -> None:
    wish = store.desk.ask("alice", "onchain", ADDRESS_B, by="page", now_ms=NOW_MS, wait_ms=DAY_MS)
    with pytest.raises(StoreError):
        store.desk.call_off(wish.id, NOW_MS + DAY_MS)


def test_no_destination_from_some_moment_on_is_a_destination_too(store: Store) -> None:
    store.push_to("alice")
    store.push_to("alice", None, NOW_MS + 1)
    assert store.due(NOW_MS + 1) == []


# -------------------------------------------------------------------------------------------------- pushes


def test_only_who_has_an_address_and_enough_is_due(store: Store) -> None:
    store.push_to("alice")
    assert store.due() == [Due("alice", ALICE, Msat(5_000), 0)]
    assert store.due(threshold=5_001) == []
    store.push_to("nobody")
    assert len(store.due()) == 1


def test_a_push_takes_its_hold_once_and_settles_with_the_real_fee(store: Store) -> None:
    store.push_to("alice")
    taken = store.book.take_push(PUSH, NOW_MS)
    assert isinstance(taken, Taken)
    assert (store.book.available("alice"), store.held("alice")) == (3_950, 1_050)
    assert isinstance(store.book.take_push(PUSH, NOW_MS), NotTaken)
    assert store.due() == []  # it is under way
    store.book.sending(taken.payment_id, NOW_MS)
    store.book.settle(taken.payment_id, "11" * 32, Msat(7), NOW_MS)
    assert (store.book.available("alice"), store.held("alice")) == (3_993, 0)
    assert store.book.claims_taken("alice") == 0
    assert [due.available for due in store.due()] == [3_993]
    assert isinstance(store.book.take_push(PUSH, NOW_MS), NotTaken)  # its hash is known


@pytest.mark.parametrize(
    "change",
    [{"target": "m@evil.example"}, {"amount": Msat(4_951)}, {"amount": Msat(0)}, {"account": "bob"}],
)
def test_what_does_not_fit_the_books_is_not_taken(store: Store, change: dict[str, object]) -> None:
    store.push_to("alice")
    assert isinstance(store.book.take_push(attrs.evolve(PUSH, **change), NOW_MS), NotTaken)  # type: ignore[arg-type]
    assert store.book.available("alice") == 5_000


def test_while_a_claim_is_under_way_there_is_no_push_and_the_other_way_round(store: Store) -> None:
    store.push_to("alice")
    claimed = store.book.take(intent(claim()), k1_hash_for, NOW_MS, limit=1)
    assert isinstance(claimed, Taken)
    assert store.due() == []
    assert isinstance(store.book.take_push(PUSH, NOW_MS), NotTaken)
    store.book.fail(claimed.payment_id, "no route", NOW_MS)
    assert isinstance(store.book.take_push(PUSH, NOW_MS), Taken)
    late = store.book.take(intent(claim(2, taken=1)), k1_hash_for, NOW_MS, limit=1)
    assert isinstance(late, NotTaken)


def test_the_pools_part_of_the_fee_is_not_held_but_counts_against_the_wallet(tmp_path: Path) -> None:
    book = make(tmp_path, {"alice": 1_000}, lightning=1_049)
    desk = DestinationDesk(book._connection)
    desk.ask("alice", "lightning", ALICE, by="a test", now_ms=NOW_MS, wait_ms=0)
    free = attrs.evolve(PUSH, max_fee=Msat(0), pool_fee=Msat(50))
    assert isinstance(book.take_push(free, NOW_MS), NotTaken)
    LedgerStore(book._connection).post(ledger.deposit("more", "lightning", Msat(1)), NOW_MS)
    taken = book.take_push(free, NOW_MS)
    assert isinstance(taken, Taken)
    book.sending(taken.payment_id, NOW_MS)
    book.settle(taken.payment_id, "11" * 32, Msat(30), NOW_MS)
    balances = LedgerStore(book._connection).balances()
    assert (book.available("alice"), balances[ledger.ROUTING], balances[ledger.LIGHTNING]) == (0, 30, 20)


# ---------------------------------------------------------------------------------------------- the ladder


def climb_down(store: Store, account: str, steps: int) -> int:
    """So many failures, each as soon as it may be tried again; answers the time after them."""
    now_ms = NOW_MS
    for number in range(steps):
        assert [due.account for due in store.due(now_ms)] == [account]
        store.book.push_came_to_nothing(account, ALICE, "unreachable", now_ms)
        assert store.due(now_ms) == []
        now_ms += pause_ms(number + 1)
    return now_ms


def test_after_enough_failures_the_balance_goes_onchain_and_the_ladder_begins_anew(store: Store) -> None:
    book = store.book
    store.push_to(ADDRESS_A)
    assert list(book.payable_onchain(Sat(50_000), NOW_MS)) == []
    now_ms = climb_down(store, ADDRESS_A, 4)
    assert list(book.payable_onchain(Sat(50_000), now_ms)) == []
    book.push_came_to_nothing(ADDRESS_A, ALICE, "unreachable", now_ms)
    output = Output(ADDRESS_A, ADDRESS_A, Sat(100_000))
    assert list(book.payable_onchain(Sat(50_000), now_ms)) == [output]
    batch = book.take_batch(signed(1, output), now_ms)
    assert isinstance(batch, int)
    # a balance is never on two rails: what the batch holds is not there to be pushed
    push = attrs.evolve(PUSH, account=ADDRESS_A)
    assert isinstance(book.take_push(push, now_ms), NotTaken)
    book.reject_batch(batch, "a test", now_ms)
    assert [due.failures for due in store.due(now_ms)] == [0]


def test_a_failed_payment_is_a_step_down_and_a_settled_one_goes_back_to_the_top(store: Store) -> None:
    store.push_to("alice")
    first = store.book.take_push(PUSH, NOW_MS)
    assert isinstance(first, Taken)
    store.book.fail(first.payment_id, "no route", NOW_MS)
    store.book.fail(first.payment_id, "no route", NOW_MS)  # the same outcome twice is one step
    assert store.due() == []
    later = NOW_MS + pause_ms(1)
    assert [due.failures for due in store.due(later)] == [1]
    second = store.book.take_push(attrs.evolve(PUSH, payment_hash="bb" * 32), later)
    assert isinstance(second, Taken)
    store.book.settle(second.payment_id, "11" * 32, Msat(0), later)
    assert [due.failures for due in store.due(later)] == [0]


def test_a_new_lightning_address_begins_at_the_top(store: Store) -> None:
    store.push_to(ADDRESS_A)
    now_ms = climb_down(store, ADDRESS_A, 5)
    store.push_to(ADDRESS_A, "b@ln.example.com", now_ms)
    assert [due.failures for due in store.due(now_ms)] == [0]
    assert list(store.book.payable_onchain(Sat(50_000), now_ms)) == []


def test_a_pool_account_is_paid_onchain_at_the_address_that_it_has_named(store: Store) -> None:
    store.desk.ask("bob", "onchain", ADDRESS_B, by="a test", now_ms=NOW_MS, wait_ms=DAY_MS)
    assert [o.account for o in store.book.payable_onchain(Sat(50_000), NOW_MS)] == [ADDRESS_A]
    output = Output("bob", ADDRESS_B, Sat(100_000))
    assert output in store.book.payable_onchain(Sat(50_000), NOW_MS + DAY_MS)
    assert isinstance(store.book.take_batch(signed(1, output), NOW_MS), NotTaken)
    elsewhere = attrs.evolve(output, address=ADDRESS_A)
    assert isinstance(store.book.take_batch(signed(1, elsewhere), NOW_MS + DAY_MS), NotTaken)
    assert isinstance(store.book.take_batch(signed(1, output), NOW_MS + DAY_MS), int)


# ------------------------------------------------------------------------------ figures, history, old copies


def test_figures_of_what_is_leaving_follow_the_payments(store: Store) -> None:
    book, hour = store.book, 3_600_000
    first = book.take(intent(claim(7, "bob"), amount=7_000), k1_hash_for, NOW_MS, limit=9)
    assert isinstance(first, Taken)
    flow = book.flow(NOW_MS)
    assert (flow.day, flow.hour, flow.open_count, flow.open_amount) == (7_000, 7_000, 1, 7_050)
    assert book.flow(NOW_MS + hour).hour == 0
    assert book.spent("bob", NOW_MS - 1) == 7_000
    assert book.past(NOW_MS).busiest_hour == 0
    assert book.past(NOW_MS + hour).busiest_hour == 7_000
    book.settle(first.payment_id, "11" * 32, Msat(9), NOW_MS)
    past = book.past(NOW_MS + 1)
    assert (past.settled, past.fees) == (7_000, 9)
    assert past.books == 10**12 - 7_009
    assert book.flow(NOW_MS).open_count == 0


def test_what_an_operator_says_is_on_record_and_only_where_it_can_be_said(store: Store) -> None:
    book, desk = store.book, OperatorDesk(store.book._connection)
    large = attrs.evolve(intent(claim()), held_back="it is above 0 sat")
    taken = book.take(large, k1_hash_for, NOW_MS, limit=5)
    assert isinstance(taken, Taken)
    assert (book.open_payments()[0].waits, list(book.ruled())) == (True, [])
    assert desk.awaiting_approval() == 1
    for number, ruling in (("L1", Ruling.GIVEN_UP), ("L9", Ruling.APPROVED)):
        with pytest.raises(StoreError):
            desk.rule(number, ruling, "a slip", NOW_MS)
    desk.rule("L1", Ruling.APPROVED, "known to me", NOW_MS + 1)
    with pytest.raises(StoreError):
        desk.rule("L1", Ruling.REFUSED, "second thoughts", NOW_MS + 2)
    (payment,) = book.ruled()
    assert (payment.waits, payment.ruling) == (False, Ruling.APPROVED)
    book.sending(1, NOW_MS + 3)
    book.unknown(1, "timed out", NOW_MS + 4)
    book.unknown(1, "timed out", NOW_MS + 5)
    assert [line.number for line in desk.without_outcome(9)] == ["L1"]
    shown = desk.show("L1")
    assert shown is not None
    history = [(event["event"], event["detail"]) for event in shown["history"]]  # type: ignore[attr-defined]
    assert history == [
        ("reserved", "it is above 0 sat"),
        ("approved by the operator", "known to me"),
        ("sending", None),
        ("unknown", "timed out"),
    ]


def test_a_copy_of_the_books_from_before_a_payment_knows_nothing_of_it(tmp_path: Path) -> None:
    """What restoring a backup does; the payer then stops (see test_sender_limits, and the rig's tests)."""
    store = Store(
        make(tmp_path / "now", {"alice": 5_000}), DestinationDesk(connect(tmp_path / "now", "ledger"))
    )
    store.push_to("alice")
    store.book._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.copytree(tmp_path / "now", tmp_path / "old")
    taken = store.book.take_push(PUSH, NOW_MS)
    assert isinstance(taken, Taken)
    store.book.settle(taken.payment_id, "11" * 32, Msat(0), NOW_MS)
    assert store.book.knows([PUSH.payment_hash]) == {PUSH.payment_hash}
    restored = SqliteBook(connect(tmp_path / "old", "ledger"), lambda _: False)
    assert restored.knows([PUSH.payment_hash]) == set()
    assert restored.available("alice") == 5_000


def test_payments_of_the_first_release_are_all_there_after_the_step_that_made_room_for_pushes(
    tmp_path: Path,
) -> None:
    old = sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)
    place = LEDGER.index(schema_payouts.STEP)
    for step in LEDGER[:place]:
        old.executescript(step)
    old.execute(f"PRAGMA user_version = {place}")
    insert = (
        "INSERT INTO payment (id, claim_id, account, invoice, payment_hash, amount_msat, max_fee_msat, state,"
        " invoice_expires_s, created_ms, updated_ms, reason)"
        " VALUES (?1, ?1, 'alice', 'lnbcrt1', ?2, 1000, 50, 'unknown', 9, 1, 2, 'timed out')"
    )
    for number in (3, 7):
        old.execute(insert, (number, f"{number:064x}"))
    old.close()
    book = SqliteBook(connect(tmp_path, "ledger"), lambda _: False)
    found = [(p.payment_id, p.state.value, p.reason, p.greatest_fee) for p in book.open_payments()]
    assert found == [(3, "unknown", "timed out", 50), (7, "unknown", "timed out", 50)]
    assert book.flow(1).open_amount == 2_100
    assert book.knows([f"{3:064x}", f"{7:064x}"]) == {f"{3:064x}", f"{7:064x}"}
