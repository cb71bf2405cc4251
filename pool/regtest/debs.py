"""Debian packages unpacked into a folder of our own: no root, nothing installed, no mirror's name known."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from pool.regtest.errors import RigError, ToolMissing

_RELEASE = "trixie"
_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_BY_HAND = (
    "install bitcoind (26 or newer) and electrum (4.8 or newer) yourself, on PATH or named in "
    "SLUICE_BITCOIND and SLUICE_ELECTRUM"
)

BITCOIND = ["bitcoin-knots/trixie-backports"]
# what bitcoind links to, down to its loader: the libc of the machine is not used
BITCOIND += [
    f"{name}/{_RELEASE}"
    for name in (
        "libbsd0",
        "libc6",
        "libcom-err2",
        "libevent-core-2.1-7t64",
        "libevent-extra-2.1-7t64",
        "libevent-pthreads-2.1-7t64",
        "libgcc-s1",
        "libgssapi-krb5-2",
        "libk5crypto3",
        "libkeyutils1",
        "libkrb5-3",
        "libkrb5support0",
        "libmd0",
        "libnorm1t64",
        "libpgm-5.3-0t64",
        "libsodium23",
        "libsqlite3-0",
        "libstdc++6",
        "libzmq5",
    )
]
ELECTRUM = [
    f"{name}/trixie-backports"
    for name in (
        "electrum",
        "libsecp256k1-6",
        "python3-electrum",
        "python3-electrum-aionostr",
        "python3-electrum-ecc",
    )
]


def run(command: Sequence[str | Path], **more: object) -> str:
    """Run to the end and return what it printed.

    Raises:
        ToolMissing: there is no such program.
        RigError: it failed; the text has its last line.
    """
    words = [str(word) for word in command]
    try:
        done = subprocess.run(  # type: ignore[call-overload]
            words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, **more
        )
    except FileNotFoundError:
        raise ToolMissing(f"{words[0]} is not on this machine: install it, or {_BY_HAND}") from None
    if done.returncode:
        said = done.stdout.strip().splitlines() or ["it said nothing"]
        raise RigError(f"`{' '.join(words[:4])} …` failed ({done.returncode}): {said[-1]}")
    return str(done.stdout)


def require() -> None:
    """Fail early and in one line when this machine cannot unpack Debian packages.

    Raises:
        ToolMissing: says what to install.
    """
    for tool, package in (("apt-get", "apt"), ("dpkg-deb", "dpkg"), ("dpkg", "dpkg")):
        if shutil.which(tool) is None:
            raise ToolMissing(f"{tool} is not on this machine: install {package}, or {_BY_HAND}")
    if not _KEYRING.exists():
        raise ToolMissing(f"{_KEYRING} is not there: install debian-archive-keyring, or {_BY_HAND}")


def unpack(packages: Sequence[str], directory: Path) -> Path:
    """Download packages (``name/suite``) and unpack them.

    Returns:
        The folder that holds their ``usr``.

    Raises:
        ToolMissing: the machine lacks apt or a Debian source.
        RigError: a download or an unpacking failed.
    """
    require()
    architecture = run(["dpkg", "--print-architecture"]).strip()
    environment = _private_apt(directory / "apt", mirror(directory / "apt"), architecture)
    run(["apt-get", "update", "-qq"], env=environment)
    downloads = directory / "debs"
    downloads.mkdir()
    run(["apt-get", "download", "-qq", *packages], env=environment, cwd=downloads)
    root = directory / "root"
    for package in sorted(downloads.glob("*.deb")):
        run(["dpkg-deb", "-x", package, root])
    shutil.rmtree(downloads)
    shutil.rmtree(directory / "apt")
    shutil.rmtree(root / "usr/share/doc", ignore_errors=True)
    return root


def mirror(apt: Path) -> str:
    """The Debian mirror that this machine's apt uses already, whatever it is.

    Args:
        apt: a folder for lists of our own, should the machine's apt have none.

    Raises:
        ToolMissing: apt knows no Debian source.
    """
    query = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", "Label: Debian"]
    known = run(query).split()
    if not known:  # apt has never been updated here: read its sources into lists of our own
        for folder in ("own-lists/partial", "own-cache/archives/partial"):
            (apt / folder).mkdir(parents=True)
        private = ["-o", f"Dir::State::Lists={apt}/own-lists", "-o", f"Dir::Cache={apt}/own-cache"]
        run(["apt-get", "update", "-qq", *private])
        known = run([*query, *private]).split()
    if not known:
        raise ToolMissing(f"apt on this machine has no Debian source: {_BY_HAND}")
    return known[0]


def _private_apt(apt: Path, mirror: str, architecture: str) -> dict[str, str]:
    """Lists, state and cache of our own, so that neither root nor the system's files are needed."""
    for folder in ("lists/partial", "cache/archives/partial", "state"):
        (apt / folder).mkdir(parents=True)
    (apt / "status").touch()
    sources = "".join(
        f"deb [arch={architecture} signed-by={_KEYRING}] {mirror} {suite} main\n"
        for suite in (_RELEASE, f"{_RELEASE}-backports")
    )
    (apt / "sources.list").write_text(sources, encoding="utf-8")
    settings: dict[str, object] = {
        "Dir::State": apt / "state",
        "Dir::State::Lists": apt / "lists",
        "Dir::State::status": apt / "status",
        "Dir::Cache": apt / "cache",
        "Dir::Etc::sourcelist": apt / "sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::Etc::preferences": "/dev/null",
        "Dir::Etc::preferencesparts": "/dev/null",
        "APT::Architecture": architecture,
        "APT::Architectures": architecture,
        # run by root, apt would become a user who may not write into our folder
        "APT::Sandbox::User": "root",
        "Acquire::Languages": "none",
        "Acquire::Retries": 2,
    }
    lines = "".join(f'{key} "{value}";\n' for key, value in settings.items())
    (apt / "apt.conf").write_text(lines, encoding="utf-8")
    return {**os.environ, "APT_CONFIG": str(apt / "apt.conf"), "LC_ALL": "C"}
