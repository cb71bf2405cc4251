"""The stock of coinbase addresses: the lowest unused one, read anew as blocks are found."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from pool.errors import StoreError
from pool.store.database import connect, connect_to_read
from pool.store.ledger import LedgerStore
from pool.store.stock import AddressStock, used_addresses

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
