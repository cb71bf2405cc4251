"""The SQLite book keeps every promise, under races and under kill -9."""

from __future__ import annotations

import hashlib
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import attrs
import pytest

from payouts.errors import BookLocked, PayoutError
from payouts.money import Msat, Sat
from payouts.values import Claim, Intent, NotTaken, Output, Payment, PaymentState, Taken
from pool import ledger
from pool.store.access import AccessBook
from pool.store.database import connect
from pool.store.ledger import LedgerStore
from pool.store.payments import SqliteBook
from tests.contracts.book import NOW_MS, BookContract, claim, intent, k1_hash_for, signed

PLENTY = 10**12


def is_address(account: str) -> bool:
    return account.startswith("bcrt1")


def fill(connection: sqlite3.Connection, balances: Mapping[str, int], lightning: int = PLENTY) -> None:
    """Give accounts available balances as if blocks had matured, and the pool money to pay them."""
    store = LedgerStore(connection)
    store.post(ledger.deposit("hot", "hot", Msat(PLENTY)), NOW_MS)
    store.post(ledger.deposit("lightning", "lightning", Msat(lightning)), NOW_MS)
    for account, amount in balances.items():
        moves = [(ledger.HOT, amount), (ledger.miner(account, "available"), -amount)]
        store.post(ledger.entry(f"mature:{account}", "mature", {}, moves), NOW_MS)


def make(directory: Path, balances: Mapping[str, int], lightning: int = PLENTY) -> SqliteBook:
    connection = connect(directory, "ledger")
    fill(connection, balances, lightning)
    return SqliteBook(connection, is_address)


class K1PerAccount(SqliteBook):
    """Makes the contract's stand-in k1, which depends on the count alone, differ between accounts.

    A real one is of one withdraw token, so of one account, and the schema holds each k1 to one payment.
    """

    def take(
        self, intent: Intent, k1_hash_for: Callable[[int], str], now_ms: int, *, limit: int
    ) -> Taken | NotTaken:
        account = intent.claim.account
        mine = attrs.evolve(intent, claim=own(intent.claim))
        return super().take(mine, lambda count: own_k1(account, k1_hash_for(count)), now_ms, limit=limit)

    def refuse(self, claim: Claim, reason: str, now_ms: int) -> None:
        super().refuse(own(claim), reason, now_ms)


def own(filed: Claim) -> Claim:
    return attrs.evolve(filed, k1_hash=own_k1(filed.account, filed.k1_hash))


def own_k1(account: str, k1_hash: str) -> str:
    return hashlib.sha256(f"{account} {k1_hash}".encode()).hexdigest()


class TestSqliteBook(BookContract):
    @pytest.fixture(autouse=True)
    def _directory(self, tmp_path: Path) -> Iterator[None]:
        self.connection = connect(tmp_path, "ledger")
        yield
        books = LedgerStore(self.connection).balances()
        assert sum(books.values()) == 0
        self.connection.close()

    def make_book(self, balances: Mapping[str, int]) -> SqliteBook:
        fill(self.connection, {name: amount for name, amount in balances.items() if amount})
        return K1PerAccount(self.connection, is_address)


