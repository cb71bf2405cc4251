"""ElectrumNode on real daemons keeps every promise of a LightningNode, and says what held payments are."""

from __future__ import annotations

import secrets
import time
from collections.abc import Coroutine, Iterator
from typing import Any, TypeVar

import attrs
import pytest

from payouts.errors import NodeUnavailable
from payouts.invoice import decode
from payouts.lightning.electrum import EXPIRY_MARGIN_S
from payouts.lightning.reading import InspectableNode
from payouts.money import Msat
from payouts.values import PayFailed, PaySettled, PayUnknown
from pool.config import LightningConfig
from pool.lightning import lightning_node
from pool.regtest import wallet
from pool.regtest.processes import wait_until
from pool.regtest.rig import CHANNEL_SAT, Rig
from tests.contracts.lightning import InspectableContract, InspectableRig
from tests.payouts.invoices import Draft, write
from tests.regtest.payer_reactor import reactor, rest, run

T = TypeVar("T")
FEE = Msat(20_000)


@pytest.fixture(scope="module", autouse=True)
def _threads_end() -> Iterator[None]:
    yield
    rest()


def node_of(rig: Rig, **changes: Any) -> InspectableNode:
    """The pool's Electrum as the payer sees it."""
    login = rig.pool.endpoint.login
    where = {"url": rig.pool.url, "user": login.user, "password": login.password, **changes}
    return lightning_node(LightningConfig.model_validate(where), reactor)


@attrs.define
class RealRig:
    """tests.contracts.lightning.Rig on real daemons."""

    rig: Rig
    node: InspectableNode

    def invoice(self, amount_sat: int, expiry_s: int = 3600) -> str:
        return self.rig.wallet.invoice(amount_sat, expiry_s=expiry_s)

    def unpayable(self, amount_sat: int) -> str:
        """The payee is a key that no channel leads to."""
        draft = Draft(f"lnbcrt{amount_sat * 10}n", int(time.time()), secrets.token_bytes(32))
        return write(draft)

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return run(coroutine)


class TestElectrumOnRealDaemons(InspectableContract):
    @pytest.fixture(autouse=True)
    def _daemons(self, rig: Rig) -> None:
        self._rig = rig

    def make_rig(self) -> InspectableRig:
        return RealRig(self._rig, node_of(self._rig))


def test_more_than_the_channel_can_carry_fails_or_may_be_tried_again_and_moves_nothing(rig: Rig) -> None:
    node = node_of(rig)
    balance, outbound = run(node.balance()), run(node.outbound())
    invoice = write(Draft(f"lnbcrt{CHANNEL_SAT * 10}n", int(time.time()), secrets.token_bytes(32)))

    outcome = run(node.pay(invoice, decode(invoice).payment_hash, FEE))

    assert isinstance(outcome, PayFailed) or (isinstance(outcome, PayUnknown) and outcome.idle)
    assert (run(node.balance()), run(node.outbound())) == (balance, outbound)


def test_what_it_could_send_it_can_send(rig: Rig) -> None:
    node = node_of(rig)
    amount_sat = run(node.outbound()) // 1000 - 50_000  # the channel's commitment fee is not ours to send
    invoice = rig.wallet.invoice(amount_sat)
    outcome = run(node.pay(invoice, decode(invoice).payment_hash, FEE))
    assert isinstance(outcome, PaySettled)
    back = rig.pool.invoice(amount_sat)
    assert rig.wallet.pay(back)
    wait_until("it is back", lambda: run(node.outbound()) > amount_sat * 1000, 10.0)


def held_beyond_patience(rig: Rig) -> tuple[InspectableNode, wallet.HoldInvoice]:
    """A payment that the receiver holds for longer than the caller waits."""
    node, held = node_of(rig, pay_timeout_s=0.7), wallet.hold_invoice(rig.wallet, 300)
    outcome = run(node.pay(held.invoice, held.payment_hash, FEE))
    assert isinstance(outcome, PayUnknown)
    assert not outcome.idle
    wait_until("it is held", lambda: wallet.hold_status(rig.wallet, held) == "paid", 20.0)
    return node, held


def test_a_call_that_timed_out_is_unknown_until_the_receiver_takes_the_money(rig: Rig) -> None:
    node, held = held_beyond_patience(rig)
    expires_s = decode(held.invoice).expires_s
    for now_s in (0, expires_s + EXPIRY_MARGIN_S + 10**6):  # however late it is
        outcome = run(node.lookup(held.payment_hash, expires_s, now_s))
        assert isinstance(outcome, PayUnknown)
        assert not outcome.idle
    assert held.payment_hash in run(node.sent_hashes(0))

    again = run(node.pay(held.invoice, held.payment_hash, FEE))
    assert isinstance(again, PayUnknown)
    assert not again.idle

    wallet.settle(rig.wallet, held)
    ends(node, held, PaySettled)
    assert run(node.lookup(held.payment_hash, expires_s, 0)) == PaySettled(held.preimage, Msat(0))
    assert wallet.received_msat(rig.wallet, held.payment_hash) == 300_000


def test_a_call_that_timed_out_is_unknown_until_the_receiver_sends_the_money_back(rig: Rig) -> None:
    node, held = held_beyond_patience(rig)
    wallet.cancel(rig.wallet, held)
    ends(node, held, PayFailed)
    assert wallet.received_msat(rig.wallet, held.payment_hash) == 0


def ends(node: InspectableNode, held: wallet.HoldInvoice, how: type[PaySettled | PayFailed]) -> None:
    wait_until("it ended", lambda: isinstance(run(node.lookup(held.payment_hash, 1 << 62, 0)), how), 20.0)


def test_a_wrong_password_is_a_node_that_is_not_there(rig: Rig) -> None:
    node = node_of(rig, password="guessed")
    with pytest.raises(NodeUnavailable) as caught:
        run(node.node_id())
    assert "guessed" not in str(caught.value)


def test_a_daemon_that_is_down_answers_nothing_and_loses_nothing(rig: Rig) -> None:
    invoice, node = rig.wallet.invoice(10), node_of(rig, url="http://127.0.0.1:1")
    assert isinstance(run(node.pay(invoice, decode(invoice).payment_hash, FEE)), PayUnknown)
    with pytest.raises(NodeUnavailable):
        run(node.lookup(decode(invoice).payment_hash, 0, 1 << 40))
