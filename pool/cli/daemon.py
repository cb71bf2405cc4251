"""Commands that set the pool up and run it: init, check, run."""

from __future__ import annotations

import os
import secrets
from importlib.resources import files
from pathlib import Path
from typing import Final

import click

from pool import config as configuration
from pool.cli.common import (
    DEFAULT_CONFIG,
    config_option,
    json_option,
    print_json,
)
from pool.errors import ConfigError
from pool.store import database

SECRETS: Final = {"front": ("front",), "book": ("book",), "payer": ("payer", "lightning"), "web": ()}
"""The secrets of the configuration that each role reads."""


@click.command()
@click.argument("path", type=click.Path(path_type=Path, dir_okay=False), default=DEFAULT_CONFIG)
def init(path: Path) -> None:
    """Write a commented sluice.toml, and a server key.

    PATH is sluice.toml unless another is given.  The server key, which withdraw links are signed with, goes
    to data/ beside it.  Neither is ever overwritten.

    Its [rewards] says how blocks are divided: pplns, solo, pps, pps+ and fpps cannot be gained from by
    hopping, tides and prop can.  Those that pay before blocks are found (pps, pps+, fpps) need a reserve.
    """
    text = files("pool").joinpath("example.toml").read_text(encoding="utf-8")
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise ConfigError(f"{path} exists already: edit it, or name another file") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be written ({error.strerror}): name a file that can") from error
    key = make_server_key(path.parent / "data")
    click.echo(f"Wrote {path}; the server key is {key}.")
    click.echo("Next: edit [node] and [web], then `sluice check`, then `sluice run`.")


def make_server_key(directory: Path) -> Path:
    """Make the key that withdraw links are signed with, unless it is there.

    It lies beside the databases but in none of them, so that a stolen backup of them claims nothing.

    Raises:
        ConfigError: it cannot be made here.
    """
    path = directory / "server.key"
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        if path.exists():  # perhaps with no right for us to write beside it
            return path
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be made ({error.strerror}): make the directory for this user, or name another"
            " as [store] directory"
        ) from error
    with os.fdopen(descriptor, "wb") as file:
        file.write(secrets.token_bytes(32))
        file.flush()
        os.fsync(file.fileno())
    return path


@click.command()
@config_option
@click.option("--role", type=click.Choice(list(SECRETS)), help="Run this role alone, in this process.")
@click.option("--number", type=click.IntRange(min=0), help="Of several fronts, which one; the first is 0.")
@click.option("--supervised", is_flag=True, hidden=True, help="Stop when standard input closes.")
def run(config_path: Path, role: str | None, number: int | None, supervised: bool) -> None:  # noqa: FBT001 -- click's way
    """Run the pool until Ctrl-C or SIGTERM.

    All roles run, each in a process of its own, and one that crashes is started again.  With --role, one of
    them runs alone and reads no other role's secrets, for one system user per role.  With stratum.processes
    above 1 there are as many fronts, and --number says which of them.
    """
    from pool import roles  # noqa: PLC0415 -- takes the real reactor, which no other command needs

    if number is not None and role != "front":
        raise click.UsageError("--number is for --role front: there is only one of every other role")
    config = configuration.load(config_path, None if role is None else SECRETS[role])
    make_server_key(config.store.directory)
    if role is None:
        for name in database.FILES:
            database.connect(config.store.directory, name).close()
        raise click.exceptions.Exit(roles.run_all(config, config_path))
    raise click.exceptions.Exit(roles.run_one(config, role, supervised=supervised, number=number or 0))


@click.command()
@config_option
@json_option
def check(config_path: Path, as_json: bool) -> None:  # noqa: FBT001 -- click's way
    """Try all that the configuration names, and say what to mend.

    Node, chain, wallet, Lightning, store, ports and public URL are tried one after the other; nothing is
    changed and nothing is paid.  Reward schemes that can be hopped are pointed out, and of a reserve that
    shares are paid from the odds are told that it is ever used up.  Exit status 1 when something is not in
    order.
    """
    from pool import check as checks  # noqa: PLC0415 -- takes the real reactor

    config = configuration.load(config_path)
    results = checks.run(config)
    if as_json:
        print_json([{"what": r.what, "ok": r.ok, "says": r.says} for r in results])
    else:
        for result in results:
            click.echo(f"{'ok  ' if result.ok else 'FAIL'}  {result.what}: {result.says}")
    if not all(result.ok for result in results):
        raise click.exceptions.Exit(1)


COMMANDS: Final = (init, check, run)
