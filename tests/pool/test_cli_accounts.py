"""account: pool accounts made, listed and shown, for people and for programs."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from pool import accounts
from pool.errors import PoolError, StoreError
from pool.store.access import AccessReader
from pool.store.database import connect, connect_to_read
from pool.store.inbox import InboxReader
from tests.pool.cli_tools import configure, invoke, json_of, text_of
from tests.pool.test_settle import HASH, Pool
from tests.pool.test_verify import pool

__all__ = ["pool"]


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    configure(tmp_path)
    return tmp_path


@pytest.fixture
def begun(empty: Path) -> Path:
    """A pool that ran once: its books are there, and empty."""
    connect(empty, "ledger").close()
    return empty


@pytest.fixture
def books(pool: Pool) -> Path:
    configure(pool.directory)
    return pool.directory


def test_an_account_is_made_with_a_link_that_opens_it_and_that_nothing_keeps(begun: Path) -> None:
    made = json_of(begun, "account", "create", "alice")
    assert made["username"] == "alice"
    secret = made["claim_link"].removeprefix("https://pool.example/a/")
    ((_, asked),) = InboxReader(connect_to_read(begun, "inbox")).accounts_after(0)
    assert (asked.name, asked.secret_hash) == ("alice", accounts.hash_secret(secret))
    assert "alice" in text_of(begun, "account", "list")


def test_a_name_is_made_up_and_the_link_is_told_to_be_kept(begun: Path) -> None:
    text = text_of(begun, "account", "create")
    assert "Username:   m-" in text
    assert "not shown again" in text


def test_a_renewed_link_is_the_only_one_that_opens_the_account(begun: Path) -> None:
    ledger = connect(begun, "ledger")
    ledger.execute("INSERT INTO account VALUES ('alice', 'old hash', 0)")
    made = json_of(begun, "account", "renew", "Alice")
    secret = made["claim_link"].removeprefix("https://pool.example/a/")
    reader = AccessReader(ledger)
    assert reader.account_of_link(accounts.hash_secret(secret)) == "alice"
    assert reader.account_of_link("old hash") is None
    assert "stopped working" in text_of(begun, "account", "renew", "alice")
    with pytest.raises(PoolError, match="no pool account bob"):
        invoke(begun, "account", "renew", "bob")


def test_a_malformed_name_is_wrong_usage_and_a_taken_one_a_failure(begun: Path) -> None:
    with pytest.raises(click.BadParameter, match="4 to 32 characters"):
        invoke(begun, "account", "create", "Bob")
    invoke(begun, "account", "create", "bob-1")
    with pytest.raises(StoreError, match="named bob-1 already"):
        invoke(begun, "account", "create", "bob-1")


def test_an_account_is_not_made_where_no_pool_ever_ran(empty: Path) -> None:
    with pytest.raises(StoreError, match="`sluice run` makes it"):
        invoke(empty, "account", "create")
    assert sorted(path.name for path in empty.iterdir()) == ["sluice.toml"]


def test_accounts_are_listed_with_what_they_are_owed(books: Path) -> None:
    listed = json_of(books, "account", "list")
    assert {"ann", "bob"} <= set(listed)
    assert set(listed["ann"]) == {"immature", "available", "held"}
    assert int(listed["ann"]["available"]) > 0
    lines = text_of(books, "account", "list").splitlines()
    assert lines[0].split() == ["account", "immature", "available", "held"]
    assert len(lines) == 1 + len(listed)


def test_an_account_is_shown_with_rewards_and_payments(books: Path) -> None:
    shown = json_of(books, "account", "show", "ann")
    assert HASH in {reward["block_hash"] for reward in shown["rewards"]}
    assert {payment["state"] for payment in shown["payments"]} == {"settled", "failed", "reserved"}
    text = text_of(books, "account", "show", "ann")
    assert f"{HASH[:8]}…{HASH[-8:]}" in text
    assert "lightning" in text


def test_an_address_is_an_account_before_its_first_share_and_anything_else_is_none(empty: Path) -> None:
    address = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
    assert json_of(empty, "account", "show", address.upper())["account"] == address
    assert "No rewards yet." in text_of(empty, "account", "show", address)
    for command in (["account", "show"], ["ledger", "statement"]):
        with pytest.raises(PoolError, match="nobody is no account here and no regtest address"):
            invoke(empty, *command, "nobody")
