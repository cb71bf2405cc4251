"""The log's tree against one that is written down as RFC 6962 says it, slowly."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pool.errors import ProofError
from pool.proof.merkle import (
    EMPTY,
    Frontier,
    consistency,
    consistent,
    extend,
    included,
    inclusion,
    leaf_hash,
    node_hash,
    node_over,
    root,
    root_of,
)
from pool.proof.multiproof import prove_many, root_from_many


def naive_root(records: Sequence[bytes]) -> bytes:
    """RFC 6962, section 2.1, word for word."""
    if not records:
        return hashlib.sha256(b"").digest()
    if len(records) == 1:
        return hashlib.sha256(b"\x00" + records[0]).digest()
    k = 1
    while k * 2 < len(records):
        k *= 2
    both = naive_root(records[:k]) + naive_root(records[k:])
    return hashlib.sha256(b"\x01" + both).digest()


def records(count: int) -> list[bytes]:
    return [b"record %d" % n for n in range(count)]


def hashes(count: int) -> list[bytes]:
    return [leaf_hash(each) for each in records(count)]


SIZES = st.integers(1, 140)


def test_the_published_vectors_come_out() -> None:
    # the eight leaves of the tests of Certificate Transparency's reference implementation
    leaves = [
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    ]
    hashed = [leaf_hash(bytes.fromhex(each)) for each in leaves]
    assert root_of([]).hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert root_of(hashed[:1]).hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    assert root_of(hashed).hex() == "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"
    assert [each.hex()[:8] for each in inclusion(0, 8, node_over(hashed))] == [
        "96a296d2",
        "5f083f0a",
        "6b47aaf2",
    ]


@pytest.mark.parametrize("count", [*range(1, 18), 31, 32, 33, 100])
def test_roots_are_those_of_the_rfc_whatever_the_pieces_they_grew_in(count: int) -> None:
    expected = naive_root(records(count))
    assert root_of(hashes(count)) == expected
    for first in range(0, count + 1, 3):
        grown = extend(extend(Frontier(), hashes(count)[:first]), hashes(count)[first:])
        assert (grown.size, root(grown)) == (count, expected)
        assert len(grown.peaks) == count.bit_count()


@given(st.lists(st.integers(0, 40), max_size=6))
def test_a_tree_grows_the_same_in_any_pieces(pieces: list[int]) -> None:
    grown, all_ = Frontier(), hashes(sum(pieces))
    for piece in pieces:
        grown = extend(grown, all_[grown.size : grown.size + piece])
    assert grown == extend(Frontier(), all_)
    assert extend(grown, []) == grown


def test_an_empty_tree_has_a_root_of_its_own() -> None:
    assert root(Frontier()) == EMPTY == root_of([])


def test_every_leaf_of_every_small_tree_has_a_path_that_leads_to_the_root_and_no_other_leaf_has() -> None:
    for size in range(1, 26):
        node, top = node_over(hashes(size)), naive_root(records(size))
        for index in range(size):
            path = inclusion(index, size, node)
            assert included(index, size, hashes(size)[index], path) == top
            for other in range(size):
                assert (included_or_none(other, size, hashes(size)[index], path) == top) is (other == index)


def included_or_none(index: int, size: int, leaf: bytes, path: Sequence[bytes]) -> bytes | None:
    try:
        return included(index, size, leaf, path)
    except ProofError:
        return None


@given(SIZES, st.data())
def test_a_path_of_another_length_is_refused(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    path = inclusion(index, size, node_over(hashes(size)))
    leaf = hashes(size)[index]
    for wrong in ((*path, EMPTY), path[:-1] if path else (EMPTY,), (*path[:-1], b"short")):
        with pytest.raises(ProofError):
            included(index, size, leaf, wrong)


@pytest.mark.parametrize(("index", "size"), [(0, 0), (-1, 3), (3, 3), (0, (1 << 63) + 1)])
def test_leaves_that_are_not_there_are_refused(index: int, size: int) -> None:
    node = node_over(hashes(3))
    with pytest.raises(ProofError):
        inclusion(index, size, node)
    with pytest.raises(ProofError):
        included(index, size, EMPTY, [])
    with pytest.raises(ProofError):
        prove_many([index], size, node)
    with pytest.raises(ProofError):
        root_from_many({index: EMPTY}, size, [])


def test_any_tree_is_consistent_with_each_of_its_beginnings_and_with_nothing_else() -> None:
    for new in range(1, 24):
        node, new_root = node_over(hashes(new)), naive_root(records(new))
        for old in range(1, new + 1):
            old_root, proof = naive_root(records(old)), consistency(old, new, node)
            assert consistent(old, new, old_root, new_root, proof)
            assert not consistent(old, new, EMPTY, new_root, proof)
            assert not consistent(old, new, old_root, EMPTY, proof)
            assert not consistent(old, new, old_root, new_root, [*proof, EMPTY])
            if proof:
                assert not consistent(old, new, old_root, new_root, proof[1:])
                assert not consistent(old, new, old_root, new_root, [EMPTY, *proof[1:]])
            if old > 1:
                assert not consistent(old - 1, new, old_root, new_root, proof)


def test_trees_in_the_wrong_order_are_not_consistent() -> None:
    assert not consistent(3, 2, EMPTY, EMPTY, [])
    assert not consistent(0, 2, EMPTY, EMPTY, [])
    with pytest.raises(ProofError):
        consistency(3, 2, node_over(hashes(3)))


@given(SIZES, st.data())
def test_one_proof_shows_any_leaves_at_once(size: int, data: st.DataObject) -> None:
    indices = data.draw(st.sets(st.integers(0, size - 1)))
    all_ = hashes(size)
    proof = prove_many(indices, size, node_over(all_))
    leaves = {index: all_[index] for index in indices}
    top = naive_root(records(size))
    assert root_from_many(leaves, size, proof) == top
    for wrong in ((*proof, EMPTY), proof[:-1] if proof else (EMPTY,)):
        with pytest.raises(ProofError):
            root_from_many(leaves, size, wrong)
    for at in range(len(proof)):
        assert root_from_many(leaves, size, (*proof[:at], EMPTY, *proof[at + 1 :])) != top
    for index in list(leaves)[:3]:
        assert root_from_many({**leaves, index: leaf_hash(b"another")}, size, proof) != top


def test_a_proof_of_one_leaf_among_many_is_its_path_from_left_to_right() -> None:
    node = node_over(hashes(21))
    for index in range(21):
        assert sorted(prove_many([index], 21, node)) == sorted(inclusion(index, 21, node))
    assert prove_many(range(21), 21, node) == ()
    assert prove_many([], 21, node) == (naive_root(records(21)),)


def test_leaves_and_inner_nodes_cannot_be_taken_for_one_another() -> None:
    left, right = hashes(2)
    assert leaf_hash(left + right) != node_hash(left, right)


def test_a_subtree_that_is_not_complete_is_not_there() -> None:
    node = node_over(hashes(5))
    assert node(2, 0) == naive_root(records(4))
    for level, index in ((2, 1), (1, 2), (3, 0), (0, 5), (0, -1)):
        with pytest.raises(KeyError):
            node(level, index)
