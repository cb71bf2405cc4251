"""What an operator can do about a payment: in each state, with what is known of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, assert_never

from payouts.carrier import GIVE_UP_MARGIN_S
from payouts.testimony import Said
from payouts.values import BatchState, PaymentState, Ruling
from pool.cli.common import time_text

ASK: Final = {
    "electrum": "electrum get_invoice {hash}",
    "lnd": "lncli trackpayment {hash}",
    "cln": "lightning-cli -k listpays payment_hash={hash}",
    "phoenixd": "curl -u :PASSWORD http://127.0.0.1:9740/payments/outgoingbyhash/{hash}",
}
"""With what each kind of node tells a payment's state; docs/lightning-nodes.md says what to believe."""
LOCK_DAYS: Final = 14
"""2016 blocks: no payment of the pool's is locked for longer."""


def next_step(number: str, known: Mapping[str, Any], now_s: int, kind: str | None, *, stopped: bool) -> str:
    """What can be done about a payment, or that nothing need be done.

    Args:
        number: L12 or B3.
        known: as OperatorDesk.show has it.
        now_s: Unix second.
        kind: of the Lightning node; None: there is none in the configuration.
        stopped: whether all sending is stopped.
    """
    if number.upper().startswith("B"):
        return _of_batch(BatchState(known["state"]), stopped=stopped)
    state = PaymentState(known["state"])
    match state:
        case PaymentState.SETTLED:
            return "nothing: it was paid, and the preimage that proves it is in the books"
        case PaymentState.FAILED:
            return "nothing: its money is the account's again, which may claim with a new invoice"
        case PaymentState.RESERVED:
            return _of_reserved(number, known, stopped=stopped)
        case PaymentState.SENDING | PaymentState.UNKNOWN:
            return _of_unknown(number, known, now_s, kind)
        case _:
            assert_never(state)


def _of_reserved(number: str, known: Mapping[str, Any], *, stopped: bool) -> str:
    ends = time_text(known["invoice_expires_s"] * 1000)
    if known["held_back"] is not None and known["ruling"] is None:
        return (
            f"decide: `sluice payouts approve {number} --why …` or `sluice payouts refuse {number} --why …`; "
            f"without a word of yours it goes back to the account after {ends} UTC"
        )
    if stopped:
        return "it was never sent, and will be once sending is resumed: `sluice payouts resume --why …`"
    return "nothing: it was not sent yet, and will be in a moment if a payer runs (`sluice status`)"


def _of_unknown(number: str, known: Mapping[str, Any], now_s: int, kind: str | None) -> str:
    ends_s = known["invoice_expires_s"]
    ends, late = time_text(ends_s * 1000), time_text((ends_s + GIVE_UP_MARGIN_S) * 1000)
    if known["ruling"] == Ruling.GIVEN_UP:
        return f"nothing: after {late} UTC the node is asked a last time; unless it says paid, it failed"
    asked = "the node is asked about it at least once a minute, and its money stays set aside"
    if any(each["said"] == Said.PROVED for each in known.get("payee_service") or ()):
        asked = f"the payee's service has shown the preimage, so that it was likely paid: {asked}"
    ask = f"; ask it yourself: `{ASK[kind].format(hash=known['payment_hash'])}`" if kind in ASK else ""
    if now_s <= ends_s:
        return f"wait: its invoice can be paid until {ends} UTC; {asked}{ask}"
    return (
        f"{asked}{ask}. A payee can keep it hanging for up to {LOCK_DAYS} days. Only if you know from"
        f" elsewhere that it can never be paid: `sluice payouts give-up {number} --why …`"
    )


def _of_batch(state: BatchState, *, stopped: bool) -> str:
    match state:
        case BatchState.SIGNED:
            waits = ", once sending is resumed (`sluice payouts resume --why …`)" if stopped else ""
            return f"nothing: it never left, and is sent or rejected in the payer's next round{waits}"
        case BatchState.BROADCAST:
            return "wait: the same bytes are sent again until they are buried; look its txid up"
        case BatchState.SETTLED:
            return "nothing: it is buried"
        case BatchState.REJECTED:
            return "nothing: it never left; its accounts have their money again and are in the next batch"
        case _:
            assert_never(state)
