"""``sluice shares``: old shares go into files and are read back, also after a kill, and by the audit."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from pool.archive_file import pack, unpack
from pool.archiver import Archiver, due
from pool.cli import shares as shares_cli
from pool.cli.common import now_ms
from pool.errors import ConfigError
from pool.metrics import exposition
from pool.retention import DAY_MS
from pool.store.archives import FOLDER, Archives
from pool.store.database import connect, connect_to_read, sole_role
from pool.store.queries import Queries
from pool.store.shares import ShareStore
from pool.verify import verify
from stratum.ports import Share
from stratum.units import MAX_TARGET, Height
from tests.pool.cli_tools import CONFIG, complaint, configure, invoke, json_of, text_of
from tests.pool.test_retention import archive
from tests.pool.test_settle import HASH, NBITS, NOW_MS, SCRIPT, FakeChain, Pool, fill_shares, share

MANY = 5_000
PER_FILE = 4_096  # a sixteenth of what it is: it takes a sixteenth of the time
NAME = "shares-000000000001-000000004096.xz"


@pytest.fixture
def big(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file's worth of shares from a year ago, and some of today."""
    directory = tmp_path
    monkeypatch.setattr(shares_cli, "due", partial(due, ids_per_file=PER_FILE))
    monkeypatch.setattr(shares_cli, "Archiver", partial(Archiver, ids_per_file=PER_FILE))
    configure(directory, CONFIG + "archive_after_days = 300\n")
    old_ms = now_ms() - 365 * DAY_MS
    for name in ("ledger", "inbox"):
        connect(directory, name).close()
    with closing(connect(directory, "shares")) as connection:
        store = ShareStore(connection, 0)
        store.write([old_share(number, old_ms) for number in range(MANY)], {})
        store.write([old_share(number, now_ms()) for number in range(10)], {})
    return directory


def old_share(number: int, begin_ms: int) -> Share:
    return Share(f"m{number % 9}", "w", MAX_TARGET, NBITS, Height(7), begin_ms + number, "1")


def test_the_command_makes_whole_files_of_what_is_old_enough_and_they_are_listed_and_checked(
    big: Path,
) -> None:
    assert text_of(big, "shares", "list") == "No share has been archived.\n"
    dry = text_of(big, "shares", "archive", "--dry-run")
    assert dry.splitlines()[0] == f"due: shares 1 to {PER_FILE}"
    assert not (big / FOLDER).exists()
    assert json_of(big, "shares", "archive", "--older-than", "400")["archived"] == []
    with sole_role(big, "archive"):
        assert "it is left to that one" in text_of(big, "shares", "archive")
        assert json_of(big, "shares", "archive") == {"archived": [], "busy": True, "due": []}
    done = json_of(big, "shares", "archive")
    assert [(each["file"], each["shares"]) for each in done["archived"]] == [(NAME, PER_FILE)]
    assert (done["kept_from"], done["kept_for"]) == (MANY + 1, None)
    assert json_of(big, "shares", "list") == done["archived"]
    assert json_of(big, "shares", "archive")["archived"] == []
    listed = text_of(big, "shares", "list").splitlines()
    assert len(listed) == 2
    assert listed[1].endswith(NAME)
    assert (big / FOLDER / NAME).stat().st_mode & 0o777 == 0o640
    assert text_of(big, "shares", "verify") == "files checked: 1, wrong: 0\n"
    with closing(connect_to_read(big, "shares")) as shares:
        assert shares.execute("SELECT min(id), count(*) FROM share").fetchone() == (
            PER_FILE + 1,
            MANY + 10 - PER_FILE,
        )
        size = shares.execute("SELECT bytes FROM archive").fetchone()[0]
        ids = [record.id for record in Archives(shares).records(4_000, MANY)]
        assert ids == list(range(4_001, MANY + 1))

    left, newest_ms = MANY + 10 - PER_FILE, done["archived"][0]["newest_ms"]
    extent = {"kept": left, "archived": PER_FILE, "files": 1, "size": size, "archived_ms": newest_ms}
    assert json_of(big, "status")["share_log"] == extent
    assert f"share log   {left:,} shares; 4,096 are archived, up to " in text_of(big, "status")
    figures = exposition(Queries(big), now_ms).decode()
    assert f"sluice_shares_kept {left:.1f}\nsluice_shares_archived 4096.0\n" in re.sub(r"#.*\n", "", figures)
    moments = re.findall(r"^sluice_archived_timestamp_seconds (.+)$", figures, re.MULTILINE)
    assert list(map(float, moments)) == [newest_ms / 1000]


def test_without_an_age_nothing_is_archived(tmp_path: Path) -> None:
    configure(tmp_path)
    with pytest.raises(ConfigError, match=r"sluice.toml: store.archive_after_days is missing"):
        invoke(tmp_path, "shares", "archive")
    line = complaint(tmp_path, "shares", "archive", "--older-than", "3", status=1)
    assert line.endswith("shares.db is not there yet: `sluice run` makes it")


