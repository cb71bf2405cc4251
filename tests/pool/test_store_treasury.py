"""Addresses of the treasury are made ahead, and never further than its owner's wallet looks."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pool.store.database import connect
from pool.store.treasury import TreasuryAddress, TreasuryTable, addresses_of, missing, paid_by
from pool.treasury import Derived

GAP = 3


def address(number: int) -> TreasuryAddress:
    return TreasuryAddress(1, number, f"a{number}", b"%d" % number)


def wanted(known: int, blocks: dict[int, str], gap: int = GAP) -> list[int]:
    """What is missing when so many are known, and blocks in these states pay these indexes."""
    paid = {f"a{number}": (f"h{number}", 7) for number in blocks}
    states = {f"h{number}": state for number, state in blocks.items()}
    return list(missing([address(number) for number in range(known)], paid, states, gap))


def test_the_first_addresses_are_as_many_as_the_gap() -> None:
    assert wanted(0, {}) == [0, 1, 2]
    assert wanted(3, {}) == []


@pytest.mark.parametrize("state", ["immature", "mature"])
def test_each_block_in_the_chain_moves_the_window_on(state: str) -> None:
    assert wanted(3, {0: state}) == [3]
    assert wanted(3, {2: state}) == [3, 4, 5]


@pytest.mark.parametrize("state", ["submitted", "orphaned"])
def test_a_block_that_is_not_in_the_chain_moves_nothing(state: str) -> None:
    assert wanted(3, {0: state, 1: state, 2: state}) == []


@given(
    st.dictionaries(st.integers(0, 30), st.sampled_from(["immature", "mature", "orphaned"])),
    st.integers(1, 9),
)
def test_no_wallet_with_this_gap_limit_misses_an_address_that_may_be_paid(
    blocks: dict[int, str], gap: int
) -> None:
    last = max((number for number, state in blocks.items() if state != "orphaned"), default=-1)
    known = max(blocks, default=-1) + 1
    made = [*range(known), *wanted(known, blocks, gap)]
    assert max(made) <= max(last + gap, known - 1)
    assert last + gap in made


@pytest.fixture
def ledger(tmp_path: Path) -> sqlite3.Connection:
    return connect(tmp_path, "ledger")


def test_a_descriptor_is_imported_once_and_the_newest_is_in_use(ledger: sqlite3.Connection) -> None:
    table = TreasuryTable(ledger)
    assert table.in_use() is None
    assert [table.add(text, 5) for text in ("one", "two", "one")] == [True, True, False]
    in_use = table.in_use()
    assert in_use is not None
    assert (in_use.descriptor, in_use.imported_ms) == ("two", 5)


def test_addresses_are_found_by_name_and_the_wallet_s_are_not_the_treasury_s(
    ledger: sqlite3.Connection, tmp_path: Path
) -> None:
    table = TreasuryTable(ledger)
    table.add("one", 5)
    table.stock(1, [Derived(0, "cold", b"c"), Derived(1, "colder", b"d")], 5)
    table.stock(1, [Derived(1, "colder", b"d"), Derived(2, "coldest", b"e")], 6)
    ledger.execute("INSERT INTO address_stock (address, script, made_ms) VALUES ('hot', x'01', 1)")
    assert [each.number for each in table.addresses(1)] == [0, 1, 2]
    assert [each.address for each in table.find({"hot", "colder", "unknown"})] == ["colder"]

    shares = connect(tmp_path, "shares")
    for number, paid in enumerate(["cold hot", "colder"]):
        shares.execute(
            "INSERT INTO found (hash, prev_hash, height, account, worker, address, found_ms, file)"
            " VALUES (?, 'p', ?, 'a', 'w', ?, 1, 'f')",
            (f"h{number}", 100 + number, paid),
        )
    assert paid_by(shares) == {"cold": ("h0", 100), "hot": ("h0", 100), "colder": ("h1", 101)}
    assert (addresses_of(shares, "h0"), addresses_of(shares, "none")) == ({"cold", "hot"}, set())
