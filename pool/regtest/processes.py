"""Real programs as children: started with a log, awaited with a deadline, gone with their parent."""

from __future__ import annotations

import atexit
import contextlib
import os
import queue
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from pool.regtest import guard
from pool.regtest.errors import NotReady, RpcError

POLL_S = 0.02
_TAIL_LINES = 12
_LOWEST_PORT, _PORTS = 15_000, 17_000

# The rig is the outermost shell and waits for real programs, so it takes the real clock, here and only here.
_now = time.monotonic  # noqa: TID251


def free_ports(count: int) -> list[int]:
    """Loopback ports that nobody uses at the moment, all different.

    They lie below the range that Linux takes for outgoing connections, which could otherwise take one
    between this answer and the program that listens on it.
    """
    with contextlib.ExitStack() as stack:
        ports: list[int] = []
        while len(ports) < count:
            port = _LOWEST_PORT + secrets.randbelow(_PORTS)
            holder = stack.enter_context(socket.socket())
            with contextlib.suppress(OSError):
                holder.bind(("127.0.0.1", port))
                ports.append(port)
        return ports


def listens(port: int) -> bool:
    """Whether somebody accepts connections on a loopback port."""
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


class _Starter:
    """One thread that starts every child and lives as long as this process.

    Linux sends the parent-death signal when the *thread* that forked ends, so a short-lived thread may
    not do it.
    """

    def __init__(self) -> None:
        self._orders: queue.Queue[Callable[[], None]] = queue.Queue()
        self._lock = threading.Lock()
        self._pid: int | None = None

    def start(
        self, command: Sequence[str], log: Path, environment: Mapping[str, str], directory: Path
    ) -> subprocess.Popen[bytes]:
        self._make_thread()
        answers: queue.Queue[subprocess.Popen[bytes] | OSError] = queue.Queue()

        def order() -> None:
            try:
                with log.open("ab") as output:
                    answers.put(
                        subprocess.Popen(
                            [sys.executable, "-I", "-S", guard.__file__, str(os.getpid()), *command],
                            stdin=subprocess.DEVNULL,
                            stdout=output,
                            stderr=output,
                            cwd=directory,
                            env=dict(environment),
                            start_new_session=True,
                        )
                    )
            except OSError as error:
                answers.put(error)

        self._orders.put(order)
        answer = answers.get()
        if isinstance(answer, OSError):
            raise answer
        return answer

    def _make_thread(self) -> None:
        with self._lock:
            if self._pid != os.getpid():  # a fork does not inherit threads
                self._pid = os.getpid()
                threading.Thread(target=self._obey, name="rig-starter", daemon=True).start()

    def _obey(self) -> None:
        while True:
            self._orders.get()()


_starter = _Starter()
_running: weakref.WeakSet[Program] = weakref.WeakSet()


class Program:
    """One program with its own process group and log file; it can be started again after it ended."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        log: Path,
        *,
        directory: Path,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.log = log
        self._command = [*command]
        self._directory = directory
        self.environment = {**os.environ, **(environment or {})}
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        """Whether the program has been started and has not ended."""
        return self._child is not None and self._child.poll() is None

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return self._child.pid if self._child is not None and self.running else None

    def start(self) -> None:
        """Start it; nothing happens if it runs already."""
        if not self.running:
            self._child = _starter.start(self._command, self.log, self.environment, self._directory)
            _running.add(self)

    def ask_to_end(self) -> None:
        """Send TERM and return at once, so that several programs can end side by side."""
        self._signal(signal.SIGTERM)

    def stop(self, grace_s: float = 10.0) -> None:
        """End it: TERM, then KILL when the grace is over; returns when it is gone."""
        self.ask_to_end()
        if not self.join(grace_s):
            self.kill()

    def join(self, deadline_s: float) -> bool:
        """Wait for it to end by itself; whether it did."""
        if self._child is not None:
            try:
                self._child.wait(deadline_s)
            except subprocess.TimeoutExpired:
                return False
        return True

    def kill(self) -> None:
        """SIGKILL the whole process group, as a power cut would, and wait until it is gone."""
        self._signal(signal.SIGKILL)
        if self._child is not None:
            self._child.wait()

    def _signal(self, number: int) -> None:
        if self._child is not None and self.running:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._child.pid, number)

    def wait_until(self, what: str, probe: Callable[[], object], deadline_s: float = 60.0) -> None:
        """Poll until the probe is true; see `wait_until`."""
        wait_until(what, probe, deadline_s, [self])

    def last_lines(self) -> str:
        """The end of the log, for an error message."""
        try:
            lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return ""
        return "\n".join(lines[-_TAIL_LINES:])


def wait_until(
    what: str, probe: Callable[[], object], deadline_s: float, programs: Sequence[Program] = ()
) -> None:
    """Poll until the probe is true; refused calls and connections count as not yet.

    Raises:
        NotReady: the deadline passed or one of the programs ended; names its log and shows the last lines.
    """
    end = _now() + deadline_s
    trouble = ""
    while True:
        try:
            if probe():
                return
            trouble = ""
        except (OSError, RpcError) as error:
            trouble = f" ({error})"
        for program in programs:
            if not program.running:
                raise NotReady(f"{what}: {program.name} ended; {_evidence([program])}")
        if _now() > end:
            raise NotReady(f"{what}: not within {deadline_s:g} s{trouble}; {_evidence(programs)}")
        time.sleep(POLL_S)


def _evidence(programs: Sequence[Program]) -> str:
    return "\n".join(f"the end of {each.log}:\n{each.last_lines()}" for each in programs)


def _kill_all() -> None:
    for program in list(_running):
        program.kill()


atexit.register(_kill_all)
