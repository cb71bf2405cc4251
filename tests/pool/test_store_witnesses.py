"""Payees' services on real files and over real TLS: asked a few times, and their words move no payment."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest
from twisted.logger import Logger

from payouts.money import Msat
from payouts.outbound import Outbound, Rule
from payouts.pushing import PushIntent
from payouts.testimony import TRIES, Said
from payouts.values import PaymentState, Taken
from pool.config import parse
from pool.roles.base import Context
from pool.roles.witnessing import witnessing
from pool.store.database import connect
from pool.store.destinations import DestinationDesk
from pool.store.ledger import LedgerStore
from pool.store.operator import OperatorDesk
from pool.store.payments import SqliteBook
from pool.store.witnesses import WitnessStore, said_of
from tests.contracts.book import NOW_MS
from tests.payouts.invoices import invoice, payment_hash, preimage
from tests.payouts.strangers import HOST, Served, Stranger, document, listen
from tests.pool.cli_tools import configure, json_of, text_of
from tests.pool.test_store_payments import make
from tests.regtest.payer_reactor import reactor, rest, run

HOUR_MS = 3_600_000
INVOICE = invoice(1)
OK = {"status": "OK", "settled": True, "preimage": None, "pr": INVOICE}


@attrs.define
class House:
    """Books with a push whose outcome nobody knows, and the service that gave its invoice."""

    directory: Path
    book: SqliteBook
    stranger: Stranger
    say: object = None
    now_ms: int = NOW_MS

    def push(self, *, verify: bool = True) -> int:
        expires_s = NOW_MS // 1000 + 600
        url = f"https://{HOST}:{self.stranger.number}/verify/t0psecret" if verify else None
        amounts = Msat(1_000), Msat(50), Msat(0), expires_s
        intent = PushIntent("alice", f"a@{HOST}", INVOICE, payment_hash(1), *amounts, verify=url)
        taken = self.book.take_push(intent, NOW_MS)
        assert isinstance(taken, Taken)
        self.book.sending(taken.payment_id, NOW_MS)
        self.book.unknown(taken.payment_id, "timed out", NOW_MS)
        return taken.payment_id

    def look(self, after_ms: int = HOUR_MS + 1) -> int:
        """One look of the payer's, some time after the push; how many requests have come by then."""
        now_s = (NOW_MS + after_ms) / 1000
        config = parse({"store": {"directory": str(self.directory)}}, "test")
        context = Context(config, reactor, lambda: now_s, Logger(), lambda _: None)
        number = self.stranger.number

        async def resolve(host: str) -> Sequence[str]:
            return ["127.0.0.1"] if host == HOST else []

        trust = self.stranger.trust
        rule = Rule(resolve, lambda address: address == "127.0.0.1", frozenset({number}), trust=trust)
        witness = witnessing(context, self.book._connection, Outbound(reactor, rule), lambda: False)
        run(witness.look())
        return len(self.stranger.served.requests)

    def stands(self) -> object:
        """Everything that a word of a stranger's must not change."""
        rows = [
            self.book._connection.execute(f"SELECT * FROM {table}").fetchall()  # noqa: S608
            for table in ("payment", "payment_event", "balance", "journal", "ladder", "push", "breaker")
        ]
        return rows, LedgerStore(self.book._connection).balances()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    book = make(tmp_path, {"alice": 5_000})
    desk = DestinationDesk(book._connection)
    desk.ask("alice", "lightning", f"a@{HOST}", by="a test", now_ms=NOW_MS, wait_ms=0)
    served = Served(lambda _: document(json.dumps(made.say).encode()))
    made = House(tmp_path, book, listen(reactor, served))
    yield made
    made.stranger.port.stopListening()
    for _ in range(10):
        reactor.iterate(0)


@pytest.fixture(scope="module", autouse=True)
def _threads() -> Iterator[None]:
    yield
    rest()


