"""The front under measurement: role front in a process of its own, on a fresh store on disk."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Final

from pool.accounts import hash_secret
from pool.bench.node import PASSWORD, USER
from pool.bench.process import BenchError
from pool.regtest.errors import NotReady
from pool.regtest.processes import Program, free_ports, listens
from pool.store.database import connect
from pool.store.ledger import LedgerStore, NewAccount

ACCOUNT: Final = "bench"
DIFFICULTY: Final = "0.00000000023283064365386963"  # 2^-32: of 65,536 hashes all but one are shares
_STARTS_WITHIN_S: Final = 60.0
_SCRIPT: Final = bytes.fromhex("0014") + bytes(20)


def configuration(node_url: str, port: int, store: Path, *, connections: int) -> str:
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
    """A front that runs until its context ends.  Attributes: port; pid of its process, once started."""

    def __init__(self, directory: Path, node_url: str, *, connections: int) -> None:
        """Write store and configuration below the directory; nothing runs yet."""
        (self.port,) = free_ports(1)
        self.pid = 0
        store = directory / "store"
        prepare_store(store)
        config = directory / "sluice.toml"
        config.write_text(configuration(node_url, self.port, store, connections=connections), "utf-8")
        command = [sys.executable, "-m", "pool", "run", "--role", "front", "--config", str(config)]
        self._program = Program("front", command, directory / "front.log", directory=directory)

    def __enter__(self) -> BenchFront:
        try:
            self._program.start()
            self._program.wait_until("the front's port is open", lambda: listens(self.port), _STARTS_WITHIN_S)
        except NotReady as error:
            raise BenchError(str(error)) from error
        self.pid = self._program.pid or 0
        return self

    def __exit__(self, *_: object) -> None:
        self._program.stop()
