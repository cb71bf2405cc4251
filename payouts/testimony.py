"""What a payee's service says of a payment without an outcome (LUD-21), read strictly: it moves no money.

With an invoice for a Lightning Address, a service may give a URL at which it says whether that was paid.  Its
word is kept for the operator and for nobody else: *settled* without a proof is what a stranger says, and *not
settled* may be said while a part is on its way.  The URL leads only where payouts.outbound goes, and is in no
log.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from hashlib import sha256
from typing import Final, Protocol, assert_never

import attrs

from payouts.places import Place, place

MOST_URL: Final = 500  # characters
TRIES: Final = 8  # so often is a service asked about one payment, within a day or so
_FIRST_PAUSE_MS: Final = 600_000
_PREIMAGE: Final = re.compile(r"[0-9a-fA-F]{64}")


class Said(StrEnum):
    """What came of asking, once."""

    PROVED = "proved"
    SETTLED = "settled"
    NOT_SETTLED = "not settled"
    NO_ANSWER = "no answer"
    NO_SENSE = "no sense"


@attrs.frozen
class Question:
    """A payment that a service is to be asked about.

    Attributes:
        payment_id: of the book.
        url: where; the service's, checked.
        invoice: that it gave.
        payment_hash: of the invoice, hex.
        asked: how often it was asked before.
    """

    payment_id: int
    url: str = attrs.field(repr=False)
    invoice: str
    payment_hash: str
    asked: int


class WitnessBook(Protocol):
    """What the book knows of such services; every method is one transaction, none touches a payment."""

    def to_ask(self, begun_before_ms: int, now_ms: int, limit: int) -> Sequence[Question]:
        """Payments in sending or unknown that began before a Unix millisecond, and whose service is due.

        It gave a URL, was asked fewer than TRIES times, has shown no proof, and has had its pause.
        """
        ...

    def asking(self, question: Question, next_ms: int) -> None:
        """It is about to be asked once more, and not again before a Unix millisecond."""
        ...

    def heard(self, question: Question, said: Said, now_ms: int) -> None:
        """Add what it said; does nothing when the payment has ended meanwhile."""
        ...


def accepted(url: object) -> str | None:
    """A service's URL as it is kept; None when it is not one that is ever asked for.

    Args:
        url: member ``verify`` of the service's answer, if there is one; not trusted.
    """
    if not isinstance(url, str) or len(url) > MOST_URL:
        return None
    found = place(url)
    return found.url.decode("ascii") if isinstance(found, Place) else None


def pause_ms(asked: int) -> int:
    """How long a service that was asked so often is left alone: ten minutes, then twice as long each time."""
    return _FIRST_PAUSE_MS << min(max(0, asked - 1), TRIES)


def read_testimony(document: object, invoice: str, payment_hash: str) -> Said:
    """What a service's answer comes to (LUD-21); an error of its own is none.

    A preimage that fits is a proof, also beside the word that nothing was settled.

    Args:
        document: of the service, as JSON gives it; not trusted.
        invoice: that was paid or not.
        payment_hash: of the invoice, hex.
    """
    if not isinstance(document, Mapping):
        return Said.NO_SENSE
    status = document.get("status")
    if isinstance(status, str) and status.upper() == "ERROR":
        return Said.NO_ANSWER
    settled, preimage, of = (document.get(key) for key in ("settled", "preimage", "pr"))
    is_ours = isinstance(of, str) and len(of) == len(invoice) and of.lower() == invoice.lower()
    if status != "OK" or not isinstance(settled, bool) or not is_ours:
        return Said.NO_SENSE
    if preimage is not None:
        return Said.PROVED if _fits(preimage, payment_hash) else Said.NO_SENSE
    return Said.SETTLED if settled else Said.NOT_SETTLED


def _fits(preimage: object, payment_hash: str) -> bool:
    if not isinstance(preimage, str) or _PREIMAGE.fullmatch(preimage) is None:
        return False
    return sha256(bytes.fromhex(preimage)).hexdigest() == payment_hash


def in_words(said: Said) -> str:
    """What a service said, and what that is worth to an operator."""
    match said:
        case Said.PROVED:
            return (
                "settled, with a preimage that fits the payment hash (the payee has been paid, or gives the"
                " proof away: ask the node again)"
            )
        case Said.SETTLED:
            return "settled, without a proof"
        case Said.NOT_SETTLED:
            return "not settled (that proves nothing: a part may be on its way)"
        case Said.NO_ANSWER:
            return "no answer"
        case Said.NO_SENSE:
            return "an answer that makes no sense"
        case _:
            assert_never(said)
