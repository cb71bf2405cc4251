"""The treasury in ``ledger.db``: imported descriptors, and their addresses, made ahead within the gap."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence, Set
from typing import Final

import attrs

from pool.store.database import transaction
from pool.treasury import Derived

PAID: Final = ("immature", "mature")
"""States of a block that is in the chain: the offline wallet sees the address that it pays."""


@attrs.frozen
class Imported:
    """A descriptor.  Attributes: its number here, the text with its checksum, when it came."""

    treasury_id: int
    descriptor: str
    imported_ms: int


@attrs.frozen
class TreasuryAddress:
    """An address of a descriptor.

    Attributes:
        treasury_id: the descriptor's number.
        number: index in the descriptor.
        address: as people write it.
        script: what a coinbase pays to.
    """

    treasury_id: int
    number: int
    address: str
    script: bytes


class TreasuryTable:
    """Reads and writes the treasury's tables."""

    def __init__(self, ledger: sqlite3.Connection) -> None:
        self._ledger = ledger

    def add(self, descriptor: str, now_ms: int) -> bool:
        """Import a descriptor; it is in use from now on.  False when it was there, and nothing changed."""
        with transaction(self._ledger) as tx:
            cursor = tx.execute(
                "INSERT OR IGNORE INTO treasury (descriptor, imported_ms) VALUES (?, ?)", (descriptor, now_ms)
            )
            return cursor.rowcount == 1

    def in_use(self) -> Imported | None:
        """The newest descriptor."""
        row = self._ledger.execute(
            "SELECT id, descriptor, imported_ms FROM treasury ORDER BY id DESC LIMIT 1"
        ).fetchone()
        return None if row is None else Imported(*row)

    def addresses(self, treasury_id: int) -> list[TreasuryAddress]:
        """Every address of a descriptor that was made so far, lowest index first."""
        rows = self._ledger.execute(
            "SELECT treasury_id, number, address, script FROM address_stock WHERE treasury_id = ?"
            " ORDER BY number",
            (treasury_id,),
        )
        return [TreasuryAddress(*row) for row in rows]

    def stock(self, treasury_id: int, made: Sequence[Derived], now_ms: int) -> None:
        """Put addresses on the stock, in the order of their indexes; known ones stay as they are."""
        with transaction(self._ledger) as tx:
            tx.executemany(
                "INSERT OR IGNORE INTO address_stock (address, script, made_ms, treasury_id, number)"
                " VALUES (?, ?, ?, ?, ?)",
                [(each.address, each.script, now_ms, treasury_id, each.number) for each in made],
            )

    def find(self, addresses: Set[str]) -> list[TreasuryAddress]:
        """Those of some addresses that are the treasury's."""
        known = []
        for address in sorted(addresses):
            row = self._ledger.execute(
                "SELECT treasury_id, number, address, script FROM address_stock"
                " WHERE address = ? AND treasury_id IS NOT NULL",
                (address,),
            ).fetchone()
            if row is not None:
                known.append(TreasuryAddress(*row))
        return known

    def states(self) -> dict[str, str]:
        """The state of each block of the books, by hash."""
        return dict(self._ledger.execute("SELECT hash, state FROM block"))


def paid_by(shares: sqlite3.Connection) -> dict[str, tuple[str, int]]:
    """The newest block that pays each address, from ``shares.db``: its hash and height, by address."""
    paid: dict[str, tuple[str, int]] = {}
    for addresses, block_hash, height in shares.execute(
        "SELECT address, hash, height FROM found ORDER BY id"
    ):
        for address in addresses.split():
            paid[address] = (block_hash, height)
    return paid


def addresses_of(shares: sqlite3.Connection, block_hash: str) -> set[str]:
    """The pool's addresses that a block pays, from ``shares.db``."""
    row = shares.execute("SELECT address FROM found WHERE hash = ?", (block_hash,)).fetchone()
    return set() if row is None else set(row[0].split())


def missing(
    known: Sequence[TreasuryAddress], paid: Mapping[str, tuple[str, int]], states: Mapping[str, str], gap: int
) -> range:
    """Which indexes to make next, so that no wallet with this gap limit loses sight of a coin.

    A wallet looks ``gap`` indexes beyond the last one that the chain has paid.  Blocks that were orphaned use
    up an index and leave a hole; so addresses are made only up to there, whatever the holes.

    Args:
        known: addresses of the descriptor so far, lowest index first.
        paid: what ``paid_by`` knows.
        states: of blocks, by hash.
        gap: the wallet's gap limit, at least 1.
    """
    seen = [each.number for each in known if states.get(paid.get(each.address, ("", 0))[0]) in PAID]
    first = known[-1].number + 1 if known else 0
    return range(first, max(first, (max(seen) if seen else -1) + 1 + gap))
