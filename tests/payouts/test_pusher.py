"""Pushes to Lightning Addresses: exactly once, behind the claims, a step down the ladder for each failure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from urllib.parse import parse_qs, urlsplit

import attrs
import pytest
from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs

from payouts.limits import Limits
from payouts.money import Msat
from payouts.outbound import Fetched
from payouts.places import NotFetched
from payouts.pusher import Pushes, PushOptions
from payouts.sender import Sender, SenderOptions
from payouts.values import PaymentState, Ruling
from tests.payouts.fakes import TERMS, Plan
from tests.payouts.invoices import Draft, payment_hash, write
from tests.payouts.test_sender import START, House

FEE = 7
THRESHOLD = Msat(1_000_000)
VERIFY = "https://ln.example.com/verify/t0psecret"


@attrs.define
class Service:
    """LNURL-pay services for all addresses, which give one invoice after the other.

    Attributes:
        now_s: the time that invoices are made at.
        spoil: changes what an invoice says.
        verify: where it says that it tells whether the invoice was paid.
        asked: every URL that was asked for.
        waiting: while it is a list, answers wait in it.
    """

    now_s: Callable[[], int]
    spoil: Callable[[Draft], Draft] = lambda draft: draft
    verify: object = None
    down: bool = False
    given: int = 0
    asked: list[str] = attrs.Factory(list)
    waiting: list[Deferred[None]] | None = None

    async def fetch(self, url: str) -> Fetched | NotFetched:
        self.asked.append(url)
        if self.waiting is not None:
            turn: Deferred[None] = Deferred()
            self.waiting.append(turn)
            await turn
        parts = urlsplit(url)
        if self.down:
            return NotFetched(f"{parts.hostname} cannot be reached")
        if parts.path.startswith("/.well-known/lnurlp/"):
            return Fetched(
                {
                    "tag": "payRequest",
                    "callback": "https://ln.example.com/cb?a=" + parts.path.rpartition("/")[2],
                    "minSendable": 1000,
                    "maxSendable": 10**11,
                    "metadata": "[]",
                }
            )
        self.given += 1
        (amount,) = parse_qs(parts.query)["amount"]
        draft = Draft(
            human=f"lnbcrt{int(amount) // 100}n",
            timestamp_s=self.now_s(),
            payment_hash=bytes.fromhex(payment_hash(self.given)),
        )
        return Fetched({"pr": write(self.spoil(draft)), "routes": [], "verify": self.verify})


@attrs.define
class PushHouse(House):
    """A house whose payer pushes."""

    service: Service = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.service = Service(lambda: self.time.now_ms() // 1000)

    def pushes(self) -> Pushes:
        return Pushes(self.book, self.service, PushOptions(THRESHOLD))

    def pusher(self, **options: object) -> Sender:
        settings = attrs.evolve(SenderOptions(TERMS), **options)  # type: ignore[arg-type]
        clock, now_ms = self.time.clock, self.time.now_ms
        sender = Sender(self.book, self.inbox, self.node, clock, now_ms, settings, self.pushes())
        self.payers.append(sender)
        sender.start()
        return sender

    def sent(self) -> int:
        """What has left, as the node knows it."""
        return sum(self.node.paid.values())


@pytest.fixture
def house() -> Iterator[PushHouse]:
    made = PushHouse()
    made.book.lightning_addresses["alice"] = "alice@ln.example.com"
    yield made
    made.stop()
    assert not made.time.clock.getDelayedCalls(), "a stopped payer waits for nothing"


def test_a_balance_at_the_threshold_leaves_for_its_address_unasked(house: PushHouse) -> None:
    house.pusher()
    house.time.pass_s(20)
    assert house.state() is PaymentState.SETTLED
    payment = house.book.payments[1]
    assert payment.amount + payment.max_fee <= START
    assert house.node.paid == {payment.payment_hash: payment.amount + FEE}
    assert house.book.balances["alice"] == START - payment.amount - FEE < THRESHOLD
    assert house.book.balances["bob"] == START
    assert len(house.book.payments) == 1
    assert house.service.asked[0] == "https://ln.example.com/.well-known/lnurlp/alice"
    assert house.service.asked[1] == f"https://ln.example.com/cb?a=alice&amount={payment.amount}"


@pytest.mark.parametrize(
    ("verify", "kept"),
    [
        (f"{VERIFY}#part", VERIFY),
        ("https://127.0.0.1/verify/1", None),
        (7, None),
        (None, None),
    ],
)
def test_where_a_service_would_tell_what_became_of_a_push_is_kept_with_it_if_we_would_go_there(
    house: PushHouse, verify: object, kept: str | None
) -> None:
    house.service.verify = verify
    with capturedLogs() as events:
        house.pusher()
        house.time.pass_s(20)
    assert house.book.verifies == {1: kept}
    assert house.state() is PaymentState.SETTLED
    assert "t0psecret" not in repr(events)


def test_below_the_threshold_nobody_is_asked_for_an_invoice(house: PushHouse) -> None:
    house.book.balances["alice"] = THRESHOLD - 1
    house.pusher()
    house.time.pass_s(30)
    assert house.service.asked == []


def test_failures_are_counted_tried_again_later_and_later_and_forgotten_with_a_success(
    house: PushHouse,
) -> None:
    house.service.down = True
    house.pusher()
    house.time.pass_s(30)
    assert [reason for _, reason in house.book.tries] == ["ln.example.com cannot be reached"]
    house.time.pass_s(60 * 16, step_s=1)
    assert len(house.book.tries) == 5  # after 1, 2, 4 and 8 minutes more
    assert house.book.balances["alice"] == START
    house.service.down = False
    house.time.pass_s(60 * 16, step_s=1)
    assert house.state() is PaymentState.SETTLED
    assert house.book.ladder == {}


def test_a_payment_that_fails_is_a_step_down_and_gives_the_money_back(house: PushHouse) -> None:
    house.node.plan = Plan.REFUSE
    house.pusher()
    house.time.pass_s(20)
    assert house.book.ladder["alice"][0] == 1
    assert house.book.balances["alice"] == START


@pytest.mark.parametrize(
    "spoil",
    [
        lambda draft: attrs.evolve(draft, human="lnbcrt1m"),
        lambda draft: attrs.evolve(draft, description=None, description_hash=b"\x01" * 32),
        lambda draft: attrs.evolve(draft, timestamp_s=draft.timestamp_s - 7200),
    ],
)
def test_an_invoice_that_was_not_asked_for_is_not_paid(
    house: PushHouse, spoil: Callable[[Draft], Draft]
) -> None:
    house.service.spoil = spoil
    house.pusher()
    house.time.pass_s(20)
    assert house.book.payments == {}
    assert house.book.ladder["alice"][0] == 1


def test_an_account_is_never_under_way_twice(house: PushHouse) -> None:
    house.node.plan = Plan.HANG
    house.book.balances["alice"] = 10**10
    house.pusher()
    house.time.pass_s(60)
    assert len(house.book.payments) == 1
    assert len(house.node.in_flight) == 1


def test_an_address_that_changes_while_its_service_is_asked_is_not_paid(house: PushHouse) -> None:
    house.service.waiting = []
    house.pusher()
    house.time.pass_s(6)
    first = house.service.waiting.pop()
    house.service.waiting = None
    house.book.lightning_addresses["alice"] = "mallory@ln.example.com"
    first.callback(None)
    house.time.pass_s(1)
    assert house.book.payments == {}
    assert house.book.balances["alice"] == START


def test_while_sending_is_stopped_no_stranger_is_asked(house: PushHouse) -> None:
    house.book.stop_sending("a test", 0)
    house.pusher()
    house.time.pass_s(30)
    assert house.service.asked == []


def test_a_ceiling_bounds_a_push_and_is_nobodys_failure(house: PushHouse) -> None:
    house.pusher(limits=Limits(account_day=Msat(1_500_000)))
    house.time.pass_s(300, step_s=1)
    assert [p.amount for p in house.book.payments.values()] == [1_500_000]
    assert house.book.ladder == {}
    assert len(house.service.asked) == 2


def test_pushes_at_once_are_not_taken_beyond_what_the_node_can_send(house: PushHouse) -> None:
    house.book.lightning_addresses["bob"] = "bob@ln.example.com"
    house.node.plan = Plan.HANG
    house.node.balance_msat = START + THRESHOLD // 2
    house.pusher()
    house.time.pass_s(4)
    assert len(house.book.payments) == 1
    assert house.book.balances["bob"] == START
    assert house.book.tries == []  # it is nobody's failure


def test_a_large_push_waits_for_approval(house: PushHouse) -> None:
    house.pusher(limits=Limits(approve_above=Msat(2_000_000)))
    house.time.pass_s(20)
    assert house.state() is PaymentState.RESERVED
    house.book.rule(1, Ruling.APPROVED)
    house.time.pass_s(3)
    assert house.state() is PaymentState.SETTLED


def test_a_thousand_pushes_are_worked_off_and_every_claim_meanwhile_is_paid_at_once(house: PushHouse) -> None:
    names = [f"m-{number:04d}" for number in range(1_000)]
    house.node.preimages |= {payment_hash(n): f"{n:064x}" for n in range(3_000)}
    house.service.given = 1_000
    house.book.balances |= dict.fromkeys(names, 1_200_000)
    house.book.lightning_addresses = {name: f"{name}@ln.example.com" for name in names}
    house.pusher(terms=attrs.evolve(TERMS, second_decoder=False))
    house.time.pass_s(6)
    waits = []
    for number in range(1, 6):
        house.file(number=number, account="bob" if number % 2 else "alice")
        began_s = house.time.clock.seconds()
        while house.book.answer(house.inbox.claims[-1]) is None:
            house.time.clock.advance(0.1)
        waits.append(house.time.clock.seconds() - began_s)
        house.time.pass_s(5)
    assert max(waits) <= 0.3
    house.time.pass_s(60)
    pushed = [p for p in house.book.payments.values() if p.account in set(names)]
    assert len(pushed) == 1_000
    assert {p.state for p in pushed} == {PaymentState.SETTLED}
    assert len({p.payment_hash for p in pushed}) == 1_000


def test_services_that_never_answer_do_not_keep_claims_waiting(house: PushHouse) -> None:
    house.service.waiting = []
    house.book.balances |= {f"m-{n}": START for n in range(50)}
    house.book.lightning_addresses |= {f"m-{n}": f"m-{n}@ln.example.com" for n in range(50)}
    house.pusher()
    house.time.pass_s(10)
    assert len(house.service.waiting) == 10
    house.file(account="bob")
    house.time.pass_s(0.5)
    assert house.state() is PaymentState.SETTLED
