"""Whether a node knows the present chain, as each kind says so: an operator is told before payments fail."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from twisted.internet.task import Clock

from payouts.errors import NodeUnavailable
from payouts.lightning.cln import ClnNode, ClnOptions
from payouts.lightning.electrum import ElectrumNode, ElectrumOptions
from payouts.lightning.http import Answer
from payouts.lightning.lnd import LndNode, LndOptions
from payouts.lightning.phoenixd import PhoenixdNode, PhoenixdOptions
from tests.payouts.fakes import result_of


@attrs.frozen
class Says:
    """A node's HTTP interface that answers everything with one document."""

    document: Any

    async def ask(self, *_: object, **__: object) -> Answer:
        return Answer(200, self.document)


class Daemon(ElectrumNode):
    """An Electrum daemon whose ``getinfo`` is given."""

    info: Any = None

    async def _ask(self, method: str, **params: object) -> Any:
        assert (method, params) == ("getinfo", {})
        return self.info


def of_electrum(info: Any) -> str | None:
    clock: Any = Clock()
    node = Daemon(clock, clock, ElectrumOptions("http://127.0.0.1:1", "u", "p"))
    node.info = info
    return result_of(node.behind())


def of_lnd(info: Any) -> str | None:
    http: Any = Says(info)
    return result_of(LndNode(http, LndOptions()).behind())


def of_cln(info: Any) -> str | None:
    http: Any = Says(info)
    clock: Any = Clock()
    return result_of(ClnNode(http, clock, ClnOptions()).behind())


@pytest.mark.parametrize(
    ("behind", "info", "words"),
    [
        (of_lnd, {"synced_to_chain": True}, None),
        (of_lnd, {"synced_to_chain": False}, "not synced to the chain"),
        (of_lnd, {}, "not synced to the chain"),
        (of_lnd, {"synced_to_chain": "true"}, "not synced to the chain"),
        (of_cln, {"id": "02"}, None),
        (of_cln, {"warning_bitcoind_sync": "Bitcoind is not up-to-date"}, "Bitcoind is not up-to-date"),
        (of_cln, {"warning_lightningd_sync": "Still loading"}, "Still loading"),
        (of_electrum, {"connected": True, "blockchain_height": 9, "server_height": 9}, None),
        (of_electrum, {"connected": True}, None),
        (of_electrum, {"connected": True, "blockchain_height": 7, "server_height": 9}, "at height 7"),
        (of_electrum, {"connected": False}, "no server"),
    ],
)
def test_a_node_that_is_behind_says_so(behind: Any, info: Any, words: str | None) -> None:
    found = behind(info)
    assert found is None if words is None else words in found


def test_phoenixd_does_not_say() -> None:
    http: Any = Says({})
    result_of(PhoenixdNode(http, PhoenixdOptions()).behind())


@pytest.mark.parametrize("behind", [of_lnd, of_electrum])
def test_what_is_no_document_says_nothing(behind: Any) -> None:
    with pytest.raises(NodeUnavailable):
        behind(["synced"])
