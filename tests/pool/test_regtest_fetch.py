from __future__ import annotations

import fcntl
import threading
from pathlib import Path

import pytest

from pool.regtest import debs, fetch
from pool.regtest.errors import RigError, ToolMissing


def script(path: Path, text: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def ignore(_: str) -> None:
    pass


class Filling:
    """Fills a folder and counts; it can break off half-way, as a kill would."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.times = 0
        self.breaks_off = False

    def __call__(self) -> None:
        self.times += 1
        assert list(self.home.iterdir()) == []
        (self.home / "half").touch()
        if self.breaks_off:
            raise KeyboardInterrupt
        (self.home / "whole").touch()


def test_a_second_run_fetches_nothing(tmp_path: Path) -> None:
    filling = Filling(tmp_path / "cache" / "rig-1")
    for _ in range(2):
        fetch.once(filling.home, filling, ignore)
    assert filling.times == 1
    assert (filling.home / "whole").exists()


def test_a_fetch_that_was_cut_short_is_done_again_from_the_start(tmp_path: Path) -> None:
    filling = Filling(tmp_path / "rig-1")
    filling.breaks_off = True
    with pytest.raises(KeyboardInterrupt):
        fetch.once(filling.home, filling, ignore)
    filling.breaks_off = False
    fetch.once(filling.home, filling, ignore)
    assert filling.times == 2
    assert (filling.home / "whole").exists()


def test_a_process_that_finds_another_one_fetching_waits_for_it_and_takes_what_it_fetched(
    tmp_path: Path,
) -> None:
    home = tmp_path / "rig-1"
    filling = Filling(home)
    waits = threading.Event()

    def progress(line: str) -> None:
        assert "waiting for another process" in line
        waits.set()

    with (tmp_path / "rig-1.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        second = threading.Thread(target=fetch.once, args=(home, filling, progress))
        second.start()
        assert waits.wait(10)
        home.mkdir()
        (home / "ready").touch()
    second.join(10)
    assert not second.is_alive()
    assert filling.times == 0


def test_the_cache_follows_xdg_and_falls_back_to_the_home_directory() -> None:
    assert fetch.cache_directory({"XDG_CACHE_HOME": "/var/cache/me"}) == Path("/var/cache/me/sluice")
    assert fetch.cache_directory({}) == Path.home() / ".cache/sluice"


@pytest.mark.parametrize(
    "says", ["Bitcoin Core version v26.0.0", "Bitcoin Knots daemon version v29.1.knots20250903", "v30.0"]
)
def test_a_bitcoind_on_path_that_is_new_enough_is_used(tmp_path: Path, says: str) -> None:
    own = script(tmp_path / "bitcoind", f"echo '{says}'")
    assert fetch.own_bitcoind({"PATH": str(tmp_path)}) == (own,)


def test_a_bitcoind_on_path_that_is_too_old_is_passed_over(tmp_path: Path) -> None:
    script(tmp_path / "bitcoind", "echo Bitcoin Core version v25.2.0")
    assert fetch.own_bitcoind({"PATH": str(tmp_path)}) is None


def test_a_bitcoind_that_is_named_but_too_old_is_refused_in_one_line(tmp_path: Path) -> None:
    own = script(tmp_path / "bitcoind", "echo Bitcoin Core version v25.2.0")
    with pytest.raises(ToolMissing, match=r"SLUICE_BITCOIND=.*26 or newer") as refused:
        fetch.own_bitcoind({"SLUICE_BITCOIND": own, "PATH": ""})
    assert "\n" not in str(refused.value)


def test_a_bitcoind_that_is_named_but_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ToolMissing, match="SLUICE_BITCOIND"):
        fetch.own_bitcoind({"SLUICE_BITCOIND": str(tmp_path / "nowhere"), "PATH": ""})


def electrum(directory: Path, answer: str) -> str:
    """An Electrum whose Python is a stand-in that answers the question for the version."""
    python = script(directory / "python3", answer)
    path = directory / "electrum"
    path.write_text(f"#!{python}\n")
    path.chmod(0o755)
    return str(path)


def test_an_electrum_that_is_named_comes_with_the_python_that_runs_it(tmp_path: Path) -> None:
    own = electrum(tmp_path, "echo v4.8.4")
    found = fetch.own_electrum({"SLUICE_ELECTRUM": own, "PATH": ""})
    assert found == (own, (str(tmp_path / "python3"),), "")


@pytest.mark.parametrize("answer", ["echo v4.5.8", "exit 1"])
def test_an_electrum_on_path_that_cannot_speak_lnurl_is_passed_over(tmp_path: Path, answer: str) -> None:
    electrum(tmp_path, answer)
    assert fetch.own_electrum({"PATH": str(tmp_path)}) is None


def test_an_electrum_that_is_named_but_is_no_python_script_is_refused(tmp_path: Path) -> None:
    own = script(tmp_path / "electrum", "echo v4.8.4")
    with pytest.raises(ToolMissing, match="SLUICE_ELECTRUM"):
        fetch.own_electrum({"SLUICE_ELECTRUM": own, "PATH": ""})


def test_a_machine_without_apt_is_told_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        ToolMissing, match=r"apt-get is not on this machine: install apt, or .*SLUICE_BITCOIND"
    ):
        debs.require()


def test_a_machine_whose_apt_knows_no_debian_source_is_told_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script(tmp_path / "apt-get", "exit 0")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(ToolMissing, match="has no Debian source"):
        debs.mirror(tmp_path / "apt")


def test_apt_that_was_never_updated_is_asked_again_with_lists_of_our_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script(
        tmp_path / "apt-get",
        'case "$*" in indextargets*own-lists*) echo http://mirror.example/debian/;; esac',
    )
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert debs.mirror(tmp_path / "apt") == "http://mirror.example/debian/"


def test_a_command_that_fails_is_reported_with_its_last_line() -> None:
    with pytest.raises(RigError, match=r"failed \(7\): no space"):
        debs.run(["sh", "-c", "echo first; echo no space; exit 7"])
