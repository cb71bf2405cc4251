"""Runes as Core Lightning makes them are read; only restrictions of the method alone bound them."""

from __future__ import annotations

from base64 import urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payouts.lightning.cln import NEEDS
from payouts.lightning.rune import Rune, read


def rune(restrictions: str) -> str:
    return urlsafe_b64encode(b"\x33" * 32 + restrictions.encode()).decode().rstrip("=")


def methods(*names: str) -> str:
    return "|".join(f"method={name}" for name in names)


def test_a_narrow_rune_has_no_excess_and_lacks_nothing() -> None:
    found = read(rune(f"=7&{methods(*NEEDS)}"))
    assert found == Rune(frozenset(NEEDS), caps=False)
    assert (found.excess(NEEDS), found.lacks(NEEDS)) == (frozenset(), frozenset())


def test_the_runes_of_the_manual_are_read() -> None:
    shown = read(
        "QUJEYMLGgiaJvMDv_MhR2hiMKIBTbq-PrL-KxcIlirQ9MiZtZXRob2Q9cGF5JnBuYW1lYW1vdW50bXNhdDwxMDAwMA=="
    )
    assert shown == Rune(frozenset({"pay"}), caps=True)
    listing = read(
        "_RWaZZRI7wAYU2hqlFBmYgC_dFczcpAdI_9O87YbDpg9MCZtZXRob2RebGlzdHxtZXRob2ReZ2V0fG1ldGhvZD1zdW1tYXJ5Jm1ldGhv"
        "ZC9saXN0ZGF0YXN0b3Jl"
    )
    assert listing == Rune(None, caps=False)


@pytest.mark.parametrize(
    "restrictions",
    ["=1", "=1&method^list|method=xpay", "=1&method/xpay", "=1&id=02ab|method=xpay", "=1&rate=60"],
)
def test_a_rune_whose_methods_are_not_all_named_allows_anything(restrictions: str) -> None:
    found = read(rune(restrictions))
    assert found is not None
    assert found.excess(NEEDS) is None
    assert found.lacks(NEEDS) == frozenset()


def test_all_restrictions_hold_together_and_what_is_too_much_is_named() -> None:
    found = read(rune(f"=1&{methods('xpay', 'withdraw', 'getinfo')}&{methods('xpay', 'withdraw')}&rate=60"))
    assert found == Rune(frozenset({"xpay", "withdraw"}), caps=True)
    assert found.excess(NEEDS) == frozenset({"withdraw"})
    assert found.lacks(NEEDS) == frozenset(NEEDS) - {"xpay"}


def test_escaped_marks_are_part_of_the_value() -> None:
    found = read(rune(r"=1&method=xp\|ay\&x|method=\\"))
    assert found == Rune(frozenset({"xp|ay&x", "\\"}), caps=False)


@pytest.mark.parametrize("text", ["", "not a rune!", rune(""), rune("=1&method"), rune("=1&method=\\")])
def test_what_is_no_rune_is_none(text: str) -> None:
    assert read(text) is None


@given(st.text(max_size=100), st.text(max_size=60))
def test_no_text_makes_it_fail_otherwise(text: str, restrictions: str) -> None:
    for each in (text, rune(restrictions)):
        found = read(each)
        assert found is None or isinstance(found, Rune)
