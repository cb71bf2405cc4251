"""The best shares: the least header hash that each machine has sent, kept as shares are written.

Fronts keep what they have seen of the round in memory and write only what beats it.  That memory need not be
right, only never better than the table: a share that it lets through by mistake changes nothing there.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Final

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
        start = round_start(tx)
        if start != self._round_start:
            self._round_start = start
            self._best.clear()
        self._looked_ms = time_ms


class BestReader:
    """Reads table ``best_share``."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Args: connection: to shares.db, brought up to date."""
        self._connection = connection

    def pool(self) -> Bests:
        """The best of everybody."""
        ever = self._share("hash, time_ms FROM best_share ORDER BY hash LIMIT 1")
        start = round_start(self._connection)
        now = self._share(
            "round_hash, round_ms FROM best_share WHERE round_start = ? ORDER BY round_hash LIMIT 1", start
        )
        return Bests(ever, now)

    def workers(self, account: str) -> dict[str, Bests]:
        """The best of each machine of an account, by name."""
        start = round_start(self._connection)
        return {
            worker: Bests(
                BestShare(account, worker, block_hash, time_ms),
                BestShare(account, worker, round_hash, round_ms) if since == start else None,
            )
            for worker, block_hash, time_ms, since, round_hash, round_ms in self._connection.execute(
                "SELECT worker, hash, time_ms, round_start, round_hash, round_ms FROM best_share"
                " WHERE account = ? ORDER BY worker",
                (account,),
            )
        }

    def _share(self, columns: str, *values: int) -> BestShare | None:
        row = self._connection.execute(f"SELECT account, worker, {columns}", values).fetchone()
        return None if row is None else BestShare(*row)


def round_start(connection: sqlite3.Connection) -> int:
    """Log id of the newest winning share of the main pot, 0 when there is none."""
    row = connection.execute(_ROUND).fetchone()
    return 0 if row is None else int(row[0])
