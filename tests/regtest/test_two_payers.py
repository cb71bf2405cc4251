"""Whoever else pays from the node: a payment the ledger lacks stops sending, a second payer pays nothing."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Final

import attrs
import pytest

from payouts.invoice import decode
from pool.cli.daemon import make_server_key
from pool.demo import scene
from pool.regtest.processes import Program, wait_until
from pool.regtest.rig import Rig
from pool.regtest.wallet import received_msat
from tests.regtest.payer_bench import (
    ALICE,
    BALANCE,
    Books,
    Payers,
    assert_paid_once,
    electrum_of,
    now_s,
    payers,
)

AMOUNT_SAT: Final = 100
AMOUNT: Final = AMOUNT_SAT * 1000
BUSY: Final = 2
"""Exit status of a role that runs already."""


@attrs.define
class Bench:
    """A pool's configuration and books on the rig, and the payers that were started with them."""

    rig: Rig
    config: Path
    books: Books
    started: list[Program] = attrs.Factory(list)

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "pool", *arguments, "--config", str(self.config)]

    def sluice(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments), check=False, capture_output=True, text=True, timeout=60
        )

    def payer(self) -> Program:
        """``sluice run --role payer``, as an operator starts it."""
        number = len(self.started)
        directory = self.config.parent
        log = directory / f"payer-{number}.log"
        program = Program(f"payer-{number}", self.command("run", "--role", "payer"), log, directory=directory)
        program.start()
        self.started.append(program)
        return program

    def stopped(self) -> str | None:
        with self.books.open() as connection:
            row = connection.execute("SELECT reason FROM breaker WHERE resumed_ms IS NULL").fetchone()
        return None if row is None else str(row[0])

    def claim(self, taken: int = 0) -> None:
        self.books.claim(self.rig.wallet.invoice(AMOUNT_SAT), taken=taken)

    def wait_for_answers(self, count: int) -> list[tuple[bool, str | None]]:
        wait_until("the claims are answered", lambda: len(self.books.answers()) == count, 40.0)
        return self.books.answers()

    def wait_until_settled(self) -> None:
        wait_until(
            "the payment is settled", lambda: [p.state for p in self.books.payments()] == ["settled"], 40.0
        )


@pytest.fixture
def bench(rig: Rig, tmp_path: Path) -> Iterator[Bench]:
    config = scene.build(rig, tmp_path).config
    key = make_server_key(tmp_path / "data").read_bytes()
    made = Bench(rig, config, Books(tmp_path / "data", {ALICE: BALANCE}, key))
    yield made
    for program in made.started:
        program.stop()


def test_a_payment_that_the_ledger_lacks_stops_sending_until_an_operator_has_looked_into_it(
    bench: Bench,
) -> None:
    rig = bench.rig
    wait_until("the books have begun", lambda: now_s() >= bench.books.begin_s, 5.0)
    foreign = rig.wallet.invoice(77)
    assert rig.pool.pay(foreign)
    bench.claim()
    first = bench.payer()

    ((taken, reason),) = bench.wait_for_answers(1)
    assert not taken
    assert reason == "payouts are paused: try again later"
    assert decode(foreign).payment_hash in str(bench.stopped())
    assert bench.books.payments() == []
    assert "SENDING IS STOPPED" in bench.sluice("payouts", "list").stdout

    resumed = bench.sluice("payouts", "resume", "--why", "a test paid by hand")
    assert (resumed.returncode, bench.stopped()) == (0, None)
    bench.claim()
    assert bench.wait_for_answers(2)[1] == (True, None)
    bench.wait_until_settled()
    assert_paid_once(rig, bench.books, AMOUNT)

    first.stop()
    second = bench.payer()  # the payment by hand is older than the operator's word: it stops nothing again
    bench.claim(taken=1)
    assert bench.wait_for_answers(3)[2] == (True, None)
    assert bench.stopped() is None
    assert second.running


def test_books_from_an_older_copy_send_nothing_until_an_operator_has_compared_them(bench: Bench) -> None:
    ledger = bench.config.parent / "data" / "ledger.db"
    with (
        closing(sqlite3.connect(ledger)) as books,
        closing(sqlite3.connect(bench.config.parent / "old")) as old,
    ):
        books.backup(old)
    bench.claim()
    first = bench.payer()
    bench.wait_until_settled()
    (paid,) = bench.books.payments()
    first.stop()

    for leftover in ledger.parent.glob("ledger.db-*"):
        leftover.unlink()
    shutil.copyfile(bench.config.parent / "old", ledger)  # the balance is back, and so is the claim
    assert bench.books.payments() == []
    bench.payer()
    ((taken, reason),) = bench.wait_for_answers(1)

    assert not taken
    assert reason == "payouts are paused: try again later"
    assert paid.payment_hash in str(bench.stopped())
    assert received_msat(bench.rig.wallet, paid.payment_hash) == AMOUNT


def test_a_second_payer_says_what_to_do_and_ends_and_everything_is_paid_once(bench: Bench) -> None:
    bench.claim()
    both = [bench.payer(), bench.payer()]  # at the same moment, by mistake
    wait_until("one of them has ended", lambda: sum(each.running for each in both) == 1, 20.0)
    (loser,) = (each for each in both if not each.running)
    (winner,) = (each for each in both if each.running)
    assert loser.last_lines().endswith("stop it first")
    bench.wait_until_settled()

    late = bench.sluice("run", "--role", "payer")

    assert late.returncode == BUSY
    (line,) = late.stderr.splitlines()
    assert f"has a running payer already (process {winner.pid}): stop it first" in line
    assert winner.running
    assert_paid_once(bench.rig, bench.books, AMOUNT)


def test_the_role_is_free_again_when_its_payer_was_killed(bench: Bench) -> None:
    first = bench.payer()
    bench.claim()
    bench.wait_until_settled()
    first.kill()
    second = bench.payer()
    bench.claim(taken=1)
    bench.wait_for_answers(2)
    wait_until("it is settled", lambda: [p.state for p in bench.books.payments()] == ["settled"] * 2, 40.0)
    assert second.running
    for payment in bench.books.payments():
        assert received_msat(bench.rig.wallet, payment.payment_hash) == AMOUNT


def test_even_without_the_lock_two_payers_on_one_store_pay_once(rig: Rig, tmp_path: Path) -> None:
    """As on a network file system that keeps no locks: book and payment hash are the last line."""
    with ExitStack() as stack:
        two: list[Payers] = []
        for name in ("a", "b"):
            (tmp_path / name).mkdir()
            two.append(stack.enter_context(payers(tmp_path / name)))
        before = rig.wallet.lightning_sat()
        for number in range(5):
            books = Books(tmp_path / f"store-{number}", {ALICE: BALANCE})
            books.claim(rig.wallet.invoice(AMOUNT_SAT))
            lives = [each.begin(books, electrum_of(rig)) for each in two]
            assert [life.end() for life in lives] == [0, 0]
            assert_paid_once(rig, books, AMOUNT)
        wait_until(
            "the wallet has it all", lambda: rig.wallet.lightning_sat() - before == 5 * AMOUNT_SAT, 10.0
        )
