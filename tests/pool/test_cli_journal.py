"""Statements, exports and an operator's entries, for people and for programs."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import click
import pytest

from pool.errors import PoolError
from pool.store.assertions import DAY_MS, AssertionTable
from pool.store.database import connect
from tests.pool.cli_tools import complaint, configure, invoke, json_of, text_of
from tests.pool.test_settle import NOW_MS, Pool
from tests.pool.test_verify import pool

__all__ = ["pool"]  # a fixture: small books, settled by the real settler on a fake chain


@pytest.fixture
def books(pool: Pool) -> Path:
    configure(pool.directory)
    return pool.directory


def test_a_statement_is_the_same_as_text_json_and_csv(books: Path) -> None:
    lines = json_of(books, "ledger", "statement", "ann")
    rows = list(csv.DictReader(invoke(books, "ledger", "statement", "ann", "--csv").output.splitlines()))
    assert [{key: str(value) for key, value in line.items()} for line in lines] == [
        {key: value for key, value in row.items() if key != "time_utc"} for row in rows
    ]
    text = text_of(books, "ledger", "statement", "ann").splitlines()
    assert len(text) == len(lines) + 1
    assert " block " in text[1]
    assert text[-1].split()[-1] == f"{lines[-1]['owed_msat'] // 1000}.{lines[-1]['owed_msat'] % 1000:03}"


def test_days_and_moments_cut_a_statement(books: Path) -> None:
    whole = json_of(books, "ledger", "statement", "ann")
    day = "2027-01-15"  # on which all of these books were written, at 08:00
    assert json_of(books, "ledger", "statement", "ann", "--from", day, "--to", day) == whole
    assert json_of(books, "ledger", "statement", "ann", "--from", "2027-01-16") == []
    assert json_of(books, "ledger", "statement", "ann", "--to", f"{day}T07:59:59Z") == []
    assert "Nothing has moved" in text_of(books, "ledger", "statement", "ann", "--from", "2027-01-16")
    with pytest.raises(click.BadParameter, match="no day"):
        invoke(books, "ledger", "statement", "ann", "--from", "yesterday")
    with pytest.raises(click.UsageError, match="--csv"):
        invoke(books, "ledger", "statement", "ann", "--csv", "--at", day)


def test_balances_at_a_moment(books: Path) -> None:
    owed = json_of(books, "ledger", "statement", "ann", "--at", "2027-01-15")
    now = json_of(books, "ledger", "balances")
    assert owed["available_msat"] == now["liabilities:miners:ann:available"].lstrip("-") != "0"
    assert "together" in text_of(books, "ledger", "statement", "ann", "--at", "2027-01-14")
    assert json_of(books, "ledger", "balances", "--at", "2027-01-15") == now
    assert json_of(books, "ledger", "balances", "--at", "2027-01-14") == {}


def test_bean_check_passes_on_the_export(books: Path, tmp_path: Path) -> None:
    file = tmp_path / "books.beancount"
    file.write_text(invoke(books, "ledger", "export", "--format", "beancount").output)
    bean_check = Path(sys.executable).with_name("bean-check")
    subprocess.run([bean_check, file], check=True, timeout=60)


def test_other_formats_hold_every_posting(books: Path) -> None:
    documents = invoke(books, "ledger", "export", "--format", "jsonl").output.splitlines()
    rows = csv.DictReader(invoke(books, "ledger", "export", "--format", "csv").output.splitlines())
    postings = [side for line in documents for side in json.loads(line)["postings"]]
    assert postings == [[row["account"], row["amount_msat"]] for row in rows]
    assert sum(int(amount) for _, amount in postings) == 0


def test_an_operator_books_what_happened_once_and_with_a_reason(books: Path) -> None:
    before = {name: int(amount) for name, amount in json_of(books, "ledger", "balances").items()}
    why = ("--reference", "tx1", "--why", "channel open")
    swap = ("ledger", "transfer", "--from", "hot", "--to", "lightning", "--cost", "2.5", "100", *why)
    assert "Booked a move of 100.000 sat of hot" in text_of(books, *swap)
    assert "booked already" in text_of(books, *swap)
    for command in ("withdraw", "loss", "correct"):
        assert json_of(books, "ledger", command, "--asset", "hot", "1", *why)["booked"]
    assert json_of(books, "ledger", "correct", "--asset", "hot", "--less", "1", *why[2:], "--reference", "x")
    after = {name: int(amount) for name, amount in json_of(books, "ledger", "balances").items()}
    assert after["assets:lightning"] - before["assets:lightning"] == 100_000
    assert before["assets:hot"] - after["assets:hot"] == 102_500 + 2_000
    assert json_of(books, "ledger", "verify")["ok"]
    with pytest.raises(PoolError, match="nothing was booked: only"):
        invoke(books, "ledger", "withdraw", "--asset", "hot", "9000000000", *why[2:], "--reference", "all")
    with pytest.raises(click.UsageError, match="why"):
        invoke(books, "ledger", "loss", "--asset", "hot", "1", "--reference", "y")


def test_a_slip_in_the_configuration_makes_no_books(tmp_path: Path) -> None:
    configure(tmp_path)
    arguments = ("--asset", "hot", "--reference", "x", "--why", "y", "1")
    assert "not there yet" in complaint(tmp_path, "ledger", "loss", *arguments, status=1)
    assert not (tmp_path / "ledger.db").exists()


def test_days_that_were_asserted_are_listed_newest_first(books: Path) -> None:
    assert text_of(books, "ledger", "assertions").startswith("No day has begun")
    table = AssertionTable(connect(books, "ledger"))
    for day in (1, 2):
        table.write(NOW_MS + day * DAY_MS)
    newest, oldest = json_of(books, "ledger", "assertions")
    assert (newest["day"], oldest["day"]) == ("2027-01-17", "2027-01-16")
    assert sum(int(amount) for name, amount in newest.items() if name.endswith("_msat")) == 0
    assert json_of(books, "ledger", "assertions", "--limit", "1") == [newest]
    assert newest["journal_hash"][-8:] in text_of(books, "ledger", "assertions")
