"""What a reward's entry fixes of its block's division: the root and the total of the tree of sums."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from pool.proof.sums import parts_of, sum_root

ROOT: Final = "sum_root"
TOTAL: Final = "sum_total_msat"


def with_sums(memo: Mapping[str, Any], credits_: Mapping[str, int]) -> dict[str, object]:
    """A reward's memo, and what it fixes of the division.

    Args:
        memo: as pool.rewards.reward makes it.
        credits_: of the whole division, msat by account.
    """
    found = sum_root(parts_of(memo, credits_))
    return {**memo, ROOT: found.hash.hex(), TOTAL: str(found.total)}


def sums_again(key: str, memo: Mapping[str, Any], credits_: Mapping[str, int]) -> Iterator[str]:
    """Name what an entry fixes otherwise than its credits say; nothing of one from before sums were fixed.

    Args:
        key: of the entry.
        memo: of the entry.
        credits_: as they were counted again, msat by account.
    """
    if ROOT not in memo:
        return
    again = with_sums(memo, credits_)
    for name in (ROOT, TOTAL):
        if memo.get(name) != again[name]:
            yield f"{key}: fixes {name} {memo.get(name)}, its parts come to {again[name]}"
