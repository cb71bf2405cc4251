"""The export to Beancount: names there and back, and a file that Beancount itself agrees with."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from beancount import loader
from beancount.core.data import Transaction
from hypothesis import given
from hypothesis import strategies as st

from payouts.money import Msat
from pool import ledger
from pool.adjustments import Adjustment, Kind
from pool.beancount import exported, our_account, their_account
from pool.errors import LedgerError
from pool.store.adjusting import AdjustmentDesk
from pool.store.journal import JournalReader
from tests.pool.test_settle import NOW_MS, Pool
from tests.pool.test_verify import pool

__all__ = ["pool"]  # a fixture: books with blocks, an orphan, payments, batches and deposits

HUGE = 21 * 10**17
"""All bitcoin there will be, in msat."""


def text_of(pool: Pool) -> str:
    reader = JournalReader(pool.books)
    balances = reader.balances()
    with reader.snapshot():
        first_ms = reader.first_ms() or 0
        return "".join(exported('Our "books"', first_ms, balances, reader.entries(), balances))


def fill(pool: Pool) -> None:
    """One entry of each kind that an operator makes, and the largest and oddest that there can be."""
    desk = AdjustmentDesk(pool.books)
    for number, kind in enumerate(Kind):
        to = "lightning" if kind is Kind.MOVE else None
        said = Adjustment(kind, f'tx "{number}"\n\\', "hot", Msat(1001 + number), "it was so", to)
        assert desk.book(said, NOW_MS + number * 86_400_000)
    odd = ledger.miner("Zoë_1.x-/ä", "available")
    moves = [(ledger.HOT, HUGE), (odd, -HUGE), (ledger.residual("solo"), -1), (ledger.LOSSES, 1)]
    assert pool.store.post(ledger.entry("huge", "huge", {}, moves), NOW_MS - 86_400_000)


def test_beancount_finds_no_fault_with_it_and_comes_to_the_same_balances(pool: Pool) -> None:
    fill(pool)
    entries, errors, _ = loader.load_string(text_of(pool))
    assert errors == []
    sums: dict[str, Decimal] = {}
    for entry in entries:
        if isinstance(entry, Transaction):
            for posting in entry.postings:
                assert posting.units is not None
                name = our_account(posting.account)
                sums[name] = sums.get(name, Decimal(0)) + Decimal(posting.units.number or 0)
    assert sums == {name: Decimal(amount) for name, amount in pool.store.balances().items()}
    kinds = {entry.payee for entry in entries if isinstance(entry, Transaction)}
    assert {"reward", "reverse", "mature", "deposit", "settle", "release", "batch-settle", "policy"} <= kinds


@pytest.mark.parametrize(("old", "new"), [("HUGE MSAT", "HUGE1 MSAT"), ("-1 MSAT", "-2 MSAT")])
def test_beancount_sees_a_millisatoshi_that_is_missing(pool: Pool, old: str, new: str) -> None:
    fill(pool)
    text = text_of(pool)
    wrong = text.replace(old.replace("HUGE", str(HUGE)), new.replace("HUGE1", str(HUGE + 1)), 1)
    assert wrong != text
    assert loader.load_string(wrong)[1] != []


def test_an_empty_journal_is_an_empty_file_that_loads() -> None:
    _, errors, options = loader.load_string("".join(exported("x", 0, [], [], {})))
    assert (errors, options["title"]) == ([], "x")


@given(st.text(min_size=1).filter(lambda text: ":" not in text and not any(map(str.isspace, text))))
def test_every_miners_name_comes_back_and_looks_like_an_account(name: str) -> None:
    try:
        name.encode()
    except UnicodeEncodeError:
        return  # half a surrogate pair is in no database
    ours = f"liabilities:miners:{name}:held"
    theirs = their_account(ours)
    assert our_account(theirs) == ours
    assert all(part[0].isupper() for part in theirs.split(":"))


def test_the_pools_own_accounts_come_back() -> None:
    names = [value for value in vars(ledger).values() if isinstance(value, str) and ":" in value]
    ours = [name for name in names if name.split(":")[0] in {"assets", "equity", "income", "expense"}]
    assert len(ours) >= 12
    for name in [*ours, ledger.RESIDUAL, ledger.residual("solo")]:
        assert our_account(their_account(name)) == name
    assert len({their_account(name) for name in ours}) == len(ours)


@pytest.mark.parametrize("name", ["assets", "cash:box", "assets:Hot", "assets::hot", "assets:hot-wallet"])
def test_what_is_no_account_of_ours_has_no_name(name: str) -> None:
    with pytest.raises(LedgerError):
        their_account(name)


@pytest.mark.parametrize("name", ["Assets", "Cash:Box", "Liabilities:Miners:Ann:Held", "Assets:hot"])
def test_what_is_no_account_of_theirs_has_no_way_back(name: str) -> None:
    with pytest.raises(LedgerError):
        our_account(name)


def test_accounts_are_opened_on_the_first_day_even_when_the_clock_stepped_back(pool: Pool) -> None:
    fill(pool)
    lines = text_of(pool).splitlines()
    first = date(2027, 1, 14).isoformat()
    assert all(line.startswith(first) for line in lines if " open " in line)
    assert lines[-1].startswith("2027-01-19 balance ")
