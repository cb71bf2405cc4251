"""What every LightningNode promises, on the fake, on simulated nodes and on real daemons alike.

Subclass ``LightningContract`` and give it a ``Rig``: the node under test, and somebody to be paid by it.
``InspectableContract`` has more, for the nodes that ``sluice check`` asks.
"""

from __future__ import annotations

from collections.abc import Coroutine
from hashlib import sha256
from typing import Any, Protocol, TypeVar

from twisted.internet.defer import Deferred, gatherResults

from payouts.invoice import decode
from payouts.lightning.reading import InspectableNode
from payouts.money import Msat
from payouts.ports import LightningNode
from payouts.values import PayFailed, PayOutcome, PaySettled, PayUnknown

T = TypeVar("T")


class Rig(Protocol):
    """The node under test and a payee; real ones poll, fake ones answer at once."""

    node: LightningNode

    def invoice(self, amount_sat: int, expiry_s: int = 3600) -> str:
        """A payable invoice of the payee."""
        ...

    def unpayable(self, amount_sat: int) -> str:
        """An invoice that no route leads to."""
        ...

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run one coroutine to its end."""
        ...


class InspectableRig(Rig, Protocol):
    """A rig with a node that says more of itself."""

    node: InspectableNode


async def three_times_at_once(node: LightningNode, invoice: str, payment_hash: str) -> list[PayOutcome]:
    calls = [Deferred.fromCoroutine(node.pay(invoice, payment_hash, Msat(20_000))) for _ in range(3)]
    return await gatherResults(calls)


class LightningContract:
    """The promises."""

    def make_rig(self) -> Rig:
        """A node with at least 100,000 sat to send."""
        raise AssertionError("a subclass makes the rig")

    def test_it_names_itself(self) -> None:
        rig = self.make_rig()
        node_id = rig.run(rig.node.node_id())
        assert len(bytes.fromhex(node_id)) == 33

    def test_a_payment_settles_with_its_preimage_and_its_fee(self) -> None:
        rig = self.make_rig()
        invoice = rig.invoice(1234)
        payment_hash = decode(invoice).payment_hash
        outcome = rig.run(rig.node.pay(invoice, payment_hash, Msat(20_000)))
        assert isinstance(outcome, PaySettled)
        assert sha256(bytes.fromhex(outcome.preimage)).hexdigest() == payment_hash
        assert 0 <= outcome.fee <= 20_000

    def test_paying_twice_pays_once_and_tells_the_same(self) -> None:
        rig = self.make_rig()
        invoice = rig.invoice(2000)
        payment_hash = decode(invoice).payment_hash
        first = rig.run(rig.node.pay(invoice, payment_hash, Msat(20_000)))
        before = rig.run(rig.node.balance())
        assert rig.run(rig.node.pay(invoice, payment_hash, Msat(20_000))) == first
        assert rig.run(rig.node.balance()) == before

    def test_a_settled_payment_can_be_looked_up_for_ever(self) -> None:
        rig = self.make_rig()
        invoice = rig.invoice(1000)
        decoded = decode(invoice)
        paid = rig.run(rig.node.pay(invoice, decoded.payment_hash, Msat(20_000)))
        later = decoded.expires_s + 10**6
        assert rig.run(rig.node.lookup(decoded.payment_hash, decoded.expires_s, later)) == paid

    def test_a_payment_never_seen_is_unknown_while_its_invoice_lives_and_failed_long_after(self) -> None:
        rig = self.make_rig()
        decoded = decode(rig.invoice(1000))
        early = rig.run(rig.node.lookup(decoded.payment_hash, decoded.expires_s, decoded.timestamp_s))
        assert isinstance(early, PayUnknown)
        assert early.idle
        late = decoded.expires_s + 10**6
        assert isinstance(rig.run(rig.node.lookup(decoded.payment_hash, decoded.expires_s, late)), PayFailed)

    def test_a_payment_without_a_route_does_not_settle_and_moves_nothing(self) -> None:
        rig = self.make_rig()
        before = rig.run(rig.node.balance())
        invoice = rig.unpayable(1000)
        outcome = rig.run(rig.node.pay(invoice, decode(invoice).payment_hash, Msat(20_000)))
        assert isinstance(outcome, PayFailed | PayUnknown)
        assert outcome.reason
        assert rig.run(rig.node.balance()) == before

    def test_what_it_sent_is_among_its_sent_hashes(self) -> None:
        rig = self.make_rig()
        decoded = decode(invoice := rig.invoice(1000))
        rig.run(rig.node.pay(invoice, decoded.payment_hash, Msat(20_000)))
        assert decoded.payment_hash in rig.run(rig.node.sent_hashes(0))
        assert decoded.payment_hash not in rig.run(rig.node.sent_hashes(decoded.timestamp_s + 10**6))

    def test_a_payment_lowers_what_it_has_and_can_send(self) -> None:
        rig = self.make_rig()
        balance, outbound = rig.run(rig.node.balance()), rig.run(rig.node.outbound())
        assert 0 < outbound <= balance
        invoice = rig.invoice(5000)
        outcome = rig.run(rig.node.pay(invoice, decode(invoice).payment_hash, Msat(50_000)))
        assert isinstance(outcome, PaySettled)
        assert rig.run(rig.node.balance()) <= balance - 5_000_000

    def test_a_payment_asked_for_three_times_at_once_is_made_once_and_never_said_to_have_failed(self) -> None:
        rig = self.make_rig()
        invoice = rig.invoice(1500)
        payment_hash = decode(invoice).payment_hash
        before = rig.run(rig.node.balance())
        outcomes = rig.run(three_times_at_once(rig.node, invoice, payment_hash))
        assert [outcome for outcome in outcomes if isinstance(outcome, PayFailed)] == []
        settled = rig.run(rig.node.pay(invoice, payment_hash, Msat(20_000)))
        assert isinstance(settled, PaySettled)
        assert before - rig.run(rig.node.balance()) - settled.fee - 1_500_000 in range(
            1000
        )  # whole sats told
        assert list(rig.run(rig.node.sent_hashes(0))).count(payment_hash) == 1


class InspectableContract(LightningContract):
    """The promises of nodes that are asked about themselves."""

    def make_rig(self) -> InspectableRig:
        raise AssertionError("a subclass makes the rig")

    def test_it_names_its_network(self) -> None:
        rig = self.make_rig()
        assert rig.run(rig.node.network()) == "regtest"

    def test_it_reads_an_invoice_as_the_pool_does_or_has_no_decoder_to_ask(self) -> None:
        rig = self.make_rig()
        invoice = rig.invoice(777)
        reading = rig.run(rig.node.decode(invoice))
        assert reading is None or reading.agrees(decode(invoice))
