"""Buckets: a bound for all, a smaller one for each address, and no memory without end."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pool.web.bucket import ADDRESSES, Gate, Rate

NOW_MS = 1_800_000_000_000


def test_one_visitor_uses_up_a_part_only() -> None:
    gate = Gate(Rate(10, 1_000), Rate(3, 5_000))
    assert [gate.take(NOW_MS, "a") for _ in range(5)] == [True] * 3 + [False] * 2
    assert gate.take(NOW_MS, "b")
    assert not gate.take(NOW_MS + 4_999, "a")
    assert gate.take(NOW_MS + 5_000, "a")


def test_many_visitors_are_bounded_together_and_who_cannot_be_told_apart_counts_in_all_only() -> None:
    gate = Gate(Rate(10, 1_000), Rate(3, 5_000))
    assert [gate.take(NOW_MS, None) for _ in range(6)] == [True] * 6
    assert [gate.take(NOW_MS, str(n)) for n in range(6)] == [True] * 4 + [False] * 2
    assert gate.take(NOW_MS + 1_000, None)
    assert not gate.take(NOW_MS + 1_000, None)


def test_addresses_are_not_remembered_without_end() -> None:
    gate = Gate(Rate(10**6, 1), Rate(1, 10**9))
    assert gate.take(NOW_MS, "first")
    assert not gate.take(NOW_MS, "first")
    for number in range(ADDRESSES):
        gate.take(NOW_MS, str(number))
    assert gate.take(NOW_MS, "first")
    assert len(gate._of) == ADDRESSES


@given(st.lists(st.tuples(st.integers(0, 2_000), st.sampled_from(["a", "b", None])), max_size=60))
def test_in_no_span_do_more_come_than_its_rate_allows(visits: list[tuple[int, str | None]]) -> None:
    gate, now_ms, let_in = Gate(Rate(5, 1_000), Rate(2, 3_000)), NOW_MS, []
    for wait_ms, who in visits:
        now_ms += wait_ms
        if gate.take(now_ms, who):
            let_in.append((now_ms, who))
    span_ms = now_ms - NOW_MS
    assert len(let_in) <= 5 + span_ms // 1_000
    assert sum(who == "a" for _, who in let_in) <= 2 + span_ms // 3_000
