"""The fake node keeps the promises of every node, so that what is tried on it means something."""

from __future__ import annotations

from collections.abc import Coroutine
from itertools import count
from typing import Any, TypeVar

from payouts.ports import LightningNode
from tests.contracts.lightning import LightningContract, Rig
from tests.payouts.fakes import FakeNode, result_of
from tests.payouts.invoices import invoice

T = TypeVar("T")


class FakeRig:
    def __init__(self) -> None:
        self.node: LightningNode = FakeNode()
        self._numbers = count(1)

    def invoice(self, amount_sat: int, expiry_s: int = 3600) -> str:
        return invoice(next(self._numbers), sat=amount_sat, expiry_s=expiry_s)

    def unpayable(self, amount_sat: int) -> str:
        return invoice(1000, sat=amount_sat)

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return result_of(coroutine)


class TestFakeNode(LightningContract):
    def make_rig(self) -> Rig:
        return FakeRig()
