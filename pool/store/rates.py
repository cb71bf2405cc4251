"""What FPPS pays for fees, as the journal has it: append-only, one rate for each height, never changed.

An entry ``rate:{height}`` moves no money.  Its memo has the fees that the rate was worked out from, and the
block that they end at, so that anyone with a node can look, and do the sum again.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from typing import Any, Final

from payouts.money import Msat, Sat
from pool import ledger
from pool.rewards.fpps import Rate
from pool.rewards.policy import Policy

KIND: Final = "rate"


def rate_key(height: int) -> str:
    """Of the entry for a height."""
    return f"rate:{height}"


def rate_entry(rate: Rate) -> ledger.Entry:
    """The rate of a height is known from now on."""
    memo = {
        "height": rate.height,
        "after": rate.after,
        "fees_sat": list(rate.fees),
        "fee_blocks": rate.blocks,
        "fee_trim": rate.trim,
        "fees_msat": str(rate.part),
    }
    return ledger.entry(rate_key(rate.height), KIND, memo, [])


def rate_of(memo: Mapping[str, Any]) -> Rate:
    """What an entry's memo says.

    Raises:
        KeyError, ValueError, TypeError: it is no rate's.
    """
    fees = tuple(Sat(int(each)) for each in memo["fees_sat"])
    return Rate(int(memo["height"]), str(memo["after"]), fees, int(memo["fee_blocks"]), int(memo["fee_trim"]))


class RateTable:
    """Reads the rates in ``ledger.db``."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def get(self, height: int) -> Rate | None:
        """Of a height; None when it has none yet."""
        row = self._connection.execute(
            "SELECT memo FROM journal WHERE key = ?", (rate_key(height),)
        ).fetchone()
        return None if row is None else rate_of(json.loads(row[0]))

    def parts(self, heights: Iterable[int], policy: Policy) -> dict[int, Msat]:
        """What a whole block's work is paid for fees at some heights, msat.

        Heights that have no rate by the policy's rule are left out.
        """
        rule = (policy.fee_blocks, policy.fee_trim)
        found = [(height, self.get(height)) for height in heights]
        return {height: rate.part for height, rate in found if rate and (rate.blocks, rate.trim) == rule}

    def recent(self, count: int) -> list[Rate]:
        """Those of the greatest heights, so many at most, greatest first."""
        newest = self.newest()
        if newest is None:
            return []
        found = [self.get(height) for height in range(newest.height, newest.height - count, -1)]
        return [rate for rate in found if rate is not None]

    def newest(self) -> Rate | None:
        """Of the greatest height that has one; None while none has."""
        row: tuple[int | None] = self._connection.execute(
            "SELECT max(CAST(substr(key, 6) AS INTEGER)) FROM journal WHERE key > 'rate:' AND key < 'rate;'"
        ).fetchone()
        return None if row[0] is None else self.get(row[0])
