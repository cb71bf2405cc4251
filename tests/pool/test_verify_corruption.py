"""One bit of one row is changed, in any column that money depends on: the audit names it and never breaks."""

# ruff: noqa: S608 - the statements are this file's own constants
from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import structs

from pool.rewards.policy import Policy
from pool.store.database import connect
from pool.store.shares import ShareStore
from pool.verify import verify
from stratum.units import Target
from tests.pool.test_settle import HASH, NOW_MS, SCRIPT, FakeChain, Pool, found, share
from tests.pool.test_verify import ADDRESS, OTHER, pay

THIRD: Final = "ef" * 32
SHARES: Final = {
    "share": ("id", "account", "target_id", "nbits", "pot"),
    "target": ("id", "target"),
    "found": ("id", "hash", "height", "share_id", "account", "found_ms", "pot"),
}
BOOKS: Final = {
    "journal": ("key", "kind", "time_ms", "memo", "previous", "hash"),
    "posting": ("journal_id", "account", "amount_msat"),
    "balance": ("account", "amount_msat"),
    "block": (
        *("hash", "found_id", "share_id", "height", "account", "state", "activations", "value_msat"),
        *("found_ms", "pot"),
    ),
    "payment": ("id", "claim_id", "account", "invoice", "amount_msat", "max_fee_msat", "fee_msat", "state"),
    "batch": ("id", "state"),
    "batch_output": ("batch_id", "account", "amount_sat"),
}
COLUMNS: Final = [
    (file, table, column)
    for file, tables in (("shares", SHARES), ("books", BOOKS))
    for table, columns in tables.items()
    for column in columns
]
UNSEEN: Final = {
    # nothing of a block's division follows from these; shares are held by the log's tree beside this
    "share": {"worker", "height", "time_ms", "front_id", "job"},
    # of the block itself, which its hash names and its proof has
    "found": {"prev_hash", "worker", "address", "file"},
    # order alone counts
    "journal": {"id"},
    "posting": {"id"},
    # what was seen, when, and why
    "block": {"confirmations", "updated_ms"},
    "payment": {
        *("payment_hash", "pool_fee_msat", "invoice_expires_s", "preimage", "reason", "held_back", "ruling"),
        *("ruling_why", "ruled_ms", "created_ms", "updated_ms"),
    },
    # what the node was given; what a batch cost is compared once it is settled
    "batch": {"txid", "raw_tx", "inputs", "fee_sat", "reason", "created_ms", "updated_ms"},
    "batch_output": {"address"},
}


class Files:
    """A small pool's files as they are on disk, without what would keep a hand from changing them."""

    def __init__(self, directory: Path) -> None:
        self.shares, self.books = connect(directory, "shares"), connect(directory, "ledger")
        chain = FakeChain()
        pool = Pool(directory, self.shares, self.books, chain, Policy(Fraction(100), 100))
        pool.store.add_addresses([("bcrt1qpool", SCRIPT)], NOW_MS)
        log = ShareStore(self.shares, 0)
        easy, hard = Target((1 << 226) // 3), Target((1 << 224) // 7)
        won = {each: found(each) for each in (HASH, OTHER, THIRD)}
        batch = [share("bob", easy), share("ann", hard), share("ann", hard, HASH)]
        batch += [share(ADDRESS, hard), share("ann", easy, OTHER), share("zoe", hard, THIRD)]
        # of a difficulty at which every bit of nBits and target's first bytes counts
        log.write([structs.replace(each, nbits=0x1D00FFFF) for each in batch], won)
        for depth, block_hash in ((100, HASH), (120, OTHER), (1, THIRD), (-1, THIRD)):
            pool.see(depth, block_hash)
        pay(pool)
        for each in (self.shares, self.books):
            for (name,) in each.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
                each.execute(f"DROP TRIGGER {name}")
            each.execute("PRAGMA foreign_keys = OFF")
            each.execute("PRAGMA ignore_check_constraints = ON")

    def changed(self, file: str, table: str, column: str, row: int, where: int, bit: int) -> tuple[str, ...]:
        """What the audit says after one bit of a value was flipped, which is undone; ("kept",) for none."""
        connection = self.shares if file == "shares" else self.books
        keys = [name for _, name, *_, in_key in connection.execute(f"PRAGMA table_info({table})") if in_key]
        rows = connection.execute(
            f"SELECT {', '.join(keys)}, {column} FROM {table} WHERE {column} IS NOT NULL"
        ).fetchall()
        *key, value = rows[row % len(rows)]
        cast = "CAST(? AS TEXT)" if isinstance(value, str) else "?"
        connection.execute("BEGIN")
        try:
            connection.execute(
                f"UPDATE {table} SET {column} = {cast} WHERE {' AND '.join(f'{name} IS ?' for name in keys)}",
                (flipped(value, where, bit), *key),
            )
            return verify(self.shares, self.books).differences
        except sqlite3.IntegrityError:  # the table itself refuses it: two rows would have one key
            return ("kept",)
        finally:
            connection.execute("ROLLBACK")


def flipped(value: str | bytes | int, where: int, bit: int) -> bytes | int:
    if isinstance(value, int):
        return value ^ 1 << (where * 8 + bit) % 48
    data = bytearray(value.encode() if isinstance(value, str) else value)
    if isinstance(value, bytes):  # of a target's last bytes work does not depend: it is rounded down
        where = next(at for at, byte in enumerate(value) if byte) + where % 2
    data[where % len(data)] ^= 1 << bit
    return bytes(data)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Files]:
    made = Files(tmp_path_factory.mktemp("corruption"))
    yield made
    made.shares.close()
    made.books.close()


def test_untouched_files_are_right(files: Files) -> None:
    assert verify(files.shares, files.books).differences == ()


@pytest.mark.parametrize(("file", "table", "column"), COLUMNS)
def test_a_change_of_any_column_is_named(files: Files, file: str, table: str, column: str) -> None:
    for row, where, bit in ((0, 0, 1), (1, 5, 7), (-1, -1, 0), (2, 3, 5)):
        assert files.changed(file, table, column, row, where, bit), (row, where, bit)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(COLUMNS), st.integers(0, 50), st.integers(0, 63), st.integers(0, 7))
def test_a_change_of_any_bit_is_named(
    files: Files, place: tuple[str, str, str], row: int, where: int, bit: int
) -> None:
    file, table, column = place
    assert files.changed(file, table, column, row, where, bit), place


@pytest.mark.parametrize("table", [*SHARES, *BOOKS])
def test_every_column_is_either_held_or_known_to_be_no_money(files: Files, table: str) -> None:
    connection = files.shares if table in SHARES else files.books
    columns = {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}
    assert columns == {*(SHARES | BOOKS)[table], *UNSEEN.get(table, ())}
