"""Fee caps, the withdrawable maximum and batches never promise more than there is."""

from __future__ import annotations

from random import Random

import attrs
from hypothesis import given
from hypothesis import strategies as st

from payouts.money import Msat, Sat, floor_sat, to_msat
from payouts.planner import (
    BatchPolicy,
    FeePolicy,
    bearers,
    least_output,
    max_fee,
    max_withdrawable,
    plan_batch,
)
from payouts.values import Output

policies = st.builds(FeePolicy, base=st.integers(0, 10**7).map(Msat), ppm=st.integers(0, 500_000))


@given(policies, st.integers(1, 10**12))
def test_the_fee_cap_stays_below_what_electrum_asserts(policy: FeePolicy, amount: int) -> None:
    assert 0 <= max_fee(policy, Msat(amount)) < max(amount // 2, 1_000_000)


def test_the_fee_cap_is_base_and_share() -> None:
    assert max_fee(FeePolicy(Msat(5000), 10_000), Msat(1_000_000)) == 15_000


@given(policies, st.integers(0, 10**13), st.integers(0, 10**7))
def test_the_maximum_and_its_worst_fee_are_covered_and_a_sat_more_is_not(
    policy: FeePolicy, available: int, cap: int
) -> None:
    best = max_withdrawable(Msat(available), policy, Sat(cap))
    assert 0 <= best <= cap
    if best:
        assert to_msat(best) + max_fee(policy, to_msat(best)) <= available
    if best < cap:
        more = to_msat(Sat(best + 1))
        assert more + max_fee(policy, more) > available


def test_an_overdrawn_balance_has_nothing_to_withdraw() -> None:
    assert max_withdrawable(Msat(-5000), FeePolicy(Msat(0), 0), Sat(100)) == 0


def test_an_output_is_worth_twenty_times_its_cost_and_no_dust() -> None:
    assert least_output(BatchPolicy(Sat(0), 1000)) == 20 * 43
    assert least_output(BatchPolicy(Sat(0), 1)) == 546
    assert least_output(BatchPolicy(Sat(50_000), 1000)) == 50_000
    assert least_output(BatchPolicy(Sat(50_000), 100_500)) == 20 * 4322


def test_the_largest_are_paid_first_and_no_more_than_fit() -> None:
    due = [Output(name, name, Sat(amount)) for name, amount in (("a", 900), ("b", 2000), ("c", 3000))]
    planned = plan_batch(due, BatchPolicy(Sat(1000), 1000, max_outputs=1))
    assert [output.account for output in planned] == ["c"]
    assert [o.account for o in plan_batch(due, BatchPolicy(Sat(1000), 1000))] == ["c", "b"]


def test_an_address_is_paid_once_in_a_batch() -> None:
    due = [Output("a", "x", Sat(5000)), Output("b", "x", Sat(6000))]
    assert plan_batch(due, BatchPolicy(Sat(1000), 1000)) == (due[1],)


candidates = st.lists(
    st.builds(Output, st.sampled_from("abcdefgh"), st.sampled_from("uvwxyz"), st.integers(0, 10**6).map(Sat)),
    max_size=12,
    unique_by=lambda output: output.account,
)
batch_policies = st.builds(
    BatchPolicy, st.integers(0, 10**5).map(Sat), st.integers(0, 500_000), max_outputs=st.integers(1, 5)
)


@given(candidates, batch_policies)
def test_whoever_is_left_out_of_a_batch_has_too_little_or_less_or_shares_an_address(
    due: list[Output], policy: BatchPolicy
) -> None:
    planned = plan_batch(due, policy)
    assert set(planned) <= set(due)
    assert len({output.address for output in planned}) == len(planned) <= policy.max_outputs
    least = min((output.amount for output in planned), default=0)
    full = len(planned) == policy.max_outputs
    for output in set(due) - set(planned):
        rivals = [other for other in planned if other.address == output.address]
        small = output.amount < least_output(policy)
        assert small or (full and output.amount <= least) or any(o.amount >= output.amount for o in rivals)
    assert all(output.amount >= least_output(policy) for output in planned)


@given(candidates, batch_policies, st.randoms(use_true_random=False))
def test_a_batch_does_not_depend_on_the_order_of_its_candidates(
    due: list[Output], policy: BatchPolicy, random: Random
) -> None:
    mixed = list(due)
    random.shuffle(mixed)
    assert plan_batch(mixed, policy) == plan_batch(due, policy)


@given(policies, st.integers(0, 10**12))
def test_a_fee_is_borne_whole_by_one_and_the_pool_lets_a_miner_take_all(
    policy: FeePolicy, balance: int
) -> None:
    fee = max_fee(policy, Msat(balance))
    for by_pool in (True, False):
        assert sum(bearers(attrs.evolve(policy, by_pool=by_pool), fee)) == fee
    free = attrs.evolve(policy, by_pool=True)
    assert max_withdrawable(Msat(balance), free, Sat(10**12)) == floor_sat(Msat(balance))


@given(policies, st.integers(0, 10**12), st.integers(0, 10**6), st.integers(1, 10**7))
def test_more_balance_never_allows_less(policy: FeePolicy, balance: int, more: int, cap: int) -> None:
    less = max_withdrawable(Msat(balance), policy, Sat(cap))
    assert less <= max_withdrawable(Msat(balance + more), policy, Sat(cap))
