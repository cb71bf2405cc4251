"""The peer of the node's only channel is gone: nothing is promised that cannot be paid, nothing is lost."""

from __future__ import annotations

from collections.abc import Callable

from pool.regtest import wallet
from pool.regtest.processes import wait_until
from tests.regtest.payer_bench import assert_hold_intact, assert_paid_once, electrum_of
from tests.regtest.test_payer_killed import AMOUNT, AMOUNT_SAT, IMPATIENT, Bench, bench, earned

__all__ = ["bench", "earned"]


def test_while_the_peer_is_gone_a_claim_is_refused_in_words_and_nothing_is_held(bench: Bench) -> None:
    rig, books = bench.rig, bench.books()
    invoice = rig.wallet.invoice(AMOUNT_SAT)
    rig.wallet.kill()
    wait_until("the node has noticed", lambda: not rig.pool.usable(), 20.0)
    books.claim(invoice, within_ms=7_000)

    assert bench.live(books) == 0

    assert books.answers() == [
        (False, "the pool cannot send so much over Lightning now: try less, or later"),
    ]
    assert books.payments() == []
    assert (books.held(), books.debited()) == (0, 0)
    books.assert_right()


def test_a_payment_that_is_held_when_the_peer_dies_is_paid_once_when_it_is_back(
    bench: Bench, earned: Callable[[], int]
) -> None:
    rig = bench.rig
    books, held = bench.held()
    life = bench.payers.begin(books, electrum_of(rig), **IMPATIENT)
    bench.wait_until_held(held)
    rig.wallet.kill()
    wait_until("the node has noticed", lambda: not rig.pool.usable(), 20.0)
    assert books.held() > AMOUNT
    rig.wallet.start()
    rig.reconnect()
    assert_hold_intact(rig, books)
    wallet.settle(rig.wallet, held)
    assert life.end() == 0
    assert_paid_once(rig, books, AMOUNT)
    wait_until("the wallet has it", lambda: earned() == AMOUNT_SAT, 10.0)
