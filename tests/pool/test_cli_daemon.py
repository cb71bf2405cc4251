"""init, check and run as an operator meets them: nothing is overwritten, and every refusal names the mend."""

from __future__ import annotations

import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pool import config as configuration
from pool.cli.daemon import SECRETS, make_server_key
from pool.errors import ConfigError
from pool.store.database import connect, sole_role
from tests.pool.cli_tools import complaint, configure, run


def test_init_writes_a_configuration_that_can_be_loaded_and_a_key_that_only_the_owner_reads(
    tmp_path: Path,
) -> None:
    done = run(tmp_path, "init", status=0)
    assert "sluice check" in done.stdout
    key = tmp_path / "data" / "server.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert stat.S_IMODE(key.parent.stat().st_mode) == 0o700
    assert len(key.read_bytes()) == 32
    configuration.load(tmp_path / "sluice.toml", secrets=())
    assert run(tmp_path, "status", status=0).stdout.startswith("running")


def test_init_twice_never_overwrites(tmp_path: Path) -> None:
    run(tmp_path, "init", status=0)
    config, key = tmp_path / "sluice.toml", tmp_path / "data" / "server.key"
    config.write_text("# mine", encoding="utf-8")
    secret = key.read_bytes()
    assert "sluice.toml exists already" in complaint(tmp_path, "init", status=2)
    assert (config.read_text(encoding="utf-8"), key.read_bytes()) == ("# mine", secret)
    run(tmp_path, "init", "other.toml", status=0)
    assert key.read_bytes() == secret


def test_init_where_nothing_can_be_written_says_so(tmp_path: Path) -> None:
    assert "nowhere/sluice.toml cannot be written" in complaint(
        tmp_path, "init", "nowhere/sluice.toml", status=2
    )


def test_a_key_that_is_there_is_kept_and_one_that_cannot_be_made_names_the_place(tmp_path: Path) -> None:
    first = make_server_key(tmp_path / "deep" / "data").read_bytes()
    assert make_server_key(tmp_path / "deep" / "data").read_bytes() == first
    with pytest.raises(ConfigError, match=r"/proc/nothing/server\.key cannot be made"):
        make_server_key(Path("/proc/nothing"))


@pytest.mark.parametrize(
    "command",
    [
        ["run"],
        ["check"],
        ["status"],
        ["blocks"],
        ["account", "list"],
        ["ledger", "verify"],
        ["payouts", "list"],
    ],
)
def test_without_a_configuration_every_command_points_to_init(tmp_path: Path, command: list[str]) -> None:
    assert "`sluice init`" in complaint(tmp_path, *command, status=2)


def test_an_unknown_key_is_named(tmp_path: Path) -> None:
    configure(tmp_path, "[stratum]\nlisten_on = 3333\n")
    line = complaint(tmp_path, "run", status=2)
    assert "sluice.toml: stratum.listen_on: there is no such key" in line


def test_no_toml_names_the_line(tmp_path: Path) -> None:
    configure(tmp_path, "[stratum\n")
    assert "not valid TOML" in complaint(tmp_path, "status", status=2)


def test_a_wrong_command_or_option_is_one_line_that_says_where_help_is(tmp_path: Path) -> None:
    assert "(see `sluice --help`)" in complaint(tmp_path, "frobnicate", status=2)
    assert "(see `sluice run --help`)" in complaint(tmp_path, "run", "--role", "king", status=2)


def test_a_group_without_a_command_shows_its_help(tmp_path: Path) -> None:
    done = run(tmp_path, "payouts", status=2)
    assert "resume" in done.stderr


PASSWORDS = """
[node]
front = { user = "f", password = { env = "SLUICE_TEST_NO_FRONT" } }
payer = { user = "p", password = { file = "payer.password" } }
[lightning]
user = "l"
password = { file = "lightning.password" }
"""


@pytest.mark.parametrize(
    ("role", "missing"),
    [("front", "node.front.password"), ("payer", "node.payer.password"), ("book", None), ("web", None)],
)
def test_a_role_reads_its_own_secrets_and_no_others(tmp_path: Path, role: str, missing: str | None) -> None:
    path = configure(tmp_path, PASSWORDS)
    if missing is None:
        assert configuration.load(path, SECRETS[role]).lightning is not None
    else:
        with pytest.raises(ConfigError, match=missing):
            configuration.load(path, SECRETS[role])


