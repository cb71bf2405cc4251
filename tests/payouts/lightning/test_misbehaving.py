"""Each of the four adapters on a node that misbehaves in every way there is."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contracts.misbehaving import MisbehavingContract
from tests.payouts.lightning.kinds import KINDS
from tests.regtest.payer_reactor import rest

ELECTRUM, LND, CLN, PHOENIXD = KINDS


@pytest.fixture(scope="module", autouse=True)
def _threads_end() -> Iterator[None]:
    yield
    rest()


class TestElectrumMisbehaving(MisbehavingContract):
    kind = ELECTRUM


class TestLndMisbehaving(MisbehavingContract):
    kind = LND


class TestClnMisbehaving(MisbehavingContract):
    kind = CLN


class TestPhoenixdMisbehaving(MisbehavingContract):
    kind = PHOENIXD
