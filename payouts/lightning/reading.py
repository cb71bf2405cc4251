"""What a node itself reads in an invoice, and whether that is what the pool's own decoder reads."""

from __future__ import annotations

from typing import Final, Protocol

import attrs

from payouts.errors import InvoiceMalformed, NodeUnavailable
from payouts.invoice import Invoice, decode
from payouts.money import Msat
from payouts.ports import LightningNode

_NETWORKS: Final = {"bitcoin": "mainnet", "testnet3": "testnet"}


@attrs.frozen
class Reading:
    """An invoice as the node's own decoder has it; None where the node does not say.

    Attributes:
        payment_hash: 64 hex digits.
        amount: None when the invoice names none.
        made_s: Unix second of its making.
        expires_s: Unix second.
        payee: 66 hex digits.
    """

    payment_hash: str
    amount: Msat | None
    made_s: int
    expires_s: int | None
    payee: str | None

    def agrees(self, invoice: Invoice) -> bool:
        """Whether both decoders read the same in everything that decides who is paid how much."""
        return (
            (self.payment_hash, self.amount, self.made_s)
            == (invoice.payment_hash, invoice.amount, invoice.timestamp_s)
            and self.expires_s in (None, invoice.expires_s)
            and self.payee in (None, invoice.payee)
        )


class InspectableNode(LightningNode, Protocol):
    """A LightningNode that also says what it thinks of the world; ``sluice check`` asks."""

    async def network(self) -> str:
        """mainnet, testnet (3), testnet4, signet or regtest.

        Raises:
            NodeUnavailable: it does not say.
        """
        ...

    async def behind(self) -> str | None:
        """What keeps the node from knowing the present chain, in its own words; None when it does not say.

        Raises:
            NodeUnavailable: it does not answer.
        """
        ...

    async def decode(self, invoice: str) -> Reading | None:
        """What the node reads in an invoice; None when it has no decoder to ask.

        Raises:
            NodeUnavailable: it does not answer, or refuses the invoice.
        """
        ...


def network_name(told: str) -> str:
    """The network by the one name that it has here."""
    return _NETWORKS.get(told, told)


async def objection(node: InspectableNode, invoice: str) -> str | None:
    """Why an invoice must not be sent yet: the node does not read it as the pool does, or does not say."""
    try:
        ours, theirs = decode(invoice), await node.decode(invoice)
    except (InvoiceMalformed, NodeUnavailable) as error:
        return str(error)
    return None if theirs is None or theirs.agrees(ours) else "the node reads the invoice differently"
