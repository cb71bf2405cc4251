"""A payer killed at every step, on real Lightning nodes: paid exactly once, or the hold intact.

The judge is the receiving wallet's own books; what the paying node answered counts for nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from signal import SIGKILL
from typing import Any

import attrs
import pytest

from pool.regtest import wallet
from pool.regtest.processes import wait_until
from pool.regtest.rig import Rig
from tests.regtest.payer_bench import (
    ALICE,
    BALANCE,
    BOB,
    Books,
    Payers,
    assert_given_back,
    assert_hold_intact,
    assert_paid_once,
    electrum_of,
    payers,
)

AMOUNT_SAT = 100
AMOUNT = AMOUNT_SAT * 1000
UNSENT = "after book.sending"
"""Killed here, a payment may have been sent for all that the books know, and was not."""
STARTING = (
    "before node.node_id",
    "after node.node_id",
    "in node.node_id",
    "in node.sent_hashes",
    "before node.balance",
    "in node.balance",
    "after node.balance",
    "before node.outbound",
    "in node.outbound",
    "after node.outbound",
    "before book.note_node",
    "after book.note_node",
)
"""Steps before anything is asked about: the first payers of a payment have died at them already."""
IMPATIENT: dict[str, Any] = {"pay_timeout_s": 0.6}
"""The call that pays is given up while the receiver holds the payment."""
LONG_AFTER_S = 3600 + 600
"""Ahead of an invoice's expiry and the margin after it."""


@attrs.define
class Bench:
    """A rig, the process that payers are forked from, and a new store for each try."""

    rig: Rig
    payers: Payers
    directory: Path
    tries: int = 0

    def books(self) -> Books:
        self.tries += 1
        return Books(self.directory / f"store-{self.tries}", {ALICE: BALANCE, BOB: BALANCE})

    def claimed(self) -> Books:
        """Books with a claim of an ordinary invoice."""
        books = self.books()
        books.claim(self.rig.wallet.invoice(AMOUNT_SAT))
        return books

    def held(self) -> tuple[Books, wallet.HoldInvoice]:
        """Books with a claim of an invoice whose payment waits for the receiver's word."""
        books, held = self.books(), wallet.hold_invoice(self.rig.wallet, AMOUNT_SAT)
        books.claim(held.invoice)
        return books, held

    def live(self, books: Books, *, die_at: str | None = None, **other: Any) -> int:
        return self.payers.begin(books, electrum_of(self.rig), die_at=die_at, **other).end()

    def steps(self) -> list[str]:
        """Of the last life."""
        return list(dict.fromkeys(self.payers.record.read_text(encoding="utf-8").splitlines()))

    def wait_until_held(self, held: wallet.HoldInvoice) -> None:
        wait_until("it is held", lambda: wallet.hold_status(self.rig.wallet, held) == "paid", 20.0)


@pytest.fixture
def bench(rig: Rig, tmp_path: Path) -> Iterator[Bench]:
    with payers(tmp_path) as process:
        yield Bench(rig, process, tmp_path)


@pytest.fixture
def earned(rig: Rig) -> Callable[[], int]:
    """What the wallet owns in channels more than when the test began, sat."""
    before = rig.wallet.lightning_sat()
    return lambda: rig.wallet.lightning_sat() - before


def test_killed_at_any_step_of_a_payment_the_next_payer_pays_exactly_once(
    bench: Bench, earned: Callable[[], int]
) -> None:
    rehearsal = bench.claimed()
    assert bench.live(rehearsal) == 0
    assert_paid_once(bench.rig, rehearsal, AMOUNT)
    steps = bench.steps()
    assert {"before book.take", UNSENT, "before node.pay", "after node.pay", "after book.settle"} <= {*steps}

    for step in steps:
        books = bench.claimed()
        assert bench.live(books, die_at=step) == -SIGKILL, step
        assert bench.live(books) == 0, step
        assert_paid_once(bench.rig, books, AMOUNT)

    wait_until("the wallet has it all", lambda: earned() == (1 + len(steps)) * AMOUNT_SAT, 10.0)


PUSHED = ("strangers.fetch", "book.take_push", UNSENT, "after node.pay", "after book.settle")
"""Steps of a push: those that a claim has not, and those between which money leaves."""


def test_killed_at_the_steps_of_a_push_the_next_payer_pays_exactly_once(
    bench: Bench, earned: Callable[[], int]
) -> None:
    def books_with_a_push() -> Books:
        books = bench.books()
        books.push_to("alice@ln.example.com")
        return books

    def invoices() -> list[str]:
        return [bench.rig.wallet.invoice(AMOUNT_SAT)]

    rehearsal = books_with_a_push()
    assert bench.live(rehearsal, invoices=invoices()) == 0
    assert_paid_once(bench.rig, rehearsal, AMOUNT)
    steps = [step for step in bench.steps() if step.endswith(PUSHED)]
    assert {"after strangers.fetch", "before book.take_push", "after book.take_push", UNSENT} <= {*steps}

    for step in steps:
        books = books_with_a_push()
        assert bench.live(books, die_at=step, invoices=invoices()) == -SIGKILL, step
        assert bench.live(books, invoices=invoices()) == 0, step
        assert_paid_once(bench.rig, books, AMOUNT)

    wait_until("the wallet has it all", lambda: earned() == (1 + len(steps)) * AMOUNT_SAT, 10.0)


