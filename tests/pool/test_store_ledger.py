"""The journal: each key once, nothing overdrawn, nothing changed afterwards, a chain over all of it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from payouts.money import Msat
from pool import ledger
from pool.errors import LedgerError
from pool.store.database import connect
from pool.store.ledger import LedgerStore, NewAccount
from pool.store.schema import LEDGER
from pool.verify import verify

NOW_MS = 1_800_000_000_000


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LedgerStore]:
    connection = connect(tmp_path, "ledger")
    yield LedgerStore(connection)
    connection.close()


def earn(account: str, amount: int, key: str = "e") -> ledger.Entry:
    moves = [(ledger.HOT, amount), (ledger.miner(account, "available"), -amount)]
    return ledger.entry(key, "earned", {"amount_msat": str(amount)}, moves)


def test_an_entry_is_read_back_as_it_was_written(store: LedgerStore) -> None:
    assert store.post(earn("ann", 5), NOW_MS) is True
    assert store.entry("e") == earn("ann", 5)
    assert store.entry("other") is None
    assert store.balances() == {ledger.HOT: 5, ledger.miner("ann", "available"): -5}
    assert store.balance("assets:immature") == 0


def test_the_same_entry_again_is_not_written_again(store: LedgerStore) -> None:
    store.post(earn("ann", 5), NOW_MS)
    head = store.head()
    assert store.post(earn("ann", 5), NOW_MS + 1) is False
    assert (store.head(), store.balance(ledger.HOT)) == (head, 5)


def test_a_key_that_stands_for_something_else_is_an_error(store: LedgerStore) -> None:
    store.post(earn("ann", 5), NOW_MS)
    for other in (earn("ann", 6), earn("bob", 5)):
        with pytest.raises(LedgerError, match="other content"):
            store.post(other, NOW_MS)
    assert store.balances() == {ledger.HOT: 5, ledger.miner("ann", "available"): -5}


def test_an_entry_that_overdraws_is_refused_whole_and_names_the_account(store: LedgerStore) -> None:
    store.post(earn("ann", 5), NOW_MS)
    head = store.head()
    with pytest.raises(LedgerError, match="liabilities:miners:ann:available"):
        store.post(ledger.hold(1, "ann", Msat(6)), NOW_MS)
    with pytest.raises(LedgerError, match="assets:lightning"):
        store.post(ledger.settle(1, "ann", Msat(5), Msat(5), Msat(0)), NOW_MS)
    assert (store.head(), store.balances()) == (
        head,
        {ledger.HOT: 5, ledger.miner("ann", "available"): -5},
    )


def test_entries_of_one_transaction_are_written_together_or_not_at_all(store: LedgerStore) -> None:
    def both() -> None:
        with store.transaction():
            store.post(earn("ann", 5), NOW_MS)
            store.post(ledger.hold(1, "ann", Msat(6)), NOW_MS)

    with pytest.raises(LedgerError):
        both()
    assert store.balances() == {}
    assert store.head() == ledger.GENESIS


def test_written_entries_can_be_neither_changed_nor_deleted(store: LedgerStore) -> None:
    store.post(earn("ann", 5), NOW_MS)
    for statement in (
        "UPDATE posting SET amount_msat = 6",
        "DELETE FROM posting",
        "UPDATE journal SET memo = ''",
        "DELETE FROM journal",
    ):
        with store.transaction() as tx, pytest.raises(sqlite3.IntegrityError, match="append-only"):
            tx.execute(statement)


def test_each_entry_is_chained_to_the_one_before(store: LedgerStore) -> None:
    store.post(earn("ann", 5, "a"), NOW_MS)
    first = store.head()
    store.post(earn("ann", 5, "b"), NOW_MS)
    entry = earn("ann", 5, "b")
    memo = ledger.memo_text(entry.memo)
    assert store.head() == ledger.entry_hash(first, "b", "earned", NOW_MS, memo, entry.postings)


def test_the_residual_is_what_divisions_left_over(store: LedgerStore) -> None:
    assert store.residual() == 0
    store.post(ledger.entry("r", "x", {}, [(ledger.HOT, 3), (ledger.RESIDUAL, -3)]), NOW_MS)
    assert store.residual() == 3


def test_accounts_are_taken_over_once(store: LedgerStore) -> None:
    rows = [NewAccount("ann", "h1", NOW_MS), NewAccount("bob", "h2", NOW_MS)]
    assert store.take_over_accounts(rows) == 2
    assert store.take_over_accounts([*rows, NewAccount("cid", "h3", NOW_MS)]) == 1
    assert store.take_over_accounts([NewAccount("ann", "h9", NOW_MS)]) == 0


def test_the_address_stock_keeps_its_order_and_knows_its_scripts(store: LedgerStore) -> None:
    store.add_addresses([("a1", b"s1"), ("a2", b"s2")], NOW_MS)
    store.add_addresses([("a2", b"s2"), ("a3", b"s3")], NOW_MS)
    assert [(each.address, each.script) for each in store.addresses()] == [
        ("a1", b"s1"),
        ("a2", b"s2"),
        ("a3", b"s3"),
    ]
    assert store.owns_script(b"s3")
    assert not store.owns_script(b"s4")


accounts = st.sampled_from(["ann", "bob"])
amounts = st.integers(1, 100).map(Msat)


class Books(RuleBasedStateMachine):
    """Money comes and goes in any order; a model of plain sums always agrees with the store."""

    def __init__(self) -> None:
        super().__init__()
        self.connection = sqlite3.connect(":memory:", isolation_level=None)
        self.connection.executescript(LEDGER[0])
        self.store = LedgerStore(self.connection)
        self.entries: list[ledger.Entry] = []
        self.model: dict[str, int] = {}

    def post(self, entry: ledger.Entry) -> None:
        after = dict(self.model)
        for posting in entry.postings:
            after[posting.account] = after.get(posting.account, 0) + posting.amount
        allowed = all(
            amount >= 0 if name.startswith("assets") else amount <= 0 or not name.startswith("liabilities")
            for name, amount in after.items()
        )
        if not allowed:
            with pytest.raises(LedgerError, match="overdraw"):
                self.store.post(entry, NOW_MS)
            return
        assert self.store.post(entry, NOW_MS) is True
        self.model = after
        self.entries.append(entry)

    def number(self) -> int:
        return len(self.entries)

    @rule(account=accounts, amount=amounts)
    def somebody_earns(self, account: str, amount: Msat) -> None:
        self.post(earn(account, amount, f"e{self.number()}"))

    @rule(amount=amounts)
    def the_operator_deposits(self, amount: Msat) -> None:
        self.post(ledger.deposit(str(self.number()), "lightning", amount))

    @rule(account=accounts, amount=amounts)
    def a_hold_is_taken(self, account: str, amount: Msat) -> None:
        self.post(ledger.hold(self.number(), account, amount))

    @rule(account=accounts, amount=amounts)
    def a_hold_is_released(self, account: str, amount: Msat) -> None:
        self.post(ledger.release(self.number(), account, amount))

    @rule(account=accounts, held=amounts, amount=amounts)
    def a_payment_settles(self, account: str, held: Msat, amount: Msat) -> None:
        self.post(ledger.settle(self.number(), account, held, amount, Msat(1)))

    @rule(data=st.data())
    def an_entry_is_posted_again(self, data: st.DataObject) -> None:
        if self.entries:
            assert self.store.post(data.draw(st.sampled_from(self.entries)), NOW_MS + 1) is False

    @invariant()
    def store_and_model_agree(self) -> None:
        assert self.store.balances() == {name: self.model[name] for name in sorted(self.model)}
        assert sum(self.model.values()) == 0

    def teardown(self) -> None:
        replayed = sqlite3.connect(":memory:", isolation_level=None)
        replayed.executescript(LEDGER[0])
        again = LedgerStore(replayed)
        for entry in self.entries:
            again.post(entry, NOW_MS)
        assert (again.balances(), again.head()) == (self.store.balances(), self.store.head())
        replayed.close()
        self.connection.close()


TestBooks = Books.TestCase
TestBooks.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)


def test_a_fresh_ledger_is_right(tmp_path: Path) -> None:
    report = verify(connect(tmp_path, "shares"), connect(tmp_path, "ledger"))
    assert report.ok
    assert report.checked == {}
