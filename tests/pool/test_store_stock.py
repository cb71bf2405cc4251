"""The stock of coinbase addresses: the lowest unused one, read anew as blocks are found."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from pool.chain.coinbase import Payee
from pool.errors import StoreError
from pool.store.database import connect, connect_to_read
from pool.store.ledger import LedgerStore
from pool.store.stock import AddressStock, payees, used_addresses
from pool.store.treasury import TreasuryTable
from pool.treasury import Derived

ADDRESSES = [(f"bcrt1qaddress{n}", bytes([0, 20, *[n] * 20])) for n in range(1, 4)]


@pytest.fixture
def ledger(tmp_path: Path) -> sqlite3.Connection:
    connection = connect(tmp_path, "ledger")
    LedgerStore(connection).add_addresses(ADDRESSES, 1)
    return connection


def find(shares: sqlite3.Connection, address: str) -> None:
    """A found block whose coinbase pays to the address."""
    shares.execute(
        "INSERT INTO found (hash, prev_hash, height, account, worker, address, found_ms, file)"
        " VALUES (?, 'p', 1, 'a', 'w', ?, 1, 'f')",
        (f"hash of {address}", address),
    )


def test_the_lowest_address_that_no_block_has_used_is_next(ledger: sqlite3.Connection) -> None:
    used: set[str] = set()
    stock = AddressStock(ledger, lambda: used)
    assert stock.next() == ADDRESSES[0]
    assert stock.next() == ADDRESSES[0]
    used.add(ADDRESSES[0][0])
    assert stock.next() == ADDRESSES[1]
    assert stock.left() == 2


def test_a_used_address_behind_an_unused_one_is_passed_over(ledger: sqlite3.Connection) -> None:
    used = {ADDRESSES[1][0]}
    stock = AddressStock(ledger, lambda: used)
    assert stock.next() == ADDRESSES[0]
    used.add(ADDRESSES[0][0])
    assert stock.next() == ADDRESSES[2]


def test_an_empty_stock_answers_none_until_the_payer_has_made_more(ledger: sqlite3.Connection) -> None:
    stock = AddressStock(ledger, lambda: {address for address, _ in ADDRESSES})
    assert stock.next() is None
    assert stock.left() == 0
    more = ("bcrt1qmore", bytes([0, 20, *[9] * 20]))
    LedgerStore(ledger).add_addresses([more], 2)
    assert stock.next() == more


def test_a_stock_that_cannot_be_read_is_an_error_that_a_front_can_wait_out(tmp_path: Path) -> None:
    stock = AddressStock(sqlite3.connect(tmp_path / "empty.db"), set)
    with pytest.raises(StoreError, match="stock of addresses"):
        stock.next()


def test_what_is_used_is_read_from_the_share_log_as_it_grows(tmp_path: Path) -> None:
    shares = connect(tmp_path, "shares")
    look = used_addresses(connect_to_read(tmp_path, "shares"))
    assert look() == set()
    find(shares, "one")
    assert look() == {"one"}
    find(shares, "two")
    assert look() == {"one", "two"}
    assert look() == {"one", "two"}


COLD = [Derived(number, f"bcrt1qcold{number}", bytes([0, 20, *[100 + number] * 20])) for number in range(3)]


def import_descriptor(ledger: sqlite3.Connection, text: str, made: list[Derived]) -> None:
    table = TreasuryTable(ledger)
    assert table.add(text, 1)
    in_use = table.in_use()
    assert in_use is not None
    table.stock(in_use.treasury_id, made, 1)


@pytest.mark.parametrize(
    ("bps", "paid"),
    [
        (0, [(ADDRESSES[0][0], 10_000)]),
        (10_000, [("bcrt1qcold0", 10_000)]),
        (9_000, [("bcrt1qcold0", 9_000), (ADDRESSES[0][0], 1_000)]),
    ],
)
def test_a_block_is_divided_between_treasury_and_wallet_as_configured(
    ledger: sqlite3.Connection, bps: int, paid: list[tuple[str, int]]
) -> None:
    import_descriptor(ledger, "one", COLD)

    found = payees(ledger, set, bps)()

    assert found is not None
    assert [(payee.address, payee.bps) for payee in found] == paid


def test_no_block_is_built_while_the_treasury_has_no_address(ledger: sqlite3.Connection) -> None:
    assert payees(ledger, set, 5_000)() is None
    assert payees(ledger, set, 0)() == (Payee(*ADDRESSES[0], 10_000),)


def test_each_block_pays_the_treasury_at_the_next_index_and_the_last_one_again_rather_than_none(
    ledger: sqlite3.Connection,
) -> None:
    import_descriptor(ledger, "one", COLD)
    used: set[str] = set()
    stock = AddressStock(ledger, lambda: used, "treasury")
    seen = []
    for _ in range(4):
        found = stock.next()
        assert found is not None
        seen.append(found[0])
        used.add(found[0])
    assert seen == ["bcrt1qcold0", "bcrt1qcold1", "bcrt1qcold2", "bcrt1qcold2"]
    assert stock.left() == 0
    assert AddressStock(ledger, lambda: used).next() == ADDRESSES[0]


def test_a_newer_descriptor_takes_over_at_its_own_first_index(ledger: sqlite3.Connection) -> None:
    import_descriptor(ledger, "one", COLD)
    newer = Derived(0, "bcrt1qnewer", bytes([0, 20, *[200] * 20]))
    import_descriptor(ledger, "two", [newer])
    assert AddressStock(ledger, set, "treasury").next() == (newer.address, newer.script)
    store = LedgerStore(ledger)
    assert store.is_treasury_script(COLD[0].script)
    assert store.owns_script(COLD[0].script)
    assert not store.is_treasury_script(ADDRESSES[0][1])
    assert not store.owns_script(b"\x51")


def test_a_block_that_pays_two_addresses_uses_both(tmp_path: Path) -> None:
    shares = connect(tmp_path, "shares")
    find(shares, "one two")
    assert used_addresses(connect_to_read(tmp_path, "shares"))() == {"one", "two"}
