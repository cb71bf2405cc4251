"""The tree with sums, beside one that is written down plainly."""

from __future__ import annotations

import hashlib

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pool.errors import ProofError
from pool.proof.sums import (
    FEE,
    MAX_MSAT,
    Summed,
    SumPath,
    account_leaf,
    claims_leaf,
    led_to,
    parts_of,
    sum_paths,
    sum_root,
)

PARTS = st.dictionaries(st.text(max_size=12), st.integers(0, 1 << 50), min_size=1, max_size=40)


def naive(parts: list[tuple[str, int]]) -> tuple[int, bytes]:
    """Sum and hash, as the document says it."""
    if len(parts) == 1:
        name, amount = parts[0]
        text = name.encode()
        return amount, hashlib.sha256(b"\0" + bytes([len(text)]) + text + amount.to_bytes(8, "big")).digest()
    k = 1
    while k * 2 < len(parts):
        k *= 2
    (left, left_hash), (right, right_hash) = naive(parts[:k]), naive(parts[k:])
    data = left.to_bytes(8, "big") + left_hash + right.to_bytes(8, "big") + right_hash
    return left + right, hashlib.sha256(b"\1" + data).digest()


@given(PARTS)
def test_the_root_is_the_one_that_the_rule_gives_and_the_total_is_the_sum(parts: dict[str, int]) -> None:
    total, top = naive(sorted(parts.items()))
    found = sum_root(parts)
    assert (found.total, found.size) == (sum(parts.values()), len(parts)) == (total, len(parts))
    data = b"\2" + len(parts).to_bytes(8, "big") + total.to_bytes(8, "big") + top
    assert found.hash == hashlib.sha256(data).digest()


@given(PARTS, st.data())
def test_each_leaf_leads_to_the_root_and_nothing_else_does(
    parts: dict[str, int], data: st.DataObject
) -> None:
    root = sum_root(parts)
    paths = sum_paths(parts, [*parts, "not among them " * 2])
    assert paths.keys() == parts.keys()
    for name, path in paths.items():
        assert led_to(name, parts[name], path, root.size) == root
    name = data.draw(st.sampled_from(sorted(parts)))
    path = paths[name]
    assert led_to(name, parts[name] + 1, path, root.size) != root
    assert led_to(name + "x", parts[name], path, root.size) != root
    for at, other in enumerate(path.beside):
        for wrong in (attrs.evolve(other, amount=other.amount + 1), attrs.evolve(other, hash=bytes(32))):
            changed = SumPath(path.index, [*path.beside[:at], wrong, *path.beside[at + 1 :]])
            assert led_to(name, parts[name], changed, root.size) != root
    for beside in (
        [*path.beside, Summed(0, bytes(32))],
        path.beside[:-1] if path.beside else [Summed(0, b"")],
    ):
        with pytest.raises(ProofError):
            led_to(name, parts[name], SumPath(path.index, beside), root.size)


def test_amounts_that_are_none_are_refused_wherever_they_are() -> None:
    full, path = Summed(MAX_MSAT, bytes(32)), SumPath(0, [Summed(5, bytes(32))])
    with pytest.raises(ProofError, match="no amount"):
        sum_root({"fee": -1})
    with pytest.raises(ProofError, match="no amount"):
        sum_root({"fee": 1, "residual": MAX_MSAT})
    with pytest.raises(ProofError, match="no amount"):
        led_to("fee", -5, path, 2)
    with pytest.raises(ProofError, match="no amount"):
        led_to("fee", 5, SumPath(0, [Summed(-5, bytes(32))]), 2)
    with pytest.raises(ProofError, match="no amount"):
        led_to("fee", 1, SumPath(0, [full]), 2)
    with pytest.raises(ProofError, match="31 bytes"):
        led_to("fee", 1, SumPath(0, [Summed(5, bytes(31))]), 2)
    with pytest.raises(ProofError):
        led_to("fee", 1, path, 0)
    with pytest.raises(ProofError):
        sum_root({})
    with pytest.raises(ProofError, match="too long a name"):
        sum_root({"x" * 256: 1})


def test_negative_amounts_cannot_hide_what_is_owed_as_in_trees_with_one_sum() -> None:
    honest = {"account:ada": 100, "account:bob": 50}
    root, paths = sum_root(honest), sum_paths(honest, list(honest))
    (bob,) = paths["account:ada"].beside
    for shown in range(50):  # bob's leaf beside ada's, with less than it holds
        path = SumPath(0, [attrs.evolve(bob, amount=shown)])
        assert led_to("account:ada", 100, path, 2).hash != root.hash


MEMO = {
    "pot": "pool",
    "value_msat": "1000",
    "fee_msat": "10",
    "residual_in_msat": "2",
    "residual_out_msat": "1",
    "parts": [{"reserve_msat": "0", "window": {"first_id": 3}}],
}


def test_a_rewards_parts_are_all_of_what_was_there_and_how_it_was_divided() -> None:
    parts = parts_of({**MEMO, "n": 0}, {"ada": 900, "bob": 91})
    assert sum(parts.values()) == 1000 + 2
    assert parts[account_leaf("ada")] == 900
    assert parts[FEE] == 10
    assert parts[claims_leaf(MEMO)] == 0
    other = {**MEMO, "parts": [{"reserve_msat": "0", "window": {"first_id": 4}}]}
    assert sum_root(parts_of(other, {"ada": 900, "bob": 91})).hash != sum_root(parts).hash


def test_what_went_to_the_reserve_is_a_part() -> None:
    memo = {**MEMO, "parts": [{"reserve_msat": "400"}, {"reserve_msat": "500"}]}
    parts = parts_of(memo, {"ada": 91})
    assert sum(parts.values()) == 1002
    assert parts["reserve"] == 900
