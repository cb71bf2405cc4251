"""An operator's entries: balanced, with a reason, and made again from their memo."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from payouts.money import Msat
from pool import ledger
from pool.adjustments import ACCOUNTS, Adjustment, Kind, booked, from_entry
from pool.errors import LedgerError

SWAP = Adjustment(Kind.MOVE, "tx1", "hot", Msat(1_000_000), "channel open", "lightning", Msat(5_001))


def sides(said: Adjustment) -> dict[str, int]:
    return {posting.account: posting.amount for posting in booked(said).postings}


def test_each_kind_has_its_two_sides() -> None:
    assert sides(SWAP) == {
        ledger.HOT: -1_005_001,
        ledger.LIGHTNING: 1_000_000,
        ledger.TRANSFERS: 5_001,
    }
    out = Adjustment(Kind.WITHDRAWAL, "r", "treasury", Msat(7), "the fee of October")
    assert sides(out) == {ledger.TREASURY: -7, ledger.WITHDRAWN: 7}
    assert sides(attrs.evolve(out, kind=Kind.LOSS)) == {ledger.TREASURY: -7, ledger.LOSSES: 7}
    less = attrs.evolve(out, kind=Kind.CORRECTION, amount=Msat(-7))
    assert sides(less) == {ledger.TREASURY: -7, ledger.CORRECTIONS: 7}
    assert less.leaves == 7
    assert attrs.evolve(less, amount=Msat(7)).leaves == 0


@given(
    st.sampled_from(Kind),
    st.sampled_from(("hot", "lightning")),
    st.integers(1, 2 * 10**18),
    st.integers(0, 10**12),
    st.text(min_size=1).filter(str.strip),
)
def test_what_was_booked_is_made_again_from_its_memo(
    kind: Kind, asset: str, amount: int, cost: int, text: str
) -> None:
    moving = kind is Kind.MOVE
    other = "hot" if asset == "lightning" else "lightning"
    said = Adjustment(
        kind, text, asset, Msat(amount), text, other if moving else None, Msat(cost if moving else 0)
    )
    entry = booked(said)
    assert sum(posting.amount for posting in entry.postings) == 0
    assert from_entry(entry.key, entry.memo) == said


@pytest.mark.parametrize(
    "wrong",
    [
        {"asset": "cold"},
        {"asset": "treasury"},
        {"to": None},
        {"to": "hot"},
        {"to": "immature"},
        {"amount": Msat(0)},
        {"amount": Msat(-1)},
        {"cost": Msat(-1)},
        {"why": " "},
        {"reference": ""},
        {"kind": Kind.LOSS},
        {"kind": Kind.WITHDRAWAL, "to": None},
    ],
)
def test_what_moves_nothing_from_nowhere_or_for_no_reason_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(LedgerError):
        booked(attrs.evolve(SWAP, **wrong))


def test_every_asset_is_in_the_chart() -> None:
    for account in ACCOUNTS.values():
        assert ledger.entry("k", "k", {}, [(account, 1), (ledger.DEPOSITS, -1)]).postings
