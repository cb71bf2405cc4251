"""What the operator sees of payments and roles, and the stop and the resume."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from payouts.money import Msat, Sat
from payouts.values import Output, Taken
from pool.store.database import connect, sole_role
from pool.store.operator import OperatorDesk, is_running
from pool.store.payments import SqliteBook
from tests.contracts.book import NOW_MS, claim, intent, k1_hash_for, signed
from tests.pool.test_store_payments import make

ADDRESS = "bcrt1qmine"
PREIMAGE = "5e" * 32


@pytest.fixture
def book(tmp_path: Path) -> SqliteBook:
    """A settled Lightning payment, then a signed batch of two outputs."""
    book = make(tmp_path, {"alice": 10_000, ADDRESS: 10**9, "bcrt1qother": 10**9})
    taken = book.take(intent(claim()), k1_hash_for, NOW_MS, limit=5)
    assert isinstance(taken, Taken)
    book.sending(taken.payment_id, NOW_MS)
    book.settle(taken.payment_id, PREIMAGE, Msat(7), NOW_MS + 5)
    outputs = [Output(account, account, Sat(60_000)) for account in (ADDRESS, "bcrt1qother")]
    assert isinstance(book.take_batch(signed(3, *outputs), NOW_MS + 10), int)
    return book


@pytest.fixture
def desk(book: SqliteBook, tmp_path: Path) -> OperatorDesk:
    return OperatorDesk(connect(tmp_path, "ledger"))


def test_payments_of_both_rails_come_newest_first_a_batch_with_a_line_for_each_output(
    desk: OperatorDesk,
) -> None:
    rows = desk.payments(None, 10)
    assert [(row.number, row.account, row.amount_msat, row.state) for row in rows] == [
        ("B1", ADDRESS, 60_000_000, "signed"),
        ("B1", "bcrt1qother", 60_000_000, "signed"),
        ("L1", "alice", 1_000, "settled"),
    ]
    assert [row.fee_msat for row in rows] == [None, None, 7]
    assert desk.payments(None, 1) == rows[:1]
    assert desk.payments("settled", 10) == rows[2:]
    assert desk.payments("unknown", 10) == []


def test_a_payment_is_shown_without_its_preimage(desk: OperatorDesk) -> None:
    known = desk.show("l1")
    assert known is not None
    assert (known["account"], known["state"], known["fee_msat"]) == ("alice", "settled", 7)
    assert PREIMAGE not in json.dumps(known)


def test_a_batch_is_shown_with_its_inputs_and_outputs(desk: OperatorDesk) -> None:
    known = desk.show("B1")
    assert known is not None
    assert known["inputs"] == list(signed(3).inputs)
    assert known["outputs"] == [
        {"account": account, "address": account, "amount_sat": 60_000} for account in (ADDRESS, "bcrt1qother")
    ]


def test_there_is_nothing_to_show_of_a_number_that_was_never_given(desk: OperatorDesk) -> None:
    assert desk.show("L9") is None
    assert desk.show("B9") is None


@pytest.mark.parametrize("number", ["", "L", "X1", "1", "L-1", "L1x", "B" + "9" * 30, "L1 OR 1=1"])
def test_a_number_of_another_form_is_refused(desk: OperatorDesk, number: str) -> None:
    with pytest.raises(ValueError, match="L and digits"):
        desk.show(number)


def test_a_pause_stops_sending_and_a_resume_ends_every_stop_with_its_reason_kept(
    desk: OperatorDesk, book: SqliteBook, tmp_path: Path
) -> None:
    assert desk.stops() == []
    desk.pause("the channel is being moved", NOW_MS)
    book.stop_sending("the node knows a hash that the books lack", NOW_MS + 1)
    book.stop_sending("the node knows a hash that the books lack", NOW_MS + 2)
    assert book.stopped() is not None
    assert [since for _, since in desk.stops()] == [NOW_MS, NOW_MS + 1]
    assert "the channel is being moved" in desk.stops()[0][0]
    assert desk.resume("looked into both", NOW_MS + 2) == 2
    assert (desk.stops(), book.stopped()) == ([], None)
    assert desk.resume("again", NOW_MS + 3) == 0
    kept = connect(tmp_path, "ledger").execute("SELECT resumed_ms, resumed_why FROM breaker").fetchall()
    assert kept == [(NOW_MS + 2, "looked into both")] * 2


def test_books_answer_for_the_node_from_their_first_entry_or_the_last_stop_that_was_looked_into(
    desk: OperatorDesk, book: SqliteBook
) -> None:
    assert desk.answerable_since_s(NOW_MS + 10**9) == NOW_MS // 1000
    book.stop_sending("the node knows more", NOW_MS + 5_000)
    assert desk.answerable_since_s(NOW_MS + 10**9) == NOW_MS // 1000
    desk.resume("looked into it", NOW_MS + 60_000)
    assert desk.answerable_since_s(NOW_MS + 10**9) == NOW_MS // 1000 + 60


def test_an_operators_own_pause_says_nothing_about_what_the_node_sent(desk: OperatorDesk) -> None:
    desk.pause("tea", NOW_MS + 5_000)
    desk.resume("done", NOW_MS + 60_000)
    assert desk.answerable_since_s(NOW_MS + 10**9) == NOW_MS // 1000


def test_empty_books_answer_from_now(tmp_path: Path) -> None:
    assert OperatorDesk(connect(tmp_path, "ledger")).answerable_since_s(NOW_MS) == NOW_MS // 1000


def test_a_role_is_running_while_its_lock_is_held_and_looking_makes_no_file(tmp_path: Path) -> None:
    assert not is_running(tmp_path, "web")
    assert list(tmp_path.iterdir()) == []
    with sole_role(tmp_path, "web"):
        assert is_running(tmp_path, "web")
    assert not is_running(tmp_path, "web")


def test_a_role_that_was_killed_is_not_running(tmp_path: Path) -> None:
    code = (
        "import pathlib, sys\nfrom pool.store.database import sole_role\n"
        "with sole_role(pathlib.Path(sys.argv[1]), 'web'):\n    print('held', flush=True)\n"
        "    sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        assert is_running(tmp_path, "web")
        holder.kill()
    assert not is_running(tmp_path, "web")
