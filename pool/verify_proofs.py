"""The audit of proofs: the share log's tree made again, and held against all that blocks have fixed of it."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import attrs

from pool.block_proofs import fixed_by
from pool.errors import ArchiveError, ProofError
from pool.logtree import GROUP, TILE, leaves
from pool.proof.blockproof import holds
from pool.proof.commitment import Commitment
from pool.proof.merkle import VOID, Frontier, extend, root, root_of
from pool.store.archives import Archives
from pool.store.block_proofs import KeptProof, ProofTable
from pool.store.log_tree import Kept, LeafReader, LogTable

_GROUPS: Final = TILE // GROUP
_SPOILT: Final = (ProofError, sqlite3.Error, LookupError, TypeError, ValueError, AttributeError)
"""What comes of values that no writer of ours has left."""


@attrs.frozen
class Fixed:
    """A root that somebody can hold against the pool.  Attributes: shares it is over, it, and what has it."""

    size: int
    root: bytes
    by: str


class LogAudit:
    """Makes the tree again, tile by tile, and compares it.

    Where shares are not what a tile has of them, that is named, and the tree goes on with what the tile has:
    so a changed share is told from a changed tile.

    Args:
        shares: shares.db, for reading.
        books: ledger.db, for reading.
        wrong: told each difference, in a sentence.
    """

    def __init__(
        self, shares: sqlite3.Connection, books: sqlite3.Connection, wrong: Callable[[str], None]
    ) -> None:
        self._shares = shares
        self._archives = Archives(shares)
        self._table = LogTable(books)
        self._wrong = wrong
        self._unreadable: set[str] = set()
        self._agreed = 0

    def compare(self, fixed: Sequence[Fixed], after_id: int = 0) -> int:
        """Compare tiles with shares, and the tree with roots that were fixed.

        Args:
            fixed: the roots.
            after_id: shares up to this one are believed as the tiles have them.

        Returns:
            How many shares were hashed.
        """
        tiles, newest = self._table.tiles(), self._newest()
        if tiles * TILE > newest:
            self._wrong(f"the log ends with share {newest}, and its tree with share {tiles * TILE}")
        for each in fixed:
            if each.size > newest:
                self._wrong(f"the log ends with share {newest}, and {each.by} has fixed {each.size}")
        waiting = sorted((each for each in fixed if each.size <= newest), key=lambda each: each.size)
        end = max([min(tiles * TILE, newest), *(each.size for each in waiting)])
        begin = min(after_id, newest) // TILE
        known = extend(Frontier(), self._table.roots(0, begin))
        waiting = [each for each in waiting if each.size > begin * TILE]
        for first in range(begin * TILE, end, TILE):
            last = min(first + TILE, end)
            nodes, hashes = self._tile(first, last)
            for each in [each for each in waiting if each.size <= last]:
                self._check(each, known, nodes, hashes, first)
            waiting = [each for each in waiting if each.size > last]
            known = extend(known, [root_of(nodes)] if len(nodes) == _GROUPS else [])
        return max(0, end - begin * TILE)

    def _newest(self) -> int:
        return max(LeafReader(self._shares).newest(), self._archives.until())

    def _tile(self, first: int, last: int) -> tuple[Sequence[bytes], Sequence[bytes]]:
        """The nodes and leaves of a range of leaves, as they should be."""
        hashes = self._leaves(first, last)
        stored = self._stored(first // TILE)
        if stored is None:
            whole = len(hashes) - len(hashes) % GROUP
            return [root_of(hashes[at : at + GROUP]) for at in range(0, whole, GROUP)], hashes
        for number, node in enumerate(stored):
            at = number * GROUP
            if at + GROUP <= len(hashes) and root_of(hashes[at : at + GROUP]) != node:
                ids = f"shares {first + at + 1} to {first + at + GROUP}"
                self._wrong(f"{ids}: no longer what the log's tree has of them")
        return stored, hashes

    def _stored(self, tile: int) -> Sequence[bytes] | None:
        nodes: list[bytes] | None = []
        try:
            nodes = self._table.nodes(tile)
            if nodes is None:
                return None
            right = self._table.roots(tile, tile + 1) == [root_of(nodes)] and len(nodes) == _GROUPS
        except _SPOILT:
            right = False
        if right:
            return nodes
        ids = f"shares {tile * TILE + 1} to {(tile + 1) * TILE}"
        self._wrong(f"{ids}: the log's tree has a root of them that is none")
        return None

    def _leaves(self, first: int, last: int) -> list[bytes]:
        """Leaf hashes of the shares; none where an archive cannot be read, which is named once."""
        try:
            found = leaves(self._archives.records(first, last), first + 1, last)
        except (ArchiveError, ProofError) as error:
            return self._no_leaves(str(error))
        except _SPOILT:
            return self._no_leaves(f"shares {first + 1} to {last}: one has a value that no share has")
        for begin, end in _runs(number for number, each in enumerate(found, first + 1) if each == VOID):
            self._wrong(f"shares {begin} to {end}: not in the log, and ids have no gaps")
        return found

    def _no_leaves(self, why: str) -> list[bytes]:
        if why not in self._unreadable:
            self._unreadable.add(why)
            self._wrong(why)
        return []

    def _check(
        self, fixed: Fixed, known: Frontier, nodes: Sequence[bytes], hashes: Sequence[bytes], first: int
    ) -> None:
        groups, rest = divmod(fixed.size - first, GROUP)
        behind = hashes[groups * GROUP : groups * GROUP + rest]
        if len(behind) < rest:
            return  # in an archive that cannot be read
        peaks = extend(Frontier(), nodes[:groups]).peaks + extend(Frontier(), behind).peaks
        if root(Frontier(fixed.size, known.peaks + peaks)) == fixed.root:
            self._agreed = fixed.size
        else:
            self._wrong(f"shares {self._agreed + 1} to {fixed.size}: no longer what {fixed.by} has fixed")


def _runs(numbers: Iterator[int]) -> Iterator[tuple[int, int]]:
    begin = end = 0
    for number in numbers:
        if number == end + 1 and end:
            end = number
            continue
        if end:
            yield begin, end
        begin = end = number
    if end:
        yield begin, end


class ProofAudit:
    """Checks what is kept of found blocks, and the tree against all that they have fixed.

    Args:
        shares: shares.db, for reading.
        books: ledger.db, for reading.
        wrong: told each difference, in a sentence.
    """

    def __init__(
        self, shares: sqlite3.Connection, books: sqlite3.Connection, wrong: Callable[[str], None]
    ) -> None:
        self._log = LogAudit(shares, books, wrong)
        self._table = LogTable(books)
        self._proofs = ProofTable(books)
        self._wrong = wrong

    def run(self) -> Counter[str]:
        """Check everything; answers how many of what."""
        checked: Counter[str] = Counter()
        fixed: list[Fixed] = []
        for block_hash in self._proofs.hashes():
            checked["proofs of blocks"] += 1
            fixed += self._block(block_hash)
        if (tiles := self._table.count()) != self._table.tiles():
            self._wrong(f"the log's tree has {tiles} tiles, which are not numbered one after the other")
        if missing := len(self._proofs.missing()):
            checked["blocks that no proof was kept of"] = missing
        if hashed := self._log.compare([*fixed, *newest_fixed(self._table, self._wrong)]):
            checked["shares in the log's tree"] = hashed
        return checked

    def _block(self, block_hash: str) -> Iterator[Fixed]:
        try:
            kept = self._proofs.get(block_hash)
            digest = None if kept is None else fixed_by(kept.proof)
        except _SPOILT as error:
            self._wrong(f"block {block_hash}: its proof is none: {error}")
            return
        if kept is None:
            return
        if kept.proof.hash != block_hash or not holds(kept.proof):
            self._wrong(f"block {block_hash}: its proof is not that of its coinbase")
        commitment = self._commitment(kept, digest)
        if commitment is not None:
            self._policies(block_hash, commitment)
            yield Fixed(commitment.size, commitment.root, f"block {block_hash}")

    def _commitment(self, block: KeptProof, digest: bytes | None) -> Commitment | None:
        kept: Kept | None = None
        try:
            if block.commitment_id is not None:
                kept = self._table.numbered(block.commitment_id)
            elif digest is not None:
                kept = self._table.with_digest(digest)
        except _SPOILT as error:
            self._wrong(f"block {block.hash}: {error}")
            return None
        if (None if kept is None else kept.commitment.digest) == digest:
            if kept is not None and block.commitment_id is None:
                self._wrong(f"block {block.hash}: the books do not say which commitment its coinbase fixes")
            return None if kept is None else kept.commitment
        if digest is None:
            self._wrong(f"block {block.hash}: its coinbase does not fix what the books say that it does")
        else:
            self._wrong(f"block {block.hash}: the books do not have what its coinbase fixes")
        return None

    def _policies(self, block_hash: str, commitment: Commitment) -> None:
        try:
            there = self._table.policies_at(commitment.journal)
        except _SPOILT:  # the walk through the journal says what is wrong with which
            self._wrong(f"block {block_hash}: the policies that it fixes cannot be read in the journal")
            return
        if there is None:
            self._wrong(f"block {block_hash}: fixes entry {commitment.journal}, which the journal lacks")
        elif there != commitment.policies:
            pots = sorted(set(there) | set(commitment.policies))
            changed = [pot for pot in pots if there.get(pot) != commitment.policies.get(pot)]
            self._wrong(f"block {block_hash}: fixes other policies of pot {', '.join(changed)}")


def shares_changed(shares: sqlite3.Connection, books: sqlite3.Connection, first_id: int) -> list[str]:
    """What is wrong with the log from a share on: with its tiles, and with the newest commitment.

    Args:
        shares: shares.db, for reading.
        books: ledger.db, for reading.
        first_id: log id of the oldest share that matters; those before it in its tile are looked at too.

    Returns:
        Every difference in a sentence.
    """
    found: list[str] = []
    fixed = list(newest_fixed(LogTable(books), found.append))
    if fixed:
        LogAudit(shares, books, found.append).compare(fixed, max(0, first_id - 1))
    return found


def newest_fixed(table: LogTable, wrong: Callable[[str], None]) -> Iterator[Fixed]:
    """The root of the newest commitment, if there is one.

    Args:
        table: of the books.
        wrong: told when it cannot be read.
    """
    try:
        newest = table.newest()
    except _SPOILT as error:
        wrong(f"the newest commitment: {error}")
        return
    if newest is not None:
        yield Fixed(newest.commitment.size, newest.commitment.root, "the newest commitment")


def oldest_share(memo: Mapping[str, Any]) -> int | None:
    """Log id of the oldest share that an entry pays; None where it pays none of the log.

    Args:
        memo: of a reward, or of a slice of shares that were paid at once.

    Raises:
        KeyError, ValueError, TypeError, AttributeError: it is neither's.
    """
    if "after_share" in memo:
        return int(memo["after_share"]) + 1
    windows = [part["window"] for part in memo.get("parts", [memo])]
    return min((int(window["first_id"]) for window in windows if window), default=None)
