"""What a wallet is offered: balance, limits, breakers and the node's own word, whichever allows least."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest

from payouts.limits import PAUSED
from payouts.money import Msat
from payouts.values import Taken
from pool.config import LightningConfig, PayoutsConfig
from pool.payable import STALE_MS, Payable, fee_policy, limits_of, payable_now
from pool.store.payments import SqliteBook
from tests.contracts.book import NOW_MS, claim, intent, k1_hash_for
from tests.pool.test_store_payments import make

LIGHTNING = LightningConfig(user="u", password="p", maximum_sat=1_000)


@pytest.fixture
def book(tmp_path: Path) -> SqliteBook:
    return make(tmp_path, {"alice": 10**9})


def payable(book: SqliteBook, now_ms: int = NOW_MS, **payouts: int) -> Payable:
    return payable_now(book, LIGHTNING, PayoutsConfig(**payouts), lambda: now_ms)  # type: ignore[arg-type]


def test_without_limits_the_configured_maximum_bounds_a_claim(book: SqliteBook) -> None:
    assert payable(book).ceiling("alice").most == 1_000


def test_what_was_paid_in_the_last_day_comes_off_the_limits(book: SqliteBook) -> None:
    taken = book.take(intent(claim(), amount=300_000), k1_hash_for, NOW_MS, limit=5)
    assert isinstance(taken, Taken)
    assert payable(book, account_day_sat=900).ceiling("alice").most == 600
    assert payable(book, account_day_sat=900).ceiling("bob").most == 900
    assert payable(book, day_sat=800).ceiling("bob").most == 500
    assert payable(book, in_flight_sat=700).ceiling("bob").most == 399  # 300 sat and 50 msat are on their way
    later = NOW_MS + 86_400_001
    assert payable(book, later, account_day_sat=900).ceiling("alice").most == 900
    book.fail(taken.payment_id, "no route", NOW_MS)
    assert payable(book, account_day_sat=900).ceiling("alice").most == 900


def test_what_the_node_said_lately_bounds_a_claim_and_what_it_said_long_ago_does_not(
    book: SqliteBook,
) -> None:
    book.note_node(Msat(9_999_999), Msat(77_999), NOW_MS)
    book.note_node(Msat(9_999_999), Msat(55_999), NOW_MS)
    found = payable(book).ceiling("alice")
    assert (found.most, found.closed) == (55, None)
    assert "node" in found.why
    assert payable(book, NOW_MS + STALE_MS).ceiling("alice").most == 1_000


def test_while_sending_is_stopped_nothing_can_be_claimed(book: SqliteBook) -> None:
    book.stop_sending(f"{PAUSED}tea", NOW_MS)
    found = payable(book).ceiling("alice")
    assert (found.most, found.closed) == (0, "payouts are paused by the pool's operator: try again later")


def test_the_configuration_becomes_limits_and_fees() -> None:
    given = PayoutsConfig(
        account_day_sat=1, day_sat=2, in_flight_sat=3, approve_above_sat=4, float_most_sat=5, fees_by="pool"
    )
    limits = limits_of(given)
    assert (limits.account_day, limits.day, limits.in_flight) == (1000, 2000, 3000)
    assert (limits.approve_above, limits.float_most) == (4000, 5000)
    assert (limits.hour_free, limits.hour_times, limits.fee_ppm) == (10**10, 10, 20_000)
    assert limits.drift == 10**8
    assert fee_policy(LIGHTNING, given).by_pool
    assert fee_policy(LIGHTNING, PayoutsConfig()) == attrs.evolve(fee_policy(LIGHTNING, given), by_pool=False)
