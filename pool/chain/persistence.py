"""Going on when a node fails: repeating a step with growing pauses, and saying so once only."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from twisted.internet.defer import CancelledError
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from pool.errors import ChainError

_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 10.0

log = Logger()


class Trouble:
    """Says once that something fails, once more when it fails differently, and once that it works again."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._why: str | None = None

    def failed(self, error: object) -> None:
        """It failed, and why; logged unless that is what it did the last time."""
        if str(error) != self._why:
            log.error("{what} failed, trying again: {why}", what=self._what, why=str(error))
        self._why = str(error)

    def worked(self) -> None:
        """It worked; logged when it had failed before."""
        if self._why is not None:
            log.info("{what} works again", what=self._what)
        self._why = None


async def for_ever(
    clock: IReactorTime, what: str, step: Callable[[], Awaitable[None]], pause_s: float
) -> None:
    """Repeat a step until cancelled.

    Args:
        clock: the reactor.
        what: is done, for the log: "Asking the node for its tip".
        step: one round; a ChainError makes the pauses longer, and so does a bug, which is logged whole.
        pause_s: between rounds that worked.
    """
    trouble = Trouble(what)
    backoff_s = 0.0
    while True:
        try:
            await step()
        except ChainError as error:
            trouble.failed(error)
            backoff_s = min(max(2 * backoff_s, _FIRST_PAUSE_S), _LONGEST_PAUSE_S)
        except CancelledError:
            raise
        except Exception:  # noqa: BLE001  a bug in one round must not end all work
            log.failure("{what} met a bug, trying again", what=what)
            backoff_s = _LONGEST_PAUSE_S
        else:
            trouble.worked()
            backoff_s = 0.0
        await deferLater(clock, max(pause_s, backoff_s), lambda: None)
