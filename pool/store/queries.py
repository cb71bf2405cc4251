"""What the site, the metrics and the command line read from the store; nothing here ever writes."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import attrs

from payouts.money import MSAT_PER_SAT, Msat
from pool.luck import best_odds
from pool.rewards.fpps import Rate
from pool.store import policies
from pool.store.activity import Activity, Hashrate, Worker
from pool.store.archives import EXTENT, Extent
from pool.store.best import BestReader
from pool.store.database import FILES, connect_to_read
from pool.store.efforts import Efforts
from pool.store.figures import Balances, BlockRow, PaymentRow, PoolStats, RewardRow
from pool.store.flows import FlowReader, Waiting
from pool.store.policies import PolicyChange
from pool.store.rates import RateTable
from pool.store.reward_checks import RewardChecks
from stratum.options import POOL
from stratum.units import work_from_target

MINERS: Final = "liabilities:miners:"
EARLY: Final = (
    "coalesce((SELECT sum(amount_msat) FROM posting JOIN journal ON journal.id = journal_id"
    " WHERE account = 'assets:advanced' AND block.state = 'immature'"
    " AND key = 'advance:' || block.hash || ':' || (block.activations - 1)), 0)"
)
"""Of a block in the chain that has yet to mature: what its miners were credited."""
NOW_WINDOW_S: Final = 600
HOUR_WINDOW_S: Final = 3600


class Queries:
    """Reads of one store directory, in which files may not exist yet.  Safe to call from several threads.

    Attributes:
        bests: best shares.
    """

    def __init__(self, directory: Path) -> None:
        """Args: directory: where shares.db and ledger.db are, or will be."""
        self._directory = directory
        self._lock = threading.RLock()
        self._open: dict[str, sqlite3.Connection] = {}
        self._activity: Activity | None = None
        self.bests = BestReader(lambda sql, *values: self._rows("shares", sql, *values))
        self._efforts = Efforts(lambda sql, *values: self._rows("shares", sql, *values))

    @property
    def directory(self) -> Path:
        """Where the files are."""
        return self._directory

    def close(self) -> None:
        """Close the files."""
        with self._lock:
            for connection in self._open.values():
                connection.close()
            self._open.clear()
            self._activity = None

    def pool(self, now_ms: int) -> PoolStats:
        """The pool's figures now."""
        with self._lock:
            hashrate, hour, accounts, workers = self._rates(now_ms)
            newest_ms, work = self.newest_share_ms(), self._efforts.round()
            best = self.bests.pool()
            now = best.round
            odds = None if now is None else best_odds(work_from_target(now.target), work.hashes)
            log = Extent(*next(iter(self._rows("shares", EXTENT)), ()))
            return PoolStats(hashrate, hour, accounts, workers, newest_ms, work.effort, best, odds, log)

    def account_hashrate(self, account: str, now_ms: int) -> tuple[Hashrate, Hashrate]:
        """An account's hashrate over the last ten minutes and over the last hour."""
        with self._lock:
            activity = self._followed(now_ms)
            if activity is None:
                nothing = Hashrate(0.0, 0.0, 0.0, 0, float(NOW_WINDOW_S))
                return nothing, attrs.evolve(nothing, span_s=float(HOUR_WINDOW_S))
            return (
                activity.account(account, now_ms, NOW_WINDOW_S),
                activity.account(account, now_ms, HOUR_WINDOW_S),
            )

    def workers(self, account: str, now_ms: int) -> list[Worker]:
        """The machines of an account that were seen within the hour, by name."""
        with self._lock:
            activity = self._followed(now_ms)
            return [] if activity is None else activity.workers(account, now_ms, NOW_WINDOW_S)

    def blocks(self, limit: int) -> list[BlockRow]:
        """The newest blocks, newest first: as the book knows them, or just submitted."""
        with self._lock:
            known = {
                row[0]: row[1:]
                for row in self._rows(
                    "ledger",
                    f"SELECT hash, state, confirmations, value_msat, {EARLY} FROM block"  # noqa: S608
                    " ORDER BY found_id DESC LIMIT ?",
                    limit,
                )
            }
            found = self._rows(
                "shares",
                "SELECT id, hash, height, account, found_ms, share_id, pot FROM found"
                " ORDER BY id DESC LIMIT ?",
                limit,
            )
            rows = []
            for found_id, block_hash, height, account, found_ms, share_id, pot in found:
                state, confirmations, value, early = known.get(block_hash, ("submitted", 0, None, 0))
                # of a pot beside the pool's it would say nothing about the pool
                effort = None if share_id is None or pot != POOL else self._efforts.block(found_id, share_id)
                seen = (state, confirmations, value, found_ms, effort, pot, Msat(early))
                rows.append(BlockRow(block_hash, height, account, *seen))
            return rows

    def balances(self, account: str) -> Balances:
        """What the pool owes an account; zeros for one that it never heard of."""
        rows = self._rows(
            "ledger",
            "SELECT account, -amount_msat FROM balance WHERE account IN (?, ?, ?)",
            *_parts(account),
        )
        return Balances(**{name.rpartition(":")[2]: Msat(amount) for name, amount in rows})

    def rewards(self, account: str, limit: int) -> list[RewardRow]:
        """The newest rewards of an account, newest first (``reward:{blockhash}:{n}`` in the journal)."""
        rows = self._rows(
            "ledger",
            "SELECT substr(j.key, 8, 64), -SUM(p.amount_msat), j.time_ms,"
            " coalesce((SELECT e.amount_msat FROM posting e JOIN journal a ON a.id = e.journal_id"
            "  WHERE e.account = ?1 AND a.key = 'advance:' || substr(j.key, 8)), 0)"
            " FROM posting p JOIN journal j ON j.id = p.journal_id"
            " WHERE p.account = ?1 AND j.key LIKE 'reward:%' GROUP BY j.id ORDER BY j.id DESC LIMIT ?2",
            f"{MINERS}{account}:immature",
            limit,
        )
        return [self._reward(*row) for row in rows]

    def payments(self, account: str, limit: int) -> list[PaymentRow]:
        """The newest payments of an account over both ways, newest first."""
        rows = self._rows(
            "ledger",
            "SELECT 'lightning', payment_hash, amount_msat, fee_msat, state, reason, created_ms"
            " FROM payment WHERE account = ?1"
            " UNION ALL"
            " SELECT 'onchain', b.txid, o.amount_sat * ?2, NULL, b.state, b.reason, b.created_ms"
            " FROM batch_output o JOIN batch b ON b.id = o.batch_id WHERE o.account = ?1"
            " ORDER BY 7 DESC LIMIT ?3",
            account,
            MSAT_PER_SAT,
            limit,
        )
        return [PaymentRow(*row) for row in rows]

    def ledger_balances(self) -> dict[str, int]:
        """Every ledger account's balance in msat: debit positive, credit negative."""
        return dict(self._rows("ledger", "SELECT account, amount_msat FROM balance ORDER BY account"))

    def payments_by_state(self) -> dict[tuple[str, str], int]:
        """How many payments there are by (way, state)."""
        rows = self._rows(
            "ledger",
            "SELECT 'lightning', state, COUNT(*) FROM payment GROUP BY state"
            " UNION ALL SELECT 'onchain', state, COUNT(*) FROM batch GROUP BY state",
        )
        return {(way, state): count for way, state, count in rows}

    def blocks_by_state(self) -> dict[str, int]:
        """How many blocks there are by state; those that the book has not read yet are submitted."""
        with self._lock:
            states = dict(self._rows("ledger", "SELECT state, COUNT(*) FROM block GROUP BY state"))
            found = self._rows("shares", "SELECT COUNT(*) FROM found")
            unread = max(0, (found[0][0] if found else 0) - sum(states.values()))
            if unread:
                states["submitted"] = states.get("submitted", 0) + unread
            return states

    def newest_share_ms(self) -> int | None:
        """When the newest share was found, Unix milliseconds."""
        rows = self._rows("shares", "SELECT time_ms FROM share ORDER BY id DESC LIMIT 1")
        return rows[0][0] if rows else None

    def fixed_ms(self) -> int | None:
        """When what the next block fixes of the log was last written down, Unix milliseconds."""
        rows = self._rows("ledger", "SELECT made_ms FROM commitment ORDER BY id DESC LIMIT 1")
        return rows[0][0] if rows else None

    def newest_height(self) -> int | None:
        """Of the block that the newest share sought."""
        rows = self._rows("shares", "SELECT height FROM share ORDER BY id DESC LIMIT 1")
        return rows[0][0] if rows else None

    def newest_rate(self) -> Rate | None:
        """What shares are paid for fees by now (FPPS); None when they never were."""
        with self._lock:
            connection = self._connection("ledger")
            return None if connection is None else RateTable(connection).newest()

    def rates(self, count: int) -> list[Rate]:
        """What shares of the greatest heights are paid for fees, greatest first."""
        with self._lock:
            connection = self._connection("ledger")
            return [] if connection is None else RateTable(connection).recent(count)

    def rejected(self, since_s: int) -> dict[int, int]:
        """Refused submissions by Stratum error code, in the hours that began at the Unix second or later."""
        return dict(
            self._rows(
                "shares", "SELECT code, SUM(count) FROM rejected WHERE hour_s >= ? GROUP BY code", since_s
            )
        )

    def policies(self) -> list[PolicyChange]:
        """Every policy that shares were ever mined under, newest first."""
        with self._lock:
            connection = self._connection("ledger")
            return [] if connection is None else policies.read(connection)[::-1]

    def waiting(self) -> Waiting:
        """What of payments waits for the operator."""
        with self._lock:
            connection = self._connection("ledger")
            return Waiting((), 0, 0) if connection is None else FlowReader(connection).waiting()

    def lightning_balance(self) -> int | None:
        """What the Lightning node had when it was last asked, msat; None when it never was."""
        rows = self._rows("ledger", "SELECT balance_msat FROM node_seen")
        return rows[0][0] if rows else None

    def rewards_checked(self) -> tuple[int, int]:
        """How many rewards the book has counted again, and how many of them were not right."""
        with self._lock:
            connection = self._connection("ledger")
            return (0, 0) if connection is None else RewardChecks(connection).counts()

    def sending_stopped(self) -> bool:
        """Whether a breaker has stopped payments and nobody has resumed them."""
        return bool(self._rows("ledger", "SELECT 1 FROM breaker WHERE resumed_ms IS NULL LIMIT 1"))

    def _rates(self, now_ms: int) -> tuple[Hashrate, Hashrate, int, int]:
        activity = self._followed(now_ms)
        if activity is None:
            nothing = Hashrate(0.0, 0.0, 0.0, 0, 0.0)
            return nothing, nothing, 0, 0
        return (
            activity.pool(now_ms, NOW_WINDOW_S),
            activity.pool(now_ms, HOUR_WINDOW_S),
            *activity.active(now_ms, NOW_WINDOW_S),
        )

    def _reward(self, block_hash: str, amount: int, time_ms: int, early: int) -> RewardRow:
        found = self._rows(
            "ledger", "SELECT height, state, confirmations FROM block WHERE hash = ?", block_hash
        )
        height, state, confirmations = found[0] if found else (None, None, None)
        return RewardRow(block_hash, height, state, confirmations, Msat(amount), time_ms, Msat(early))

    def _followed(self, now_ms: int) -> Activity | None:
        connection = self._connection("shares")
        if connection is None:
            return None
        if self._activity is None:
            self._activity = Activity(connection)
        self._activity.follow(now_ms)
        return self._activity

    def _rows(self, name: str, sql: str, *values: object) -> Sequence[Any]:
        with self._lock:
            connection = self._connection(name)
            return [] if connection is None else connection.execute(sql, values).fetchall()

    def _connection(self, name: str) -> sqlite3.Connection | None:
        """The open file, or None while its owner has not made its tables or not brought them up to date."""
        if name not in self._open:
            if not (self._directory / f"{name}.db").exists():
                return None
            connection = connect_to_read(self._directory, name)
            if connection.execute("PRAGMA user_version").fetchone()[0] < len(FILES[name]):
                connection.close()
                return None
            self._open[name] = connection
        return self._open[name]


def _parts(account: str) -> tuple[str, str, str]:
    return f"{MINERS}{account}:immature", f"{MINERS}{account}:available", f"{MINERS}{account}:held"
