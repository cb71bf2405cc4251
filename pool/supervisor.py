"""``sluice run``: every role in its own process, restarted with back-off after a crash, stopped together.

A child's standard input is a pipe from its supervisor.  When it closes, the supervisor is gone (even by
SIGKILL), and the child stops cleanly: no role outlives the pool it belongs to.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import attrs
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure

FIRST_BACKOFF_S: Final = 0.5
LONGEST_BACKOFF_S: Final = 30.0
STEADY_S: Final = 60.0
"""A role that ran this long starts its back-off anew."""
KILL_AFTER_S: Final = 15.0
USAGE: Final = 2
"""A role that exits with this status has a configuration that no restart mends."""


def _how(end: BaseException | None) -> str:
    signal = getattr(end, "signal", None)
    if signal is not None:
        return f"by signal {signal}"
    return f"exit status {getattr(end, 'exitCode', 0) or 0}"


@attrs.define(eq=False)
class Role:
    """One supervised process.  Attributes: its name and the command line that starts it."""

    name: str
    command: Sequence[str]
    starts: int = 0
    backoff_s: float = FIRST_BACKOFF_S
    process: _Child | None = None
    retry: IDelayedCall | None = None


class _Child(ProcessProtocol):
    """One run of a role; output goes where the supervisor's goes."""

    def __init__(self, supervisor: Supervisor, role: Role, started_s: float) -> None:
        self._supervisor = supervisor
        self.role = role
        self.started_s = started_s
        self.pid = 0
        self.ended: Deferred[None] = Deferred()

    def processEnded(self, reason: Failure) -> None:  # noqa: N802 -- Twisted's spelling
        """Tell the supervisor, then whoever waits for the end."""
        self._supervisor.ended(self, reason)
        self.ended.callback(None)


class Supervisor:
    """Starts roles, restarts what crashes, stops all of them."""

    def __init__(
        self,
        reactor: Any,
        roles: Mapping[str, Sequence[str]],
        environment: Mapping[str, str] | None = None,
        forget: Callable[[int], None] = lambda _: None,
    ) -> None:
        """Remember what to start.

        Args:
            reactor: with IReactorTime and IReactorProcess.
            roles: by name, the arguments to Python that start each.
            environment: what the roles' environment has beside ours.
            forget: told the process id of each role that ended.
        """
        self._log = Logger()
        self._reactor = reactor
        self._roles = [Role(name, command) for name, command in roles.items()]
        self._environment = {**os.environ, **(environment or {})}
        self._forget = forget
        self._stopping = False
        self.failed: Deferred[str] = Deferred()
        """Fires with a role's name when that role says that its configuration is unusable."""

    def start(self) -> None:
        """Start every role."""
        for role in self._roles:
            self._start(role)

    def _start(self, role: Role) -> None:
        role.retry = None
        role.starts += 1
        role.process = _Child(self, role, self._reactor.seconds())
        transport = self._reactor.spawnProcess(
            role.process,
            sys.executable,
            [sys.executable, *role.command],
            env=self._environment,
            childFDs={0: "w", 1: 1, 2: 2},
        )
        role.process.pid = transport.pid
        self._log.info("Started {role}, process {pid}", role=role.name, pid=transport.pid)

    def ended(self, child: _Child, reason: Failure) -> None:
        """A role's process ended: restart it, unless we are stopping or a restart cannot help."""
        role = child.role
        role.process = None
        self._forget(child.pid)
        if self._stopping:
            self._log.info("Stopped {role}", role=role.name)
            return
        if getattr(reason.value, "exitCode", None) == USAGE:
            self._log.error(
                "{role} cannot work with this configuration, see above: stopping all", role=role.name
            )
            if not self.failed.called:
                self.failed.callback(role.name)
            return
        ran_s = self._reactor.seconds() - child.started_s
        if ran_s >= STEADY_S:
            role.backoff_s = FIRST_BACKOFF_S
        how = _how(reason.value)
        self._log.error(
            "{role} ended after {ran_s:.1f} s ({how}); starting it again in {wait_s:.1f} s",
            role=role.name,
            ran_s=ran_s,
            how=how,
            wait_s=role.backoff_s,
        )
        role.retry = self._reactor.callLater(role.backoff_s, self._start, role)
        role.backoff_s = min(role.backoff_s * 2, LONGEST_BACKOFF_S)

    def stop(self) -> Deferred[None]:
        """Ask every role to stop; fires when all have, or were killed after a grace period."""
        self._stopping = True
        waiting = []
        for role in self._roles:
            if role.retry is not None:
                role.retry.cancel()
                role.retry = None
            if role.process is not None and role.process.transport is not None:
                waiting.append(self._end(role.process))
        return DeferredList(waiting).addCallback(lambda _: None)

    def _end(self, child: _Child) -> Deferred[None]:
        self._signal(child, "TERM")
        kill = self._reactor.callLater(KILL_AFTER_S, self._kill, child)

        def cancel(result: None) -> None:
            if kill.active():
                kill.cancel()

        return child.ended.addCallback(cancel)

    def _kill(self, child: _Child) -> None:
        self._log.warn(
            "{role} did not stop within {wait_s:.0f} s: killing it", role=child.role.name, wait_s=KILL_AFTER_S
        )
        self._signal(child, "KILL")

    def _signal(self, child: _Child, signal: str) -> None:
        transport = child.transport
        if transport is None:
            return
        with contextlib.suppress(ProcessExitedAlready):  # its end is on the way to us
            transport.signalProcess(signal)
