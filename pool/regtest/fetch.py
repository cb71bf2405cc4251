"""The real programs of the rig: found on this machine, or fetched once into a cache."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from attrs import frozen

from pool.regtest import debs
from pool.regtest.errors import RigError, ToolMissing

_OLDEST_BITCOIND = (26,)
_OLDEST_ELECTRUM = (4, 8)
# the server (e-x 2 wants Bitcoin Core 31) and what Electrum imports
_WHEELS = [
    "e-x==1.20.0",
    "plyvel>=1.5.1,<2",
    "aiorpcX==0.25.0",
    "aiohttp>=3.11,<4",
    "aiohttp-socks>=0.9.2",
    "certifi",
    "cryptography",
    "dnspython>=2.3,<2.5",
    "jsonpatch",
    "qrcode",
]
_READY = "ready"


@frozen
class Tools:
    """Commands to put a program's own arguments after.

    Attributes:
        bitcoind: starts bitcoind.
        electrum: Electrum's script, for `electrum_python` to run.
        electrum_python: a Python that can import Electrum's modules, given `electrum_path`.
        electrum_path: what PYTHONPATH must be for both; may be empty.
        electrumx: the Electrum server's script, for `electrumx_python` to run.
        electrumx_python: a Python that can import the server's modules.
    """

    bitcoind: tuple[str, ...]
    electrum: str
    electrum_python: tuple[str, ...]
    electrum_path: str
    electrumx: str
    electrumx_python: tuple[str, ...]

    @property
    def electrum_environment(self) -> dict[str, str]:
        """What to add to the environment of `electrum` and `electrum_python`."""
        return {"PYTHONPATH": self.electrum_path} if self.electrum_path else {}


def cache_directory(environment: Mapping[str, str] = os.environ) -> Path:
    """Where fetched programs are kept: ``$XDG_CACHE_HOME/sluice``, or ``~/.cache/sluice``."""
    base = environment.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "sluice"


def tools(cache: Path, progress: Callable[[str], None], environment: Mapping[str, str] = os.environ) -> Tools:
    """Find or fetch everything; the second time nothing is fetched.

    A fetch that was cut short is done again from the start, and two processes at once wait for each other.

    Args:
        cache: a folder to keep the programs in; made if need be.
        progress: told in a line what takes time.
        environment: where SLUICE_BITCOIND, SLUICE_ELECTRUM and PATH are looked up.

    Raises:
        ToolMissing: this machine lacks something; one line that says what to install.
        RigError: a download failed.
    """
    bitcoind, electrum = own_bitcoind(environment), own_electrum(environment)
    packages = [
        *(debs.BITCOIND if bitcoind is None else []),
        *(debs.ELECTRUM if electrum is None else []),
    ]
    contents = json.dumps([packages, _WHEELS, sys.version_info[:2], os.uname().machine, str(cache)])
    home = cache / f"rig-{hashlib.sha256(contents.encode()).hexdigest()[:12]}"
    once(home, lambda: _fetch(home, packages, progress), progress)
    python = str(home / "venv/bin/python")
    script, interpreter, path = electrum or _fetched_electrum(home, python)
    return Tools(
        bitcoind=bitcoind or _fetched_bitcoind(home),
        electrum=script,
        electrum_python=interpreter,
        electrum_path=path,
        electrumx=str(home / "venv/bin/electrumx_server"),
        electrumx_python=(python,),
    )


def once(home: Path, fill: Callable[[], None], progress: Callable[[str], None]) -> None:
    """Have a folder filled, by this process or another, exactly once and never by halves.

    Args:
        home: the folder; it counts as filled only when a marker in it says so.
        fill: puts into the folder, which is empty then, what belongs there.
        progress: told when another process is waited for.
    """
    if (home / _READY).exists():
        return
    home.parent.mkdir(parents=True, exist_ok=True)
    with _alone(home.with_suffix(".lock"), progress):
        if not (home / _READY).exists():
            shutil.rmtree(home, ignore_errors=True)  # what a fetch that was cut short has left
            home.mkdir()
            fill()
            (home / _READY).touch()


@contextmanager
def _alone(lock: Path, progress: Callable[[str], None]) -> Iterator[None]:
    """Hold a file lock, which the kernel drops even when its holder is killed."""
    with lock.open("w") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress("waiting for another process that fetches the same programs")
            fcntl.flock(held, fcntl.LOCK_EX)
        yield


def _fetch(home: Path, packages: list[str], progress: Callable[[str], None]) -> None:
    if packages:
        debs.require()
    progress("fetching bitcoind, Electrum and an Electrum server, once, about 45 MB")
    with ThreadPoolExecutor(2) as side_by_side:
        wheels = side_by_side.submit(_install_wheels, home / "venv")
        if packages:
            root = debs.unpack(packages, home)
            _complete_electrum(root)
        wheels.result()


def _install_wheels(venv: Path) -> None:
    try:
        debs.run([sys.executable, "-m", "venv", venv])
    except RigError as error:
        raise ToolMissing(f"Python's venv does not work here: install python3-venv ({error})") from error
    quiet = ["--quiet", "--disable-pip-version-check", "--no-compile", "--prefer-binary"]
    debs.run([venv / "bin/python", "-m", "pip", "install", *quiet, *_WHEELS])


def _complete_electrum(root: Path) -> None:
    """Put the curve library where Electrum's binding looks first: beside itself."""
    binding = root / "usr/lib/python3/dist-packages/electrum_ecc"
    for library in root.glob("usr/lib/*/libsecp256k1.so.*"):
        if binding.is_dir():
            shutil.copy(library, binding / library.name)


