"""Who is paid at a Lightning Address unasked, when it is tried again, and when the other rail takes over."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

import attrs

from payouts.money import Msat
from payouts.values import NotTaken, Taken

TRIES: Final = 5  # so many failures in a row, and the next payout may be on-chain
_FIRST_PAUSE_MS: Final = 60_000
_LONGEST_PAUSE_MS: Final = 6 * 3_600_000


@attrs.frozen
class Due:
    """An account whose balance is to leave for its Lightning Address.

    Attributes:
        account: whose balance.
        target: the Lightning Address, which has been valid for long enough.
        available: the balance.
        failures: tries that failed in a row.
    """

    account: str
    target: str
    available: Msat
    failures: int


@attrs.frozen
class PushIntent:
    """What a push is about to send, taken from the invoice that the address's service gave.

    Attributes: as those of payouts.values.Intent, with an account and its Lightning Address for the claim;
        ``verify`` is where the service would say what became of it (LUD-21), checked; None: nowhere.
    """

    account: str
    target: str
    invoice: str
    payment_hash: str
    amount: Msat
    max_fee: Msat
    pool_fee: Msat
    invoice_expires_s: int
    held_back: str | None = None
    verify: str | None = attrs.field(default=None, repr=False)


class PushBook(Protocol):
    """What pushes need of the book beside payouts.ports.Book; every method is one transaction."""

    def pushes_due(self, threshold: Msat, now_ms: int, limit: int) -> Sequence[Due]:
        """Accounts that can be paid at their Lightning Address now, those that have waited longest first.

        They have a valid one, a balance that reaches the threshold, and neither a payment under way nor a
        pause after a failure.
        """
        ...

    def take_push(self, intent: PushIntent, now_ms: int) -> Taken | NotTaken:
        """Take the hold and write the intent, all or nothing; nothing is written when it is refused.

        Refused when: the account's Lightning Address is not this one any more; a payment of the account is
        open; the payment hash is known; or the balance is too small.
        """
        ...

    def push_came_to_nothing(self, account: str, target: str, reason: str, now_ms: int) -> None:
        """The address's service gave no invoice that can be paid: one more failure in a row."""
        ...


def pause_ms(failures: int) -> int:
    """How long after that many failures in a row a push is tried again: from a minute to six hours."""
    return min(_FIRST_PAUSE_MS << min(max(0, failures - 1), 20), _LONGEST_PAUSE_MS)
