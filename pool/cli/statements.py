"""Commands that make what a miner can check: statements of accounts in blocks, and receipts of shares."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import IO, Final

import click

from pool.cli.accounts import known_account
from pool.cli.common import config_option, load, open_file, open_queries, short
from pool.errors import PoolError
from pool.proof.statement import MAX_SHARES, MOST_SHARES
from pool.statements import Bounds, Made, NotMade, receipt_of, statement_of
from pool.store.submissions import Submissions

output_option = click.option(
    "--output",
    "-o",
    type=click.File("w", encoding="utf-8", lazy=True),
    default="-",
    help="The file to write; without it, the document is printed.",
)


@click.command("statement", short_help="Make a statement of an account in a block.")
@click.argument("name")
@click.option("--block", "block_hash", metavar="HASH", required=True, help="Its end is enough.")
@click.option(
    "--shares",
    "listed",
    type=click.IntRange(0, MAX_SHARES),
    default=MOST_SHARES,
    show_default=True,
    help="How many shares are listed at most, the newest ones.",
)
@output_option
@config_option
def account_statement(name: str, block_hash: str, listed: int, output: IO[str], config_path: Path) -> None:
    """Make a statement: what an account got of a block and why, with proofs.

    NAME is a pool account or a Bitcoin address.  `sluice verify FILE --block HASH` checks the statement with
    nothing but the block.
    """
    config = load(config_path)
    directory = config.store.directory
    with open_queries(config_path) as queries:
        name = known_account(name, config, queries)
    with closing(open_file(directory, "shares")) as shares:
        whole = Submissions(shares).whole_hash(block_hash.lstrip("…").lower())
    if whole is None:
        raise PoolError(f"no block, or more than one, ends in {short(block_hash)}: see `sluice blocks`")
    _write(statement_of(directory, name, whole, Bounds(listed=listed)), output)


@click.command("receipt", short_help="Make a receipt of a share.")
@click.argument("name")
@click.option("--share", "share_id", type=int, help="Log id; without it, the newest one that a block fixes.")
@output_option
@config_option
def account_receipt(name: str, share_id: int | None, output: IO[str], config_path: Path) -> None:
    """Make a receipt: that a share of an account is in the log that a block has fixed.

    NAME is a pool account or a Bitcoin address.  `sluice verify FILE --block HASH` checks the receipt; it
    names the block that it is about.
    """
    config = load(config_path)
    with open_queries(config_path) as queries:
        name = known_account(name, config, queries)
    _write(receipt_of(config.store.directory, name, share_id), output)


def _write(made: Made | NotMade, output: IO[str]) -> None:
    if isinstance(made, NotMade):
        raise PoolError(made.why)
    output.write(made.text)


COMMANDS: Final = (account_statement, account_receipt)
"""Of the group account."""
