"""Commands about found blocks: the list, one block's life, and handing one to the nodes by hand."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Final, cast

import attrs
import click
from twisted.internet.interfaces import IReactorThreads

from payouts.money import Msat
from pool import config as configuration
from pool.chain import saved
from pool.chain.bitcoind import SUBMIT_TIMEOUT_S, rpcs_for_role
from pool.chain.node import SubmitResult, Unanswered, word_for
from pool.chain.rpc import Rpc
from pool.chain.saved import SavedBlock
from pool.chain.submission import has_block, said_nothing_of, said_of_block
from pool.cli.common import (
    NARROW,
    config_option,
    json_option,
    limit_option,
    load,
    now_ms,
    open_file,
    open_queries,
    print_json,
    print_table,
    sat_text,
    short,
    time_text,
)
from pool.config import Config
from pool.errors import ChainError, PoolError, StoreError
from pool.luck import luck
from pool.store import database
from pool.store.block_proofs import fixed_log
from pool.store.blocks import early_credits, history
from pool.store.shares import ShareStore
from pool.store.submissions import Submissions
from pool.store.treasury import TreasuryTable, addresses_of
from pool.web import words


@click.group(invoke_without_command=True)
@config_option
@json_option
@limit_option(20)
@click.pass_context
def blocks(context: click.Context, config_path: Path, as_json: bool, limit: int) -> None:  # noqa: FBT001
    """List found blocks; look at one, or submit it again."""
    if context.invoked_subcommand is not None:
        return
    with open_queries(config_path) as queries:
        rows = queries.blocks(limit)
    if as_json:
        print_json([attrs.asdict(row) for row in rows])
        return
    print_table(
        ("height", "state", "conf", "sat", "found (UTC)", "by", "hash"),
        [
            (
                r.height,
                r.state,
                r.confirmations,
                "?" if r.value_msat is None else sat_text(r.value_msat),
                time_text(r.found_ms),
                short(r.account),
                f"…{r.hash[-NARROW:]}",  # the head of a block's hash is zeros
            )
            for r in rows
        ],
        empty="No blocks yet.",
    )
    found = luck(row.effort for row in rows)
    if found is not None:
        click.echo(f"luck {words.luck(found)}, with 95 % confidence; 100 % is fair")


@blocks.command("show", short_help="Show a block's life and what each node said to it.")
@click.argument("block_hash", metavar="HASH")
@config_option
@json_option
def blocks_show(block_hash: str, config_path: Path, as_json: bool) -> None:  # noqa: FBT001
    """Show a block's life: what nodes said to it, each change of its state, whom it pays, what it fixes.

    HASH is the whole hash, or its end as `sluice blocks` prints it.
    """
    directory = load(config_path).store.directory
    with (
        closing(open_file(directory, "shares")) as shares,
        closing(open_file(directory, "ledger")) as ledger,
    ):
        whole = Submissions(shares).whole_hash(block_hash.lstrip("…").lower())
        if whole is None:
            raise PoolError(
                f"no block, or more than one, ends in {short(block_hash)}: `sluice blocks` lists them"
            )
        treasury = {each.address: each for each in TreasuryTable(ledger).find(addresses_of(shares, whole))}
        fixed = fixed_log(ledger, whole)
        known: dict[str, object] = {
            "hash": whole,
            "fixes": None if fixed is None else attrs.asdict(fixed),
            "answers": [attrs.asdict(each) for each in Submissions(shares).answers(whole)],
            "events": [attrs.asdict(each) for each in history(ledger, whole)],
            "credited_early": [
                {**attrs.asdict(each), "amount_msat": str(each.amount_msat)}
                for each in early_credits(ledger, whole)
            ],
            "pays": [
                {
                    "address": address,
                    "treasury_index": treasury[address].number if address in treasury else None,
                }
                for address in sorted(addresses_of(shares, whole))
            ],
        }
    if as_json:
        print_json(known)
        return
    for line in _life(known):
        click.echo(line)


def _life(known: dict[str, object]) -> list[str]:
    lines = [f"block {known['hash']}"]
    for pays in cast(list[dict[str, object]], known["pays"]):
        index = pays["treasury_index"]
        whose = "the node's wallet" if index is None else f"the treasury, index {index}"
        lines.append(f"pays  {pays['address']} ({whose})")
    fixes = cast(dict[str, object] | None, known["fixes"])
    if fixes is not None:
        lines.append(f"fixes shares 1 to {fixes['shares']} of the log, as {fixes['root']}")
    told = [
        (a["at_ms"], f"{a['node']} said {a['result']}") for a in cast(list[dict[str, str]], known["answers"])
    ]
    told += [
        (e["at_ms"], f"became {e['state']} ({e['confirmations']} confirmations)")
        for e in cast(list[dict[str, str]], known["events"])
    ]
    told += [
        (e["at_ms"], f"credited early: {sat_text(Msat(int(e['amount_msat'])))} sat")
        for e in cast(list[dict[str, str]], known["credited_early"])
    ]
    return lines + [f"{time_text(int(at_ms))} UTC  {what}" for at_ms, what in sorted(told)]


@blocks.command("resubmit", short_help="Hand a saved block to every node, now.")
@click.argument("file", required=False, type=click.Path(path_type=Path, dir_okay=False))
@config_option
@json_option
def blocks_resubmit(file: Path | None, config_path: Path, as_json: bool) -> None:  # noqa: FBT001
    """Hand a saved block to every node, now; without FILE, list those that no node is known to have.

    FILE is a block's file, or its name in the store's directory blocks/.  Who has the block already says so:
    submitting it twice does no harm.  Ends with status 1 when no node has it afterwards.
    """
    if file is None:
        _list_open(load(config_path).store.directory, as_json=as_json)
        return
    config = configuration.load(config_path, secrets=("front",))
    found = _read(file, config.store.directory)
    results = _submit(config, found)
    _record(config, found, results)
    if as_json:
        print_json({"hash": found.hash, "answers": {name: word_for(each) for name, each in results.items()}})
    else:
        for name, result in results.items():
            why = f" ({result.reason})" if isinstance(result, Unanswered) else ""
            click.echo(f"{name}: {word_for(result)}{why}")
    if not any(map(has_block, results.values())):
        raise click.exceptions.Exit(1)


def _list_open(directory: Path, *, as_json: bool) -> None:
    with closing(open_file(directory, "shares")) as shares:
        left = saved.read_all(directory, Submissions(shares).is_answered)
    if as_json:
        print_json([{"hash": each.hash, "height": each.height, "file": saved.name_of(each)} for each in left])
        return
    print_table(
        ("height", "found (UTC)", "by", "file"),
        [(b.height, time_text(b.found_ms), short(b.account), short(saved.name_of(b), 40)) for b in left],
        empty="Every block that was saved is with a node, or was refused by all of them.",
    )


def _read(file: Path, directory: Path) -> SavedBlock:
    path = file if file.exists() else directory.joinpath(saved.FOLDER, file.name)
    try:
        return saved.read(path)
    except OSError as error:
        raise StoreError(
            f"{path} cannot be read ({error.strerror}): `sluice blocks resubmit` lists them"
        ) from error
    except ValueError as error:
        raise StoreError(f"{path} is no saved block: {error}") from error


def _submit(config: Config, found: SavedBlock) -> dict[str, SubmitResult]:
    """One node after the other, from this thread: no reactor runs in a command."""
    nobody = cast(IReactorThreads, None)
    block_hex = found.block.hex()
    return {rpc.name: _ask(rpc, block_hex) for rpc in rpcs_for_role(config.node, "front", nobody)}


def _ask(rpc: Rpc, block_hex: str) -> SubmitResult:
    try:
        return said_of_block(rpc.ask("submitblock", bulk=block_hex, timeout_s=SUBMIT_TIMEOUT_S))
    except ChainError as error:
        return said_nothing_of(error)


def _record(config: Config, found: SavedBlock, results: dict[str, SubmitResult]) -> None:
    with closing(database.connect(config.store.directory, "shares")) as connection:
        store = ShareStore(connection, config.stratum.front_id)
        for name, result in results.items():
            store.record_submission(found.hash, name, word_for(result), now_ms())


COMMANDS: Final = (blocks,)
