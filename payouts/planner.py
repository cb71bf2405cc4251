"""Who is paid how much and what it may cost: fee caps, the withdrawable maximum, and on-chain batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import attrs

from payouts.money import MSAT_PER_SAT, Msat, Sat, ceil_sat, to_msat
from payouts.values import Output

OUTPUT_VBYTES: Final = 43  # of the largest payable output, P2WSH or P2TR
MIN_COSTS: Final = 20  # a payout is worth at least so many times what its output costs
DUST: Final = Sat(546)  # the highest dust limit of the payable output types (P2PKH at 3 sat/vB)


@attrs.frozen
class FeePolicy:
    """The most that a Lightning payment may cost: a base and so many millionths of its amount.

    Attributes:
        base: whatever the amount.
        ppm: millionths of the amount.
        by_pool: the pool bears the routing fee; else it comes off the miner's balance.
    """

    base: Msat
    ppm: int
    by_pool: bool = False


def bearers(policy: FeePolicy, fee: Msat) -> tuple[Msat, Msat]:
    """A greatest fee divided into the miner's part and the pool's part."""
    return (Msat(0), fee) if policy.by_pool else (fee, Msat(0))


def max_fee(policy: FeePolicy, amount: Msat) -> Msat:
    """The fee cap for an amount.

    It stays below max(amount over 2, 1000 sat), the bound that Electrum's ``lnpay`` asserts; no payment
    should cost as much as that anyway.
    """
    asked = policy.base + amount * policy.ppm // 1_000_000
    return Msat(min(asked, max(amount // 2, 1_000_000) - 1))


def max_withdrawable(available: Msat, policy: FeePolicy, cap: Sat) -> Sat:
    """The largest whole amount that the balance covers, with its worst fee if the miner bears that."""
    low, high = 0, min(int(cap), available // MSAT_PER_SAT)
    while low < high:
        middle = (low + high + 1) // 2
        amount = to_msat(Sat(middle))
        held_fee, _ = bearers(policy, max_fee(policy, amount))
        if amount + held_fee <= available:
            low = middle
        else:
            high = middle - 1
    return Sat(max(low, 0))


@attrs.frozen
class BatchPolicy:
    """Which on-chain payouts go out together.

    Attributes:
        threshold: least balance that is paid.
        fee_rate_msat_vb: millisatoshi per virtual byte.
        max_outputs: most accounts paid by one transaction.
    """

    threshold: Sat
    fee_rate_msat_vb: int
    max_outputs: int = 200


def least_output(policy: BatchPolicy) -> Sat:
    """The smallest output worth making: the threshold, no dust, and 20 times its own cost."""
    cost = ceil_sat(Msat(OUTPUT_VBYTES * policy.fee_rate_msat_vb))
    return Sat(max(policy.threshold, DUST, MIN_COSTS * cost))


def plan_batch(candidates: Sequence[Output], policy: BatchPolicy) -> tuple[Output, ...]:
    """The outputs of the next batch, largest first; one per account and address, empty when nobody is due."""
    least = least_output(policy)
    due = sorted((o for o in candidates if o.amount >= least), key=lambda o: (-o.amount, o.account))
    planned: dict[str, Output] = {}
    for output in due:  # a transaction that pays one address twice cannot be told apart output by output
        planned.setdefault(output.address, output)
    return tuple(planned.values())[: policy.max_outputs]
