"""Wallets that race: real LNURL over https to a real web and a real payer, judged by the receiver's books."""

from __future__ import annotations

import json
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import attrs
import pytest

from payouts import lnurl
from payouts.invoice import decode
from payouts.money import Sat, to_msat
from payouts.planner import max_fee
from pool.accounts import hash_secret
from pool.cli.daemon import make_server_key
from pool.demo import scene
from pool.demo.scene import Scene
from pool.regtest.processes import Program, listens, wait_until
from pool.regtest.rig import Rig
from pool.store.ledger import LedgerStore, NewAccount
from tests.regtest.payer_bench import ALICE, Books, assert_paid_once, now_s
from tests.regtest.payer_child import FEES

AMOUNT_SAT: Final = 1_000
AMOUNT: Final = to_msat(Sat(AMOUNT_SAT))
RIVALS: Final = 100
WALLETS: Final = 20
PAYABLE: Final = 10
OK: Final = {"status": "OK"}
T = TypeVar("T")
R = TypeVar("R")


def at_once(function: Callable[[T, Callable[[], object]], R], arguments: Sequence[T]) -> list[R]:
    """Call for each argument in a thread of its own; each gets a gate that opens when all have come to it."""
    gate = threading.Barrier(len(arguments), timeout=30)
    with ThreadPoolExecutor(len(arguments)) as threads:
        return list(threads.map(lambda argument: function(argument, gate.wait), arguments))


@attrs.define
class Pool:
    """A web and a payer, as an operator starts them, on books with one miner's balance."""

    stage: Scene
    books: Books
    key: bytes
    started: list[Program] = attrs.Factory(list)

    def start(self) -> None:
        for role in ("web", "payer"):
            command = [
                sys.executable,
                "-m",
                "pool",
                "run",
                "--role",
                role,
                "--config",
                str(self.stage.config),
            ]
            directory = self.stage.directory
            program = Program(role, command, directory / f"{role}.log", directory=directory)
            program.start()
            self.started.append(program)
        wait_until("the site is open", lambda: listens(self.stage.web_port), 30.0, self.started)

    def link(self, number: int = 0) -> str:
        """A withdraw link as the account page shows it; the number makes another one of it."""
        return f"/lnurl/w/{lnurl.make_token(self.key, ALICE, now_s() + 600 + number)}"

    def get(self, path: str, gate: Callable[[], object] = lambda: None) -> dict[str, Any]:
        """A wallet's request: it connects, waits at the gate, and asks."""
        context = ssl.create_default_context(cafile=str(self.stage.ca))
        link = HTTPSConnection("localhost", self.stage.web_port, timeout=30, context=context)
        with closing(link):
            link.connect()
            gate()
            link.request("GET", path)
            response = link.getresponse()
            body = response.read()
        assert response.status == 200, body
        document: dict[str, Any] = json.loads(body)
        return document

    def callback(self, offer: dict[str, Any], invoice: str) -> str:
        return f"{urlsplit(offer['callback']).path}?k1={offer['k1']}&pr={invoice}"

    def at_rest(self) -> None:
        """Wait until no payment is under way."""

        def ended() -> bool:
            return all(payment.state in {"settled", "failed"} for payment in self.books.payments())

        wait_until("every payment has ended", ended, 30.0, self.started)

    def verify(self) -> list[str]:
        """What ``sluice ledger verify`` finds."""
        command = [sys.executable, "-m", "pool", "ledger", "verify", "--json"]
        done = subprocess.run(
            [*command, "--config", str(self.stage.config)],
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
        )
        found: list[str] = json.loads(done.stdout)["differences"]
        return found


def invoices(rig: Rig, count: int) -> list[str]:
    with ThreadPoolExecutor(4) as threads:
        return list(threads.map(lambda _: rig.wallet.invoice(AMOUNT_SAT), range(count)))