def test_killed_again_at_any_step_of_finding_out_the_third_payer_pays_exactly_once(
    bench: Bench, earned: Callable[[], int]
) -> None:
    rehearsal = bench.claimed()
    assert bench.live(rehearsal, die_at=UNSENT) == -SIGKILL
    assert bench.live(rehearsal) == 0
    assert_paid_once(bench.rig, rehearsal, AMOUNT)
    steps = bench.steps()
    assert {"before node.lookup", "after book.unknown", UNSENT, "after book.settle"} <= {*steps}

    tried = [step for step in steps if not step.startswith(STARTING)]
    for step in tried:
        books = bench.claimed()
        assert bench.live(books, die_at=UNSENT) == -SIGKILL
        assert bench.live(books, die_at=step) == -SIGKILL, step
        assert bench.live(books) == 0, step
        assert_paid_once(bench.rig, books, AMOUNT)

    wait_until("the wallet has it all", lambda: earned() == (1 + len(tried)) * AMOUNT_SAT, 10.0)


@pytest.mark.parametrize("end", ["settled", "cancelled"])
def test_killed_at_any_step_while_the_receiver_holds_the_payment_the_hold_stays_until_its_end(
    bench: Bench, earned: Callable[[], int], end: str
) -> None:
    steps = while_held(bench)
    assert {"after node.pay", "after book.unknown", "before node.lookup"} <= {*steps}

    for step in steps:
        books, held = bench.held()
        assert bench.live(books, die_at=step, **IMPATIENT) == -SIGKILL, step
        second = bench.payers.begin(books, electrum_of(bench.rig), **IMPATIENT)
        bench.wait_until_held(held)
        assert_hold_intact(bench.rig, books)
        if end == "settled":
            wallet.settle(bench.rig.wallet, held)
        else:
            wallet.cancel(bench.rig.wallet, held)
        assert second.end() == 0, step
        if end == "settled":
            assert_paid_once(bench.rig, books, AMOUNT)
        else:
            assert_given_back(bench.rig, books)

    expected = len(steps) * AMOUNT_SAT if end == "settled" else 0
    wait_until("the wallet has it all, and no more", lambda: earned() == expected, 10.0)


def while_held(bench: Bench) -> list[str]:
    """The steps of a payer whose payment is held: those from the call that pays on."""
    books, held = bench.held()
    assert bench.live(books, die_after=40, **IMPATIENT) == -SIGKILL
    steps = bench.steps()
    bench.wait_until_held(held)
    wallet.cancel(bench.rig.wallet, held)
    assert bench.live(books) == 0
    assert_given_back(bench.rig, books)
    return steps[steps.index("before node.pay") + 1 :]


def test_payer_and_node_killed_while_held_each_end_is_found_out(
    bench: Bench, earned: Callable[[], int]
) -> None:
    rig, books, holds = bench.rig, bench.books(), {}
    for account in (ALICE, BOB):
        holds[account] = wallet.hold_invoice(rig.wallet, AMOUNT_SAT)
        books.claim(holds[account].invoice, account=account)
        assert bench.live(books, die_at="after node.pay", **IMPATIENT) == -SIGKILL
        bench.wait_until_held(holds[account])

    kill_and_start_node(rig)
    for account in (ALICE, BOB):
        assert_hold_intact(rig, books, account)
    wallet.settle(rig.wallet, holds[ALICE])
    wallet.cancel(rig.wallet, holds[BOB])
    wait_until("nothing is under way", lambda: not unsettled_sat(rig), 20.0)

    assert bench.live(books, ahead_s=LONG_AFTER_S) == 0
    assert "before node.pay" not in bench.steps()
    assert_paid_once(rig, books, AMOUNT, ALICE)
    assert_given_back(rig, books, BOB)
    wait_until("the wallet has it", lambda: earned() == AMOUNT_SAT, 10.0)


def test_a_living_payer_whose_node_is_killed_while_the_payment_is_held_pays_exactly_once(
    bench: Bench, earned: Callable[[], int]
) -> None:
    books, held = bench.held()
    life = bench.payers.begin(books, electrum_of(bench.rig))
    bench.wait_until_held(held)
    kill_and_start_node(bench.rig)
    assert_hold_intact(bench.rig, books)
    wallet.settle(bench.rig.wallet, held)
    assert life.end() == 0
    assert_paid_once(bench.rig, books, AMOUNT)
    wait_until("the wallet has it", lambda: earned() == AMOUNT_SAT, 10.0)


def kill_and_start_node(rig: Rig) -> None:
    rig.pool.kill()
    rig.pool.start()
    rig.reconnect()


def unsettled_sat(rig: Rig) -> int:
    """What the pool's node has on its way."""
    return sum(int(channel["local_unsettled_sent"]) for channel in rig.pool.rpc("list_channels"))
