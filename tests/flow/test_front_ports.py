"""A front with several ports: each has the difficulties that its entry in sluice.toml gives it."""

from __future__ import annotations

from pool.regtest.processes import free_ports, listens
from tests.flow.conftest import MakeFront
from tests.flow.front import HASHES_PER_SHARE
from tests.flow.miner import Miner

TIMES_HARDER = 8


def test_a_port_of_its_own_has_difficulties_of_its_own(make_front: MakeFront) -> None:
    front = make_front()
    (rental,) = free_ports(1)
    difficulty = f"{TIMES_HARDER * HASHES_PER_SHARE / 2**32:.18f}"
    endpoint = f"tcp:{rental}:interface=127.0.0.1"
    entry = f'\n[[stratum.port]]\nendpoint = "{endpoint}"\nstart_difficulty = {difficulty}\n'
    front.config.write_text(front.config.read_text() + entry)
    front.start()
    front.program.wait_until("the second port is open", lambda: listens(rental), 10.0)

    with Miner(front.port, "alpha.rig") as usual, Miner(rental, "alpha.rented") as rented:
        ratio = usual.task().target / rented.task().target
        assert abs(ratio - TIMES_HARDER) < 0.01
        assert rented.submit(rented.share()) is None
        assert usual.extranonce1 != rented.extranonce1
