"""What a miner does with a wallet: withdraw by LNURL, see what came in, hold a payment back."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import secrets
import selectors
import subprocess
from pathlib import Path
from typing import IO, Any

from attrs import field, frozen

from pool.regtest import lnurl_withdraw
from pool.regtest.electrum import Electrum, btc
from pool.regtest.errors import RigError

_ANSWER_S = 30.0
_MSAT_PER_SAT = 1000  # of the wallet's own books; the pool's constant is in payouts.money


class WithdrawRefused(RigError):
    """The wallet or the pool ended the conversation; the text has the pool's reason in it."""


@frozen
class Withdrawal:
    """A withdrawal that the pool accepted; it pays afterwards.

    Attributes:
        amount_msat: what the invoice asks for.
        payment_hash: hex, 64 digits.
        invoice: BOLT11.
    """

    amount_msat: int
    payment_hash: str
    invoice: str


def withdraw(wallet: Electrum, lnurl: str, ca_path: Path, amount_sat: int | None = None) -> Withdrawal:
    """Withdraw as a wallet that scanned the QR would: Electrum's own LNURL code asks and calls back.

    Args:
        wallet: the miner's wallet, running.
        lnurl: what the QR says, ``LNURL1…`` or with ``lightning:`` before it.
        ca_path: a PEM file with the authority of the pool's https certificate.
        amount_sat: how much; None for as much as is offered.

    Returns:
        What was asked for, as soon as the pool has answered OK.

    Raises:
        WithdrawRefused: the pool answered ERROR, the amount is outside the offer, or the wallet refused.
    """
    script = [*wallet.tools.electrum_python, lnurl_withdraw.__file__]
    environment = {**os.environ, **wallet.tools.electrum_environment}
    with subprocess.Popen(
        script, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True
    ) as electrum:
        try:
            return _converse(wallet, electrum, lnurl, ca_path, amount_sat)
        finally:
            electrum.kill()


def _converse(
    wallet: Electrum, electrum: subprocess.Popen[str], lnurl: str, ca_path: Path, amount_sat: int | None
) -> Withdrawal:
    offer = _ask(electrum, lnurl=re.sub("^lightning:", "", lnurl, flags=re.IGNORECASE), ca_path=str(ca_path))
    minimum_sat, maximum_sat = int(offer["minimum_sat"]), int(offer["maximum_sat"])
    wanted_sat = maximum_sat if amount_sat is None else amount_sat
    if not minimum_sat <= wanted_sat <= maximum_sat:
        raise WithdrawRefused(f"{wanted_sat} sat is not between {minimum_sat} and {maximum_sat} sat")
    request = wallet.rpc(
        "add_request", amount=btc(wanted_sat), memo=str(offer["description"]), expiry=3600, lightning=True
    )
    invoice, payment_hash = str(request["lightning_invoice"]), str(request["rhash"])
    _ask(electrum, invoice=invoice)
    return Withdrawal(wanted_sat * _MSAT_PER_SAT, payment_hash, invoice)


def _ask(electrum: subprocess.Popen[str], **question: str) -> dict[str, Any]:
    if electrum.stdin is None or electrum.stdout is None:
        raise RigError("the wallet's script was started without pipes")
    with contextlib.suppress(BrokenPipeError):  # the script has ended: it gives no answer either
        electrum.stdin.write(json.dumps(question) + "\n")
        electrum.stdin.flush()
    answer: dict[str, Any] = json.loads(_line(electrum.stdout) or '{"refused": "the wallet gave no answer"}')
    if "refused" in answer:
        raise WithdrawRefused(str(answer["refused"]))
    return answer


def _line(output: IO[str]) -> str:
    """One line, or nothing when the time is up; the script writes one line per question."""
    with selectors.DefaultSelector() as selector:
        selector.register(output, selectors.EVENT_READ)
        return output.readline() if selector.select(_ANSWER_S) else ""


def received_msat(wallet: Electrum, payment_hash: str) -> int:
    """What the wallet's own history says that it received for a payment hash; 0 when nothing has come."""
    return sum(
        int(entry["amount_msat"])
        for entry in wallet.rpc("lightning_history")
        if entry["payment_hash"] == payment_hash and int(entry["amount_msat"]) > 0
    )


@frozen
class HoldInvoice:
    """An invoice whose payment waits for the receiver's word, as a slow or hostile wallet makes it wait."""

    payment_hash: str
    invoice: str
    preimage: str = field(repr=False)


def hold_invoice(wallet: Electrum, amount_sat: int, expiry_s: int = 3600) -> HoldInvoice:
    """Make an invoice that is settled or cancelled by hand."""
    preimage = secrets.token_bytes(32)
    payment_hash = hashlib.sha256(preimage).hexdigest()
    answer = wallet.rpc(
        "add_hold_invoice", payment_hash=payment_hash, amount=btc(amount_sat), expiry=expiry_s
    )
    return HoldInvoice(payment_hash, str(answer["invoice"]), preimage.hex())


def settle(wallet: Electrum, held: HoldInvoice) -> None:
    """Take the money."""
    wallet.rpc("settle_hold_invoice", preimage=held.preimage)


def cancel(wallet: Electrum, held: HoldInvoice) -> None:
    """Send the money back."""
    wallet.rpc("cancel_hold_invoice", payment_hash=held.payment_hash)


def hold_status(wallet: Electrum, held: HoldInvoice) -> str:
    """``unpaid``, ``paid`` (held), ``settled`` or ``unknown`` (cancelled)."""
    return str(wallet.rpc("check_hold_invoice", payment_hash=held.payment_hash)["status"])
