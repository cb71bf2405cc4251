"""Every entry balances, names only accounts of the chart, and moves what its name says."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payouts.money import Msat, Sat
from pool import ledger
from pool.errors import LedgerError
from pool.rewards.split import Division, divide

names = st.from_regex(r"[a-z0-9._-]{1,8}", fullmatch=True)
HASH = "ab" * 32


def moved(entry: ledger.Entry) -> dict[str, int]:
    return {posting.account: posting.amount for posting in entry.postings}


def of(account: str, part: ledger.Part) -> str:
    return ledger.miner(account, part)


divisions = st.builds(
    divide,
    st.integers(0, 10**15).map(Msat),
    st.integers(0, 10_000),
    st.dictionaries(names, st.integers(0, 10**9), max_size=6),
    st.integers(0, 50).map(Msat),
)


@given(divisions, st.dictionaries(names, st.integers(1, 10**12).map(Msat), max_size=6))
def test_every_entry_of_a_blocks_life_balances_without_empty_postings(
    division: Division, owed: dict[str, Msat]
) -> None:
    rewarded = ledger.reward(HASH, 1, division, {}, owed)
    matured = ledger.mature(HASH, 1, rewarded)
    reversed_ = ledger.reverse(HASH, 1, rewarded, was_mature=False, balances={})
    for entry in (rewarded, matured, reversed_):
        assert sum(moved(entry).values()) == 0
        assert all(moved(entry).values())
        assert list(moved(entry)) == sorted(moved(entry))


@given(divisions)
def test_reversing_a_reward_takes_back_exactly_what_it_gave(division: Division) -> None:
    before = {ledger.RESIDUAL: Msat(-division.residual_in)}
    rewarded = ledger.reward(HASH, 0, division, {})
    after = add(before, rewarded)
    for was_mature in (False, True):
        now = add(after, ledger.mature(HASH, 0, rewarded)) if was_mature else after
        back = ledger.reverse(HASH, 0, rewarded, was_mature=was_mature, balances=now)
        assert without_zeros(add(now, back)) == without_zeros(before)


@given(divisions, st.dictionaries(names, st.integers(0, 10**15), max_size=6), st.integers(0, 10**15))
def test_a_reversal_never_overdraws_whatever_was_spent(
    division: Division, left: dict[str, int], hot: int
) -> None:
    rewarded = ledger.reward(HASH, 0, division, {})
    balances = {of(name, "available"): Msat(-amount) for name, amount in left.items()}
    balances[ledger.HOT] = Msat(hot)
    after = add(balances, ledger.reverse(HASH, 0, rewarded, was_mature=True, balances=balances))
    assert all(amount <= 0 for name, amount in after.items() if name.startswith("liabilities:"))
    assert all(amount >= 0 for name, amount in after.items() if name.startswith("assets:"))


def add(balances: Mapping[str, Msat], entry: ledger.Entry) -> dict[str, Msat]:
    result = dict(balances)
    for posting in entry.postings:
        result[posting.account] = Msat(result.get(posting.account, 0) + posting.amount)
    return result


def without_zeros(balances: Mapping[str, Msat]) -> dict[str, Msat]:
    return {name: amount for name, amount in balances.items() if amount}


def test_a_reward_credits_fee_miners_and_residual() -> None:
    division = divide(Msat(1000), 100, {"ann": 2, "bob": 1}, Msat(3))
    entry = ledger.reward(HASH, 0, division, {"scheme": "x"})
    assert moved(entry) == {
        ledger.IMMATURE: 1000,
        ledger.POOL_FEE: -10,
        of("ann", "immature"): -662,
        of("bob", "immature"): -331,
        ledger.RESIDUAL: 3,
    }
    assert entry.key == f"reward:{HASH}:0"
    assert entry.memo == {"scheme": "x", "block": HASH, "n": 0, "recovered_msat": {}}


def test_what_a_miner_kept_of_a_reversed_reward_comes_off_the_next() -> None:
    division = divide(Msat(1000), 0, {"ann": 1, "bob": 1}, Msat(0))
    entry = ledger.reward(HASH, 1, division, {}, {"ann": Msat(600), "bob": Msat(1), "eve": Msat(9)})
    assert moved(entry) == {
        ledger.IMMATURE: 1000,
        of("bob", "immature"): -499,
        ledger.ORPHAN_LOSS: -501,
    }
    assert entry.memo["recovered_msat"] == {"ann": "500", "bob": "1"}


def test_a_reversal_names_what_each_miner_kept() -> None:
    division = divide(Msat(1000), 0, {"ann": 1, "bob": 1}, Msat(0))
    rewarded = ledger.reward(HASH, 0, division, {})
    balances = {
        of("ann", "available"): Msat(-500),
        of("bob", "available"): Msat(-200),
        ledger.HOT: Msat(5000),
    }
    entry = ledger.reverse(HASH, 0, rewarded, was_mature=True, balances=balances)
    assert moved(entry) == {
        ledger.HOT: -1000,
        of("ann", "available"): 500,
        of("bob", "available"): 200,
        ledger.ORPHAN_LOSS: 300,
    }
    assert entry.memo["short_msat"] == {"bob": "300"}


def test_a_settled_payment_debits_amount_and_fee_and_frees_the_rest() -> None:
    entry = ledger.settle(7, "ann", Msat(1050), Msat(1000), Msat(20))
    assert moved(entry) == {
        of("ann", "held"): 1050,
        of("ann", "available"): -30,
        ledger.LIGHTNING: -1020,
    }
    assert entry.key == "settle:7"


def test_a_fee_beyond_the_hold_is_the_pools() -> None:
    entry = ledger.settle(7, "ann", Msat(1050), Msat(1000), Msat(80))
    assert moved(entry) == {of("ann", "held"): 1050, ledger.ROUTING: 30, ledger.LIGHTNING: -1080}


def test_a_release_undoes_its_hold() -> None:
    hold, release = ledger.hold(7, "ann", Msat(9)), ledger.release(7, "ann", Msat(9))
    assert moved(hold) == {of("ann", "available"): 9, of("ann", "held"): -9}
    assert moved(release) == {of("ann", "available"): -9, of("ann", "held"): 9}
    assert (hold.key, release.key) == ("hold:7", "release:7")


def test_a_batch_holds_and_settles_all_its_outputs_in_one_entry() -> None:
    amounts = {"ann": Msat(5000), "bob": Msat(7000)}
    assert sum(moved(ledger.batch_hold(3, amounts)).values()) == 0
    undone = moved(ledger.batch_release(3, amounts))
    assert undone == {name: -amount for name, amount in moved(ledger.batch_hold(3, amounts)).items()}
    assert moved(ledger.batch_settle(3, amounts, Sat(2))) == {
        of("ann", "held"): 5000,
        of("bob", "held"): 7000,
        ledger.CHAIN_FEES: 2000,
        ledger.HOT: -14_000,
    }


def test_a_deposit_is_the_operators_equity() -> None:
    assert moved(ledger.deposit("1", "lightning", Msat(5))) == {ledger.LIGHTNING: 5, ledger.DEPOSITS: -5}
    assert moved(ledger.deposit("2", "hot", Msat(5))) == {ledger.HOT: 5, ledger.DEPOSITS: -5}
    with pytest.raises(LedgerError, match="more than nothing"):
        ledger.deposit("3", "hot", Msat(0))


def test_an_entry_that_does_not_balance_cannot_be_made() -> None:
    with pytest.raises(LedgerError, match="does not balance"):
        ledger.entry("k", "x", {}, [(ledger.HOT, 1)])


@pytest.mark.parametrize(
    "account", ["assets:cold", "liabilities:miners:ann", "liabilities:miners:a:b:held", ""]
)
def test_an_account_outside_the_chart_cannot_be_posted_to(account: str) -> None:
    with pytest.raises(LedgerError, match="chart"):
        ledger.entry("k", "x", {}, [(account, 1), (ledger.HOT, -1)])


@pytest.mark.parametrize("name", ["", "a:b", "a b", "a\n"])
def test_names_with_colons_or_space_are_no_accounts(name: str) -> None:
    with pytest.raises(LedgerError, match="cannot be an account"):
        ledger.miner(name, "held")


@given(names, st.sampled_from(ledger.PARTS))
def test_a_miners_ledger_account_leads_back_to_the_miner(name: str, part: ledger.Part) -> None:
    assert ledger.miner_of(ledger.miner(name, part)) == (name, part)
    assert ledger.miner_of(ledger.HOT) is None


def test_the_hash_depends_on_every_part_of_an_entry() -> None:
    one = [ledger.Posting(ledger.HOT, Msat(1))]
    base = ledger.entry_hash("p", "k", "x", 1, "{}", one)
    others = [
        ledger.entry_hash("q", "k", "x", 1, "{}", one),
        ledger.entry_hash("p", "l", "x", 1, "{}", one),
        ledger.entry_hash("p", "k", "y", 1, "{}", one),
        ledger.entry_hash("p", "k", "x", 2, "{}", one),
        ledger.entry_hash("p", "k", "x", 1, "[]", one),
        ledger.entry_hash("p", "k", "x", 1, "{}", [ledger.Posting(ledger.HOT, Msat(2))]),
        ledger.entry_hash("p", "k", "x", 1, "{}", [ledger.Posting(ledger.LIGHTNING, Msat(1))]),
        ledger.entry_hash("p", "k", "x", 1, "{}", []),
    ]
    assert len({base, *others}) == 9
    assert ledger.entry_hash("p", "k", "x", 1, "{}", one) == base


def test_a_memo_is_stored_the_same_whatever_the_order_of_its_keys() -> None:
    assert (
        ledger.memo_text({"b": "é", "a": [1]})
        == ledger.memo_text({"a": [1], "b": "é"})
        == '{"a":[1],"b":"é"}'
    )


PARTS = [(ledger.IMMATURE, 60), (ledger.TREASURY_IMMATURE, 40)]


def test_the_treasury_s_part_of_a_block_matures_into_the_treasury_and_no_payout_can_leave_from_it() -> None:
    division = divide(Msat(100), 0, {"ann": 1}, Msat(0))
    rewarded = ledger.reward(HASH, 0, division, {}, treasury=Msat(40))

    matured = moved(ledger.mature(HASH, 0, rewarded))

    assert [(name, moved(rewarded)[name]) for name, _ in PARTS] == PARTS
    assert (matured[ledger.HOT], matured[ledger.TREASURY]) == (60, 40)
    assert (matured[ledger.IMMATURE], matured[ledger.TREASURY_IMMATURE]) == (-60, -40)


@given(divisions, st.integers(0, 100), st.booleans())
def test_a_reward_with_a_treasury_part_is_taken_back_from_where_its_coins_are(
    division: Division, percent: int, was_mature: bool
) -> None:
    treasury = Msat(division.value * percent // 100)
    before = {ledger.RESIDUAL: Msat(-division.residual_in)}
    rewarded = ledger.reward(HASH, 0, division, {}, treasury=treasury)
    after = add(before, rewarded)
    now = add(after, ledger.mature(HASH, 0, rewarded)) if was_mature else after
    back = ledger.reverse(HASH, 0, rewarded, was_mature=was_mature, balances=now)
    assert without_zeros(add(now, back)) == without_zeros(before)
