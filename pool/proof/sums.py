"""Where a block's value went, as a Merkle tree with sums: each miner sees their own leaf and the same total.

Each child's sum is hashed apart from the other's, and no amount is negative: so nobody's leaf can be hidden
under a sum that does not count it, and the leaves of all together are never more than the total (the flaw of
older trees of liabilities, in which only the sum of both children was hashed: Dagher et al., *Provisions*,
2015; Chalkias et al., *Broken Proofs of Solvency*, 2020).

A last leaf of nothing carries the hash of how the block was divided, so that one root stands for both.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs

from pool.errors import ProofError
from pool.proof.merkle import HASH_BYTES, check_index, split

MAX_MSAT: Final = (1 << 63) - 1
"""No amount and no sum is greater; all the bitcoin there will be are 2.1e18 msat."""
MAX_NAME: Final = 255
FEE: Final = "fee"
RESERVE: Final = "reserve"
RESIDUAL: Final = "residual"
CLAIMED: Final = ("pot", "value_msat", "fee_msat", "residual_in_msat", "residual_out_msat", "parts")
"""What a reward's memo says about the division of its block, to everyone alike."""
_LEAF, _INNER, _ROOT = b"\x00", b"\x01", b"\x02"


@attrs.frozen
class Summed:
    """A subtree.  Attributes: msat of all its leaves, and its hash of 32 bytes."""

    amount: int
    hash: bytes


@attrs.frozen
class SumRoot:
    """A whole tree, as it is shown to everybody.

    Attributes:
        hash: over the number of leaves, the total, and the tree.
        total: msat.
        size: leaves.
    """

    hash: bytes
    total: int
    size: int


@attrs.frozen
class SumPath:
    """The way from a leaf to the root.  Attributes: number of the leaf, and what is beside, leaf upwards."""

    index: int
    beside: Sequence[Summed]


def account_leaf(account: str) -> str:
    """Name of the leaf with an account's credit."""
    return f"account:{account}"


def claims_leaf(memo: Mapping[str, Any]) -> str:
    """Name of the leaf that fixes how the block was divided: it carries no amount.

    Args:
        memo: of the reward; only what is CLAIMED of it counts.

    Raises:
        KeyError: it says less than that.
    """
    claims = {name: memo[name] for name in CLAIMED}
    text = json.dumps(claims, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return f"division:{hashlib.sha256(text.encode()).hexdigest()}"


def parts_of(memo: Mapping[str, Any], credits_: Mapping[str, int]) -> dict[str, int]:
    """Everything that a block's value and the residual before it became: msat by name of the leaf.

    Args:
        memo: of the reward, as pool.rewards.reward.memo makes it (what is added to it later does not matter).
        credits_: of the whole division, by account, before anything is recovered from them.

    Raises:
        KeyError, ValueError: the memo is not one of a reward.
    """
    parts = {account_leaf(account): int(amount) for account, amount in credits_.items()}
    parts[FEE] = int(memo["fee_msat"])
    parts[RESIDUAL] = int(memo["residual_out_msat"])
    reserve = sum(int(part["reserve_msat"]) for part in memo["parts"])
    if reserve:
        parts[RESERVE] = reserve
    parts[claims_leaf(memo)] = 0
    return parts


def sum_root(parts: Mapping[str, int]) -> SumRoot:
    """The tree's root and total.

    Args:
        parts: msat by name; at least one.

    Raises:
        ProofError: an amount is negative, or the total beyond 63 bits.
    """
    return closed(_tree(_leaves(parts), {}, 0), len(parts))


def sum_paths(parts: Mapping[str, int], names: Sequence[str]) -> dict[str, SumPath]:
    """The ways from some leaves to the root.

    Args:
        parts: msat by name.
        names: of the leaves; those that are not among the parts are left out.

    Raises:
        ProofError: an amount is negative, or the total beyond 63 bits.
    """
    known: dict[tuple[int, int], Summed] = {}
    _tree(_leaves(parts), known, 0)
    numbers = {name: number for number, name in enumerate(sorted(parts))}
    return {
        name: SumPath(numbers[name], _beside(numbers[name], len(parts), known))
        for name in names
        if name in numbers
    }


def led_to(name: str, amount: int, path: SumPath, size: int) -> SumRoot:
    """The root that a leaf and its path lead to; the leaf is proven when it is the tree's.

    Args:
        name: of the leaf.
        amount: of the leaf, msat.
        path: from ``sum_paths``.
        size: leaves of the tree.

    Raises:
        ProofError: an amount or a sum is out of its range, or the path has another length.
    """
    check_index(path.index, size)
    found, beside = _leaf(name, amount), list(path.beside)
    for left in _turns(path.index, size):
        if not beside:
            raise ProofError("a path of the sum tree is too short")
        other = beside.pop(0)
        found = _joined(found, other) if left else _joined(other, found)
    if beside:
        raise ProofError("a path of the sum tree is too long")
    return closed(found, size)


def closed(top: Summed, size: int) -> SumRoot:
    """A whole tree; its number of leaves is part of the root."""
    data = _ROOT + size.to_bytes(8, "big") + _bytes(top)
    return SumRoot(hashlib.sha256(data).digest(), top.amount, size)


def _leaves(parts: Mapping[str, int]) -> list[Summed]:
    if not parts:
        raise ProofError("a sum tree has leaves")
    return [_leaf(name, parts[name]) for name in sorted(parts)]


def _leaf(name: str, amount: int) -> Summed:
    text = name.encode()
    if len(text) > MAX_NAME:
        raise ProofError("a leaf of the sum tree has too long a name")
    return Summed(amount, hashlib.sha256(_LEAF + bytes([len(text)]) + text + _amount(amount)).digest())


def _joined(left: Summed, right: Summed) -> Summed:
    hashed = hashlib.sha256(_INNER + _bytes(left) + _bytes(right)).digest()
    amount = left.amount + right.amount
    _amount(amount)
    return Summed(amount, hashed)


def _bytes(node: Summed) -> bytes:
    if len(node.hash) != HASH_BYTES:
        raise ProofError(f"a hash of the sum tree has {len(node.hash)} bytes")
    return _amount(node.amount) + node.hash


def _amount(amount: int) -> bytes:
    if not 0 <= amount <= MAX_MSAT:
        raise ProofError(f"{amount} msat is no amount of a block")
    return amount.to_bytes(8, "big")


def _tree(leaves: Sequence[Summed], known: dict[tuple[int, int], Summed], begin: int) -> Summed:
    """Sum up leaves, and note each subtree by the range of its leaves."""
    if len(leaves) == 1:
        found = leaves[0]
    else:
        middle = split(len(leaves))
        left = _tree(leaves[:middle], known, begin)
        found = _joined(left, _tree(leaves[middle:], known, begin + middle))
    known[begin, begin + len(leaves)] = found
    return found


def _beside(index: int, size: int, known: Mapping[tuple[int, int], Summed]) -> tuple[Summed, ...]:
    beside: list[Summed] = []
    begin, end = 0, size
    while end - begin > 1:
        middle = begin + split(end - begin)
        left = index < middle
        beside.append(known[(middle, end) if left else (begin, middle)])
        begin, end = (begin, middle) if left else (middle, end)
    return tuple(reversed(beside))


def _turns(index: int, size: int) -> list[bool]:
    """Whether the way from a leaf comes from the left, at each step upwards."""
    turns: list[bool] = []
    begin, end = 0, size
    while end - begin > 1:
        middle = begin + split(end - begin)
        turns.append(index < middle)
        begin, end = (begin, middle) if index < middle else (middle, end)
    return turns[::-1]
