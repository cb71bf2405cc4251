"""A signed transaction is written down only when it pays exactly what was planned."""

from __future__ import annotations

import attrs
import pytest

from payouts.money import Sat
from payouts.onchain.policy import Violation, checked
from payouts.onchain.wallet import Draft, TxOutput
from payouts.values import Output, SignedBatch

A, B = Output("a", "addr-a", Sat(50_000)), Output("b", "addr-b", Sat(60_000))
PAID = (TxOutput("addr-a", Sat(50_000), ours=False), TxOutput("addr-b", Sat(60_000), ours=False))
CHANGE = TxOutput("ours", Sat(7), ours=True)
GOOD = Draft(
    txid="aa", raw_tx="02", inputs=("cc:0", "cc:1"), outputs=(*PAID, CHANGE), fee=Sat(400), vsize=200
)


def test_what_was_planned_and_change_is_a_batch() -> None:
    assert checked(GOOD, (A, B), 2000) == SignedBatch("aa", "02", ("cc:0", "cc:1"), (A, B), Sat(400))


def test_change_is_not_needed() -> None:
    assert isinstance(checked(attrs.evolve(GOOD, outputs=PAID), (A, B), 2000), SignedBatch)


@pytest.mark.parametrize(
    "wrong",
    [
        {"outputs": (PAID[0], CHANGE)},
        {"outputs": (PAID[0], attrs.evolve(PAID[1], amount=Sat(60_001)), CHANGE)},
        {"outputs": (PAID[0], attrs.evolve(PAID[1], address="thief"), CHANGE)},
        {"outputs": (*PAID, attrs.evolve(CHANGE, ours=False))},
        {"outputs": (*PAID, PAID[0])},
        {"outputs": (*PAID, CHANGE, attrs.evolve(CHANGE, address="ours-too"))},
        {"fee": Sat(801)},
        {"fee": Sat(0)},
        {"inputs": ()},
        {"inputs": ("cc:0", "cc:0")},
    ],
)
def test_anything_else_is_a_violation(wrong: dict[str, object]) -> None:
    answer = checked(attrs.evolve(GOOD, **wrong), (A, B), 2000)  # type: ignore[arg-type]
    assert isinstance(answer, Violation)
    assert answer.reason