@pytest.mark.parametrize(
    ("say", "said"),
    [
        (OK | {"preimage": preimage(1)}, Said.PROVED),
        (OK, Said.SETTLED),
        (OK | {"settled": False}, Said.NOT_SETTLED),
        ({"status": "ERROR", "reason": "Not found"}, Said.NO_ANSWER),
        (OK | {"pr": invoice(2)}, Said.NO_SENSE),
    ],
)
def test_an_overdue_push_is_asked_about_and_whatever_is_said_no_payment_is_moved(
    house: House, say: object, said: Said
) -> None:
    number, house.say = house.push(), say
    before = house.stands()
    assert house.look(HOUR_MS) == 0
    assert house.look() == 1
    assert said_of(house.book._connection, number) == [(NOW_MS + HOUR_MS + 1, said)]
    assert house.stands() == before
    assert house.stranger.served.requests[0].startswith(b"GET /verify/t0psecret HTTP/1.1\r\n")


def test_a_service_is_asked_a_few_times_with_pauses_and_each_word_is_kept(house: House) -> None:
    number, house.say = house.push(), OK | {"settled": False}
    assert house.look() == 1
    assert house.look(HOUR_MS + 600_000) == 1
    assert house.look(HOUR_MS + 600_001) == 2
    for days in range(1, 3 * TRIES):
        house.look(days * 24 * HOUR_MS)
    assert len(house.stranger.served.requests) == TRIES
    assert [said for _, said in said_of(house.book._connection, number)] == [Said.NOT_SETTLED] * TRIES


def test_after_a_proof_nothing_more_is_asked(house: House) -> None:
    house.push()
    house.say = OK | {"preimage": preimage(1)}
    assert [house.look(), house.look(10 * 24 * HOUR_MS)] == [1, 1]


@pytest.mark.parametrize("paid", [True, False])
def test_with_its_outcome_a_pushs_url_is_forgotten_and_what_was_said_stays(
    house: House, *, paid: bool
) -> None:
    number, house.say = house.push(), OK
    house.look()
    (question,) = WitnessStore(house.book._connection).to_ask(NOW_MS + 1, NOW_MS + 10 * HOUR_MS, 5)
    if paid:
        house.book.settle(number, preimage(1), Msat(0), NOW_MS + 2 * HOUR_MS)
    else:
        house.book.fail(number, "no route", NOW_MS + 2 * HOUR_MS)
    WitnessStore(house.book._connection).heard(question, Said.PROVED, NOW_MS + 2 * HOUR_MS)
    assert house.book._connection.execute("SELECT count(*) FROM witness").fetchone() == (0,)
    assert house.look(10 * HOUR_MS) == 1
    assert [said for _, said in said_of(house.book._connection, number)] == [Said.SETTLED]
    expected = PaymentState.SETTLED if paid else PaymentState.FAILED
    assert [payment.state for payment in house.book.payments()] == [expected]


def test_without_such_a_url_nobody_is_asked(house: House) -> None:
    house.push(verify=False)
    assert house.look(10 * HOUR_MS) == 0
    known = OperatorDesk(connect(house.directory, "ledger")).show("L1")
    assert known is not None
    assert known["payee_service"] is None


def test_the_operator_is_shown_what_was_said_in_words_and_never_where(house: House) -> None:
    configure(house.directory)
    house.push()
    house.say = OK
    house.look()
    house.say = OK | {"preimage": preimage(1)}
    house.look(HOUR_MS + 600_001)
    raw = json_of(house.directory, "payouts", "show", "L1")
    assert [each["said"] for each in raw["payee_service"]] == ["settled", "proved"]
    assert raw["payee_service"][0]["at_ms"] == NOW_MS + HOUR_MS + 1
    assert raw["payee_service"][0]["in_words"] == "settled, without a proof"
    assert raw["state"] == "unknown"
    assert "shown the preimage" in raw["next"]
    text = text_of(house.directory, "payouts", "show", "L1")
    plain = " ".join(text.split())
    assert "the payee's service said: settled, without a proof" in plain
    assert "a preimage that fits the payment hash (the payee has been paid, or gives" in plain
    shown: Any = text + json.dumps(raw)
    assert "t0psecret" not in shown
    assert preimage(1) not in shown
