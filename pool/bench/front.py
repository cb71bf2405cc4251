"""The front under measurement: role front in a process of its own, on a fresh store on disk."""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path
from typing import Final

from pool.accounts import hash_secret
from pool.bench.node import PASSWORD, USER
from pool.bench.process import BenchError
from pool.regtest.errors import NotReady
from pool.regtest.processes import Program, free_ports
from pool.store.database import connect
from pool.store.ledger import LedgerStore, NewAccount

ACCOUNT: Final = "bench"
DIFFICULTY: Final = "0.00000000023283064365386963"  # 2^-32: of 65,536 hashes all but one are shares
_OPEN: Final = "Listening on"
_STARTS_WITHIN_S: Final = 60.0
_SCRIPT: Final = bytes.fromhex("0014") + bytes(20)


def configuration(node_url: str, port: int, store: Path, *, connections: int, processes: int) -> str:
    """The sluice.toml: like an operator's, but for limits that a load from one address would meet."""
    return f"""[node]
network = "regtest"
url = {json.dumps(node_url)}
front = {{ user = "{USER}", password = "{PASSWORD}" }}

[stratum]
listen = ["tcp:{port}:interface=127.0.0.1"]
start_difficulty = {DIFFICULTY}
minimum_difficulty = {DIFFICULTY}
vardiff = false
job_interval_s = 3600.0
max_connections = {connections}
max_connections_per_address = {connections}
processes = {processes}

[store]
directory = {json.dumps(str(store))}
"""


def prepare_store(directory: Path) -> None:
    """What book and payer leave in ``ledger.db`` for a front: an account, and an address for coinbases."""
    connection = connect(directory, "ledger")
    books = LedgerStore(connection)
    books.take_over_accounts([NewAccount(ACCOUNT, hash_secret(ACCOUNT), 0)])
    books.add_addresses([("bench", _SCRIPT)], 0)
    connection.close()


class BenchFront:
    """Fronts on one port, until the context ends.  Attributes: port; pids, once they started."""

    def __init__(self, directory: Path, node_url: str, *, connections: int, processes: int = 1) -> None:
        """Write store and configuration below the directory; nothing runs yet."""
        (self.port,) = free_ports(1)
        self.pids: list[int] = []
        store = directory / "store"
        prepare_store(store)
        config = directory / "sluice.toml"
        text = configuration(node_url, self.port, store, connections=connections, processes=processes)
        config.write_text(text, "utf-8")
        command = [
            sys.executable,
            "-m",
            "pool",
            "run",
            "--config",
            str(config),
            "--role",
            "front",
            "--number",
        ]
        self._programs = [
            Program("front", [*command, str(number)], directory / f"front-{number}.log", directory=directory)
            for number in range(processes)
        ]

    def __enter__(self) -> BenchFront:
        try:
            for program in self._programs:
                program.start()
            for program in self._programs:
                program.wait_until("the front's port is open", partial(_is_open, program), _STARTS_WITHIN_S)
        except NotReady as error:
            raise BenchError(str(error)) from error
        self.pids = [program.pid or 0 for program in self._programs]
        return self

    def __exit__(self, *_: object) -> None:
        for program in self._programs:
            program.stop()


def _is_open(program: Program) -> bool:
    return _OPEN in program.log.read_text(encoding="utf-8")
