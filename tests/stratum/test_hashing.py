"""Whatever SHA-256 is taken, it is SHA-256."""

from __future__ import annotations

from hashlib import sha256

from hypothesis import given
from hypothesis import strategies as st

from stratum.hashing import merkle_root, sha256d, sha256d_short

HASHES = st.binary(min_size=32, max_size=32)


def twice(message: bytes) -> bytes:
    return sha256(sha256(message).digest()).digest()


@given(st.binary(max_size=300))
def test_both_ways_give_the_double_hash(message: bytes) -> None:
    assert sha256d(message) == sha256d_short(message) == twice(message)


@given(st.binary(min_size=60, max_size=300), st.lists(HASHES, max_size=14))
def test_a_root_is_hashed_up_along_the_branches(coinbase: bytes, branches: list[bytes]) -> None:
    root = twice(coinbase)
    for branch in branches:
        root = twice(root + branch)
    assert merkle_root(coinbase, tuple(branches)) == root
