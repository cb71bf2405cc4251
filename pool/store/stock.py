"""The stock of coinbase addresses as a front takes from it: the lowest that no found block has used."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Set
from typing import Final, Literal

from pool.chain.coinbase import Payee
from pool.errors import StoreError

Source = Literal["wallet", "treasury"]
WHOLE_BPS: Final = 10_000
_FROM: Final[dict[Source, str]] = {
    "wallet": "treasury_id IS NULL",
    # the descriptor in use is the newest one; addresses of older ones stay the pool's, but get no new blocks
    "treasury": "treasury_id = (SELECT max(id) FROM treasury)",
}


class AddressStock:
    """Reads ``ledger.db``; what is used is known from ``shares.db``.

    Args:
        ledger: for reading.
        used: addresses that found blocks pay to.
        source: whose addresses: of the node's wallet, or of the treasury's descriptor in use.
    """

    def __init__(
        self, ledger: sqlite3.Connection, used: Callable[[], Set[str]], source: Source = "wallet"
    ) -> None:
        self._ledger = ledger
        self._used = used
        self._source: Source = source
        self._below = 0

    def next(self) -> tuple[str, bytes] | None:
        """The next address and its script, or None when the stock is empty.

        Two fronts may answer the same one: harmless, both blocks pay the pool.  When all of the treasury's
        are used, the newest is used again: an offline wallet would not look behind its gap limit, and to use
        an address twice is better than to lose a block.

        Raises:
            StoreError: the stock cannot be read now.
        """
        used = self._used()
        newest: tuple[str, bytes] | None = None
        try:
            for number, address, script in self._rows():
                newest = str(address), bytes(script)
                if address not in used:
                    return newest
                if self._source == "wallet":
                    self._below = number  # everything up to here is used for good
        except sqlite3.Error as error:
            raise StoreError(f"the stock of addresses cannot be read: {error}") from error
        return newest if self._source == "treasury" else None

    def left(self) -> int:
        """How many addresses no block has used."""
        used = self._used()
        return sum(address not in used for _, address, _ in self._rows())

    def _rows(self) -> sqlite3.Cursor:
        return self._ledger.execute(
            f"SELECT id, address, script FROM address_stock WHERE id > ? AND {_FROM[self._source]}"  # noqa: S608
            " ORDER BY id",
            (self._below,),
        )


def payees(
    ledger: sqlite3.Connection, used: Callable[[], Set[str]], treasury_bps: int
) -> Callable[[], tuple[Payee, ...] | None]:
    """Whom the coinbase of each next job pays.

    Args:
        ledger: ``ledger.db``, for reading.
        used: addresses that found blocks pay to.
        treasury_bps: the treasury's part of a block in ten-thousandths; the node's wallet gets the rest.

    Returns:
        Answers the payees, or None while an address that is needed is not there.
    """
    parts: list[tuple[Source, int]] = [("treasury", treasury_bps), ("wallet", WHOLE_BPS - treasury_bps)]
    stocks = [(AddressStock(ledger, used, source), bps) for source, bps in parts if bps]

    def choose() -> tuple[Payee, ...] | None:
        chosen = [(stock.next(), bps) for stock, bps in stocks]
        there = tuple(Payee(*found, bps) for found, bps in chosen if found is not None)
        return there if len(there) == len(stocks) else None

    return choose


def used_addresses(shares: sqlite3.Connection) -> Callable[[], Set[str]]:
    """What ``shares.db`` says is used, for a role that only reads it; each call reads only what is new."""
    used: set[str] = set()
    last = 0

    def look() -> Set[str]:
        nonlocal last
        for number, addresses in shares.execute(
            "SELECT id, address FROM found WHERE id > ? ORDER BY id", (last,)
        ):
            last = number
            used.update(addresses.split())  # a coinbase with several outputs pays several
        return used

    return look
