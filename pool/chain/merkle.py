"""The merkle tree of a block whose coinbase is not known yet: only the branch beside it is kept."""

from __future__ import annotations

from collections.abc import Sequence

from stratum.hashing import sha256d


def branch_beside_coinbase(txids: Sequence[bytes]) -> tuple[bytes, ...]:
    """The hashes that lead from the coinbase up to the root.

    Args:
        txids: 32-byte internal-order hashes of the other transactions, in block order.

    Returns:
        From the leaf upwards: as many as the tree has levels.
    """
    row = list(txids)
    branch = []
    while row:
        branch.append(row[0])
        rest = row[1:]
        if len(rest) % 2:  # consensus doubles the last hash of an odd row
            rest.append(rest[-1])
        row = [sha256d(left + right) for left, right in zip(rest[::2], rest[1::2], strict=True)]
    return tuple(branch)
