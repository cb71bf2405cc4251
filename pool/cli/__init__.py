"""The command line: one group, with the commands of each module below it."""

from __future__ import annotations

import click

from pool.cli import (
    accounts,
    bench,
    blocks,
    daemon,
    journal,
    money,
    proof,
    shares,
    statements,
    treasury,
    trial,
)


class _InOrder(click.Group):
    """Lists its commands as they were added: in the order in which a new operator meets them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """See click."""
        return list(self.commands)


@click.group(cls=_InOrder, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="sluice-pool", prog_name="sluice")
def sluice() -> None:
    """A Bitcoin mining pool that pays everyone, however small.

    \b
    Try it:  sluice demo           the whole pool on a private regtest network
    Use it:  sluice init           writes sluice.toml; edit it
             sluice check          says what is still wrong
             sluice run            runs the pool
    """  # noqa: D301 -- click's mark for lines to be left as they are


for command in (
    *daemon.COMMANDS,
    *money.COMMANDS,
    *accounts.COMMANDS,
    *blocks.COMMANDS,
    *journal.COMMANDS,
    *shares.COMMANDS,
    *treasury.COMMANDS,
    *proof.COMMANDS,
    *trial.COMMANDS,
    *bench.COMMANDS,
):
    sluice.add_command(command)
for command in statements.COMMANDS:
    accounts.account.add_command(command)
