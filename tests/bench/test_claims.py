"""The claims benchmark runs; what it says of money is true, and it notices when something is paid twice."""

from __future__ import annotations

import json
from pathlib import Path

import attrs
import pytest

from payouts.invoice import decode, second_opinion
from pool.bench import claims
from pool.bench.claims import Plan, paid_exactly_once, prepare_store
from pool.bench.electrum import BenchElectrum, preimage
from pool.bench.wallets import AMOUNT, Told, Withdrawals
from tests.pool.cli_tools import run

TIMES = ("claims_per_s", "answer_ms_p50", "answer_ms_p99")
PLAN = Plan(paced=1, rushed=1, accounts=1)


def test_quick_prints_one_object_with_every_figure_and_pays_once(tmp_path: Path) -> None:
    done = run(tmp_path, "bench", "claims", "--quick", "--json", "--directory", ".", status=0)
    figures = json.loads(done.stdout)
    assert all(figures[name] > 0 for name in TIMES), figures
    assert 0 <= figures["payment_start_ms_p50"] <= figures["payment_start_ms_p99"]
    assert figures["claims"] == claims.QUICK.paced + claims.QUICK.rushed
    assert figures["refused"] == 0
    assert figures["paid_exactly_once"] is True
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def told(tmp_path: Path) -> Told:
    """A claim that a wallet was told OK for, of a pool that has done nothing."""
    prepare_store(tmp_path, ["bench"], PLAN)
    wallets = Withdrawals(0, b"", ["bench"])
    wallets.prepare(1)
    (invoice, payment_hash), _ = wallets._take(0)
    return Told(invoice, payment_hash, 0.1, None, rival=False)


def test_its_invoices_are_in_order_and_the_node_knows_their_preimages(told: Told) -> None:
    invoice = decode(told.invoice)
    assert second_opinion(told.invoice, invoice)
    assert (invoice.amount, invoice.payment_hash) == (AMOUNT, told.payment_hash)
    with BenchElectrum() as node:
        assert node.answer("lnpay", {"invoice": told.invoice})["success"]
        found = node.answer("export_lightning_preimage", {"payment_hash": told.payment_hash})
        assert found == preimage(int(invoice.description or ""))


def test_what_was_told_ok_and_not_paid_or_paid_and_not_told_is_noticed(told: Told, tmp_path: Path) -> None:
    with BenchElectrum() as node:
        assert paid_exactly_once([], node, tmp_path)
        assert not paid_exactly_once([told], node, tmp_path)
        node.answer("lnpay", {"invoice": told.invoice})
        assert not paid_exactly_once([told], node, tmp_path)  # the books know nothing of it
        assert not paid_exactly_once([attrs.evolve(told, reason="late")], node, tmp_path)
