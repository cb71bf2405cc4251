"""What the operating system says about a process: CPU time, memory, and how many files it may open."""

from __future__ import annotations

import os
import resource
from pathlib import Path
from typing import Final

from pool.errors import PoolError

_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")


class BenchError(PoolError):
    """A benchmark cannot be run here, or something in it went wrong."""


def cpu_s(pid: int) -> float:
    """CPU seconds of all threads so far, user and system, in steps of the kernel's tick (10 ms)."""
    # the name in parentheses may hold anything; user and system time are fields 14 and 15 of proc(5)
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


def rss_bytes(pid: int) -> int:
    """Resident memory."""
    return int(Path(f"/proc/{pid}/statm").read_text(encoding="utf-8").split()[1]) * _PAGE_BYTES


def allow_files(count: int) -> None:
    """Raise this process's limit of open files, and with it that of the children it starts.

    Raises:
        BenchError: the hard limit is lower; the text says how to raise it.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < count:
        raise BenchError(
            f"{count} open files are needed and only {hard} allowed: raise the hard limit"
            " (ulimit -Hn, or LimitNOFILE= of a systemd unit), or use --quick"
        )
    if soft != resource.RLIM_INFINITY and soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))
