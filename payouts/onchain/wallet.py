"""What on-chain payouts need from a node's wallet: coins, signatures, and what it knows of transactions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import attrs

from payouts.money import Sat
from payouts.values import Output


@attrs.frozen
class TxOutput:
    """One output of a transaction; ``ours`` when the wallet that signed it owns the address."""

    address: str
    amount: Sat
    ours: bool


@attrs.frozen
class Draft:
    """A transaction that the wallet funded and signed, as the node decodes it; its inputs are locked."""

    txid: str
    raw_tx: str
    inputs: tuple[str, ...]
    outputs: tuple[TxOutput, ...]
    fee: Sat
    vsize: int


@attrs.frozen
class NotEnough:
    """The wallet cannot fund it now.  A coinbase is spendable at 101 confirmations: a matter of waiting."""

    reason: str


class Wallet(Protocol):
    """The node's wallet that batches leave from: the pool's own, used by nobody else.

    Methods raise NodeUnavailable when the node does not answer, or refuses what it has no reason to refuse.
    """

    async def lock_exactly(self, inputs: Sequence[str]) -> None:
        """Lock these coins (``txid:vout``) and no others: the node forgets its locks when it restarts."""
        ...

    async def fund_and_sign(self, outputs: Sequence[Output], fee_rate_msat_vb: int) -> Draft | NotEnough:
        """Choose and lock coins for the outputs, add change, and sign."""
        ...

    async def fee_rate(self) -> int:
        """What the node thinks a transaction should pay now, in millisatoshi per virtual byte."""
        ...

    async def test_accept(self, raw_tx: str) -> str | None:
        """None when the node's mempool would take it or has it, else the reason why not."""
        ...

    async def broadcast(self, raw_tx: str) -> str | None:
        """Hand it to the network; None when the node has it now, else what the node said.  Safe to repeat."""
        ...

    async def confirmations(self, txid: str) -> int | None:
        """How deep a transaction is: 0 in the mempool, negative in conflict, None for one it lacks."""
        ...
