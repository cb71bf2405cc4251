from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from pool.regtest.errors import NotReady
from pool.regtest.processes import Program, free_ports, listens, wait_until


def program(directory: Path, script: str) -> Program:
    return Program("example", ["/bin/sh", "-c", script], directory / "example.log", directory=directory)


def gone(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return True
    return state == "Z"


def test_free_ports_are_all_different() -> None:
    assert len(set(free_ports(20))) == 20


def test_a_port_listens_only_while_somebody_accepts() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert listens(port)
    assert not listens(port)


def test_a_program_that_ends_at_term_is_gone_after_stop(tmp_path: Path) -> None:
    example = program(tmp_path, "exec sleep 60")
    example.start()
    pid = example.pid
    assert pid is not None
    example.stop()
    assert not example.running
    assert gone(pid)


def test_a_program_that_ignores_term_is_killed(tmp_path: Path) -> None:
    example = program(tmp_path, "trap '' TERM; echo ready; sleep 60 & wait; sleep 60")
    example.start()
    example.wait_until("it has set its trap", lambda: "ready" in example.last_lines(), 10)
    example.stop(grace_s=0.05)
    assert not example.running


def test_starting_twice_starts_once_and_starting_after_the_end_starts_again(tmp_path: Path) -> None:
    example = program(tmp_path, "exec sleep 60")
    example.start()
    first = example.pid
    example.start()
    assert example.pid == first
    example.kill()
    example.start()
    assert example.pid not in {first, None}
    example.kill()


def test_a_program_that_dies_before_it_is_ready_is_reported_with_the_end_of_its_log(tmp_path: Path) -> None:
    example = program(tmp_path, "echo the disk is full; exit 3")
    example.start()
    with pytest.raises(NotReady, match=r"example ended; the end of .*example\.log:\nthe disk is full"):
        example.wait_until("it answers", lambda: False, 10)


def test_a_deadline_that_passes_names_what_was_awaited_and_the_last_trouble() -> None:
    def refuse() -> bool:
        raise ConnectionRefusedError("nobody there")

    with pytest.raises(NotReady, match=r"it answers: not within 0 s \(nobody there\)"):
        wait_until("it answers", refuse, 0)


def test_programs_die_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    script = (
        "import sys, pathlib\n"
        "from pool.regtest.processes import Program\n"
        "where = pathlib.Path(sys.argv[1])\n"
        "example = Program('example', ['sleep', '60'], where / 'log', directory=where)\n"
        "example.start()\n"
        "print(example.pid, flush=True)\n"
        "sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        # the program itself, not the guard that becomes it, which might be killed for another reason
        wait_until("it runs", lambda: Path(f"/proc/{pid}/cmdline").read_bytes() == b"sleep\x0060\x00", 10)
        os.kill(parent.pid, signal.SIGKILL)
    wait_until("it is gone", lambda: gone(pid), 10)
