"""What runs in which process: one role in this one, or all of them under a supervisor."""

from __future__ import annotations

import contextlib
import gc
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError, ReactorNotRunning
from twisted.logger import (
    FilteringLogObserver,
    Logger,
    LogLevel,
    LogLevelFilterPredicate,
    globalLogBeginner,
    textFileLogObserver,
)
from twisted.python.failure import Failure

from pool import fronts
from pool.chores import Chore
from pool.config import Config
from pool.errors import ConfigError, PoolError
from pool.metrics import forget_the_dead, prepare, process_ended
from pool.polling import poll_quickly
from pool.roles.base import Context, Role
from pool.roles.book import BookRole
from pool.roles.front import FrontRole
from pool.roles.payer import PayerRole
from pool.roles.web import WebRole
from pool.store.database import sole_role
from pool.supervisor import USAGE, Supervisor

ROLES: dict[str, type[Role]] = {"front": FrontRole, "book": BookRole, "payer": PayerRole, "web": WebRole}
FAILED = 1
CHATTY: Final = ("twisted.web.client", "-")
"""Namespaces of Twisted that tell at level info of each connection that they open."""


def run_one(config: Config, name: str, *, supervised: bool, number: int = 0) -> int:
    """Run one role in this process until it is told to stop; answers the exit status.

    Args:
        config: of the pool.
        name: of the role.
        supervised: whether to stop when standard input closes: the supervisor is gone.
        number: of a front, from 0.

    Raises:
        StoreBusy: the role runs already on this store.
        ConfigError: there is no such front process.
    """
    from twisted.internet import reactor  # noqa: PLC0415, TID251 -- the roles' entry takes the real one

    _log_to_stderr()
    if not supervised:
        forget_the_dead()
    _tune(reactor, rest_s=config.stratum.flush_ms / 1000 if name == "front" else 0.0)
    title = fronts.name_of(config, number) if name == "front" else name
    if name == "front":
        config = fronts.of_process(config, number)
    log = Logger(namespace=f"sluice.{title}")
    status = 0

    def give_up(error: BaseException | None) -> None:
        nonlocal status
        status = USAGE if isinstance(error, ConfigError | CannotListenError) else FAILED
        log.error("{role} could not start: {error}", role=title, error=str(error))
        reactor.callLater(0, _stop, reactor)

    def failed(failure: Failure) -> None:
        if not isinstance(failure.value, PoolError | CannotListenError):
            log.failure("{role} met a bug", failure, role=title)
        give_up(failure.value)

    context = Context(config, reactor, wall=time.time, log=log, give_up=give_up)  # noqa: TID251 -- as above
    role = ROLES[name](context)

    with sole_role(config.store.directory, role.lock):
        if supervised:
            _follow_parent(reactor)
        _live(reactor, role, failed)
    return status


def _tune(reactor: Any, *, rest_s: float) -> None:
    """Fit reactor, collector and interpreter to many connections.

    Args:
        reactor: the process's.
        rest_s: how long its sockets need not be looked at again: a front's replies wait for a commit.
    """
    poll_quickly(reactor, rest_s)
    # ten thousand miners who come at once are a million objects, none of them garbage: looking through them
    # again and again took a sixth of the time
    gc.set_threshold(50_000, 25, 25)
    # a thread with a found block to hand in waits so long for the interpreter, not for the usual 5 ms
    sys.setswitchinterval(0.001)


def _live(reactor: Any, role: Role, failed: Callable[[Failure], None]) -> None:
    """A role's whole life, until the reactor is stopped."""
    reactor.addSystemEventTrigger("before", "shutdown", lambda: Deferred.fromCoroutine(role.stop()))
    reactor.callWhenRunning(lambda: Deferred.fromCoroutine(role.start()).addErrback(failed))
    reactor.run()


def run_all(config: Config, config_path: Path) -> int:
    """Run every role under a supervisor until SIGTERM or Ctrl-C; answers the exit status.

    Raises:
        StoreBusy: a pool runs already on this store.
    """
    from twisted.internet import reactor  # noqa: PLC0415, TID251 -- as above

    _log_to_stderr()
    names = [name for name in ROLES if name != "payer" or config.node.payer or config.node.cookie_file]
    base = ["-m", "pool", "run", "--config", str(config_path), "--supervised", "--role"]
    commands = fronts.commands(config, base) | {name: [*base, name] for name in names if name != "front"}
    status = 0

    def unusable(name: str) -> None:
        nonlocal status
        status = USAGE
        _stop(reactor)

    with sole_role(config.store.directory, "pool"):
        metrics = config.store.directory / "metrics"
        supervisor = Supervisor(
            reactor,
            commands,
            prepare(metrics),
            lambda pid: process_ended(pid, metrics),
        )
        supervisor.failed.addCallback(unusable)
        reactor.addSystemEventTrigger("before", "shutdown", supervisor.stop)
        reactor.callWhenRunning(supervisor.start)
        if config.store.archive_after_days is not None:
            _archive_now_and_then(reactor, config_path)
        reactor.run()
    return status


def _archive_now_and_then(reactor: Any, config_path: Path) -> None:
    command = ["-m", "pool", "shares", "archive", "--background", "--config", str(config_path)]
    chore = Chore(reactor, "Archiving old shares", command)
    reactor.addSystemEventTrigger("before", "shutdown", chore.stop)
    reactor.callWhenRunning(chore.start)


def _stop(reactor: Any) -> None:
    with contextlib.suppress(ReactorNotRunning):  # a signal was quicker
        reactor.stop()


def _follow_parent(reactor: Any) -> None:
    # a signal to the whole group (Ctrl-C) is the supervisor's: it tells us, once
    os.setpgrp()
    threading.Thread(target=_stop_with_parent, args=(reactor,), daemon=True).start()


def _stop_with_parent(reactor: Any) -> None:
    """Wait for the supervisor's end of our standard input to close, then stop."""
    while os.read(sys.stdin.fileno(), 64):
        pass
    reactor.callFromThread(_stop, reactor)


def _log_to_stderr() -> None:
    levels = LogLevelFilterPredicate(defaultLogLevel=LogLevel.info)
    for namespace in CHATTY:
        levels.setLogLevelForNamespace(namespace, LogLevel.warn)
    observer = FilteringLogObserver(textFileLogObserver(sys.stderr), [levels])
    # redirecting standard output and error would hide tracebacks that Twisted does not see
    globalLogBeginner.beginLoggingTo([observer], discardBuffer=True, redirectStandardIO=False)
