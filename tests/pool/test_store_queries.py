"""The read-only queries: figures from plain rows in fresh files."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from pool.store.database import connect
from pool.store.figures import Balances
from pool.store.queries import Queries
from stratum.units import DIFFICULTY_1_TARGET, target_from_nbits

NOW_MS = 1_800_000_000_000
NBITS = 0x207FFFFF
EASY = int(target_from_nbits(NBITS))
ADDRESS = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"


def add_shares(
    shares: sqlite3.Connection, account: str, count: int, time_ms: int, worker: str = "w", nbits: int = NBITS
) -> None:
    shares.execute("INSERT OR IGNORE INTO target VALUES (1, ?)", (EASY.to_bytes(32, "big"),))
    shares.executemany(
        "INSERT INTO share (account, worker, target_id, nbits, height, time_ms, front_id, job)"
        " VALUES (?, ?, 1, ?, 100, ?, 0, 'a')",
        [(account, worker, nbits, time_ms)] * count,
    )


def add_found(shares: sqlite3.Connection, block_hash: str, share_id: int | None, height: int) -> None:
    shares.execute(
        "INSERT INTO found (hash, prev_hash, height, share_id, account, worker, address, found_ms, file)"
        " VALUES (?, 'p', ?, ?, ?, 'w', 'x', ?, 'f')",
        (block_hash, height, share_id, ADDRESS, NOW_MS),
    )


def post(ledger: sqlite3.Connection, key: str, moves: dict[str, int], time_ms: int = NOW_MS) -> None:
    number = ledger.execute(
        "INSERT INTO journal (key, kind, time_ms, memo, previous, hash) VALUES (?, ?, ?, '{}', '', ?)",
        (key, key.partition(":")[0], time_ms, key),
    ).lastrowid
    ledger.executemany(
        "INSERT INTO posting (journal_id, account, amount_msat) VALUES (?, ?, ?)",
        [(number, account, amount) for account, amount in moves.items()],
    )


def test_a_store_without_files_answers_with_nothing(tmp_path: Path) -> None:
    queries = Queries(tmp_path)
    assert queries.pool(NOW_MS).hashrate.hps == 0
    assert queries.pool(NOW_MS).newest_share_ms is None
    assert queries.blocks(10) == []
    assert queries.balances(ADDRESS) == Balances()
    assert queries.payments(ADDRESS, 5) == []
    assert queries.workers(ADDRESS, NOW_MS) == []
    assert queries.account_hashrate(ADDRESS, NOW_MS)[0].shares == 0
    assert queries.ledger_balances() == {}
    assert not queries.sending_stopped()


def test_files_that_appear_later_are_read(tmp_path: Path) -> None:
    queries = Queries(tmp_path)
    assert queries.newest_share_ms() is None
    (tmp_path / "shares.db").touch()
    assert queries.newest_share_ms() is None
    add_shares(connect(tmp_path, "shares"), ADDRESS, 1, NOW_MS)
    assert queries.newest_share_ms() == NOW_MS


def test_effort_counts_the_work_since_the_block_before(tmp_path: Path) -> None:
    shares = connect(tmp_path, "shares")
    hard = int(DIFFICULTY_1_TARGET)
    shares.execute("INSERT INTO target VALUES (2, ?)", (hard.to_bytes(32, "big"),))
    add_shares(shares, ADDRESS, 4, NOW_MS)
    add_found(shares, "a" * 64, 4, 100)
    add_shares(shares, ADDRESS, 6, NOW_MS)
    add_found(shares, "b" * 64, None, 101)
    add_found(shares, "c" * 64, 10, 101)
    add_shares(shares, ADDRESS, 3, NOW_MS)
    queries = Queries(tmp_path)
    efforts = [(block.hash[0], block.effort) for block in queries.blocks(10)]
    assert efforts == [("c", pytest.approx(6.0)), ("b", None), ("a", pytest.approx(4.0))]
    assert queries.pool(NOW_MS).round_effort == pytest.approx(3.0)
    add_shares(shares, ADDRESS, 2, NOW_MS)
    assert queries.pool(NOW_MS).round_effort == pytest.approx(5.0)
    add_found(shares, "d" * 64, 15, 102)
    assert queries.pool(NOW_MS).round_effort == 0.0


def test_a_block_that_the_book_has_not_read_is_submitted(tmp_path: Path) -> None:
    shares, ledger = connect(tmp_path, "shares"), connect(tmp_path, "ledger")
    add_found(shares, "a" * 64, None, 100)
    add_found(shares, "b" * 64, None, 101)
    ledger.execute(
        "INSERT INTO block (hash, found_id, share_id, height, account, state, activations, confirmations,"
        " value_msat, found_ms, updated_ms) VALUES (?, 1, NULL, 100, ?, 'mature', 1, 101, 5000, ?, ?)",
        ("a" * 64, ADDRESS, NOW_MS, NOW_MS),
    )
    queries = Queries(tmp_path)
    assert [(block.state, block.value_msat) for block in queries.blocks(5)] == [
        ("submitted", None),
        ("mature", 5000),
    ]
    assert queries.blocks_by_state() == {"mature": 1, "submitted": 1}


def test_balances_and_rewards_are_shown_from_the_miners_side(tmp_path: Path) -> None:
    ledger = connect(tmp_path, "ledger")
    miner = f"liabilities:miners:{ADDRESS}"
    post(ledger, f"reward:{'a' * 64}:0", {f"{miner}:immature": -700, "assets:immature": 700})
    post(ledger, f"mature:{'a' * 64}:0", {f"{miner}:immature": 500, f"{miner}:available": -500})
    post(ledger, "hold:1", {f"{miner}:available": 100, f"{miner}:held": -100})
    queries = Queries(tmp_path)
    assert attrs_tuple(queries.balances(ADDRESS)) == (200, 400, 100)
    [reward] = queries.rewards(ADDRESS, 5)
    assert (reward.block_hash, reward.amount_msat, reward.height) == ("a" * 64, 700, None)
    assert sum(queries.ledger_balances().values()) == 0


def attrs_tuple(balances: Balances) -> tuple[int, int, int]:
    return balances.immature, balances.available, balances.held


def test_payments_of_both_ways_come_newest_first(tmp_path: Path) -> None:
    ledger = connect(tmp_path, "ledger")
    ledger.execute(
        "INSERT INTO payment (claim_id, account, invoice, payment_hash, amount_msat, max_fee_msat, state,"
        " invoice_expires_s, created_ms, updated_ms)"
        " VALUES (1, ?, 'i', 'h1', 5000, 100, 'sending', 0, 10, 10)",
        (ADDRESS,),
    )
    ledger.execute("INSERT INTO batch VALUES (1, 't1', 'raw', '[]', 200, 'broadcast', NULL, 20, 20)")
    ledger.execute("INSERT INTO batch_output VALUES (1, ?, ?, 7)", (ADDRESS, ADDRESS))
    queries = Queries(tmp_path)
    assert [(row.way, row.reference, row.amount_msat) for row in queries.payments(ADDRESS, 9)] == [
        ("onchain", "t1", 7000),
        ("lightning", "h1", 5000),
    ]
    assert queries.payments_by_state() == {("lightning", "sending"): 1, ("onchain", "broadcast"): 1}


def test_rejected_counts_are_summed_by_code(tmp_path: Path) -> None:
    shares = connect(tmp_path, "shares")
    shares.executemany("INSERT INTO rejected VALUES (?, ?, ?)", [(0, 21, 9), (3600, 21, 2), (7200, 22, 1)])
    assert Queries(tmp_path).rejected(3600) == {21: 2, 22: 1}


def test_sending_is_stopped_until_the_breaker_is_resumed(tmp_path: Path) -> None:
    ledger = connect(tmp_path, "ledger")
    ledger.execute("INSERT INTO breaker (reason, tripped_ms) VALUES ('x', 1)")
    queries = Queries(tmp_path)
    assert queries.sending_stopped()
    ledger.execute("UPDATE breaker SET resumed_ms = 2")
    assert not queries.sending_stopped()


def test_the_file_cannot_be_written_through_the_queries(tmp_path: Path) -> None:
    connect(tmp_path, "shares")
    queries = Queries(tmp_path)
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        queries._rows("shares", "DELETE FROM share")
