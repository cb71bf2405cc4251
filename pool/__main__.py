"""The ``sluice`` command."""

from __future__ import annotations

import sqlite3
import sys

import click
from rich.console import Console

from pool.cli import sluice
from pool.errors import ConfigError, PoolError, StoreBusy

FAILED = 1
USAGE = 2


def main() -> None:
    """Run the command line: status 0 done, 1 failed, 2 wrong usage or configuration; one line to stderr."""
    complain = Console(stderr=True, highlight=False, markup=False, soft_wrap=True).print
    try:
        sys.exit(sluice.main(standalone_mode=False, prog_name="sluice"))
    except click.exceptions.Exit as leave:
        sys.exit(leave.exit_code)
    except click.Abort:
        complain("sluice: stopped")
        sys.exit(FAILED)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(USAGE)
    except click.ClickException as error:
        complain(f"sluice: {_usage(error)}")
        sys.exit(USAGE)
    except (ConfigError, StoreBusy) as error:
        complain(f"sluice: {error}")
        sys.exit(USAGE)
    except PoolError as error:
        complain(f"sluice: {error}")
        sys.exit(FAILED)
    except sqlite3.Error as error:
        complain(f"sluice: a database cannot be used ({error}): `sluice check` says which, and what to do")
        sys.exit(FAILED)


def _usage(error: click.ClickException) -> str:
    """What was wrong with the command line, and where it is explained, in one line."""
    context = getattr(error, "ctx", None)
    where = "sluice" if context is None else context.command_path
    return f"{' '.join(error.format_message().split()).rstrip('.')} (see `{where} --help`)"


if __name__ == "__main__":
    main()
