"""blocks: one block's life, and handing a saved one to the nodes by hand."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from pool.chain import saved
from pool.chain.bitcoind import BitcoindNode
from pool.chain.block import block_hash
from pool.chain.rpc import Rpc, UserPassword
from pool.errors import PoolError, StoreError
from pool.store.database import FILES, connect
from pool.store.shares import ShareStore
from tests.contracts.node import now, solved
from tests.fakes_node import PASSWORD, USER, StandIn
from tests.fakes_reactor import InlineReactor
from tests.pool.cli_tools import configure, invoke, json_of, text_of
from tests.pool.test_chain_saved import BLOCK
from tests.pool.test_settle import HASH, Pool
from tests.pool.test_verify import pool

__all__ = ["pool"]  # a fixture: small books, settled by the real settler on a fake chain


@pytest.fixture
def node() -> Iterator[StandIn]:
    with StandIn(nbits=0x207FFFFF) as running:
        yield running


@pytest.fixture
def store(tmp_path: Path, node: StandIn) -> Path:
    """A store with one block on disk that no node has answered for, and a node."""
    configure(
        tmp_path,
        f'[node]\nnetwork = "regtest"\nurl = "{node.url}"\n'
        f'front = {{ user = "{USER}", password = "{PASSWORD}" }}\n[store]\ndirectory = "."\n',
    )
    for name in FILES:
        connect(tmp_path, name).close()
    return tmp_path


def save(store: Path, node: StandIn, *, good: bool = True) -> saved.SavedBlock:
    """A block on the node's tip, as a front that died would leave it."""
    calls = BitcoindNode(Rpc(node.url, UserPassword("front", USER, PASSWORD), InlineReactor()))
    block = solved(now(calls.template(None)), good=good)
    found = attrs.evolve(BLOCK, hash=block_hash(block), block=block, share=None)
    saved.write(store, found)
    return found


def test_a_block_s_life_is_told_from_its_first_answer_to_its_last_state(pool: Pool) -> None:
    configure(pool.directory)
    ShareStore(pool.shares, 0).record_submission(HASH, "node:8332", "accepted", 1)

    known = json_of(pool.directory, "blocks", "show", HASH)
    text = text_of(pool.directory, "blocks", "show", f"…{HASH[-17:]}")

    assert next(event["state"] for event in known["events"]) == "submitted"
    assert known["answers"] == [{"node": "node:8332", "result": "accepted", "at_ms": 1}]
    assert known["pays"] == [{"address": "bcrt1qpool", "treasury_index": None}]
    assert "node:8332 said accepted" in text
    with pytest.raises(PoolError, match="no block"):
        invoke(pool.directory, "blocks", "show", "00ff")


def test_what_no_node_is_known_to_have_is_listed_and_can_be_submitted_by_its_file_s_name(
    store: Path, node: StandIn
) -> None:
    found = save(store, node)
    (row,) = json_of(store, "blocks", "resubmit")
    assert (row["hash"], row["file"]) == (found.hash, saved.name_of(found))
    assert str(found.height) in text_of(store, "blocks", "resubmit")

    answers = json_of(store, "blocks", "resubmit", saved.name_of(found))["answers"]

    assert list(answers.values()) == ["accepted"]
    assert node.chain.tip.hash == found.hash
    assert "Every block" in text_of(store, "blocks", "resubmit")
    assert "accepted" in text_of(store, "blocks", "resubmit", str(saved.path_of(store, found)))


def test_a_block_that_no_node_takes_ends_with_status_1_and_one_on_a_stale_tip_does_not(
    store: Path, node: StandIn
) -> None:
    bad, late = save(store, node, good=False), save(store, node)
    refused = invoke(store, "blocks", "resubmit", saved.name_of(bad))
    assert (refused.return_value, "high-hash" in refused.output) == (1, True)
    node.chain.grow()
    kept = invoke(store, "blocks", "resubmit", saved.name_of(late))  # the node has it, and it may still win
    assert (kept.return_value, "inconclusive" in kept.output) == (None, True)
    node.stop()
    unheard = invoke(store, "blocks", "resubmit", saved.name_of(late))
    assert (unheard.return_value, "unanswered (" in unheard.output) == (1, True)


@pytest.mark.parametrize(("text", "why"), [(None, "cannot be read"), ("{}", "no saved block")])
def test_a_file_that_is_no_block_is_said_to_be_none(store: Path, text: str | None, why: str) -> None:
    if text is not None:
        (store / "x.json").write_text(text, encoding="utf-8")
    with pytest.raises(StoreError, match=why):
        invoke(store, "blocks", "resubmit", str(store / "x.json"))
