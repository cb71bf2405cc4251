"""The web's desk and registry on real files, with a clock moved by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from payouts.values import Answer, Claim, PaymentState
from pool import accounts
from pool.claims import ANSWER_WITHIN_MS, GRACE_MS, LOOK_EVERY_S, MOST_WAITING, Desk, Registry
from pool.config import LightningConfig
from pool.errors import StoreError
from pool.store.claims import ClaimReader
from pool.store.database import connect, connect_to_read
from pool.store.inbox import InboxReader, InboxStore
from pool.store.ledger import LedgerStore, NewAccount
from pool.store.payments import SqliteBook
from tests.contracts.book import intent
from tests.pool.test_store_payments import fill

K1_HASH = "0" * 64
LIMITS = LightningConfig(
    user="u", password="p", minimum_sat=10, maximum_sat=1_000, max_fee_base_sat=5, max_fee_ppm=10_000
)


@attrs.frozen
class House:
    """A desk on real files, and the payer's ends of them."""

    clock: Clock
    desk: Desk
    inbox: InboxReader
    book: SqliteBook

    def file(self, invoice: str = "lnbcrt1", account: str = "alice") -> list[Answer | None]:
        """Begin to file a claim; the list has the answer once there is one."""
        answers: list[Answer | None] = []
        filing = self.desk.file(account=account, token_expires_s=9, k1_hash=K1_HASH, invoice=invoice)
        Deferred.fromCoroutine(filing).addCallback(answers.append)
        return answers

    def claims(self) -> list[Claim]:
        return self.inbox.claims_due(0)

    def pump(self, seconds: float) -> None:
        self.clock.pump([LOOK_EVERY_S] * round(seconds / LOOK_EVERY_S))


@pytest.fixture
def house(tmp_path: Path) -> House:
    clock = Clock()

    def now_ms() -> int:
        return round(clock.seconds() * 1000)

    books, inbox = connect(tmp_path, "ledger"), InboxStore(connect(tmp_path, "inbox"))
    fill(books, {"alice": 200_000, "rich-1": 10**9})
    LedgerStore(books).take_over_accounts(
        [NewAccount(name, name, 1) for name in ("alice", "rich-1", "poor-1")]
    )
    reader = ClaimReader(connect_to_read(tmp_path, "ledger"))
    return House(
        clock,
        Desk(reader, inbox, LIMITS, clock, now_ms),
        InboxReader(connect_to_read(tmp_path, "inbox")),
        SqliteBook(books, lambda _: False),
    )


def test_terms_leave_room_for_the_largest_fee(house: House) -> None:
    terms = house.desk.terms("alice")
    assert terms is not None
    assert (terms.claims_taken, terms.minimum) == (0, 10)
    fee_msat = 5_000 + terms.maximum * 1000 * 10_000 // 1_000_000
    assert terms.maximum * 1000 + fee_msat <= 200_000
    assert (terms.maximum + 1) * 1000 + fee_msat > 200_000 - 1_000


def test_terms_end_at_the_configured_maximum_and_at_nothing(house: House) -> None:
    rich, poor = house.desk.terms("rich-1"), house.desk.terms("poor-1")
    assert rich is not None
    assert poor is not None
    assert (rich.maximum, poor.maximum) == (1_000, 0)


def test_terms_say_what_bounds_them_when_it_is_not_the_balance(house: House) -> None:
    rich, alice, poor = (house.desk.terms(name) for name in ("rich-1", "alice", "poor-1"))
    assert rich is not None
    assert alice is not None
    assert poor is not None
    assert (rich.bound, rich.nothing) == ("the pool cannot pay more at the moment: try again later", None)
    assert (alice.bound, poor.bound) == (None, None)
    tight = attrs.evolve(house.desk, limits=LIMITS.model_copy(update={"maximum_sat": 5})).terms("rich-1")
    assert tight is not None
    assert tight.nothing == tight.bound == rich.bound


def test_whoever_has_no_account_has_no_terms(house: House) -> None:
    assert house.desk.terms("nobody") is None


def test_a_claim_is_filed_with_its_deadline_and_answered_when_the_payer_takes_it(house: House) -> None:
    answers = house.file()
    (filed,) = house.claims()
    assert (filed.account, filed.k1_hash, filed.invoice, filed.filed_ms) == ("alice", K1_HASH, "lnbcrt1", 0)
    assert filed.answer_by_ms == ANSWER_WITHIN_MS
    house.pump(0.5)
    assert answers == []
    house.book.take(intent(filed), lambda _: K1_HASH, 500, limit=5)
    house.pump(LOOK_EVERY_S)
    assert answers == [Answer("lnbcrt1", True, PaymentState.RESERVED, None)]
    assert house.desk.answered(K1_HASH) == answers[0]


def test_a_refusal_is_an_answer_too(house: House) -> None:
    answers = house.file()
    house.book.refuse(house.claims()[0], "the invoice has expired", 0)
    house.pump(LOOK_EVERY_S)
    assert answers == [Answer("lnbcrt1", False, None, "the invoice has expired")]
    assert house.desk.answered(K1_HASH) is None


