"""Windows and divisions: exact, conserving, independent of how the log was sliced."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from decimal import Decimal
from fractions import Fraction
from random import Random

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from payouts.money import Msat
from pool.rewards.policy import AT_ONCE, Policy, Scheme, Term, policy_of
from pool.rewards.recount import RawShare, divided_again, recount, recount_parts
from pool.rewards.reward import Reward, memo, reward
from pool.rewards.split import Division, check, divide
from pool.rewards.stakes import stakes
from pool.shares import Border, Chunk, Slice, Window, chunk_of, cut, network_work, score, weights
from stratum.units import MAX_TARGET, Target, Work

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
    groups: dict[tuple[str, int, Target], list[int]] = {}
    for share in log:
        groups.setdefault((share.account, share.nbits, share.target), []).append(share.id)
    return tuple(Slice(*kind, len(ids), min(ids), max(ids)) for kind, ids in groups.items())


def chunks(log: Sequence[RawShare], borders: Sequence[int]) -> Iterator[Chunk]:
    """The log in chunks that end at the given ids, newest first."""
    ends = sorted({*(border for border in borders if border < len(log)), len(log)}, reverse=True)
    for end, before in zip(ends, [*ends[1:], 0], strict=True):
        yield chunk_of(before + 1, end, slices(log[before:end]))


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
        cut([chunk_of(1, 5, [part])], lambda _first, _last: iter([]), Fraction(1), 5)


def test_only_the_chunks_that_the_window_needs_are_read() -> None:
    read: list[int] = []

    def lazily() -> Iterator[Chunk]:
        for last in (30, 20, 10):
            read.append(last)
            yield chunk_of(last - 9, last, [Slice("ann", NBITS, BLOCK, 10, last - 9, last)])

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


# ------------------------------------------------------------------------------------------------ the schemes

SCHEMES = {scheme: Policy(Fraction("2.5"), 150, scheme) for scheme in Scheme}


@attrs.frozen
class Log:
    """A pot in memory, log ids from 1.  Attributes: its shares, log ids of blocks, borders of chunks."""

    rows_: Sequence[RawShare]
    won: Sequence[int] = ()
    borders: Sequence[int] = ()

    def chunks(self, last_id: int, after_id: int = 0) -> Iterator[Chunk]:
        ends = sorted({*(each for each in self.borders if after_id < each < last_id), last_id}, reverse=True)
        for end, before in zip(ends, [*ends[1:], after_id], strict=True):
            if end > before:
                yield chunk_of(before + 1, end, slices(self.rows_[before:end]))

    def rows(self, first_id: int, last_id: int) -> Iterator[Slice]:
        for each in reversed(self.rows_[first_id - 1 : last_id]):
            yield Slice(each.account, each.nbits, each.target, 1, each.id, each.id)

    def network(self, last_id: int) -> Work:
        return network_work(self.rows_[last_id - 1].nbits) if last_id else Work(1)

    def round_start(self, last_id: int) -> int:
        return max((each for each in self.won if each < last_id), default=0)

    def shares(self, last_id: int, after_id: int) -> Iterator[RawShare]:
        return reversed(self.rows_[after_id:last_id])

    def nbits(self, last_id: int) -> int | None:
        return self.rows_[last_id - 1].nbits if last_id else None


def pay(
    log: Log,
    value: int,
    terms: Sequence[Term],
    last_id: int | None = None,
    residual: int = 0,
    height: int = 0,
) -> Reward:
    last = len(log.rows_) if last_id is None else last_id
    finder = log.rows_[last - 1].account if last else "ann"
    return reward(stakes(log, terms, last, finder), Msat(value), Msat(residual), height)


policies = st.builds(
    lambda window, fee_bps, scheme: Policy(window, fee_bps, scheme, 150 if scheme in AT_ONCE else 0),
    st.fractions(min_value=Fraction(1, 1000), max_value=20, max_denominator=1000),
    st.integers(0, 10_000),
    st.sampled_from(Scheme),
)
courses = st.lists(st.tuples(policies, st.integers(1, 40)), max_size=3)
"""Changes of policy, each after so many shares."""


def terms_of(first: Policy, course: list[tuple[Policy, int]]) -> list[Term]:
    later = [Term(policy, after) for policy, after in sorted(course, key=lambda each: each[1])]
    return [Term(first, 0), *later]


@settings(max_examples=300)
@given(
    shares_strategy,
    policies,
    courses,
    st.lists(st.integers(1, 40), max_size=3),
    st.lists(st.integers(1, 40), max_size=3),
    st.integers(0, 21 * 10**17),
    st.integers(0, 999),
    st.integers(0, 10_000),
)
def test_any_scheme_through_any_changes_is_what_a_walk_share_by_share_gives_and_loses_nothing(
    rows: list[RawShare],
    first: Policy,
    course: list[tuple[Policy, int]],
    won: list[int],
    borders: list[int],
    value: int,
    residual: int,
    height: int,
) -> None:
    log, terms = Log(rows, won, borders), terms_of(first, course)
    result = pay(log, value, terms, residual=residual, height=height)
    division = result.division
    divided = sum(division.credits.values()) + division.fee + division.reserve
    assert divided + division.residual_out == value + residual
    parts = recount_parts(log, terms, len(rows))
    finder = rows[-1].account if rows else "ann"
    again = divided_again(parts, value, residual, finder, height)
    assert (dict(division.credits), division.fee, division.reserve, division.residual_out) == again
    assert [stake.part for stake in result.stakes] == [part.part for part in parts]
    noted = json.loads(json.dumps(memo("pool", result)))["parts"]
    assert [policy_of(part["policy"]).terms for part in noted] == [part.term.policy.terms for part in parts]


@settings(max_examples=60)
@given(shares_strategy, policies, st.integers(0, 10**12), st.randoms())
def test_whose_name_a_share_has_is_all_that_splitting_an_account_changes(
    rows: list[RawShare], policy: Policy, value: int, random: Random
) -> None:
    names = [f"{each.account}{random.choice('12')}" for each in rows]
    split = [each._replace(account=name) for each, name in zip(rows, names, strict=True)]
    terms = [Term(policy, 0)]
    whole, parts = pay(Log(rows), value, terms).division, pay(Log(split), value, terms).division
    for account in {each.account for each in rows}:
        both = sum(parts.credits.get(account + half, 0) for half in "12")
        assert both <= whole.credits.get(account, 0) <= both + 1


@settings(max_examples=60)
@given(shares_strategy, policies, st.integers(0, 10**12))
def test_one_account_alone_gets_all_but_the_fee_whatever_the_scheme(
    rows: list[RawShare], policy: Policy, value: int
) -> None:
    alone = [each._replace(account="ann") for each in rows]
    division = pay(Log(alone), value, [Term(policy, 0)]).division
    got = value - division.fee - division.reserve if rows or policy.scheme is Scheme.SOLO else 0
    assert division.credits == ({"ann": got} if got else {})


@settings(max_examples=60)
@given(shares_strategy, st.randoms(), st.integers(0, 10**12))
def test_the_order_within_a_round_changes_nothing(rows: list[RawShare], random: Random, value: int) -> None:
    same = [each._replace(nbits=NBITS) for each in rows]
    mixed = random.sample(same, len(same))
    mixed = [each._replace(id=number) for number, each in enumerate(mixed, 1)]
    for scheme in (Scheme.PROP, Scheme.PPLNS, Scheme.TIDES):
        terms = [Term(Policy(Fraction(10**9), 100, scheme), 0)]
        assert pay(Log(same), value, terms).division == pay(Log(mixed), value, terms).division


@pytest.mark.parametrize("scheme", [scheme for scheme in Scheme if scheme not in AT_ONCE])
def test_huge_and_tiny_shares_are_divided_exactly(scheme: Scheme) -> None:
    log = Log([RawShare(1, "tiny", 0x1702C4E4, MAX_TARGET), RawShare(2, "huge", 0x1702C4E4, Target(1))])
    terms = [Term(Policy(Fraction(8), 0, scheme), 0)]
    division = pay(log, 21 * 10**17, terms).division
    assert sum(division.credits.values()) + division.residual_out == 21 * 10**17
    assert division.credits["huge"] >= 21 * 10**17 - 1


def test_in_pps_plus_the_reserve_takes_the_subsidy_and_the_window_the_fees() -> None:
    log = Log([RawShare(number, f"m{number}", NBITS, BLOCK) for number in range(1, 5)])
    subsidy, fees = 2_500_000_000_000, 400_000
    plus = Policy(2, 100, Scheme.PPS_PLUS, 150)
    division = pay(log, subsidy + fees, [Term(plus, 0)], height=150).division
    assert (division.reserve, division.fee) == (subsidy, 4_000)
    assert division.credits == {"m3": 198_000, "m4": 198_000}
    # a change of the fee: the shares from before it keep their part of the fees, and were paid the subsidy
    dearer = Policy(2, 5_000, Scheme.PPS_PLUS, 150)
    division = pay(log, subsidy + fees, [Term(plus, 0), Term(dearer, 3)], height=150).division
    assert (division.reserve, division.credits) == (subsidy, {"m3": 198_000, "m4": 100_000})
    # from PPS+ to PPLNS: the subsidy is the newcomers' from then on
    division = pay(log, subsidy + fees, [Term(plus, 0), Term(Policy(2, 0), 3)], height=150).division
    assert division.reserve == 0
    assert division.credits == {"m3": 198_000, "m4": subsidy + 200_000}
    # a block that pays less than the subsidy has no fees
    assert pay(log, 1000, [Term(plus, 0)], height=150).division.reserve == 1000


def test_in_solo_the_finder_gets_the_block_and_nobodys_residual() -> None:
    log = Log([RawShare(1, "ann", NBITS, BLOCK), RawShare(2, "bob", NBITS, EASY)])
    (stake,) = stakes(log, [Term(SCHEMES[Scheme.SOLO], 0)], 2, "bob")
    division = reward([stake], Msat(10_000), Msat(0)).division
    assert (division.credits, division.fee, division.residual_out) == ({"bob": 9_850}, 150, 0)
    assert stake.window is None


def test_in_prop_a_round_begins_after_the_last_block_of_the_pot() -> None:
    rows = [RawShare(number, f"m{number}", NBITS, BLOCK) for number in range(1, 6)]
    terms = [Term(Policy(1, 0, Scheme.PROP), 0)]
    assert pay(Log(rows, won=[2]), 3000, terms).division.credits == {"m3": 1000, "m4": 1000, "m5": 1000}
    assert pay(Log(rows, won=[2]), 3000, terms, last_id=2).division.credits == {"m1": 1500, "m2": 1500}


def test_in_tides_all_shares_are_measured_by_the_difficulty_of_the_block() -> None:
    rows = [RawShare(1, "before", HARDER, BLOCK), RawShare(2, "after", NBITS, BLOCK)]
    terms = [Term(Policy(8, 0, Scheme.TIDES), 0)]
    assert pay(Log(rows), 3000, terms).division.credits == {"before": 1500, "after": 1500}
    terms = [Term(Policy(1, 0, Scheme.TIDES), 0)]
    assert pay(Log(rows), 3000, terms).division.credits == {"after": 3000}


# ----------------------------------------------------------------------------------------------- the policies


def test_a_change_of_the_fee_alone_moves_no_pay_but_by_the_fee() -> None:
    rows = [RawShare(number, f"m{number}", NBITS, BLOCK) for number in range(1, 9)]
    before, after = Policy(4, 100), Policy(4, 500)
    result = pay(Log(rows), 4_000_000, [Term(before, 0), Term(after, 6)])
    assert result.division.credits == {"m5": 990_000, "m6": 990_000, "m7": 950_000, "m8": 950_000}
    assert [stake.part for stake in result.stakes] == [Fraction(1, 2), Fraction(1, 2)]


def test_old_shares_keep_the_window_they_were_promised_and_new_ones_divide_the_rest() -> None:
    rows = [RawShare(number, f"m{number}", NBITS, BLOCK) for number in range(1, 9)]
    shorter = pay(Log(rows), 4_000_000, [Term(Policy(4, 0), 0), Term(Policy(1, 0), 6)]).division
    assert shorter.credits == {"m5": 1_000_000, "m6": 1_000_000, "m8": 2_000_000}
    solo = pay(Log(rows), 4_000_000, [Term(Policy(4, 0), 0), Term(Policy(1, 0, Scheme.SOLO), 7)]).division
    assert solo.credits == {"m5": 1_000_000, "m6": 1_000_000, "m7": 1_000_000, "m8": 1_000_000}
    long_ago = pay(Log(rows), 4_000_000, [Term(Policy(4, 0), 0), Term(Policy(2, 0), 3)])
    assert long_ago.division.credits == {"m7": 2_000_000, "m8": 2_000_000}
    assert len(long_ago.stakes) == 1


def test_a_block_from_before_a_change_is_divided_as_if_it_had_never_come() -> None:
    rows = [RawShare(number, f"m{number}", NBITS, BLOCK) for number in range(1, 9)]
    old = [Term(Policy(2, 100), 0)]
    changed = [*old, Term(Policy(8, 0, Scheme.PROP), 5)]
    assert pay(Log(rows), 999_999, changed, last_id=5) == pay(Log(rows), 999_999, old, last_id=5)


def test_a_policy_is_named_by_the_hash_of_its_terms() -> None:
    policy = Policy(Decimal("0.1"), 0)
    assert policy.window == Fraction(1, 10)
    assert policy.text == '{"fee_bps":0,"scheme":"pplns","window":"1/10"}'
    assert policy.hash == hashlib.sha256(policy.text.encode()).hexdigest()
    assert policy_of(json.loads(policy.text)) == policy
    assert policy_of({"window": "8", "fee_bps": 100}) == Policy(8, 100)
    # a window means nothing to solo: another one is no other policy
    assert Policy(8, 50, Scheme.SOLO).hash == Policy(2, 50, Scheme.SOLO).hash


def test_the_memo_is_json_with_amounts_as_strings() -> None:
    log = Log([RawShare(1, "old", NBITS, BLOCK), RawShare(2, "new", NBITS, BLOCK)])
    policy = Policy(Fraction(3, 2), 100)
    noted = memo("pool", pay(log, 10_000, [Term(policy, 0)], residual=1))
    assert json.loads(json.dumps(noted)) == {
        "pot": "pool",
        "value_msat": "10000",
        "fee_msat": "100",
        "residual_in_msat": "1",
        "residual_out_msat": "1",
        "parts": [
            {
                "policy": {"scheme": "pplns", "window": "3/2", "fee_bps": 100},
                "policy_hash": policy.hash,
                "after_share": 0,
                "value_msat": "10000",
                "fee_msat": "100",
                "reserve_msat": "0",
                "divided_msat": "9901",
                "window": {
                    "last_id": 2,
                    "first_id": 1,
                    "full": True,
                    "score": "3/2",
                    "border": {"share_id": 1, "part": "1/2"},
                },
            }
        ],
    }


def test_a_window_not_yet_full_is_divided_by_what_is_there() -> None:
    log = Log([RawShare(1, "ann", NBITS, BLOCK), RawShare(2, "bob", NBITS, EASY)])
    result = pay(log, 3000, [Term(Policy(8, 0), 0)])
    assert result.division.credits == {"ann": 2000, "bob": 1000}
    assert result.stakes[0].window is not None
    assert result.stakes[0].window.full is False


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