def received(rig: Rig, some: Sequence[str]) -> dict[str, int]:
    """What the wallet's own books say that came in for each of its invoices."""
    wanted = {decode(invoice).payment_hash: invoice for invoice in some}
    got: dict[str, int] = {}
    for entry in rig.wallet.rpc("lightning_history"):
        invoice = wanted.get(entry["payment_hash"])
        if invoice is not None:
            got[invoice] = got.get(invoice, 0) + int(entry["amount_msat"])
    return got


@pytest.fixture
def pool(rig: Rig, tmp_path: Path) -> Iterator[Pool]:
    stage = scene.build(rig, tmp_path)
    key = make_server_key(tmp_path / "data").read_bytes()
    balance = PAYABLE * AMOUNT + max_fee(FEES, AMOUNT)
    books = Books(tmp_path / "data", {ALICE: balance}, key)
    with books.open() as connection:
        LedgerStore(connection).take_over_accounts([NewAccount(ALICE, hash_secret(ALICE), 0)])
    made = Pool(stage, books, key)
    try:
        made.start()
        yield made
    finally:
        for program in made.started:
            program.stop()


def test_a_hundred_callbacks_at_once_for_one_k1_and_one_invoice_pay_once(rig: Rig, pool: Pool) -> None:
    audit = pool.verify()
    path = pool.callback(pool.get(pool.link()), rig.wallet.invoice(AMOUNT_SAT))

    answers = at_once(pool.get, [path] * RIVALS)

    assert answers == [OK] * RIVALS
    pool.at_rest()
    assert_paid_once(rig, pool.books, AMOUNT)
    assert pool.get(path) == OK
    assert pool.verify() == audit


def test_a_hundred_callbacks_at_once_for_one_k1_and_as_many_invoices_pay_one_of_them(
    rig: Rig, pool: Pool
) -> None:
    audit, offer, some = pool.verify(), pool.get(pool.link()), invoices(rig, RIVALS)

    answers = at_once(pool.get, [pool.callback(offer, invoice) for invoice in some])

    (winner,) = [invoice for invoice, answer in zip(some, answers, strict=True) if answer == OK]
    assert all(answer["status"] == "ERROR" and answer["reason"] for answer in answers if answer != OK)
    pool.at_rest()
    assert_paid_once(rig, pool.books, AMOUNT)
    assert received(rig, some) == {winner: AMOUNT}
    assert pool.verify() == audit


def test_twenty_wallets_at_one_balance_are_paid_exactly_what_it_covers(rig: Rig, pool: Pool) -> None:
    """Each asks again until it is paid or nothing is left; together they want twice the balance."""
    audit, some = pool.verify(), invoices(rig, WALLETS)
    waiting = dict(zip(some, (pool.link(number) for number in range(WALLETS)), strict=True))
    told_ok: list[str] = []

    def present(wallet: tuple[str, str], gate: Callable[[], object]) -> tuple[str, bool]:
        invoice, link = wallet
        offer = pool.get(link)
        path = pool.callback(offer, invoice) if offer.get("maxWithdrawable", 0) >= AMOUNT else None
        gate()
        return invoice, path is not None and pool.get(path) == OK

    def a_round() -> bool:
        """Whether nothing is left to fight for."""
        held = pool.books.held()
        won = [invoice for invoice, ok in at_once(present, list(waiting.items())) if ok]
        told_ok.extend(won)
        for invoice in won:
            del waiting[invoice]
        return not won and not held

    wait_until("the balance is used up", a_round, 50.0, pool.started)

    pool.at_rest()
    assert len(told_ok) == PAYABLE
    assert received(rig, some) == dict.fromkeys(told_ok, AMOUNT)
    # the channel is direct and costs nothing: what the last hold kept aside for its fee is all that remains
    assert pool.books.debited() == PAYABLE * AMOUNT
    assert pool.books.held() == 0
    pool.books.assert_right()
    assert pool.verify() == audit
