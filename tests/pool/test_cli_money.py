"""payouts and status: what left, what is stopped, and the pool at a glance."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import attrs
import click
import pytest

from payouts.money import Sat
from payouts.testimony import Said
from payouts.values import Taken
from pool.errors import PoolError, StoreError
from pool.rewards.fpps import Rate
from pool.store.database import connect, sole_role
from pool.store.ledger import LedgerStore, NewAccount
from pool.store.rates import rate_entry
from tests.contracts.book import ADDRESS_A, NOW_MS, claim, intent, k1_hash_for
from tests.pool.cli_tools import CONFIG, configure, invoke, json_of, text_of
from tests.pool.test_settle import Pool
from tests.pool.test_store_payments import make
from tests.pool.test_verify import pool

__all__ = ["pool"]


@pytest.fixture
def books(pool: Pool) -> Path:
    configure(pool.directory)
    return pool.directory


def test_payments_are_listed_and_filtered_by_state(books: Path) -> None:
    rows = json_of(books, "payouts", "list")
    assert sorted(row["number"] for row in rows) == ["B1", "B2", "B3", "L1", "L2", "L3"]
    failed = json_of(books, "payouts", "list", "--state", "failed")
    assert [(row["number"], row["reason"]) for row in failed] == [("L2", "no route")]
    assert "No payment is unknown." in text_of(books, "payouts", "list", "--state", "unknown")
    assert len(text_of(books, "payouts", "list").splitlines()) == 7
    with pytest.raises(click.BadParameter, match="is not one of"):
        invoke(books, "payouts", "list", "--state", "lost")


def test_a_payment_is_shown_in_full_but_for_its_preimage(books: Path) -> None:
    assert json_of(books, "payouts", "show", "L1")["fee_msat"] == 7
    text = text_of(books, "payouts", "show", "L1")
    assert "0.007 sat" in text
    assert "11" * 32 not in invoke(books, "payouts", "show", "L1", "--json").output
    assert "bcrt1qmine, bcrt1qmine, 50000 sat" in text_of(books, "payouts", "show", "B1")


def test_a_payment_that_is_not_there_or_a_number_of_another_form(books: Path) -> None:
    with pytest.raises(PoolError, match="there is no payment L99"):
        invoke(books, "payouts", "show", "L99")
    with pytest.raises(click.BadParameter, match="L and digits"):
        invoke(books, "payouts", "show", "12")


def test_a_pause_is_shown_everywhere_until_it_is_resumed(books: Path) -> None:
    assert "stopped" in text_of(books, "payouts", "pause", "--why", "channel moves")
    assert "channel moves" in text_of(books, "payouts", "list").splitlines()[0]
    assert "SENDING IS STOPPED" in text_of(books, "status")
    assert json_of(books, "status")["sending_stopped"] is True
    assert json_of(books, "payouts", "resume", "--why", "done") == {
        "sending_stopped": False,
        "stops_ended": 1,
    }
    assert "was not stopped" in text_of(books, "payouts", "resume", "--why", "again")
    assert json_of(books, "status")["sending_stopped"] is False


@pytest.mark.parametrize("verb", ["pause", "resume"])
def test_a_slip_in_the_configuration_makes_no_empty_books(tmp_path: Path, verb: str) -> None:
    configure(tmp_path)
    with pytest.raises(StoreError, match="not there yet"):
        invoke(tmp_path, "payouts", verb, "--why", "x")
    assert not (tmp_path / "ledger.db").exists()


def test_status_of_a_pool_that_never_ran_is_friendly(tmp_path: Path) -> None:
    configure(tmp_path)
    lines = text_of(tmp_path, "status").splitlines()
    assert lines[0] == "running     nothing: `sluice run` starts the pool"
    assert "last share  never" in lines
    assert "blocks      none yet" in lines
    known = json_of(tmp_path, "status")
    assert (known["running"], known["blocks"], known["owed_msat"]) == ([], {}, "0")


def test_status_of_a_pool_that_runs(books: Path) -> None:
    with sole_role(books, "front-0"), sole_role(books, "book"):
        known, text = json_of(books, "status"), text_of(books, "status")
    assert known["running"] == ["front", "book"]
    assert text.startswith("running     front, book\n")
    assert known["blocks"] == {"mature": 2, "orphaned": 1}
    assert known["payments"]["lightning settled"] == 1
    assert int(known["assets_msat"]) >= int(known["owed_msat"]) > 0


# ------------------------------------------------------------------------------------ rulings, destinations


@pytest.fixture
def waiting(tmp_path: Path) -> Path:
    """Books with one payment that waits for approval and one that is unknown."""
    configure(tmp_path)
    book = make(tmp_path, {"alice": 10_000, "bob": 10_000})
    large = attrs.evolve(intent(claim()), held_back="it is above 0 sat")
    assert isinstance(book.take(large, k1_hash_for, NOW_MS, limit=5), Taken)
    other = intent(attrs.evolve(claim(2, "bob"), k1_hash="f" * 64))
    assert isinstance(book.take(other, lambda _: "f" * 64, NOW_MS, limit=5), Taken)
    book.sending(2, NOW_MS)
    book.unknown(2, "timed out", NOW_MS)
    accounts = [NewAccount("alice", "hash of alice", 1)]
    LedgerStore(book._connection).take_over_accounts(accounts)
    book._connection.close()
    return tmp_path


def test_a_payment_that_waits_is_approved_once_with_the_reason_in_its_history(waiting: Path) -> None:
    assert "1 payments wait" in text_of(waiting, "status")
    assert "may be sent" in text_of(waiting, "payouts", "approve", "L1", "--reason", "a known farm")
    with pytest.raises(StoreError, match="waits for no approval"):
        invoke(waiting, "payouts", "refuse", "l1", "--why", "second thoughts")
    assert "approved by the operator: a known farm" in text_of(waiting, "payouts", "show", "L1")
    assert json_of(waiting, "status")["awaiting_approval"] == 0


def test_what_can_be_done_about_a_payment_is_shown_with_it(waiting: Path) -> None:
    text = " ".join(text_of(waiting, "payouts", "show", "L1").split())
    assert "decide: `sluice payouts approve L1 --why …` or `sluice payouts refuse L1 --why …`" in text
    unknown = " ".join(text_of(waiting, "payouts", "show", "l2").split())
    assert "timed out" in unknown
    assert "wait: its invoice can be paid until 2027-01-15 09:00:00 UTC" in unknown
    invoke(waiting, "payouts", "give-up", "L2", "--why", "the peer's channel is closed")
    assert "the node is asked a last time" in json_of(waiting, "payouts", "show", "L2")["next"]


def test_payments_without_an_outcome_are_listed_and_can_be_given_up(waiting: Path) -> None:
    (row,) = json_of(waiting, "payouts", "list", "--unknown")
    assert (row["number"], row["reason"]) == ("L2", "timed out")
    assert json_of(waiting, "payouts", "give-up", "L2", "--why", "the peer's channel is closed") == {
        "number": "L2",
        "ruling": "given up",
    }
    history = json_of(waiting, "payouts", "show", "L2")["history"]
    assert [event["event"] for event in history][-2:] == ["unknown", "given up by the operator"]


def test_a_payment_whose_preimage_was_shown_is_given_up_only_by_whoever_insists(waiting: Path) -> None:
    give_up = ("payouts", "give-up", "L2", "--why", "the payee says that it has nothing")
    with closing(connect(waiting, "ledger")) as ledger:
        ledger.execute(
            "INSERT INTO testimony (payment_id, at_ms, said) VALUES (2, 1, ?)", (Said.PROVED.value,)
        )
        ledger.commit()
    with pytest.raises(PoolError, match="shown the preimage of L2: it was likely paid"):
        invoke(waiting, *give_up)
    assert json_of(waiting, "payouts", "list", "--unknown") != []
    assert json_of(waiting, *give_up, "--although-proved")["ruling"] == "given up"


@pytest.mark.parametrize("number", ["B1", "12", "L"])
def test_only_lightning_payments_are_ruled_on(waiting: Path, number: str) -> None:
    with pytest.raises(click.BadParameter):
        invoke(waiting, "payouts", "approve", number, "--why", "x")


def test_an_account_is_given_destinations_that_wait_unless_told_otherwise(waiting: Path) -> None:
    assert "nowhere unasked" in text_of(waiting, "payouts", "address", "alice")
    first = json_of(waiting, "payouts", "address", "alice", "--lightning", "Alice@LN.example.com")
    assert [(row["rail"], row["state"], row["target"]) for row in first] == [
        ("lightning", "waiting", "alice@ln.example.com")
    ]
    at_once = json_of(waiting, "payouts", "address", "alice", "--onchain", ADDRESS_A, "--now")
    assert [(row["rail"], row["state"]) for row in at_once] == [
        ("lightning", "waiting"),
        ("onchain", "valid"),
    ]
    gone = json_of(waiting, "payouts", "address", "alice", "--lightning", "none", "--now")
    assert [(row["rail"], row["target"]) for row in gone if row["state"] == "valid"] == [
        ("lightning", None),
        ("onchain", ADDRESS_A),
    ]


def test_what_is_no_account_or_no_address_is_refused(waiting: Path) -> None:
    with pytest.raises(PoolError, match="no account carol"):
        invoke(waiting, "payouts", "address", "carol")
    with pytest.raises(click.BadParameter, match="user@domain"):
        invoke(waiting, "payouts", "address", "alice", "--lightning", "alice")
    with pytest.raises(click.BadParameter, match="no regtest address"):
        invoke(waiting, "payouts", "address", "alice", "--onchain", "bc1qxyz")


PPS = """
[rewards]
scheme = "pps"
fee_bps = 200
reserve_sat = 852000000000
"""


def test_status_tells_what_is_left_of_the_reserve_that_shares_are_paid_from(books: Path) -> None:
    assert json_of(books, "status")["reserve"] is None
    configure(books, CONFIG + PPS)
    # its shares were sought at height 200, after regtest's first halving
    odds = "reserve     pool: 852,000,000,000 sat, 340.8 subsidies; ever used up with probability 0.0001%"
    assert odds in text_of(books, "status").splitlines()
    assert json_of(books, "status")["fee_rate"] is None


def test_status_tells_what_shares_are_paid_for_fees_by_now(pool: Pool, books: Path) -> None:
    configure(books, CONFIG + PPS.replace("pps", "fpps").replace("852", "85"))
    assert "shares wait until the book knows" in text_of(books, "status")
    for height, fee in ((9, 1), (201, 12_345_678)):
        rate = Rate(height, "ab" * 32, (Sat(fee),) * min(144, height - 1))
        pool.store.post(rate_entry(rate), NOW_MS)
    status = text_of(books, "status").splitlines()
    odds = (
        "reserve     pool: 85,000,000,000 sat, 33.8 blocks with fees; ever used up with probability 25.3684%"
    )
    assert odds in status
    assert "fees        12345678.000 sat a block, paid to shares of height 201" in status
    assert json_of(books, "status")["fee_rate"] == {"height": 201, "fees_msat": "12345678000", "blocks": 144}
