"""The stock of coinbase addresses as a front takes from it: the lowest that no found block has used."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Set

from pool.errors import StoreError


class AddressStock:
    """Reads ``ledger.db``; what is used is known from ``shares.db``."""

    def __init__(self, ledger: sqlite3.Connection, used: Callable[[], Set[str]]) -> None:
        self._ledger = ledger
        self._used = used
        self._below = 0

    def next(self) -> tuple[str, bytes] | None:
        """The next address and its script, or None when the stock is empty.

        Two fronts may answer the same one: harmless, both blocks pay the pool.

        Raises:
            StoreError: the stock cannot be read now.
        """
        used = self._used()
        try:
            for number, address, script in self._ledger.execute(
                "SELECT id, address, script FROM address_stock WHERE id > ? ORDER BY id", (self._below,)
            ):
                if address not in used:
                    return str(address), bytes(script)
                self._below = number  # everything up to here is used for good
        except sqlite3.Error as error:
            raise StoreError(f"the stock of addresses cannot be read: {error}") from error
        return None

    def left(self) -> int:
        """How many addresses no block has used."""
        used = self._used()
        rows = self._ledger.execute("SELECT address FROM address_stock WHERE id > ?", (self._below,))
        return sum(address not in used for (address,) in rows)


def used_addresses(shares: sqlite3.Connection) -> Callable[[], Set[str]]:
    """What ``shares.db`` says is used, for a role that only reads it; each call reads only what is new."""
    used: set[str] = set()
    last = 0

    def look() -> Set[str]:
        nonlocal last
        for number, address in shares.execute(
            "SELECT id, address FROM found WHERE id > ? ORDER BY id", (last,)
        ):
            last = number
            used.add(address)
        return used

    return look
