"""The choice among nodes: the most work, no flapping, and never one that is not well."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pool.chain.nodes import Patience, Standing, choose

NOW = 1000.0


def node(work: int | None = 10, **changes: Any) -> Standing:
    known: dict[str, Any] = {
        "work": work,
        "heard_s": NOW,
        "trouble": None,
        "weakness": None,
        "well_since_s": 0.0,
    }
    return Standing(**(known | changes))


def test_the_preferred_of_equals_is_chosen_once_it_has_been_well_for_long() -> None:
    young = node(well_since_s=NOW - 5)
    assert choose([node(), node()], None, NOW) == 0
    assert choose([young, node()], 1, NOW) == 1
    assert choose([young, young], None, NOW) == 0
    assert choose([node(well_since_s=NOW - 30), node()], 1, NOW) == 0


def test_the_most_work_is_chosen_and_equals_do_not_change_places() -> None:
    assert choose([node(10), node(11)], 0, NOW) == 1
    assert choose([node(10, well_since_s=NOW), node(10)], 1, NOW) == 1


def test_a_silent_node_s_tip_stays_the_best_for_a_while_and_nobody_behind_it_is_chosen() -> None:
    dead = node(11, heard_s=NOW - 20)
    assert choose([dead, node(10)], 0, NOW) is None
    assert choose([node(11, heard_s=NOW - 61), node(10)], 0, NOW) == 1
    assert choose([dead, node(11)], 0, NOW) == 1


def test_a_weak_node_is_better_than_none() -> None:
    weak = node(weakness="has no peers")
    assert choose([weak, node()], 0, NOW) == 1
    assert choose([weak, node(trouble="lies")], 0, NOW) == 0


STANDINGS = st.builds(
    Standing,
    work=st.none() | st.integers(1, 3),
    heard_s=st.none() | st.floats(NOW - 100, NOW),
    trouble=st.none() | st.just("ill"),
    weakness=st.none() | st.just("weak"),
    well_since_s=st.none() | st.floats(NOW - 100, NOW),
)


@given(st.lists(STANDINGS, max_size=4), st.none() | st.integers(0, 3))
def test_whoever_is_chosen_is_well_lately_heard_of_and_behind_nobody_who_is(
    nodes: list[Standing], current: int | None
) -> None:
    patience = Patience()
    chosen = choose(nodes, current, NOW, patience)
    if chosen is not None:
        best = nodes[chosen]
        assert best.trouble is None
        assert best.work is not None
        assert best.heard_s is not None
        assert NOW - best.heard_s <= patience.failover_s
        for other in nodes:
            if other.trouble is None and other.work is not None and other.heard_s is not None:
                assert other.work <= best.work or NOW - other.heard_s > patience.silent_s
        # asked again, it stays with its choice
        assert choose(nodes, chosen, NOW, patience) in {chosen, *range(chosen)}
