"""A node stand-in with a hard target and a store for a test's fronts, none of which outlives it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fakes_node import StandIn
from tests.flow.front import Front, Pool, Settings, prepare_store

MakeFront = Callable[..., Front]
MakePool = Callable[..., Pool]


@pytest.fixture
def node() -> Iterator[StandIn]:
    with StandIn() as stand_in:
        yield stand_in


@pytest.fixture
def make_front(node: StandIn, tmp_path: Path) -> Iterator[MakeFront]:
    """Makes fronts on the node and on one store; the arguments are those of Settings."""
    store = tmp_path / "store"
    prepare_store(store)
    made: list[Front] = []

    def make(**settings: Any) -> Front:
        made.append(Front(tmp_path / str(len(made)), store, Settings(node.url, **settings)))
        return made[-1]

    yield make
    for front in made:
        front.kill()


@pytest.fixture
def make_pool(node: StandIn, tmp_path: Path) -> Iterator[MakePool]:
    """Makes pools on the node, each on a store of its own; the arguments are those of Settings."""
    made: list[Pool] = []

    def make(**settings: Any) -> Pool:
        store = tmp_path / f"store-{len(made)}"
        prepare_store(store)
        made.append(Pool(tmp_path / f"pool-{len(made)}", store, Settings(node.url, **settings)))
        return made[-1]

    yield make
    for pool in made:
        pool.kill()
