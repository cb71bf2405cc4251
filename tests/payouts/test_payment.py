"""A payment's life: the table is whole, money moves once, and the documentation shows this very table."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payouts.errors import ImpossibleMove
from payouts.payment import MOVES, Event, Hold, advance, diagram
from payouts.values import PaymentState

DOCS = Path(__file__).parents[2] / "docs" / "payouts.md"


def test_every_state_has_its_row() -> None:
    assert set(MOVES) == set(PaymentState)


def test_nothing_leaves_a_final_state() -> None:
    for final in (PaymentState.SETTLED, PaymentState.FAILED):
        assert {move.state for move in MOVES[final].values()} == {final}
        assert {move.hold for move in MOVES[final].values()} == {Hold.GONE}


def test_only_a_proof_debits_and_only_a_definite_failure_releases() -> None:
    for moves in MOVES.values():
        for event, move in moves.items():
            assert (move.hold is Hold.DEBITED) <= (event is Event.PAID)
            assert (move.hold is Hold.RELEASED) <= (event is Event.REFUSED)


def test_an_unclear_answer_never_touches_the_hold() -> None:
    assert {row[Event.UNCLEAR].hold for row in MOVES.values() if Event.UNCLEAR in row} == {Hold.KEPT}


@pytest.mark.parametrize(
    ("state", "event"),
    [
        (PaymentState.SETTLED, Event.REFUSED),
        (PaymentState.FAILED, Event.PAID),
        (PaymentState.FAILED, Event.SEND),
        (PaymentState.SENDING, Event.SEND),
        (PaymentState.RESERVED, Event.UNCLEAR),
    ],
)
def test_impossible_moves_are_bugs(state: PaymentState, event: Event) -> None:
    with pytest.raises(ImpossibleMove):
        advance(state, event)


@given(st.lists(st.sampled_from(Event), max_size=30))
def test_whatever_happens_the_hold_is_used_up_at_most_once(events: list[Event]) -> None:
    state, used = PaymentState.RESERVED, 0
    for event in events:
        if event in MOVES[state]:
            move = advance(state, event)
            state, used = move.state, used + (move.hold in {Hold.DEBITED, Hold.RELEASED})
    assert used == (state in {PaymentState.SETTLED, PaymentState.FAILED})


def test_the_documentation_shows_this_table() -> None:
    assert f"```mermaid\n{diagram()}\n```" in DOCS.read_text()
