"""Amounts are whole numbers, exactly; and no money module divides or knows a float."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import payouts
from payouts.money import Msat, Sat, ceil_sat, floor_sat, to_msat

HOME = Path(payouts.__file__).parent
MONEY = ["money", "planner", "terms", "invoice", "ports", "claims", "lnurl", "payment"] + [
    f"onchain/{name}" for name in ("policy", "wallet", "bitcoind")
]


@given(st.integers(-(10**18), 10**18))
def test_rounding_goes_to_the_nearest_whole_sat_on_its_side(amount: int) -> None:
    low, high = floor_sat(Msat(amount)), ceil_sat(Msat(amount))
    assert to_msat(low) <= amount <= to_msat(high)
    assert high - low == (amount % 1000 != 0)


@given(st.integers(-(10**15), 10**15))
def test_whole_sats_survive(amount: int) -> None:
    assert floor_sat(to_msat(Sat(amount))) == ceil_sat(to_msat(Sat(amount))) == amount


@pytest.mark.parametrize("module", MONEY)
def test_no_money_module_divides_or_knows_a_float(module: str) -> None:
    for node in ast.walk(ast.parse((HOME / f"{module}.py").read_text())):
        assert not isinstance(node, ast.Div), f"{module} divides"
        assert not (isinstance(node, ast.Constant) and isinstance(node.value, float)), f"{module} has a float"
        assert not (isinstance(node, ast.Name) and node.id == "float"), f"{module} names float"
