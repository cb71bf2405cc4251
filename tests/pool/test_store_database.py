"""Opening the store: durable settings, migrations, refusals that name the mend."""

import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from threading import Timer

import pytest

from pool.errors import StoreBusy, StoreError
from pool.store import database, schema
from pool.store.database import connect, connect_to_read, sole_role, transaction


@pytest.mark.parametrize("name", database.FILES)
def test_a_new_file_is_durable_and_complete(tmp_path: Path, name: str) -> None:
    opened = connect(tmp_path, name)
    assert opened.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert opened.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL
    assert opened.execute("PRAGMA user_version").fetchone() == (len(database.FILES[name]),)
    opened.close()


def test_opening_twice_changes_nothing(tmp_path: Path) -> None:
    first = connect(tmp_path, "ledger")
    with transaction(first) as tx:
        tx.execute("INSERT INTO account VALUES ('alice', 'x', 1)")
    first.close()
    second = connect(tmp_path, "ledger")
    assert second.execute("SELECT count(*) FROM account").fetchone() == (1,)
    second.close()


def test_a_share_log_of_the_first_release_is_all_the_pools(tmp_path: Path) -> None:
    old = sqlite3.connect(tmp_path / "shares.db", isolation_level=None)
    old.executescript(schema.SHARES[0])
    old.execute("PRAGMA user_version = 1")
    old.execute("INSERT INTO target VALUES (1, zeroblob(32))")
    columns = "account, worker, target_id, nbits, height, time_ms, front_id, job"
    old.execute(f"INSERT INTO share ({columns}) VALUES ('ann', 'w', 1, 2, 3, 4, 0, '1')")  # noqa: S608 -- as it was
    old.close()
    opened = connect(tmp_path, "shares")
    assert opened.execute("SELECT account, pot FROM share").fetchall() == [("ann", "pool")]
    opened.close()


def test_a_file_of_a_newer_release_is_refused(tmp_path: Path) -> None:
    opened = connect(tmp_path, "inbox")
    opened.execute("PRAGMA user_version = 99")
    opened.close()
    with pytest.raises(StoreError, match="update sluice"):
        connect(tmp_path, "inbox")


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "shares.db").write_bytes(b"not a database at all" * 100)
    with pytest.raises(StoreError, match="cannot be opened"):
        connect(tmp_path, "shares")


def test_a_reader_cannot_write(tmp_path: Path) -> None:
    connect(tmp_path, "ledger").close()
    reader = connect_to_read(tmp_path, "ledger")
    with pytest.raises(sqlite3.OperationalError):
        reader.execute("INSERT INTO account VALUES ('mallory', 'x', 1)")
    reader.close()


def test_a_missing_file_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be read"):
        connect_to_read(tmp_path, "ledger")


def test_a_locked_database_says_so_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "BUSY_TIMEOUT_S", 0.05)
    first, second = connect(tmp_path, "ledger"), connect(tmp_path, "ledger")
    with transaction(first), pytest.raises(StoreBusy), transaction(second):
        pass
    first.close()
    second.close()


def test_a_lock_that_is_let_go_is_had_within_milliseconds(tmp_path: Path) -> None:
    first, second = connect(tmp_path, "shares"), connect(tmp_path, "shares")
    first.execute("BEGIN IMMEDIATE")
    waits = Timer(0.2, first.execute, ["COMMIT"])
    waits.start()
    with transaction(second):
        late_s = time.perf_counter()
    waits.join()
    assert time.perf_counter() - late_s < 0.1
    first.close()
    second.close()


MAKE = """
import sys
from pathlib import Path
from pool.store.database import connect
sys.stdin.read(1)
connect(Path(sys.argv[1]), "shares").close()
"""


def test_processes_that_make_the_same_file_at_once_do_not_collide(tmp_path: Path) -> None:
    command = [sys.executable, "-c", MAKE, str(tmp_path / "new")]
    makers = [subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(4)]
    outcomes = [maker.communicate(b"x") and maker.returncode for maker in makers]
    assert outcomes == [0] * 4
    opened = connect(tmp_path / "new", "shares")
    assert opened.execute("SELECT count(*) FROM share").fetchone() == (0,)
    opened.close()


def test_a_failed_transaction_is_rolled_back(tmp_path: Path) -> None:
    opened = connect(tmp_path, "ledger")

    def fail() -> None:
        with transaction(opened) as tx:
            tx.execute("INSERT INTO account VALUES ('alice', 'x', 1)")
            raise RuntimeError("crash")

    with pytest.raises(RuntimeError):
        fail()
    assert opened.execute("SELECT count(*) FROM account").fetchone() == (0,)
    opened.close()


@pytest.mark.parametrize("statement", ["UPDATE posting SET amount_msat = 1", "DELETE FROM posting"])
def test_postings_are_append_only(tmp_path: Path, statement: str) -> None:
    opened = connect(tmp_path, "ledger")
    opened.execute("INSERT INTO journal VALUES (1, 'k', 'deposit', 1, '{}', '', 'h')")
    opened.execute("INSERT INTO posting VALUES (1, 1, 'assets:hot', 5)")
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        opened.execute(statement)
    opened.close()


def test_a_second_process_in_the_same_role_is_refused(tmp_path: Path) -> None:
    with (
        sole_role(tmp_path, "payer"),
        pytest.raises(StoreBusy, match="stop it first"),
        sole_role(tmp_path, "payer"),
    ):
        pass
    with sole_role(tmp_path, "payer"):  # and it is free again afterwards
        assert (tmp_path / "payer.lock").read_text(encoding="utf-8").isdigit()
