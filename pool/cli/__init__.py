"""The command line: one group, with the commands of each module below it."""

from __future__ import annotations

import click

from pool.cli import books, daemon, money, trial


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="sluice-pool", prog_name="sluice")
def sluice() -> None:
    """A Bitcoin mining pool that pays everyone, however small.

    Try it: `sluice demo` runs the whole pool on a private regtest network.
    Use it: `sluice init`, edit sluice.toml, `sluice check`, `sluice run`.
    """


for command in (*daemon.COMMANDS, *books.COMMANDS, *money.COMMANDS, *trial.COMMANDS):
    sluice.add_command(command)
