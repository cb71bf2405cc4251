"""The demo's stage: certificate, configuration, the pool's process, and CPU miners."""

from __future__ import annotations

import json
import ssl
import subprocess
import sys
import urllib.request
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any, Final

import attrs
import trustme

from pool.regtest.processes import Program, free_ports, listens, wait_until
from pool.regtest.rig import Rig

MATURITY: Final = 101
"""As the node's wallet counts, so that the ledger's assets and the wallet's can be compared exactly."""
BATCH_CONFIRMATIONS: Final = 2
MAXIMUM_SAT: Final = 100_000
THRESHOLD_SAT: Final = 1_000_000
SHARE_DIFFICULTY: Final = "0.0000000001"
"""Below what any hash can miss by much: on regtest nearly every share is a block anyway."""


@attrs.frozen
class Scene:
    """Where everything is.  Attributes: the rig, the pool's files, its ports, its certificate authority."""

    rig: Rig
    directory: Path
    stratum_port: int
    web_port: int
    ca: Path

    @property
    def config(self) -> Path:
        """The pool's configuration."""
        return self.directory / "sluice.toml"

    @property
    def site(self) -> str:
        """The site's address; its certificate names localhost."""
        return f"https://localhost:{self.web_port}"

    @property
    def stratum(self) -> str:
        """The miners' port."""
        return f"stratum+tcp://127.0.0.1:{self.stratum_port}"


def build(rig: Rig, directory: Path) -> Scene:
    """Write certificate and configuration of a pool on a running rig."""
    directory.mkdir(parents=True, exist_ok=True)
    stratum_port, web_port = free_ports(2)
    authority, certificate = trustme.CA(), None
    certificate = authority.issue_cert("localhost", "127.0.0.1")
    authority.cert_pem.write_to_path(directory / "ca.pem")
    certificate.private_key_pem.write_to_path(directory / "site.key")
    (directory / "site.key").chmod(0o600)
    (directory / "site.pem").write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
    scene = Scene(rig, directory, stratum_port, web_port, directory / "ca.pem")
    scene.config.write_text(_config(scene), encoding="utf-8")
    scene.config.chmod(0o600)
    return scene


def _config(scene: Scene) -> str:
    """The pool's sluice.toml; JSON's strings and numbers are TOML's too."""
    logins, lightning = scene.rig.bitcoind.logins, scene.rig.pool.endpoint
    users = "\n".join(
        f"{role} = {{ user = {json.dumps(login.user)}, password = {json.dumps(login.password)} }}"
        for role, login in logins.items()
        if role in {"front", "book", "payer"}
    )
    listen = (
        f"ssl:{scene.web_port}:interface=127.0.0.1:privateKey={scene.directory}/site.key"
        f":certKey={scene.directory}/site.pem"
    )
    template = Template(files("pool.demo").joinpath("demo.toml").read_text(encoding="utf-8"))
    return template.substitute(
        users=users,
        node_url=json.dumps(scene.rig.bitcoind.url),
        stratum_port=scene.stratum_port,
        share_difficulty=SHARE_DIFFICULTY,
        maturity=MATURITY,
        lightning_url=json.dumps(lightning.url),
        lightning_user=json.dumps(lightning.login.user),
        lightning_password=json.dumps(lightning.login.password),
        maximum_sat=MAXIMUM_SAT,
        threshold_sat=THRESHOLD_SAT,
        batch_confirmations=BATCH_CONFIRMATIONS,
        web_listen=json.dumps(listen),
        public_url=json.dumps(scene.site),
    )


def start_pool(scene: Scene) -> Program:
    """Start ``sluice run`` and wait until miners and wallets can connect.

    Raises:
        NotReady: it ended, or was not there in time.
    """
    program = Program(
        "pool",
        [sys.executable, "-m", "pool", "run", "--config", str(scene.config)],
        scene.directory / "pool.log",
        directory=scene.directory,
        environment={},
    )
    program.start()
    wait_until(
        "the pool's miners' port and site are open",
        lambda: listens(scene.stratum_port) and listens(scene.web_port) and fetch(scene, "/healthz"),
        60.0,
        [program],
    )
    return program


def start_miner(scene: Scene, user: str, shares_per_second: float) -> Program:
    """Start a CPU miner for a username."""
    command = ["-m", "pool", "miner", "--url", scene.stratum, "--user", user]
    program = Program(
        f"miner-{user[:12]}",
        [sys.executable, *command, "--shares-per-second", str(shares_per_second)],
        scene.directory / f"miner-{user[:12]}.log",
        directory=scene.directory,
        environment={},
    )
    program.start()
    return program


def fetch(scene: Scene, path: str, form: bytes | None = None) -> str:
    """A page of the site, over https with the demo's own authority; a form makes it a POST."""
    context = ssl.create_default_context(cafile=str(scene.ca))
    url = path if path.startswith("https://") else scene.site + path
    headers = {} if form is None else {"Origin": scene.site}
    request = urllib.request.Request(url, data=form, headers=headers)  # noqa: S310 -- our own https site
    with urllib.request.urlopen(request, timeout=15, context=context) as answer:  # noqa: S310 -- as above
        return str(answer.read().decode())


def sluice(scene: Scene, *arguments: str) -> Any:
    """Run a ``sluice`` command on the demo's pool; answers its JSON, whatever its exit status.

    Raises:
        ValueError: it printed no JSON.
    """
    done = subprocess.run(  # noqa: S603 -- ourselves
        [sys.executable, "-m", "pool", *arguments, "--config", str(scene.config), "--json"],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    if not done.stdout:
        raise ValueError(f"sluice {' '.join(arguments)} failed: {done.stderr.strip()}")
    return json.loads(done.stdout)


def sluice_text(scene: Scene, *arguments: str) -> None:
    """Run a ``sluice`` command that changes something.

    Raises:
        ValueError: it failed; the text is its own.
    """
    done = subprocess.run(  # noqa: S603 -- ourselves
        [sys.executable, "-m", "pool", *arguments, "--config", str(scene.config)],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    if done.returncode:
        raise ValueError(done.stderr.strip())