def _fetched_bitcoind(home: Path) -> tuple[str, ...]:
    loader = next(home.glob("root/usr/lib/*/ld-linux-*.so.*"), None)
    if loader is None:
        raise RigError(f"{home} is not complete: delete it and start again")
    return (str(loader), "--library-path", str(loader.parent), str(home / "root/usr/bin/bitcoind"))


def _fetched_electrum(home: Path, python: str) -> tuple[str, tuple[str, ...], str]:
    return str(home / "root/usr/bin/electrum"), (python,), str(home / "root/usr/lib/python3/dist-packages")


def own_bitcoind(environment: Mapping[str, str]) -> tuple[str, ...] | None:
    """The machine's own bitcoind: the named one must do, one on PATH is passed over when it is too old."""
    named = environment.get("SLUICE_BITCOIND")
    found = named or shutil.which("bitcoind", path=environment.get("PATH"))
    if found is None:
        return None
    version = _version([found, "--version"])
    if version is not None and version >= _OLDEST_BITCOIND:
        return (found,)
    if named:
        raise ToolMissing(f"SLUICE_BITCOIND={named} is not a bitcoind of version 26 or newer")
    return None


def own_electrum(
    environment: Mapping[str, str],
) -> tuple[str, tuple[str, ...], str] | None:
    """The machine's own Electrum with the Python that runs it; the miner's wallet needs its modules too."""
    named = environment.get("SLUICE_ELECTRUM")
    found = named or shutil.which("electrum", path=environment.get("PATH"))
    if found is None:
        return None
    interpreter = _interpreter(Path(found))
    if interpreter is not None:
        question = "import electrum.lnurl, electrum.version as v; print(f'v{v.ELECTRUM_VERSION}')"
        version = _version([*interpreter, "-c", question])
        if version is not None and version >= _OLDEST_ELECTRUM:
            return found, interpreter, ""
    if named:
        raise ToolMissing(f"SLUICE_ELECTRUM={named} is not a Python script of Electrum 4.8 or newer")
    return None


def _interpreter(script: Path) -> tuple[str, ...] | None:
    try:
        with script.open("rb") as opened:
            first = opened.readline(300)
    except OSError:
        return None
    if not first.startswith(b"#!") or b"python" not in first:
        return None
    return tuple(first[2:].decode(errors="replace").split())


def _version(command: list[str]) -> tuple[int, ...] | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(r"v(\d+(?:\.\d+)*)", done.stdout)
    return tuple(int(part) for part in match[1].split(".")) if match and done.returncode == 0 else None
