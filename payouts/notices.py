"""Wallets that want to hear of a new balance (LUD-15): at which URL, when they are told, when forgotten.

The URL comes with the callback of a card, which alone lasts (LUD-14).  It is a stranger's, so it leads only
where payouts.outbound goes; and it may hold a secret of the wallet's, so it is in no log.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

import attrs

from payouts.money import Msat
from payouts.places import Place, place

MOST_URL: Final = 500  # characters
TRIES: Final = 8  # so many failures in a row, and the URL is forgotten
PAUSE_MS: Final = 600_000  # between two words to one wallet, whatever its balance does
_LONGEST_PAUSE_MS: Final = 24 * 3_600_000


def accepted(url: object) -> str | None:
    """A wallet's URL as it is kept; None when it is not one that is ever asked for.

    Args:
        url: as the wallet, or whoever wrote the claim, gave it; not trusted.
    """
    if not isinstance(url, str) or len(url) > MOST_URL:
        return None
    found = place(url)
    return found.url.decode("ascii") if isinstance(found, Place) else None


def pause_ms(failures: int) -> int:
    """How long after so many failures in a row a wallet is tried again: from ten minutes to a day."""
    return min(PAUSE_MS << min(max(0, failures), 20), _LONGEST_PAUSE_MS)


@attrs.frozen
class Notice:
    """A wallet that is to be told.

    Attributes:
        account: whose balance has grown.
        url: where the wallet listens.
        available: the balance.
        failures: tries that failed in a row.
    """

    account: str
    url: str = attrs.field(repr=False)
    available: Msat
    failures: int


class NoticeBook(Protocol):
    """What the book knows of such wallets, one for each account; every method is one transaction.

    It learns of them with the claims that it takes.  A wallet's URL goes with its card, at the latest.
    """

    def notices_due(self, growth: Msat, now_ms: int, limit: int) -> Sequence[Notice]:
        """Accounts whose wallets are to be told now, those first that have waited for longest.

        Their available balance is by ``growth`` or more above what their wallet last heard of or left
        behind, no payment of theirs is under way, and they are not to be left alone at the moment.
        """
        ...

    def leave_alone(self, notice: Notice, until_ms: int) -> None:
        """Let an account not be due before a Unix millisecond."""
        ...

    def told(self, notice: Notice) -> None:
        """The wallet has heard of the balance in the notice."""
        ...

    def not_told(self, notice: Notice, now_ms: int) -> None:
        """The wallet has not heard: one more failure in a row, after TRIES of which it is forgotten."""
        ...
