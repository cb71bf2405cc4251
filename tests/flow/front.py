"""A front as operators run it: a process of its own on a store, started, ended and started again by tests."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import sys
from collections import Counter
from pathlib import Path

import attrs

from pool.accounts import hash_secret
from pool.regtest.processes import Program, free_ports, listens
from pool.store.database import connect
from pool.store.ledger import LedgerStore, NewAccount
from tests.fakes_node import PASSWORD, USER

ACCOUNTS = ("alpha", "bravo", "carol")
HASHES_PER_SHARE = 16
SCRIPTS = tuple(bytes.fromhex("0014") + bytes([number]) * 20 for number in range(1, 41))
_STARTS_WITHIN_S = 40.0
_STOPS_WITHIN_S = 20.0
_LOGS_WITHIN_S = 30.0


def prepare_store(directory: Path) -> None:
    """What book and payer leave in ``ledger.db`` for the fronts: accounts, and addresses for coinbases."""
    connection = connect(directory, "ledger")
    books = LedgerStore(connection)
    books.take_over_accounts([NewAccount(name, hash_secret(name), 0) for name in ACCOUNTS])
    books.add_addresses([(f"stock-{script[-1]}", script) for script in SCRIPTS], 0)
    connection.close()


@attrs.frozen
class Settings:
    """What of the configuration differs between tests.

    Attributes:
        url: of the node.
        user: of role front at the node.
        password: the user's; ``cookie`` takes its place.
        cookie: a cookie file of the node.
        front_id: of this front.
        hashes_per_share: expected, so that a share costs real work, but little.
        job_interval_s: between jobs on the same tip.
        flush_ms: how long accepted shares wait to be written together.
        processes: of the pool's fronts; with more than one the Front below is the first of them.
        web_port: of the site.
    """

    url: str
    user: str = USER
    password: str = PASSWORD
    cookie: Path | None = None
    front_id: int = 0
    hashes_per_share: int = HASHES_PER_SHARE
    job_interval_s: float = 30.0
    flush_ms: float = 5.0
    processes: int = 1
    web_port: int = 0

    def text(self, port: int, store: Path) -> str:
        """The sluice.toml; JSON's strings and numbers are TOML's too."""
        login = f"{{ user = {json.dumps(self.user)}, password = {json.dumps(self.password)} }}"
        entry = (
            f"front = {login}\nbook = {login}"
            if self.cookie is None
            else f"cookie_file = {json.dumps(str(self.cookie))}"
        )
        difficulty = f"{self.hashes_per_share / 2**32:.18f}"
        return f"""[node]
network = "regtest"
url = {json.dumps(self.url)}
poll_s = 0.1
{entry}

[stratum]
listen = ["tcp:{port}:interface=127.0.0.1"]
front_id = {self.front_id}
processes = {self.processes}
start_difficulty = {difficulty}
minimum_difficulty = {difficulty}
vardiff = false
job_interval_s = {self.job_interval_s}
flush_ms = {self.flush_ms}

[store]
directory = {json.dumps(str(store))}

[web]
listen = ["tcp:{self.web_port}:interface=127.0.0.1"]
"""


class Front:
    """One front.  Attributes: its port, its store's directory, its configuration file, its program."""

    def __init__(self, directory: Path, store: Path, settings: Settings) -> None:
        """Write the configuration; nothing runs yet.

        Args:
            directory: for the configuration and the log.
            store: where the databases are; ``prepare_store`` has filled it.
            settings: see there.
        """
        directory.mkdir(parents=True, exist_ok=True)
        self.store = store
        (self.port,) = free_ports(1)
        self.config = directory / f"front-{settings.front_id}.toml"
        self.config.write_text(settings.text(self.port, store), encoding="utf-8")
        self.command = [sys.executable, "-m", "pool", "run", "--role", "front", "--config", str(self.config)]
        self._directory = directory
        self.program = self._as(self.command)

    def _as(self, command: list[str]) -> Program:
        log = self._directory / (self.config.stem + ".log")
        return Program("front", command, log, directory=Path(__file__).parents[2])

    def start(self, *, module: str = "pool", **environment: str) -> None:
        """Start it, or another program with the same arguments; returns when its port is open."""
        self.program = self._as([self.command[0], "-m", module, *self.command[3:]])
        self.program.environment |= environment
        self.program.start()
        self.program.wait_until("the front's port is open", lambda: listens(self.port), _STARTS_WITHIN_S)

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self.program.kill()

    def terminate(self) -> None:
        """SIGTERM, and wait until it has stopped by itself."""
        self.program.ask_to_end()
        assert self.program.join(_STOPS_WITHIN_S), f"no clean stop: {self.program.last_lines()}"

    def wait_for_log(self, text: str) -> None:
        """Wait until the log has this text."""
        self.program.wait_until(f"the log says {text!r}", lambda: text in self.log_text(), _LOGS_WITHIN_S)

    def log_text(self) -> str:
        """Everything that the front has logged so far, over all its starts."""
        return self.program.log.read_text(encoding="utf-8")


class Pool(Front):
    """All roles with several fronts, as `sluice run` starts them."""

    def __init__(self, directory: Path, store: Path, settings: Settings) -> None:
        """See Front."""
        super().__init__(directory, store, settings)
        self._processes = settings.processes
        self._web_port = settings.web_port
        self.command = [sys.executable, "-m", "pool", "run", "--config", str(self.config)]

    def start(self, *, module: str = "pool", **environment: str) -> None:
        """Start it; returns when every front's port is open, and the site's if it has a number."""
        super().start(module=module, **environment)
        if self._web_port:
            self.program.wait_until("the site is open", lambda: listens(self._web_port), _STARTS_WITHIN_S)
        for number in range(self._processes):
            self.wait_for_front(number)

    def wait_for_front(self, number: int, times: int = 1) -> None:
        """Wait until this front has opened its port so often."""
        self.program.wait_until(
            f"front-{number} listens",
            lambda: self.log_text().count(f"[sluice.front-{number}#info] Listening on") >= times,
            _STARTS_WITHIN_S,
        )

    def pid(self, number: int) -> int:
        """The process of one front, as its lock has it."""
        return int((self.store / f"front-{number}.lock").read_text(encoding="utf-8"))

    def end_front(self, number: int, how: signal.Signals) -> None:
        """Send a signal to one front, and wait until its successor has opened its port."""
        times = self.log_text().count(f"[sluice.front-{number}#info] Listening on")
        os.kill(self.pid(number), how)
        self.wait_for_front(number, times + 1)


def rows_by_worker_and_job(store: Path) -> Counter[tuple[str, str]]:
    """How many shares the log has for each (``account.worker``, job)."""
    connection = connect(store, "shares")
    rows = connection.execute("SELECT account || '.' || worker, job, count(*) FROM share GROUP BY 1, 2")
    found = Counter({(worker, job): count for worker, job, count in rows})
    connection.close()
    return found


def query(store: Path, statement: str, *values: str | int) -> list[sqlite3.Row]:
    """Rows of ``shares.db``."""
    connection = connect(store, "shares")
    rows: list[sqlite3.Row] = connection.execute(statement, values).fetchall()
    connection.close()
    return rows