def test_in_the_background_it_steps_back_and_says_nothing_where_there_is_nothing_to_say(
    tmp_path: Path,
) -> None:
    configure(tmp_path, CONFIG + "archive_after_days = 1\n")
    for name in ("ledger", "inbox", "shares"):
        connect(tmp_path, name).close()
    done = subprocess.run(
        [sys.executable, "-m", "pool", "shares", "archive", "--background"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        start_new_session=True,  # as systemd starts it
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.fixture
def paid(tmp_path: Path) -> Path:
    """A pool whose only block has been rewarded, and whose shares up to that block's are archived."""
    configure(tmp_path)
    connect(tmp_path, "inbox").close()
    made = Pool(tmp_path, connect(tmp_path, "shares"), connect(tmp_path, "ledger"), FakeChain())
    with closing(made.shares), closing(made.books):
        made.store.add_addresses([("bcrt1qpool", SCRIPT)], NOW_MS)
        fill_shares(made.shares)
        made.see(101)
        ShareStore(made.shares, 0).write([share("later") for _ in range(4)], {})
        archive(made, 8, per_file=2)
    return tmp_path


def test_ledger_verify_counts_archived_shares_and_names_the_file_with_a_flipped_bit(paid: Path) -> None:
    report = json_of(paid, "ledger", "verify")
    assert report["ok"] is True
    assert report["checked"]["files of archived shares"] == 4
    assert report["checked"]["rewards counted again share by share"] == 1
    path = paid / FOLDER / "shares-000000000001-000000000002.xz"
    whole = path.read_bytes()
    at = len(whole) // 2
    path.write_bytes(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :])
    named = "shares 1 to 2 (archive/shares-000000000001-000000000002.xz) was changed"
    differences = json_of(paid, "ledger", "verify")["differences"]
    assert differences[0].startswith(named)
    assert differences[1].startswith(f"reward:{HASH}:0: it cannot be counted again, since {named}")
    assert invoke(paid, "ledger", "verify").return_value == 1
    result = invoke(paid, "shares", "verify")
    assert result.return_value == 1
    assert result.output.startswith(f"DIFFERENCE: {named}")
    path.unlink()
    assert "cannot be read: No such file or directory" in invoke(paid, "shares", "verify").output
    assert json_of(paid, "shares", "verify")["ok"] is False


def test_a_file_that_was_forged_with_its_checksum_is_found_by_counting_again(paid: Path) -> None:
    """Bob's share becomes ann's: the file is sound, its checksums are right, and the books are not."""
    path = paid / FOLDER / "shares-000000000001-000000000002.xz"
    records, _ = unpack(path.read_bytes(), 1, 2)
    forged = pack(1, 2, [record._replace(account="ann") for record in records])
    path.write_bytes(forged.data)
    with closing(connect(paid, "shares")) as connection:
        connection.execute("DROP TRIGGER archive_is_final")
        connection.execute(
            "UPDATE archive SET file_sha256 = ?, content_sha256 = ? WHERE first_id = 1",
            (hashlib.sha256(forged.data).hexdigest(), forged.content_sha256),
        )
    assert text_of(paid, "shares", "verify") == "files checked: 4, wrong: 0\n"
    with (
        closing(connect_to_read(paid, "shares")) as shares,
        closing(connect_to_read(paid, "ledger")) as books,
    ):
        differences = verify(shares, books).differences
    assert any(f"reward:{HASH}:0" in each and "bob" in each for each in differences)


def test_a_process_that_is_killed_anywhere_loses_no_share_and_archives_none_twice(tmp_path: Path) -> None:
    written = 300
    with closing(connect(tmp_path, "shares")) as front:
        store = ShareStore(front, 0)
        store.write([old_share(number, 0) for number in range(written)], {})
        before = list(Archives(front).records(0, written))
        for kill_after in (0, 1, 4, 9, None):
            run_and_kill(tmp_path, 256, kill_after)
            # the front goes on meanwhile
            store.write([old_share(written, 0)], {})
            written += 1
            assert list(Archives(front).records(0, 300)) == before
            assert len(list(Archives(front).records(0, written))) == written
        files = Archives(front).all()
        assert [(each.first_id, each.last_id) for each in files] == [
            (1, 64),
            (65, 128),
            (129, 192),
            (193, 256),
        ]
        assert {path.name for path in (tmp_path / FOLDER).iterdir()} == {each.file for each in files}
        assert front.execute("SELECT min(id) FROM share").fetchone() == (257,)


def run_and_kill(directory: Path, last_id: int, after: int | None) -> None:
    """Let it do so many steps, and a bit of the next one; None: all."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.pool.archiving_process", str(directory), str(last_id)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert process.stdout is not None
    with process.stdout:
        for number, _ in enumerate(process.stdout):
            if number == after:
                process.kill()
    assert process.wait(30) in {0, -9}
