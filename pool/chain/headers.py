"""Block headers, checked: what a tip is worth, proved by its own hash and not by what a node says of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import attrs

from pool.chain.networks import Rules, difficulty_fault
from stratum.hashing import sha256d
from stratum.units import Height, Target, target_from_nbits, work_from_target

HEADER_BYTES: Final = 80
_KEEP: Final = 4096


@attrs.frozen
class Evidence:
    """A header with all that its hash is made of, and what the node says of it.

    Attributes:
        hash: display-order hex.
        height: as the node says.
        prev_hash: display-order hex.
        nbits: compact target.
        time_s: of the header, Unix seconds.
        median_s: median time of the eleven headers up to this one, as the node says: the next block's time
            must be greater.
        said_work: expected hashes in the chain up to this header, as the node says.
        raw: the 80 bytes.
    """

    hash: str
    height: Height
    prev_hash: str
    nbits: int
    time_s: int
    median_s: int
    said_work: int
    raw: bytes = attrs.field(repr=False)


def fault(header: Evidence) -> str | None:
    """Why this cannot be a block's header, whoever says so; None when it can be one."""
    if len(header.raw) != HEADER_BYTES or sha256d(header.raw)[::-1].hex() != header.hash:
        return "its header has another hash"
    if header.raw[4:36][::-1].hex() != header.prev_hash:
        return "its header follows another block"
    target = _target(header.nbits)
    if target is None or header.raw[72:76] != header.nbits.to_bytes(4, "little"):
        return "its header's difficulty is none"
    if int(header.hash, 16) > target:
        return "its header does not meet its own target"
    return None


def _target(nbits: int) -> Target | None:
    try:
        return target_from_nbits(nbits)
    except ValueError:
        return None


@attrs.frozen
class _Known:
    height: int
    nbits: int
    work: int


class Headers:
    """The headers that were checked, of all nodes together, with the work of the chain up to each.

    Work is counted by ourselves from the first header on that we saw; what lies below that, the node tells.
    """

    def __init__(self, rules: Rules) -> None:
        """Args: rules: of the network."""
        self._rules = rules
        self._known: dict[str, _Known] = {}

    def __len__(self) -> int:
        return len(self._known)

    def work(self, block_hash: str) -> int | None:
        """Expected hashes in the chain up to this block; None for one that was not checked."""
        known = self._known.get(block_hash)
        return None if known is None else known.work

    def learn(self, branch: Sequence[Evidence]) -> str | None:
        """Check headers that follow on each other, and keep them.

        Args:
            branch: the oldest first; if the one before it is not known, its work is what the node says.

        Returns:
            None, or what is wrong with one of them; then none is kept.
        """
        learned: dict[str, _Known] = {}
        for header in branch:
            before = learned.get(header.prev_hash) or self._known.get(header.prev_hash)
            wrong = fault(header) or (self._misfit(header, before) if before else None)
            if wrong is not None:
                return f"{wrong} ({header.hash} at height {header.height})"
            own = work_from_target(target_from_nbits(header.nbits))
            work = header.said_work if before is None else before.work + own
            learned[header.hash] = _Known(header.height, header.nbits, work)
        self._known.update(learned)
        while len(self._known) > _KEEP:
            del self._known[next(iter(self._known))]
        return None

    def _misfit(self, header: Evidence, before: _Known) -> str | None:
        if header.height != before.height + 1:
            return f"its height is not that of the block before ({before.height}) and one"
        return difficulty_fault(header.nbits, header.height, before.nbits, self._rules)
