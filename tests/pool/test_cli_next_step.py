"""What can be done about a payment: said for each state of each rail, and true."""

from __future__ import annotations

from typing import Any

import pytest

from payouts.testimony import Said
from payouts.values import BatchState, PaymentState, Ruling
from pool.cli.next_step import ASK, next_step

EXPIRES_S = 1_800_000_000
KNOWN: dict[str, Any] = {
    "state": "unknown",
    "invoice_expires_s": EXPIRES_S,
    "held_back": None,
    "ruling": None,
    "payment_hash": "ab" * 32,
}


def step(
    number: str = "L7",
    *,
    now_s: int = EXPIRES_S,
    kind: str | None = None,
    stopped: bool = False,
    **known: Any,
) -> str:
    return next_step(number, KNOWN | known, now_s, kind, stopped=stopped)


@pytest.mark.parametrize("stopped", [True, False])
def test_something_is_said_for_every_state(*, stopped: bool) -> None:
    said = [step(state=state, stopped=stopped) for state in PaymentState]
    said += [step("B7", state=state, stopped=stopped) for state in BatchState]
    assert all(said)


def test_giving_up_is_spoken_of_only_when_the_invoice_is_over() -> None:
    assert "give-up" not in step(now_s=EXPIRES_S)
    assert step(now_s=EXPIRES_S).startswith("wait: its invoice can be paid until 2027-01-15")
    assert "`sluice payouts give-up L7 --why …`" in step(now_s=EXPIRES_S + 1)
    assert "give-up" not in step(now_s=EXPIRES_S + 1, ruling=Ruling.GIVEN_UP)


def test_a_proof_that_the_payees_service_has_shown_is_spoken_of_and_no_other_word_of_it() -> None:
    others = [{"said": said} for said in Said if said is not Said.PROVED]
    assert step(payee_service=others) == step(payee_service=None) == step()
    assert "shown the preimage" in step(payee_service=[{"said": Said.PROVED}, *others])


@pytest.mark.parametrize("kind", ASK)
def test_the_nodes_own_command_is_named_with_the_payments_hash(kind: str) -> None:
    assert ASK[kind].format(hash="ab" * 32) in step(kind=kind)


def test_one_that_waits_is_approved_or_refused_and_one_that_does_not_is_left_alone() -> None:
    waits = step(state="reserved", held_back="it is above 500 sat")
    assert "`sluice payouts approve L7 --why …`" in waits
    assert "`sluice payouts refuse L7 --why …`" in waits
    approved = step(state="reserved", held_back="it is above 500 sat", ruling=Ruling.APPROVED)
    assert approved.startswith("nothing")
    assert "`sluice payouts resume --why …`" in step(state="reserved", stopped=True)
