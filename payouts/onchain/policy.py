"""Whether a signed transaction pays exactly what was planned, before anything of it is written down."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import attrs

from payouts.money import Msat, Sat, ceil_sat
from payouts.onchain.wallet import Draft
from payouts.values import Output, SignedBatch


@attrs.frozen
class Violation:
    """The transaction is not what was asked for.  Attributes: what is wrong with it."""

    reason: str


def checked(draft: Draft, planned: Sequence[Output], fee_rate_msat_vb: int) -> SignedBatch | Violation:
    """The batch to write down, or what the wallet did that nobody asked for.

    Args:
        draft: what the wallet signed.
        planned: what it was asked to pay.
        fee_rate_msat_vb: the rate asked for; twice the fee it makes is the most that is accepted.
    """
    asked = Counter((output.address, output.amount) for output in planned)
    paid = Counter((output.address, output.amount) for output in draft.outputs)
    missing, beside = asked - paid, paid - asked
    own = {(output.address, output.amount) for output in draft.outputs if output.ours}
    if missing:
        return Violation(f"{missing.total()} of the planned outputs are not in the transaction")
    if any(extra not in own for extra in beside) or beside.total() > 1:
        return Violation("the transaction has outputs beside the payouts that are no change of ours")
    if not 0 < draft.fee <= fee_cap(draft.vsize, fee_rate_msat_vb):
        return Violation(f"the fee of {draft.fee} sat for {draft.vsize} vB is out of proportion")
    if not draft.inputs or len(set(draft.inputs)) != len(draft.inputs):
        return Violation("the transaction's inputs are none, or not distinct")
    return SignedBatch(draft.txid, draft.raw_tx, draft.inputs, tuple(planned), draft.fee)


def fee_cap(vsize: int, fee_rate_msat_vb: int) -> Sat:
    """The most that a transaction may cost: twice what was asked for, or 1 sat per virtual byte."""
    return ceil_sat(Msat(vsize * max(2 * fee_rate_msat_vb, 1000)))
