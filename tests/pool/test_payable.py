"""What a wallet is offered: balance, limits, breakers and the node's own word, whichever allows least."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from payouts import lnurl
from payouts.limits import PAUSED
from payouts.money import Msat
from payouts.sender import Sender, SenderOptions
from payouts.values import Claim, Taken
from pool.claims import Desk
from pool.config import LightningConfig, PayoutsConfig
from pool.payable import STALE_MS, Payable, fee_policy, limits_in_words, limits_of, payable_now
from pool.store.claims import ClaimReader
from pool.store.database import connect
from pool.store.flows import FlowReader
from pool.store.inbox import ClaimQueue, InboxReader, InboxStore
from pool.store.ledger import LedgerStore, NewAccount
from pool.store.payments import SqliteBook
from tests.contracts.book import NOW_MS, claim, intent, k1_hash_for
from tests.payouts.fakes import KEY, TERMS, FakeNode, Plan, Time
from tests.payouts.invoices import invoice
from tests.pool.test_store_payments import fill, make

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
    # 300 sat and 50 msat are on their way; of the 399.95 sat left, 5 sat and 1 % may be its fee
    assert payable(book, in_flight_sat=700).ceiling("bob").most == 391
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


def test_what_was_taken_since_the_node_was_asked_comes_off_its_word(book: SqliteBook) -> None:
    book.note_node(Msat(9_999_999), Msat(900_000), NOW_MS - 1)
    taken = book.take(intent(claim(), amount=300_000), k1_hash_for, NOW_MS, limit=5)
    assert payable(book).ceiling("bob").most == 599  # 300 sat and 50 msat are on their way
    assert isinstance(taken, Taken)
    book.fail(taken.payment_id, "no route", NOW_MS)
    assert payable(book).ceiling("bob").most == 900


def test_a_day_of_payments_is_summed_up_once_a_second_for_all_who_ask(book: SqliteBook) -> None:
    clock = [NOW_MS]
    asked = payable_now(book, LIGHTNING, PayoutsConfig(day_sat=800), lambda: clock[0])
    assert asked.ceiling("bob").most == 800
    book.take(intent(claim(), amount=300_000), k1_hash_for, NOW_MS, limit=5)
    for later_ms, most in ((999, 800), (1_000, 500), (0, 500), (-1, 500)):
        clock[0] = NOW_MS + later_ms
        assert asked.ceiling("bob").most == most


def test_books_that_have_less_than_the_node_bound_a_claim_too(tmp_path: Path) -> None:
    book = make(tmp_path, {"alice": 10**9}, lightning=500_000)
    book.note_node(Msat(9_999_999), Msat(9_000_000), NOW_MS)
    found = payable(book).ceiling("alice")
    assert found.most == 490  # 490 + 5 + 4.9 sat
    assert "node" in found.why


def test_an_account_with_all_its_payments_under_way_waits_for_one_to_end(book: SqliteBook) -> None:
    for number in range(LIGHTNING.open_per_account):
        book.take(intent(claim(number, taken=number), amount=20_000), k1_hash_for, NOW_MS, limit=5)
    found = payable(book).ceiling("alice")
    assert (found.most, found.closed) == (0, None)
    assert "on their way" in found.why
    assert payable(book).ceiling("bob").most == 1_000


def test_while_sending_is_stopped_nothing_can_be_claimed(book: SqliteBook) -> None:
    book.stop_sending(f"{PAUSED}tea", NOW_MS)
    found = payable(book).ceiling("alice")
    assert (found.most, found.closed) == (0, "payouts are paused by the pool's operator: try again later")


def test_ceilings_are_there_unless_they_are_taken_away_by_a_word() -> None:
    limits = limits_of(PayoutsConfig())
    assert (limits.account_day, limits.day) == (5 * 10**9, 20 * 10**9)
    without = limits_of(PayoutsConfig(account_day_sat="unlimited", day_sat="unlimited"))
    assert (without.account_day, without.day) == (None, None)
    assert limits_in_words(LIGHTNING, PayoutsConfig(day_sat="unlimited", approve_above_sat=500_000)) == (
        "a withdrawal takes up to 1,000 sat; an account up to 5,000,000 sat a day; all up to any sum; more"
        " than 500,000 sat waits for your approval; more than 10,000,000 sat in an hour, and 10 times the"
        " past week's busiest, stop all sending"
    )


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


# ------------------------------------------------------------------ what is offered, and what the payer takes


class House:
    """A web's desk and a payer on the same files, with a node that keeps payments hanging."""

    def __init__(self, directory: Path, money: Money) -> None:
        self.time, self.filed = Time(), 0
        ledger, inbox = connect(directory, "ledger"), connect(directory, "inbox")
        fill(ledger, {"alice": money.balance, "bob": 10**12}, money.books)
        LedgerStore(ledger).take_over_accounts([NewAccount(name, name, 1) for name in ("alice", "bob")])
        lightning = LightningConfig(user="u", password="p", maximum_sat=money.maximum_sat)
        payouts = PayoutsConfig(
            account_day_sat=money.account_day_sat, in_flight_sat=money.in_flight_sat, fees_by=money.fees_by
        )
        payable = payable_now(FlowReader(ledger), lightning, payouts, self.time.now_ms)
        self.reader, self.inbox = ClaimReader(ledger), InboxStore(inbox)
        self.desk = Desk(
            self.reader, self.inbox, lightning, self.time.clock, self.time.now_ms, payable=payable
        )
        terms = attrs.evolve(TERMS, fees=payable.fees, maximum=payable.maximum)
        queue = ClaimQueue(InboxReader(inbox), ledger, self.time.now_ms)
        node = FakeNode(balance_msat=money.outbound, plan=Plan.HANG)
        options = SenderOptions(terms, limits=payable.limits)
        book = SqliteBook(ledger, lambda _: False)
        self.payer = Sender(book, queue, node, self.time.clock, self.time.now_ms, options)
        self.payer.start()
        self.time.pass_s(0.5)

    def takes(self, account: str, sat: int) -> bool:
        """Whether the payer takes a claim of so much, filed by a web that has checked nothing."""
        self.filed += 1
        now_ms = self.time.now_ms()
        token, taken = lnurl.make_token(KEY, account, now_ms // 1000 + 600), self.reader.claims_taken(account)
        text = invoice(self.filed, sat=sat, made_s=now_ms // 1000)
        k1_hash = lnurl.k1_hash(lnurl.k1(KEY, token, taken))
        claim = Claim(0, account, now_ms // 1000 + 600, k1_hash, text, now_ms, now_ms + 5_000)
        claim = self.inbox.file(claim)
        self.time.pass_s(5.0, step_s=0.5)
        answer = self.reader.answer_to(claim)
        assert answer is not None
        return answer.taken


@attrs.frozen
class Money:
    """What bounds a withdrawal; msat unless the name says otherwise."""

    balance: int
    books: int
    outbound: int
    earlier_sat: int
    maximum_sat: int
    account_day_sat: int | Literal["unlimited"]
    in_flight_sat: int | None
    fees_by: Literal["miner", "pool"]


AMOUNT = st.integers(0, 2_000_000)


@settings(max_examples=25, deadline=None)
@given(
    st.builds(
        Money,
        balance=st.integers(1, 2_000_000),
        books=st.integers(1, 2_000_000),
        outbound=AMOUNT,
        earlier_sat=st.sampled_from([0, 0, 10, 250]),
        maximum_sat=st.integers(10, 2_000),
        account_day_sat=st.just("unlimited") | st.integers(1, 2_000),
        in_flight_sat=st.none() | st.integers(1, 2_000),
        fees_by=st.sampled_from(["miner", "pool"]),
    )
)
def test_what_is_offered_is_taken_to_the_last_satoshi_and_not_one_more(money: Money) -> None:
    with TemporaryDirectory() as directory:
        house = House(Path(directory), money)
        try:
            earlier = money.earlier_sat > 0 and house.takes("bob", money.earlier_sat)
            terms = house.desk.terms("alice")
            assert terms is not None
            if terms.maximum < 10:
                assert earlier or not house.takes("alice", 10)
                return
            if not earlier:  # then the node may cost less than was set aside for what is on its way
                assert not house.takes("alice", terms.maximum + 1)
            assert house.takes("alice", terms.maximum)
        finally:
            house.payer.stop()
