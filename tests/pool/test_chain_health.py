"""What speaks against a node, said once; and what only makes another one better."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import attrs
import pytest
from twisted.internet.task import Clock
from twisted.logger import ILogObserver, globalLogPublisher

from pool.chain.health import Health, weakness_of
from pool.chain.networks import RULES
from pool.chain.node import ChainInfo
from pool.chain.template import parse
from stratum.units import Height
from tests.fakes_mining import Blocks
from tests.pool.chain_samples import answer

INFO = ChainInfo("main", Height(840_000), "ab" * 32, 840_000, syncing=False)
TEMPLATE = parse(answer())
PARENT = Blocks().known[Blocks().first]
NOW_S = 1_700_000_600.0


@pytest.fixture
def said() -> Iterator[list[tuple[str, Any]]]:
    seen: list[tuple[str, Any]] = []
    note = cast(ILogObserver, lambda event: seen.append((event["log_level"].name, event.get("why"))))
    globalLogPublisher.addObserver(note)
    yield seen
    globalLogPublisher.removeObserver(note)


def test_a_node_is_ill_until_it_was_asked_for_its_chain_and_well_since_then() -> None:
    clock = Clock()
    health = Health("a:1", 5.0, clock)
    health.heard()
    assert health.standing(1).trouble is not None
    clock.advance(3)
    health.trouble("chain", None)

    standing = health.standing(1)
    assert (standing.trouble, standing.well_since_s, standing.heard_s, standing.work) == (None, 3.0, 0.0, 1)


def test_a_silence_or_a_trouble_begins_the_time_of_being_well_anew() -> None:
    clock = Clock()
    health = Health("a:1", 5.0, clock)
    health.trouble("chain", None)
    clock.advance(6)
    health.heard()
    assert health.standing(1).well_since_s == 6.0
    clock.advance(4)
    health.heard()
    assert health.standing(1).well_since_s == 6.0
    health.trouble("tip", "lies")
    health.heard()
    assert (health.standing(1).well_since_s, health.has("tip"), health.has("sync")) == (None, True, False)
    health.trouble("tip", None)
    assert health.standing(1).well_since_s == 10.0


def test_each_trouble_and_each_weakness_is_said_once(said: list[tuple[str, Any]]) -> None:
    health = Health("a:1", 5.0, Clock())
    for why in (None, "lies", "lies", "lies more", None, None):
        health.trouble("tip", why)
    for why in ("has no peers", "has no peers", None):
        health.weakness(why)

    assert said == [
        ("error", "lies"),
        ("error", "lies more"),
        ("info", "lies more"),
        ("warn", "has no peers"),
    ]


@pytest.mark.parametrize(
    ("info", "peers", "now_s", "words"),
    [
        (INFO, 8, NOW_S, None),
        (INFO, 0, NOW_S, "no peers"),
        (attrs.evolve(INFO, headers=840_002), 8, NOW_S, "does not have yet"),
        (attrs.evolve(INFO, headers=840_001), 8, NOW_S, None),
        (INFO, 8, NOW_S + 3700, "clock"),
        (INFO, 8, NOW_S - 3700, "clock"),
    ],
)
def test_a_node_is_weak_without_peers_blocks_or_the_time(
    info: ChainInfo, peers: int, now_s: float, words: str | None
) -> None:
    found = weakness_of(info, peers, TEMPLATE, PARENT, now_s, RULES["mainnet"])

    assert (found is None) is (words is None)
    assert (words or "") in (found or "")


def test_a_tip_of_hours_ago_is_a_weakness_but_not_on_a_network_of_one_s_own() -> None:
    late_s = PARENT.time_s + 4 * 3600.0

    assert weakness_of(INFO, 8, None, PARENT, late_s, RULES["mainnet"]) == "has seen no block for hours"
    assert weakness_of(INFO, 8, None, PARENT, late_s, RULES["regtest"]) is None
