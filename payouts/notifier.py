"""Telling wallets that there is something to withdraw (LUD-15): behind all else, and a few at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol, assert_never

import attrs
from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.logger import Logger

from payouts.money import Msat
from payouts.notices import PAUSE_MS, Notice, NoticeBook
from payouts.outbound import Told
from payouts.places import NotFetched

_AT_ONCE: Final = 5
_NOT_YET_MS: Final = 60_000  # after which limits and node are asked again whether they leave enough


class Teller(Protocol):
    """How strangers are told: payouts.outbound.Outbound, or a fake."""

    async def tell(self, url: str) -> Told | NotFetched:
        """Send an empty POST; never raises for what a stranger does."""
        ...


@attrs.frozen
class NotifierOptions:
    """When wallets are told.

    Attributes:
        growth: by how much a balance must have grown.
        payable: whether an account could withdraw anything now; a word for nothing is worse than none.
        busy: whether there is something better to do; then nobody is told in this round.
    """

    growth: Msat
    payable: Callable[[str], bool]
    busy: Callable[[], bool]


class Notifier:
    """Tells wallets, when it is called to look.

    Args:
        book: who is to be told.
        teller: tells.
        now_ms: Unix milliseconds.
        options: see NotifierOptions.
    """

    log = Logger()

    def __init__(
        self, book: NoticeBook, teller: Teller, now_ms: Callable[[], int], options: NotifierOptions
    ) -> None:
        self._book = book
        self._teller = teller
        self._now_ms = now_ms
        self._options = options
        self._telling: list[Deferred[None]] = []
        self._ended = False

    def stop(self) -> None:
        """Tell nobody any more, and write nothing more."""
        self._ended = True
        for each in list(self._telling):
            each.cancel()

    async def look(self) -> None:
        """Tell those who are due, and wait until they have heard or not."""
        if self._ended or self._telling or self._options.busy():
            return
        due = self._book.notices_due(self._options.growth, self._now_ms(), _AT_ONCE)
        self._telling = [Deferred.fromCoroutine(self._tell(notice)) for notice in due]
        outcomes: list[tuple[bool, Any]] = await DeferredList(self._telling, consumeErrors=True)
        self._telling = []
        for succeeded, failure in outcomes:
            if not succeeded and not failure.check(CancelledError):
                self.log.failure("A wallet was not told because of a bug", failure=failure)

    async def _tell(self, notice: Notice) -> None:
        if not self._options.payable(notice.account):
            self._book.leave_alone(notice, self._now_ms() + _NOT_YET_MS)
            return
        # on disk before the wallet hears: however often the payer dies here, the wallet has its peace
        self._book.leave_alone(notice, self._now_ms() + PAUSE_MS)
        answer = await self._teller.tell(notice.url)
        if self._ended:
            return
        match answer:
            case Told(status=status) if 200 <= status < 300:
                self._book.told(notice)
                self.log.info("The wallet of {account} was told of its balance", account=notice.account)
            case Told() | NotFetched():  # no reason in the log: it names the host, which may be a secret too
                self._book.not_told(notice, self._now_ms())
                self.log.info(
                    "The wallet of {account} was not told: it did not take the word",
                    account=notice.account,
                    failures=notice.failures + 1,
                )
            case _:
                assert_never(answer)
