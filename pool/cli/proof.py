"""The command for miners: verify, which needs neither a pool's files nor a network."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import Final, NoReturn

import click

from pool.cli.common import json_option, print_json
from pool.errors import ProofError
from pool.proof.blockproof import MAX_BLOCK_BYTES, from_block, read_block
from pool.proof.check import check_text
from pool.proof.document import read
from pool.proof.fields import MAX_TEXT
from pool.proof.statement import Receipt

_HASH: Final = re.compile(r"[0-9a-fA-F]{64}")
_WIDTH: Final = 100
_UNREADABLE: Final = 2


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@click.option(
    "--block",
    "block",
    metavar="HASH|FILE",
    required=True,
    help="The block's hash, from your own node or an explorer; or a file with what `getblock HASH 0` prints.",
)
@click.option(
    "--receipt",
    "receipts",
    metavar="FILE",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False),
    help="A receipt to hold against the statement; may be given several times.",
)
@json_option
def verify(file: str, block: str, receipts: tuple[str, ...], as_json: bool) -> None:  # noqa: FBT001
    """Check a pool's statement or receipt against a block.

    FILE is what the pool gave you ("-" reads standard input).  Nothing else is needed: no configuration, no
    database, no network.  Prints what is proven, what is wrong, and what cannot be proven by this.

    Exit status 0 when nothing is wrong, 1 when something is, 2 when a file cannot be read.
    """
    try:
        verdict = check_text(_text(file), _block_hash(block), [_receipt(each) for each in receipts])
    except ProofError as error:
        _refuse(file, error)
    if as_json:
        print_json(verdict.as_json())
    else:
        for line in verdict.lines():
            click.echo(textwrap.fill(line, _WIDTH, subsequent_indent="    ", break_on_hyphens=False))
    if not verdict.ok:
        raise click.exceptions.Exit(1)


def _text(file: str) -> str:
    with click.open_file(file, "rb") as opened:
        data: bytes = opened.read(MAX_TEXT + 1)
    if len(data) > MAX_TEXT:
        raise ProofError("the document is too long")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise ProofError("the document is not text") from error


def _receipt(file: str) -> Receipt:
    try:
        document = read(_text(file))
    except ProofError as error:
        _refuse(file, error)
    if not isinstance(document, Receipt):
        _refuse(file, ProofError("this is a statement, and no receipt"))
    return document


def _block_hash(block: str) -> str:
    """What was said, or the hash of the whole block in a file, whose transactions are its header's."""
    if _HASH.fullmatch(block):
        return block
    try:
        with Path(block).open("rb") as file:
            data = file.read(2 * MAX_BLOCK_BYTES + 1024)  # hex, and the ends of its lines
    except OSError as error:
        why = f"{block!r} is neither a block's hash of 64 hex digits nor a file ({error.strerror})"
        raise click.BadParameter(why, param_hint="--block") from error
    try:
        return from_block(read_block(data)).hash
    except ProofError as error:
        _refuse(block, error)


def _refuse(name: str, error: ProofError) -> NoReturn:
    click.echo(f"sluice: {name}: {error}", err=True)
    raise click.exceptions.Exit(_UNREADABLE)


COMMANDS: Final = (verify,)