def test_only_the_payer_gets_the_lightning_password(tmp_path: Path) -> None:
    path = configure(tmp_path, PASSWORDS)
    (tmp_path / "payer.password").write_text("one", encoding="utf-8")
    (tmp_path / "lightning.password").write_text("two", encoding="utf-8")
    payer, web = (configuration.load(path, SECRETS[role]) for role in ("payer", "web"))
    assert payer.lightning is not None
    assert web.lightning is not None
    assert (payer.lightning.password, web.lightning.password) == ("two", "")
    assert web.node.payer is not None
    assert web.node.payer.password == ""


def test_a_second_pool_on_the_same_store_is_refused_with_the_first_ones_process(tmp_path: Path) -> None:
    configure(tmp_path)
    with sole_role(tmp_path, "pool"):
        assert f"a running pool already (process {os.getpid()})" in complaint(tmp_path, "run", status=2)
    with sole_role(tmp_path, "web"):
        line = complaint(tmp_path, "run", "--role", "web", status=2)
    assert "a running web already" in line


def on_port(port: int) -> str:
    return (
        f'[web]\nlisten = ["tcp:{port}:interface=127.0.0.1"]\n[metrics]\nenabled = false\n'
        '[node]\nnetwork = "regtest"\n[store]\ndirectory = "."\n'
    )


def test_a_port_that_is_taken_ends_the_role_with_the_mend(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        configure(tmp_path, on_port(port))
        connect(tmp_path, "ledger").close()  # or the web would wait for the book to make it
        done = run(tmp_path, "run", "--role", "web", status=2)
    line = next(line for line in done.stderr.splitlines() if "web.listen[0]" in line)
    assert f"web.listen[0]: tcp:{port}:interface=127.0.0.1" in line
    assert "Address already in use" in line
    assert "choose another" in line


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--role", "web", "--number", "1"], "--number is for --role front"),
        (["--number", "1"], "--number is for --role front"),
        (["--role", "front", "--number", "2"], "numbers go from 0 to 1"),
    ],
)
def test_a_number_that_names_no_front_is_refused(tmp_path: Path, arguments: list[str], said: str) -> None:
    configure(tmp_path, "[stratum]\nprocesses = 2\n")
    assert said in run(tmp_path, "run", *arguments, status=2).stderr


def test_a_role_runs_until_sigterm_and_says_where_it_listens(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    configure(tmp_path, on_port(port))
    connect(tmp_path, "ledger").close()
    log = tmp_path / "web.log"
    with (
        log.open("w") as stderr,
        subprocess.Popen(
            [sys.executable, "-m", "pool", "run", "--role", "web"], cwd=tmp_path, stderr=stderr
        ) as role,
    ):
        end = time.monotonic() + 30
        while "Listening on" not in log.read_text(encoding="utf-8") and time.monotonic() < end:
            time.sleep(0.05)
        running = run(tmp_path, "status", status=0).stdout.splitlines()[0]
        role.send_signal(signal.SIGTERM)
        assert role.wait(timeout=20) == 0
    assert "Listening on" in log.read_text(encoding="utf-8")
    assert running == "running     web"
    assert run(tmp_path, "status", status=0).stdout.splitlines()[0].startswith("running     nothing")


def test_a_pool_whose_port_is_taken_stops_every_role_and_exits_2(tmp_path: Path) -> None:
    login = '{ user = "u", password = "p" }'
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        configure(
            tmp_path,
            f'[node]\nnetwork = "regtest"\nurl = "http://127.0.0.1:1"\nfront = {login}\nbook = {login}\n'
            f'payer = {login}\n[stratum]\nlisten = ["tcp:0:interface=127.0.0.1"]\n'
            f'[web]\nlisten = ["tcp:{port}:interface=127.0.0.1"]\n[store]\ndirectory = "."\n',
        )
        done = run(tmp_path, "run", status=2)
    assert f"web.listen[0]: tcp:{port}:interface=127.0.0.1" in done.stderr
    assert "web cannot work with this configuration, see above: stopping all" in done.stderr
    assert {f"Stopped {role}" for role in ("front", "book", "payer")} <= set(
        re.findall(r"Stopped \w+", done.stderr)
    )
