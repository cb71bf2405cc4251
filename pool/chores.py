"""What ``sluice run`` has done now and then by a process that ends by itself: one at a time, at intervals."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence
from typing import Any, Final

from twisted.internet.error import ProcessExitedAlready
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure

FIRST_S: Final = 120.0
"""After the start, when the roles have settled."""
EVERY_S: Final = 3600.0


class Chore(ProcessProtocol):
    """A command that is run again and again; that it fails is logged, and it is tried again all the same."""

    _log = Logger()

    def __init__(self, reactor: Any, what: str, command: Sequence[str]) -> None:
        """Remember what to run.

        Args:
            reactor: with IReactorTime and IReactorProcess.
            what: it is called in the log.
            command: the arguments to Python.
        """
        self._reactor = reactor
        self._what = what
        self._command = command
        self._next: IDelayedCall | None = None
        self._running = False
        self._stopped = False

    def start(self) -> None:
        """Run it after a while for the first time."""
        self._next = self._reactor.callLater(FIRST_S, self._run)

    def _run(self) -> None:
        self._next = None
        self._running = True
        # a process of its own, not a thread of a front's: the interpreter that miners wait for is not shared
        self._reactor.spawnProcess(
            self,
            sys.executable,
            [sys.executable, *self._command],
            env=os.environ,
            childFDs={0: "w", 1: 1, 2: 2},
        )

    def processEnded(self, reason: Failure) -> None:  # noqa: N802 -- Twisted's spelling
        """See twisted; the next run is an hour after the end of this one."""
        self._running = False
        if self._stopped:
            return
        status = getattr(reason.value, "exitCode", None)
        if status != 0:
            self._log.error("{what} failed, see above; it is tried again", what=self._what, status=status)
        self._next = self._reactor.callLater(EVERY_S, self._run)

    def stop(self) -> None:
        """Run it no more, and end it if it runs: what it does may be cut off anywhere."""
        self._stopped = True
        if self._next is not None:
            self._next.cancel()
        if self._running and self.transport is not None:
            with contextlib.suppress(ProcessExitedAlready):
                self.transport.signalProcess("TERM")
