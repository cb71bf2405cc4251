"""Asking payees' services what became of payments without an outcome (LUD-21): behind all else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import attrs
from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.logger import Logger

from payouts.outbound import Fetched
from payouts.pusher import Strangers
from payouts.testimony import Question, Said, WitnessBook, pause_ms, read_testimony

_AT_ONCE: Final = 3


@attrs.frozen
class WitnessOptions:
    """When services are asked.

    Attributes:
        overdue_ms: how long a payment must have been under way.
        busy: whether there is something better to do; then nobody is asked in this round.
    """

    overdue_ms: int
    busy: Callable[[], bool]


class Witness:
    """Asks services, when it is called to look, and writes down what they say; it moves no payment.

    Args:
        book: whom to ask.
        strangers: fetches documents.
        now_ms: Unix milliseconds.
        options: see WitnessOptions.
    """

    log = Logger()

    def __init__(
        self, book: WitnessBook, strangers: Strangers, now_ms: Callable[[], int], options: WitnessOptions
    ) -> None:
        self._book = book
        self._strangers = strangers
        self._now_ms = now_ms
        self._options = options
        self._asking: list[Deferred[None]] = []
        self._ended = False

    def stop(self) -> None:
        """Ask nobody any more, and write nothing more."""
        self._ended = True
        for each in list(self._asking):
            each.cancel()

    async def look(self) -> None:
        """Ask the services that are due, and wait until they have answered or not."""
        if self._ended or self._asking or self._options.busy():
            return
        now_ms = self._now_ms()
        due = self._book.to_ask(now_ms - self._options.overdue_ms, now_ms, _AT_ONCE)
        self._asking = [Deferred.fromCoroutine(self._ask(question)) for question in due]
        outcomes: list[tuple[bool, Any]] = await DeferredList(self._asking, consumeErrors=True)
        self._asking = []
        for succeeded, failure in outcomes:
            if not succeeded and not failure.check(CancelledError):
                self.log.failure("A payee's service was not asked because of a bug", failure=failure)

    async def _ask(self, question: Question) -> None:
        # on disk before the service hears: however often the payer dies here, it is asked a few times only
        self._book.asking(question, self._now_ms() + pause_ms(question.asked + 1))
        answer = await self._strangers.fetch(question.url)
        if self._ended:
            return
        said = Said.NO_ANSWER
        if isinstance(answer, Fetched):
            said = read_testimony(answer.document, question.invoice, question.payment_hash)
        self._book.heard(question, said, self._now_ms())
        # no reason of the stranger's: it names the host, which may be a secret too
        self.log.info(
            "Of payment {id} its payee's service said: {said}", id=question.payment_id, said=said.value
        )
