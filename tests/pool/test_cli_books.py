"""blocks and ledger on small books with a bit of everything, for people and for programs."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import click
import pytest

from pool.errors import PoolError
from pool.ledger import HOT
from pool.store.claims import ClaimReader
from pool.store.database import connect, connect_to_read
from pool.store.ledger import LedgerStore
from tests.pool.cli_tools import complaint, configure, invoke, json_of, run, text_of
from tests.pool.test_settle import Pool
from tests.pool.test_verify import pool

__all__ = ["pool"]  # a fixture: small books, settled by the real settler on a fake chain


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    configure(tmp_path)
    return tmp_path


@pytest.fixture
def books(pool: Pool) -> Path:
    configure(pool.directory)
    return pool.directory


def test_blocks_are_listed_newest_first(books: Path) -> None:
    rows = json_of(books, "blocks")
    assert [row["state"] for row in rows] == ["orphaned", "mature", "mature"]
    assert json_of(books, "blocks", "--limit", "1") == rows[:1]
    lines = text_of(books, "blocks").splitlines()
    assert len(lines) == 5
    assert lines[-1].startswith("luck 40 % (8.2 % to 96 %) over 3 blocks")


def test_empty_books_say_so_in_words_and_in_empty_json(empty: Path) -> None:
    assert text_of(empty, "blocks") == "No blocks yet.\n"
    assert text_of(empty, "account", "list").startswith("No accounts yet")
    assert text_of(empty, "ledger", "balances") == "The books are empty.\n"
    assert (json_of(empty, "blocks"), json_of(empty, "account", "list")) == ([], {})
    assert sorted(path.name for path in empty.iterdir()) == ["sluice.toml"]


def test_the_audit_passes_honest_books_and_fails_others_with_status_1(books: Path) -> None:
    assert json_of(books, "ledger", "verify")["ok"] is True
    assert invoke(books, "ledger", "verify").exit_code == 0
    ledger = connect(books, "ledger")
    ledger.execute("UPDATE balance SET amount_msat = amount_msat + 1 WHERE account = ?", (HOT,))
    assert run(books, "ledger", "verify", status=1).stdout.count("\n") >= 1
    assert json_of(books, "ledger", "verify")["ok"] is False


def test_balances_sum_to_zero_and_fit_the_terminal_for_the_longest_address(books: Path) -> None:
    balances = json_of(books, "ledger", "balances")
    assert sum(map(int, balances.values())) == 0
    long = f"liabilities:miners:bcrt1p{'x' * 58}:available"
    store: Any = LedgerStore(connect(books, "ledger"))
    store._connection.execute("INSERT INTO balance VALUES (?, 0)", (long,))
    assert f"{long[:20]}" in text_of(books, "ledger", "balances")


def test_a_statement_ends_in_the_balance(books: Path) -> None:
    rows = json_of(books, "ledger", "statement", "ann")
    available = sum(row["amount_msat"] for row in rows if row["part"] == "available")
    reader = ClaimReader(connect_to_read(books, "ledger"))
    assert available == reader.available("ann") > 0
    assert len(text_of(books, "ledger", "statement", "ann", "--limit", "2").splitlines()) == 3


def test_a_deposit_is_booked_once_by_its_reference(empty: Path) -> None:
    arguments = ["ledger", "deposit", "--asset", "lightning", "--reference", "opening"]
    assert json_of(empty, *arguments, "5.001") == {
        "booked": True,
        "asset": "lightning",
        "amount_msat": "5001",
        "reference": "opening",
    }
    assert json_of(empty, *arguments, "5.001")["booked"] is False
    assert "booked already" in text_of(empty, *arguments, "5.001")
    with pytest.raises(PoolError, match="another --reference"):
        invoke(empty, *arguments, "6")
    assert json_of(empty, "ledger", "balances") == {"assets:lightning": "5001", "equity:deposits": "-5001"}


@pytest.mark.parametrize("amount", ["0", "-5", "5.0001", "1e400", "NaN", "all", "2100000000000001"])
def test_an_amount_that_cannot_be_is_wrong_usage_and_books_nothing(empty: Path, amount: str) -> None:
    with pytest.raises(click.BadParameter):
        invoke(empty, "ledger", "deposit", "--asset", "hot", "--reference", "x", "--", amount)
    assert not (empty / "ledger.db").exists()


@pytest.mark.parametrize(
    ("number", "what"), [(1, "of an older release: start the pool"), (99, "of a newer release")]
)
def test_books_of_another_release_are_named_and_what_to_do(books: Path, number: int, what: str) -> None:
    with closing(connect(books, "ledger")) as ledger:
        ledger.execute(f"PRAGMA user_version = {number}")
    assert what in complaint(books, "payouts", "list", status=1)


def test_statuses_of_real_processes(empty: Path) -> None:
    assert "ledger.db is not there yet" in complaint(empty, "payouts", "list", status=1)
    assert "not there yet: `sluice run`" in complaint(empty, "ledger", "verify", status=1)
    assert "--limit" in complaint(empty, "blocks", "--limit", "0", status=2)
    (empty / "ledger.db").write_bytes(b"this is no database, and long enough to be told from one")
    assert "`sluice check`" in complaint(empty, "ledger", "balances", status=1)