def test_no_answer_is_said_only_behind_the_deadline_and_its_grace(house: House) -> None:
    answers = house.file()
    house.pump((ANSWER_WITHIN_MS + GRACE_MS) / 1000)
    assert answers == []
    house.pump(2 * LOOK_EVERY_S)
    assert answers == [None]
    assert house.clock.getDelayedCalls() == []


def test_an_answer_within_the_grace_is_still_heard(house: House) -> None:
    answers = house.file()
    filed = house.claims()[0]
    house.pump((ANSWER_WITHIN_MS + GRACE_MS / 2) / 1000)
    house.book.take(intent(filed), lambda _: K1_HASH, ANSWER_WITHIN_MS, limit=5)
    house.pump(LOOK_EVERY_S)
    assert [answer.taken for answer in answers if answer is not None] == [True]


def test_the_same_k1_and_invoice_is_one_claim_and_one_answer(house: House) -> None:
    first, again = house.file(), house.file()
    assert len(house.claims()) == 1
    house.book.take(intent(house.claims()[0]), lambda _: K1_HASH, 0, limit=5)
    house.pump(LOOK_EVERY_S)
    assert first == again == [Answer("lnbcrt1", True, PaymentState.RESERVED, None)]
    assert house.file() == first
    assert house.book.claims_taken("alice") == 1


def test_an_account_that_files_many_claims_at_once_waits_for_its_own_and_nobody_else_does(
    house: House,
) -> None:
    some = [house.file(f"lnbcrt{number}") for number in range(MOST_WAITING)]
    again, another, other = (
        house.file("lnbcrt0"),
        house.file("lnbcrt99"),
        house.file("lnbcrt-rich", "rich-1"),
    )
    assert [answer.reason for answer in another if answer is not None] == [
        "other withdrawals of this account are being looked at: try again in a moment"
    ]
    assert len(house.claims()) == MOST_WAITING + 1
    for filed in house.claims():
        house.book.refuse(filed, "no", 0)
    house.pump(LOOK_EVERY_S)
    assert all(len(answers) == 1 for answers in [*some, again, other])
    assert house.file("lnbcrt99") == []
    assert house.desk._waiting.keys() == {"alice"}


def test_a_void_claim_that_is_filed_again_is_answered_at_once_and_stays_void(house: House) -> None:
    house.file()
    house.pump((ANSWER_WITHIN_MS + GRACE_MS) / 1000 + 1)
    assert house.file() == [None]


def registry(directory: Path) -> Registry:
    connect(directory, "ledger").close()
    reader = ClaimReader(connect_to_read(directory, "ledger"))
    return Registry(reader, InboxStore(connect(directory, "inbox")), lambda: 77)


def asked(directory: Path) -> list[NewAccount]:
    return [account for _, account in InboxReader(connect_to_read(directory, "inbox")).accounts_after(0)]


def test_an_account_is_asked_for_with_the_hash_of_its_secret_only(tmp_path: Path) -> None:
    name, secret = registry(tmp_path).create("alice")
    assert asked(tmp_path) == [NewAccount("alice", accounts.hash_secret(secret), 77)]
    assert name == "alice"
    for file in tmp_path.iterdir():
        assert secret.encode() not in file.read_bytes()


def test_made_up_names_and_secrets_differ(tmp_path: Path) -> None:
    desk = registry(tmp_path)
    made = [desk.create() for _ in range(20)]
    assert len({name for name, _ in made}) == len({secret for _, secret in made}) == 20
    assert all(accounts.NAME.fullmatch(name) for name, _ in made)


@pytest.mark.parametrize("name", ["", "abc", "Alice", "1abc", "abc-", "a.bc", "a" * 33, "alice\n", "älice"])
def test_a_malformed_name_is_refused_with_the_rule(tmp_path: Path, name: str) -> None:
    with pytest.raises(StoreError, match="4 to 32 characters"):
        registry(tmp_path).create(name)
    assert asked(tmp_path) == []


def test_a_name_that_is_taken_or_asked_for_is_refused(tmp_path: Path) -> None:
    desk = registry(tmp_path)
    desk.create("alice")
    with pytest.raises(StoreError, match="named alice already"):
        desk.create("alice")
    LedgerStore(connect(tmp_path, "ledger")).take_over_accounts([NewAccount("bob-1", "b", 1)])
    with pytest.raises(StoreError, match="named bob-1 already"):
        desk.create("bob-1")


def test_an_account_is_found_by_its_secret_once_the_book_has_it(tmp_path: Path) -> None:
    desk: Any = registry(tmp_path)
    name, secret = desk.create("alice")
    assert desk.find(accounts.hash_secret(secret)) is None
    LedgerStore(connect(tmp_path, "ledger")).take_over_accounts(asked(tmp_path))
    assert desk.find(accounts.hash_secret(secret)) == name