def test_twenty_wallets_at_once_are_paid_exactly_the_balance(tmp_path: Path) -> None:
    make(tmp_path, {"alice": 7 * 1050})
    results: list[Taken | NotTaken] = []
    start = threading.Barrier(20)

    def claim_one(number: int) -> None:
        connection = connect(tmp_path, "ledger")
        book = SqliteBook(connection, is_address)
        start.wait()
        # each wallet reads its k1 first: the count is whatever it is inside the transaction, so that here
        # only the balance decides
        wish = intent(attrs.evolve(claim(number), k1_hash=f"{number:064x}"))
        results.append(book.take(wish, lambda _: f"{number:064x}", NOW_MS, limit=100))
        connection.close()

    threads = [threading.Thread(target=claim_one, args=(number,)) for number in range(1, 21)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(isinstance(result, Taken) for result in results) == 7
    assert len(results) == 20
    book = SqliteBook(connect(tmp_path, "ledger"), is_address)
    assert book.available("alice") == 0
    assert len(book.open_payments()) == 7


def test_the_same_k1_raced_by_ten_connections_is_taken_once(tmp_path: Path) -> None:
    make(tmp_path, {"alice": PLENTY})
    results: list[Taken | NotTaken] = []
    start = threading.Barrier(10)

    def claim_one(number: int) -> None:
        connection = connect(tmp_path, "ledger")
        start.wait()
        book = SqliteBook(connection, is_address)
        results.append(book.take(intent(claim(number)), k1_hash_for, NOW_MS, limit=100))
        connection.close()

    threads = [threading.Thread(target=claim_one, args=(number,)) for number in range(1, 11)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(isinstance(result, Taken) for result in results) == 1


KILLED = """
import os, signal, sys
from pathlib import Path
from pool.store.database import connect
from pool.store.payments import SqliteBook
from tests.contracts.book import NOW_MS, claim, intent, k1_hash_for

connection = connect(Path(sys.argv[1]), "ledger")
left = int(sys.argv[2])

def count(statement):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)

book = SqliteBook(connection, lambda account: False)
connection.set_trace_callback(count)
book.take(intent(claim()), k1_hash_for, NOW_MS, limit=5)
book.sending(1, NOW_MS)
book.settle(1, "11" * 32, 7, NOW_MS)
"""


@pytest.mark.parametrize("statements", [0, 1, 3, 6, 9, 12, 14, 17, 19, 21, 24, 26, 29, 31, 34])
def test_kill_9_between_any_two_statements_leaves_all_or_nothing(tmp_path: Path, statements: int) -> None:
    directory = tmp_path / "store"
    make(directory, {"alice": 5000})._connection.close()
    child = subprocess.run(
        [sys.executable, "-c", KILLED, str(directory), str(statements)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        check=False,
        capture_output=True,
    )
    assert child.returncode == -signal.SIGKILL, child.stderr.decode()
    connection = connect(directory, "ledger")
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert_consistent(connection, SqliteBook(connection, is_address))
    connection.close()


def assert_consistent(connection: sqlite3.Connection, book: SqliteBook) -> None:
    rows: list[tuple[str, str | None]] = connection.execute("SELECT state, preimage FROM payment").fetchall()
    claims = connection.execute("SELECT taken FROM claim").fetchall()
    store = LedgerStore(connection)
    held = -store.balance(ledger.miner("alice", "held"))
    match rows:
        case []:
            assert (claims, book.available("alice"), held) == ([], 5000, 0)
        case [("settled", preimage)]:
            assert (preimage, book.available("alice"), held) == ("11" * 32, 5000 - 1007, 0)
        case _:
            assert rows[0][0] in {"reserved", "sending"}
            assert (claims, book.available("alice"), held) == ([(1,)], 5000 - 1050, 1050)
    assert sum(store.balances().values()) == 0


def test_after_the_last_statement_the_whole_life_is_on_disk(tmp_path: Path) -> None:
    directory = tmp_path / "store"
    make(directory, {"alice": 5000})._connection.close()
    subprocess.run([sys.executable, "-c", KILLED, str(directory), "1000"], check=True)
    connection = connect(directory, "ledger")
    assert connection.execute("SELECT state FROM payment").fetchall() == [("settled",)]
    connection.close()


def test_a_claim_is_refused_while_the_books_have_too_little_on_lightning(tmp_path: Path) -> None:
    book = make(tmp_path, {"alice": 5000}, lightning=2000)
    assert isinstance(book.take(intent(claim()), k1_hash_for, NOW_MS, limit=5), Taken)
    refused = book.take(intent(claim(2, taken=1)), k1_hash_for, NOW_MS, limit=5)
    assert isinstance(refused, NotTaken)
    assert "Lightning" in refused.reason


def test_a_node_that_spent_more_than_the_hold_costs_the_pool_not_the_miner(tmp_path: Path) -> None:
    book = make(tmp_path, {"alice": 5000})
    book.take(intent(claim()), k1_hash_for, NOW_MS, limit=5)
    book.settle(1, "11" * 32, Msat(80), NOW_MS)
    store = LedgerStore(book._connection)
    assert book.available("alice") == 5000 - 1050
    assert store.balance(ledger.ROUTING) == 30
    assert store.balance(ledger.LIGHTNING) == PLENTY - 1080


def test_a_payment_that_the_books_cannot_bear_stays_open_until_a_deposit_is_booked(tmp_path: Path) -> None:
    book = make(tmp_path, {"alice": 5000}, lightning=1050)
    book.take(intent(claim()), k1_hash_for, NOW_MS, limit=5)
    with pytest.raises(PayoutError, match="assets:lightning"):
        book.settle(1, "11" * 32, Msat(80), NOW_MS)
    assert [payment.state for payment in book.open_payments()] == [PaymentState.RESERVED]
    LedgerStore(book._connection).post(ledger.deposit("more", "lightning", Msat(30)), NOW_MS)
    book.settle(1, "11" * 32, Msat(80), NOW_MS)
    assert list(book.open_payments()) == []


def test_settling_again_with_another_preimage_is_an_error(tmp_path: Path) -> None:
    book = make(tmp_path, {"alice": 5000})
    book.take(intent(claim()), k1_hash_for, NOW_MS, limit=5)
    book.settle(1, "11" * 32, Msat(0), NOW_MS)
    with pytest.raises(PayoutError, match="is settled"):
        book.settle(1, "22" * 32, Msat(0), NOW_MS)


def test_a_claim_number_used_for_another_claim_pays_nothing(tmp_path: Path) -> None:
    book = make(tmp_path, {"alice": 5000, "bob": 5000})
    book.take(intent(claim()), k1_hash_for, NOW_MS, limit=5)
    other = book.take(intent(claim(1, "bob"), payment_hash="ab" * 32), k1_hash_for, NOW_MS, limit=5)
    assert isinstance(other, NotTaken)
    assert book.available("bob") == 5000


def test_payments_of_an_account_come_newest_first(tmp_path: Path) -> None:
    book = make(tmp_path, {"alice": 5000})
    for number in range(3):
        book.take(intent(claim(number + 1, taken=number)), k1_hash_for, NOW_MS, limit=5)
    book.fail(2, "no route", NOW_MS + 1)
    found: list[Payment] = list(book.payments(account="alice", limit=2))
    assert [(payment.payment_id, payment.state) for payment in found] == [
        (3, PaymentState.RESERVED),
        (2, PaymentState.FAILED),
    ]
    assert list(book.payments(account="bob")) == []
    assert len(book.payments()) == 3


def test_unknown_payments_and_batches_are_errors(tmp_path: Path) -> None:
    book = make(tmp_path, {})
    with pytest.raises(PayoutError, match="no payment 9"):
        book.sending(9, NOW_MS)
    with pytest.raises(PayoutError, match="no batch 9"):
        book.broadcasting(9, NOW_MS)


def test_a_book_that_another_process_writes_says_so(tmp_path: Path) -> None:
    book = make(tmp_path, {"alice": 5000})
    other = connect(tmp_path, "ledger")
    other.execute("BEGIN IMMEDIATE")
    book._connection.execute("PRAGMA busy_timeout = 1")
    with pytest.raises(BookLocked):
        book.take(intent(claim()), k1_hash_for, NOW_MS, limit=5)
    other.execute("ROLLBACK")
    other.close()


def test_a_name_that_no_account_can_have_owns_nothing(tmp_path: Path) -> None:
    assert make(tmp_path, {}).available("a:b") == 0


def test_the_first_reason_to_stop_is_the_one_that_stays(tmp_path: Path) -> None:
    book = make(tmp_path, {})
    book.stop_sending("first", NOW_MS)
    book.stop_sending("second", NOW_MS)
    assert book.stopped() == "first"
    book._connection.execute("UPDATE breaker SET resumed_ms = 1")
    assert book.stopped() is None


ADDRESS = "bcrt1qone"


def test_the_pool_bears_the_chain_fee_and_the_hot_wallet_pays_all(tmp_path: Path) -> None:
    book = make(tmp_path, {ADDRESS: 60_000_000})
    store = LedgerStore(book._connection)
    before = store.balance(ledger.HOT)
    batch_id = book.take_batch(signed(1, Output(ADDRESS, ADDRESS, Sat(50_000)), fee=200), NOW_MS)
    assert isinstance(batch_id, int)
    assert book.take_batch(signed(1, Output(ADDRESS, ADDRESS, Sat(50_000)), fee=200), NOW_MS) == batch_id
    book.broadcasting(batch_id, NOW_MS)
    book.broadcasting(batch_id, NOW_MS)
    book.settle_batch(batch_id, NOW_MS)
    assert before - store.balance(ledger.HOT) == 50_200_000
    assert store.balance(ledger.CHAIN_FEES) == 200_000
    assert book.available(ADDRESS) == 10_000_000


def test_a_batch_that_the_hot_wallet_cannot_bear_is_not_taken(tmp_path: Path) -> None:
    book = make(tmp_path, {ADDRESS: 60_000_000})
    costly = signed(1, Output(ADDRESS, ADDRESS, Sat(50_000)), fee=PLENTY // 1000 + 10_001)
    refused = book.take_batch(costly, NOW_MS)
    assert isinstance(refused, NotTaken)
    assert "hot wallet" in refused.reason


def test_a_batch_without_outputs_or_with_an_account_twice_is_not_taken(tmp_path: Path) -> None:
    book = make(tmp_path, {ADDRESS: 60_000_000})
    assert isinstance(book.take_batch(signed(1), NOW_MS), NotTaken)
    twice = signed(1, Output(ADDRESS, ADDRESS, Sat(1)), Output(ADDRESS, ADDRESS, Sat(2)))
    assert isinstance(book.take_batch(twice, NOW_MS), NotTaken)


def test_an_address_account_has_no_claim_link_so_no_claim_of_it_is_taken(tmp_path: Path) -> None:
    address = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
    book = make(tmp_path, {address: 5000})
    answer = book.take(intent(claim(1, address)), k1_hash_for, NOW_MS, limit=5)
    assert answer == NotTaken("This account is paid on-chain.")
    assert book.available(address) == 5000


def test_an_address_can_be_claimed_for_once_its_owner_has_signed(tmp_path: Path) -> None:
    book = make(tmp_path, {"bcrt1alice": 5_000})
    access = AccessBook(connect(tmp_path, "ledger"))
    access.renew_link("bcrt1alice", "a" * 64, NOW_MS, proof="signed")
    assert isinstance(book.take(intent(claim(1, "bcrt1alice")), k1_hash_for, NOW_MS, limit=3), Taken)


def test_a_card_pays_while_it_is_the_accounts_own_and_not_after(tmp_path: Path) -> None:
    book = make(tmp_path, {"alice": 5_000, "bob": 5_000})
    access = AccessBook(connect(tmp_path, "ledger"))
    access.make_card("bob", "b" * 32, NOW_MS)
    access.make_card("alice", "a" * 32, NOW_MS)
    number = access.card_number("alice")

    def take(claim_id: int, account: str, card: int, taken: int) -> Taken | NotTaken:
        filed = attrs.evolve(claim(claim_id, account, taken=taken), card=card)
        return book.take(intent(filed), k1_hash_for, NOW_MS, limit=3)

    revoked = NotTaken("This card was revoked; please get a new one from your account page.")
    assert isinstance(take(1, "alice", number, 0), Taken)
    assert take(2, "alice", access.card_number("bob"), 1) == revoked
    access.revoke_card("alice", NOW_MS)
    assert take(3, "alice", number, 1) == revoked
    access.make_card("alice", "c" * 32, NOW_MS)
    assert take(4, "alice", number, 1) == revoked
    assert isinstance(take(5, "alice", access.card_number("alice"), 1), Taken)
