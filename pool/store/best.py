"""The best shares: the least header hash that each machine has sent, kept as shares are written.

Fronts keep what they have seen of the round in memory and write only what beats it.  That memory need not be
right, only never better than the table: a share that it lets through by mistake changes nothing there.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from pool.store.figures import Bests, BestShare
from stratum.ports import Share
from stratum.units import MAX_TARGET

LOOK_MS: Final = 1_000
"""How long a sibling's block may go unnoticed: looking costs more than the shares of a small commit do."""
REMEMBERED: Final = 100_000
"""Machines in memory, some 20 MB; beyond that, each one's next share is offered to the table again."""
_ROUND: Final = (
    "SELECT share_id FROM found WHERE pot = 'pool' AND share_id IS NOT NULL ORDER BY id DESC LIMIT 1"
)
_KEEP: Final = """
    INSERT INTO best_share VALUES (?1, ?2, ?3, ?4, ?5, ?3, ?4) ON CONFLICT (account, worker) DO UPDATE SET
        hash = min(hash, excluded.hash),
        time_ms = iif(excluded.hash < hash, excluded.time_ms, time_ms),
        round_start = excluded.round_start,
        round_hash = iif(excluded.round_start > round_start, excluded.hash, min(round_hash, excluded.hash)),
        round_ms = iif(excluded.round_start > round_start OR excluded.hash < round_hash,
                       excluded.time_ms, round_ms)
    WHERE excluded.round_start > round_start OR excluded.hash < round_hash
    """
_NOW: Final = "round_hash, round_ms FROM best_share"


class BestKeeper:
    """Writes table ``best_share``, within the transactions that write the shares."""

    def __init__(self) -> None:
        self._best: dict[tuple[str, str], int] = {}
        self._round_start = -1
        self._looked_ms: int | None = None

    def note(self, tx: sqlite3.Connection, shares: Sequence[Share]) -> None:
        """Keep what is better than anything of its machine in this round; shares of one round, as judged."""
        if self._looked_ms is None or not 0 <= shares[-1].time_ms - self._looked_ms < LOOK_MS:
            self._look(tx, shares[-1].time_ms)
        best = self._best
        better = [s for s in shares if s.hash_value < best.get((s.account, s.worker), MAX_TARGET)]
        if better:
            self._keep(tx, better)

    def _keep(self, tx: sqlite3.Connection, better: Sequence[Share]) -> None:
        self._look(tx, better[-1].time_ms)  # within this transaction nobody else begins a round
        for share in better:
            machine = (share.account, share.worker)
            if share.hash_value < self._best.get(machine, MAX_TARGET):
                self._best[machine] = share.hash_value
                value = f"{share.hash_value:064x}"
                tx.execute(_KEEP, (*machine, value, share.time_ms, self._round_start))
        if len(self._best) > REMEMBERED:
            self._best.clear()

    def round_ended(self) -> None:
        """A block was found here."""
        self._looked_ms = None

    def forget(self) -> None:
        """What was written is not on disk after all."""
        self._best.clear()
        self._looked_ms = None

    def _look(self, tx: sqlite3.Connection, time_ms: int) -> None:
        row = tx.execute(_ROUND).fetchone()
        start = 0 if row is None else int(row[0])
        if start != self._round_start:
            self._round_start = start
            self._best.clear()
        self._looked_ms = time_ms


class BestReader:
    """Reads table ``best_share``."""

    def __init__(self, rows: Callable[..., Sequence[Any]]) -> None:
        """Args: rows: answers an SQL statement and its values on shares.db; nothing without the file."""
        self._rows = rows

    def pool(self) -> Bests:
        """The best of everybody."""
        start = self._round_start()
        return Bests(
            self._share("hash, time_ms FROM best_share ORDER BY hash LIMIT 1"),
            self._share(f"{_NOW} WHERE round_start = ? ORDER BY round_hash LIMIT 1", start),
        )

    def account(self, account: str) -> Bests:
        """The best of all machines that an account ever had."""
        start = self._round_start()
        # the signs keep SQLite from going through everybody's records in search of this account's
        return Bests(
            self._share("hash, time_ms FROM best_share WHERE account = ? ORDER BY +hash LIMIT 1", account),
            self._share(
                f"{_NOW} WHERE account = ? AND +round_start = ? ORDER BY +round_hash LIMIT 1", account, start
            ),
        )

    def luckiest(self, account: str, limit: int) -> dict[str, Bests]:
        """The machines of an account with the best shares ever, best first, by name."""
        return self._machines("WHERE account = ? ORDER BY +hash LIMIT ?", account, limit)

    def machines(self, account: str, names: Iterable[str]) -> dict[str, Bests]:
        """Some machines of an account, by name; without those that have no best share."""
        found: dict[str, Bests] = {}
        for name in names:
            found |= self._machines("WHERE account = ? AND worker = ?", account, name)
        return found

    def _machines(self, which: str, *values: str | int) -> dict[str, Bests]:
        start = self._round_start()
        rows = self._rows(
            "SELECT account, worker, hash, time_ms, round_start, round_hash, round_ms"  # noqa: S608 -- constants of this class
            f" FROM best_share {which}",
            *values,
        )
        return {
            worker: Bests(
                BestShare(account, worker, block_hash, time_ms),
                BestShare(account, worker, round_hash, round_ms) if since == start else None,
            )
            for account, worker, block_hash, time_ms, since, round_hash, round_ms in rows
        }

    def _share(self, columns: str, *values: str | int) -> BestShare | None:
        rows = self._rows(f"SELECT account, worker, {columns}", *values)
        return BestShare(*rows[0]) if rows else None

    def _round_start(self) -> int:
        rows = self._rows(_ROUND)
        return int(rows[0][0]) if rows else 0
