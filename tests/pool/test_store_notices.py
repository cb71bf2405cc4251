"""Wallets that want to hear of a new balance: learned of with claims, told of growth, gone with the card."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest

from payouts.money import Msat
from payouts.notices import PAUSE_MS, TRIES, Notice, pause_ms
from payouts.values import Taken
from pool import ledger
from pool.store.access import AccessBook
from pool.store.database import connect
from pool.store.ledger import LedgerStore
from pool.store.notices import NoticeStore
from pool.store.payments import SqliteBook
from tests.contracts.book import NOW_MS, claim, intent, k1_hash_for
from tests.pool.test_store_payments import fill

URL = "https://wallet.example/wake?token=t0psecret"
OTHER = "https://other.example/wake"
MINIMUM = Msat(10_000)


class House:
    """Books in which alice has a card and 100 sat."""

    def __init__(self, directory: Path) -> None:
        self.connection = connect(directory, "ledger")
        fill(self.connection, {"alice": 100_000})
        self.book = SqliteBook(self.connection, lambda _: False)
        self.store = NoticeStore(self.connection)
        self.access = AccessBook(self.connection)
        self.access.make_card("alice", "1" * 32, NOW_MS)
        self.claims = self.rewards = 0

    def withdraw(self, amount: int, url: str | None = URL, *, fee: int = 50) -> int:
        """Take a claim of alice's; answers the payment's number."""
        self.claims += 1
        filed = claim(self.claims, taken=self.claims - 1)
        filed = attrs.evolve(filed, card=self.access.card_number("alice"))
        wanted = attrs.evolve(intent(filed, amount=amount, max_fee=fee), notify=url)
        taken = self.book.take(wanted, k1_hash_for, NOW_MS, limit=3)
        assert isinstance(taken, Taken)
        return taken.payment_id

    def settle(self, payment_id: int) -> None:
        self.book.settle(payment_id, "00" * 32, Msat(0), NOW_MS)

    def earn(self, amount: int) -> None:
        self.rewards += 1
        moves = [(ledger.HOT, amount), (ledger.miner("alice", "available"), -amount)]
        entry = ledger.entry(f"mature:more:{self.rewards}", "mature", {}, moves)
        LedgerStore(self.connection).post(entry, NOW_MS)

    def due(self, now_ms: int = NOW_MS) -> list[Notice]:
        return list(self.store.notices_due(MINIMUM, now_ms, 10))


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def test_a_wallet_is_due_when_its_balance_has_grown_by_the_minimum(house: House) -> None:
    house.settle(house.withdraw(90_000))
    assert house.due() == []
    house.earn(9_999)
    assert house.due() == []
    house.earn(1)
    assert house.due() == [Notice("alice", URL, Msat(20_000), 0)]


def test_what_a_fee_gives_back_is_no_news_and_what_a_failure_gives_back_is(house: House) -> None:
    house.settle(house.withdraw(80_000, fee=15_000))
    assert house.due() == []  # 15 sat came back, as was to be expected
    payment_id = house.withdraw(15_000, None)
    assert house.due() == []
    house.book.fail(payment_id, "no route", NOW_MS)
    assert [notice.available for notice in house.due()] == [20_000]


def test_a_reward_that_comes_while_a_payment_is_under_way_is_told_when_that_has_ended(house: House) -> None:
    payment_id = house.withdraw(90_000)
    house.earn(30_000)
    assert house.due() == []
    house.settle(payment_id)
    assert [notice.available for notice in house.due()] == [40_000]


def test_money_that_left_by_another_way_makes_the_next_reward_news(house: House) -> None:
    house.settle(house.withdraw(10_000))
    moves = [(ledger.miner("alice", "available"), 80_000), (ledger.HOT, -80_000)]
    LedgerStore(house.connection).post(ledger.entry("batch:1", "correct", {}, moves), NOW_MS)
    assert house.due() == []
    house.earn(10_000)
    assert [notice.available for notice in house.due()] == [20_000]


def test_who_was_told_hears_again_only_of_more(house: House) -> None:
    house.settle(house.withdraw(90_000))
    house.earn(50_000)
    (notice,) = house.due()
    house.store.leave_alone(notice, NOW_MS + PAUSE_MS)
    assert house.due() == []
    house.store.told(notice)
    assert house.due(NOW_MS + PAUSE_MS) == []
    house.earn(10_000)
    assert [again.available for again in house.due(NOW_MS + PAUSE_MS)] == [70_000]


def test_a_wallet_that_never_takes_the_word_is_tried_ever_less_often_and_then_forgotten(
    house: House,
) -> None:
    house.settle(house.withdraw(90_000))
    house.earn(50_000)
    now_ms, pauses = NOW_MS, []
    for failures in range(TRIES):
        (notice,) = house.due(now_ms)
        assert notice.failures == failures
        house.store.not_told(notice, now_ms)
        pauses.append(pause_ms(failures + 1))
        assert house.due(now_ms + pauses[-1] - 1) == []
        now_ms += pauses[-1]
    assert pauses == sorted(pauses)
    assert house.due(now_ms) == []
    assert house.connection.execute("SELECT count(*) FROM notice").fetchone() == (0,)


def test_the_newest_url_takes_the_others_place_and_a_known_one_keeps_its_failures_and_its_pause(
    house: House,
) -> None:
    house.settle(house.withdraw(10_000))
    house.earn(50_000)
    (notice,) = house.due()
    house.store.not_told(notice, NOW_MS)
    house.settle(house.withdraw(10_000))
    house.earn(50_000)
    later = NOW_MS + pause_ms(1)
    assert house.due(later - 1) == []
    assert [(again.url, again.failures) for again in house.due(later)] == [(URL, 1)]
    house.settle(house.withdraw(10_000, OTHER))
    house.earn(50_000)
    assert [(again.url, again.failures) for again in house.due(later)] == [(OTHER, 0)]
    house.store.told(notice)  # the answer of the one that is no more
    assert len(house.due(later)) == 1


def revoke(house: House) -> None:
    house.access.revoke_card("alice", NOW_MS)


def replace(house: House) -> None:
    house.access.make_card("alice", "2" * 32, NOW_MS)


def renew(house: House) -> None:
    house.access.renew_link("alice", "ab" * 32, NOW_MS)


@pytest.mark.parametrize("end", [revoke, replace, renew])
def test_the_url_is_gone_with_its_card(house: House, end: Callable[[House], None]) -> None:
    house.settle(house.withdraw(90_000))
    house.earn(50_000)
    assert len(house.due()) == 1
    end(house)
    assert house.due() == []
    assert house.connection.execute("SELECT count(*) FROM notice").fetchone() == (0,)


def test_a_notice_does_not_show_its_url() -> None:
    assert "t0psecret" not in repr(Notice("alice", URL, Msat(1), 0))


def test_the_table_itself_bounds_what_a_url_may_be(house: House) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        house.withdraw(10_000, "https://wallet.example/" + "x" * 500)
