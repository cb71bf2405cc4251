"""Windows and divisions: exact, conserving, independent of how the log was sliced."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payouts.money import Msat
from pool.rewards import pplns
from pool.rewards.recount import RawShare, recount, shares_of
from pool.rewards.split import Division, check, divide
from pool.shares import Border, Chunk, Kind, Slice, Window, cut, score, weights
from stratum.units import MAX_TARGET, Target

NBITS = 0x207FFFFF  # regtest: a block is two hashes' work
HARDER = 0x1F00FFFF
EASY = MAX_TARGET  # work 1: half a unit at NBITS
BLOCK = Target(0x7FFFFF << 232)  # work 2: a unit at NBITS

shares_strategy = st.lists(
    st.tuples(
        st.sampled_from(["ann", "bob", "cid", "dan"]),
        st.sampled_from([NBITS, HARDER]),
        st.sampled_from([EASY, BLOCK, Target(BLOCK // 3), Target(BLOCK // 1000)]),
    ),
    max_size=40,
).map(lambda rows: [RawShare(number, *row) for number, row in enumerate(rows, start=1)])
sizes = st.fractions(min_value=Fraction(1, 100_000), max_value=30, max_denominator=100_000)


def slices(log: Sequence[RawShare]) -> tuple[Slice, ...]:
    groups: dict[Kind, list[int]] = {}
    for share in log:
        groups.setdefault(Kind(share.account, share.nbits, share.target), []).append(share.id)
    return tuple(Slice(*kind, len(ids), min(ids), max(ids)) for kind, ids in groups.items())


def chunks(log: Sequence[RawShare], borders: Sequence[int]) -> Iterator[Chunk]:
    """The log in chunks that end at the given ids, newest first."""
    ends = sorted({*(border for border in borders if border < len(log)), len(log)}, reverse=True)
    for end, before in zip(ends, [*ends[1:], 0], strict=True):
        yield Chunk(before + 1, end, slices(log[before:end]))


def cut_log(log: Sequence[RawShare], size: Fraction, borders: Sequence[int] = ()) -> Window:
    def rows(first: int, last: int) -> Iterator[Slice]:
        for share in reversed(log[first - 1 : last]):
            yield Slice(share.account, share.nbits, share.target, 1, share.id, share.id)

    return cut(chunks(log, borders), rows, size, len(log))


def scores_of(window: Window) -> dict[str, Fraction]:
    by_account, denominator = weights(window)
    return {account: Fraction(weight, denominator) for account, weight in by_account.items() if weight}


# ------------------------------------------------------------------------------------------------- the window


@given(shares_strategy, sizes, st.lists(st.integers(1, 40), max_size=5))
def test_the_window_is_the_one_that_a_walk_share_by_share_finds(
    log: list[RawShare], size: Fraction, borders: list[int]
) -> None:
    window = cut_log(log, size, borders)
    walked = recount(reversed(log), size)
    assert scores_of(window) == {name: each for name, each in walked.scores.items() if each}
    assert (window.first_id, window.full) == (walked.first_id, walked.full)
    assert (window.border and (window.border.share_id, window.border.part)) == walked.border


@given(
    shares_strategy, sizes, st.lists(st.integers(1, 40), max_size=5), st.lists(st.integers(1, 40), max_size=5)
)
def test_how_the_log_is_sliced_changes_nothing(
    log: list[RawShare], size: Fraction, some: list[int], others: list[int]
) -> None:
    assert cut_log(log, size, some) == cut_log(log, size, others)


@given(shares_strategy, sizes)
def test_a_full_window_scores_exactly_its_size_and_any_other_less(
    log: list[RawShare], size: Fraction
) -> None:
    window = cut_log(log, size)
    total = sum(scores_of(window).values(), Fraction(0))
    assert total == size if window.full else total < size


def test_the_border_share_is_counted_in_part() -> None:
    log = [RawShare(1, "old", NBITS, BLOCK), RawShare(2, "new", NBITS, BLOCK)]
    window = cut_log(log, Fraction(5, 4))
    assert window.border == Border(1, "old", Fraction(1, 4))
    assert scores_of(window) == {"new": Fraction(1), "old": Fraction(1, 4)}


def test_a_window_that_ends_between_two_shares_cuts_none() -> None:
    log = [RawShare(number, f"m{number}", NBITS, BLOCK) for number in range(1, 5)]
    for borders in ([], [2], [1, 3]):
        window = cut_log(log, Fraction(2), borders)
        assert (window.border, window.first_id, window.full) == (None, 3, True)
        assert set(scores_of(window)) == {"m3", "m4"}


def test_a_share_keeps_the_score_of_the_difficulty_it_was_submitted_at() -> None:
    log = [RawShare(1, "before", HARDER, BLOCK), RawShare(2, "after", NBITS, BLOCK)]
    scores = scores_of(cut_log(log, Fraction(10)))
    assert scores == {"before": score(HARDER, BLOCK), "after": Fraction(1)}
    assert scores["before"] == Fraction(2, (1 << 256) // ((0xFFFF << 224) + 1))


def test_an_empty_log_makes_an_empty_window() -> None:
    window = cut_log([], Fraction(8))
    assert (window.first_id, window.full, window.counts) == (0, False, {})
    assert weights(window) == ({}, 1)


def test_a_window_of_no_size_is_an_error() -> None:
    with pytest.raises(ValueError, match="positive size"):
        cut_log([], Fraction(0))


def test_rows_that_are_worth_less_than_their_slices_are_an_error() -> None:
    part = Slice("ann", NBITS, BLOCK, 5, 1, 5)
    with pytest.raises(ValueError, match="worth less"):
        cut([Chunk(1, 5, [part])], lambda _first, _last: iter([]), Fraction(1), 5)


def test_only_the_chunks_that_the_window_needs_are_read() -> None:
    read: list[int] = []

    def lazily() -> Iterator[Chunk]:
        for last in (30, 20, 10):
            read.append(last)
            yield Chunk(last - 9, last, [Slice("ann", NBITS, BLOCK, 10, last - 9, last)])

    cut(lazily(), lambda _first, _last: iter([]), Fraction(10), 30)
    assert read == [30]


# ----------------------------------------------------------------------------------------------- the division


@given(
    st.integers(0, 21 * 10**17),
    st.integers(0, 10_000),
    st.dictionaries(st.text(min_size=1, max_size=5), st.integers(0, 10**30), max_size=20),
    st.integers(0, 1000),
)
def test_a_division_neither_makes_nor_loses_a_millisatoshi(
    value: int, fee_bps: int, by_account: dict[str, int], residual: int
) -> None:
    division = divide(Msat(value), fee_bps, by_account, Msat(residual))
    parts = sum(division.credits.values()) + division.fee + division.residual_out
    assert parts == value + residual
    assert division.fee == value * fee_bps // 10_000
    assert all(part > 0 for part in division.credits.values())
    whole = sum(by_account.values())
    for account, weight in by_account.items():
        assert division.credits.get(account, 0) == (division.divided * weight // whole if whole else 0)
    if whole:
        assert 0 <= division.residual_out < len(by_account)


def test_what_rounding_leaves_over_is_divided_with_the_next_block() -> None:
    first = divide(Msat(100), 0, {"a": 1, "b": 1, "c": 1}, Msat(0))
    assert (first.credits, first.residual_out) == ({"a": 33, "b": 33, "c": 33}, 1)
    second = divide(Msat(101), 0, {"a": 1, "b": 1}, first.residual_out)
    assert (second.credits, second.residual_out) == ({"a": 51, "b": 51}, 0)


def test_a_block_without_any_share_leaves_all_but_the_fee_over() -> None:
    division = divide(Msat(1000), 200, {}, Msat(5))
    assert (division.fee, division.credits, division.residual_out) == (20, {}, 985)


@pytest.mark.parametrize(
    ("value", "fee", "by_account", "residual"),
    [(-1, 0, {}, 0), (1, -1, {}, 0), (1, 10_001, {}, 0), (1, 0, {"a": -1}, 0), (1, 0, {}, -1)],
)
def test_impossible_arguments_are_errors(
    value: int, fee: int, by_account: dict[str, int], residual: int
) -> None:
    with pytest.raises(ValueError, match="not negative"):
        divide(Msat(value), fee, by_account, Msat(residual))


# ------------------------------------------------------------------------------------------------ unit-PPLNS


@given(shares_strategy, st.integers(0, 10**12), st.integers(0, 999))
def test_a_reward_is_the_one_that_a_recount_gives(log: list[RawShare], value: int, residual: int) -> None:
    policy = pplns.Policy(Fraction("2.5"), 150)
    result = pplns.reward(cut_log(log, policy.window), Msat(value), policy, Msat(residual))
    walked = recount(reversed(log), policy.window)
    assert result.division.credits == shares_of(result.division.divided, walked.scores)
    assert result.total == sum(walked.scores.values(), Fraction(0))


def test_a_decimal_window_is_taken_exactly() -> None:
    assert pplns.Policy(Decimal("0.1"), 0).window == Fraction(1, 10)


def test_the_memo_is_json_with_amounts_as_strings() -> None:
    log = [RawShare(1, "old", NBITS, BLOCK), RawShare(2, "new", NBITS, BLOCK)]
    policy = pplns.Policy(Fraction(3, 2), 100)
    memo = pplns.memo(pplns.reward(cut_log(log, policy.window), Msat(10_000), policy, Msat(1)))
    assert json.loads(json.dumps(memo)) == {
        "scheme": "unit-pplns",
        "policy": {"window": "3/2", "fee_bps": 100},
        "value_msat": "10000",
        "fee_msat": "100",
        "divided_msat": "9901",
        "residual_in_msat": "1",
        "residual_out_msat": "1",
        "window": {
            "last_id": 2,
            "first_id": 1,
            "full": True,
            "score": "3/2",
            "border": {"share_id": 1, "part": "1/2"},
        },
    }


def test_a_window_not_yet_full_is_divided_by_what_is_there() -> None:
    log = [RawShare(1, "ann", NBITS, BLOCK), RawShare(2, "bob", NBITS, EASY)]
    policy = pplns.Policy(Fraction(8), 0)
    result = pplns.reward(cut_log(log, policy.window), Msat(3000), policy, Msat(0))
    assert result.division.credits == {"ann": 2000, "bob": 1000}
    assert result.window.full is False


def expected_pay(size: Fraction, at_first: list[int], at_second: list[int], index: int) -> Fraction:
    """What share ``index`` is paid in expectation, in blocks, when the difficulty changes on the way.

    A share of work w that follows at network work n finds a block with probability w / n; each block pays
    the shares that its window still holds 1 / size of a block for each unit of score.
    """
    log = [*at_first, *at_second]
    pay, after = Fraction(0), Fraction(0)
    own = Fraction(1, log[index])
    for network in log[index:]:
        room = min(own, max(Fraction(0), size - after))
        pay += Fraction(1, network) * room / size
        after += Fraction(1, network)
    return pay / own


def test_a_difficulty_change_moves_no_shares_expected_pay() -> None:
    # 100 shares to a block before, 110 after a retarget of +10 %; X = 8
    first, second = [100] * 1000, [110] * 2000
    values = [expected_pay(Fraction(8), first, second, index) for index in (0, 500, 900, 999, 1000, 1500)]
    assert all(abs(value - 1) < Fraction(1, 1000) for value in values)


@pytest.mark.parametrize(
    ("residual_out", "credited", "complaint"), [(0, 8, "lost or made"), (5, 5, "smaller than the number")]
)
def test_a_wrong_division_never_leaves(residual_out: int, credited: int, complaint: str) -> None:
    wrong = Division(Msat(10), Msat(0), Msat(0), Msat(residual_out), {"ann": Msat(credited)})
    with pytest.raises(AssertionError, match=complaint):
        check(wrong, 1)


def test_the_documented_example_is_what_the_code_pays() -> None:
    # docs/accounting.md: w = 0.000036 of X = 8, the rest is others'
    division = divide(Msat(315_000_000_000), 100, {"you": 36, "others": 8_000_000 - 36}, Msat(0))
    assert (division.fee, division.divided) == (3_150_000_000, 311_850_000_000)
    assert division.credits["you"] == 1_403_325
