"""Blocks on disk: a found block is written here before anything else happens, and can be read back at start.

A file is JSON that a person can read, named ``<height>-<hash>.json``::

    {"format": 1, "hash": "…", "height": 840000, "prev_hash": "…", "nbits": "1703255b", "ntime": 1713571767,
     "job_id": "05000a1f", "address": "bc1q…",              # the pool's address that the coinbase pays
     "found_ms": 1713571767123, "account": "alice", "worker": "rig1",          # who found it
     "pot": "pool",                                         # whose shares it is divided among
     "share": {"target": "…64 hex…", "nbits": 386089563, "height": 840000,     # the winning share, or null
               "time_ms": 1713571767120, "job_id": "05000a1f", "account": "alice", "worker": "rig1"},
     "block": "…hex…"}                                      # as `bitcoin-cli submitblock` takes it
"""

from __future__ import annotations

import binascii
import json
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import attrs
from twisted.logger import Logger

from pool.chain.block import HEADER_BYTES, block_hash, parse_header
from stratum.options import POOL
from stratum.ports import Share, Solution
from stratum.units import Height, Target

FORMAT = 1
FOLDER = "blocks"

log = Logger()


@attrs.frozen
class SavedBlock:
    """A block that this front found.

    Attributes:
        hash: display-order hex.
        height: of the block.
        prev_hash: display-order hex.
        address: the pool's address that its coinbase pays.
        account: who found it.
        worker: with which machine.
        found_ms: when, Unix milliseconds.
        job_id: the job it was made from.
        share: the winning share as it is credited, or None when the submission earned nothing.
        block: all its bytes.
        pot: of the port that it was found through.
    """

    hash: str
    height: Height
    prev_hash: str
    address: str
    account: str
    worker: str
    found_ms: int
    job_id: str
    share: Share | None
    block: bytes = attrs.field(repr=False)
    pot: str = POOL


def from_solution(solution: Solution, address: str, block: bytes, now_ms: int) -> SavedBlock:
    """Everything about a solved job that must outlive the process."""
    return SavedBlock(
        hash=solution.block_hash,
        height=solution.job.height,
        prev_hash=solution.job.prev_hash[::-1].hex(),
        address=address,
        account=solution.account,
        worker=solution.worker,
        found_ms=solution.share.time_ms if solution.share else now_ms,
        job_id=solution.job.id,
        share=solution.share,
        block=block,
        pot=solution.pot,
    )


def name_of(saved: SavedBlock) -> str:
    """What the block's file is called."""
    return f"{saved.height}-{saved.hash}.json"


def path_of(directory: Path, saved: SavedBlock) -> Path:
    """Where the block's file is, below the store's directory."""
    return directory / FOLDER / name_of(saved)


def write(directory: Path, saved: SavedBlock) -> Path:
    """Put the block on disk, whole or not at all; returns once it would survive a power cut.

    Args:
        directory: of the store.
        saved: the block.

    Raises:
        OSError: it could not be written.
    """
    path = path_of(directory, saved)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o750)  # the book, another user, reads the blocks
    draft = path.with_suffix(".tmp")
    try:
        with draft.open("wb") as file:
            file.write(_encode(saved))
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        draft.unlink(missing_ok=True)  # a full disk needs the room
        raise
    draft.rename(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # else the name may be lost although the bytes are there
    finally:
        os.close(folder)
    return path


def read(path: Path) -> SavedBlock:
    """Read one file back, checking the block against its own hash.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no saved block.
    """
    try:
        saved = _from_json(json.loads(path.read_text(encoding="utf-8")))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} lacks something: {error}") from error
    if len(saved.block) <= HEADER_BYTES or block_hash(saved.block) != saved.hash:
        raise ValueError(f"{path} holds another block than it says")
    return saved


def read_all(directory: Path, is_done: Callable[[str], bool] = lambda _: False) -> list[SavedBlock]:
    """Blocks that were saved in the store's directory, lowest first; unreadable files are logged and left.

    Args:
        directory: of the store.
        is_done: whether nothing is left to do for a block (by its hash); such a file, which may have
            megabytes, is not opened.
    """
    folder = directory / FOLDER
    paths = [path for path in folder.glob("*.json") if not is_done(path.stem.partition("-")[2])]
    return sorted(_readable(paths), key=lambda saved: (saved.height, saved.found_ms))


def _readable(paths: Iterable[Path]) -> Iterator[SavedBlock]:
    for path in paths:
        try:
            yield read(path)
        except (OSError, ValueError) as error:
            log.critical("Saved block {path} could not be read: {error}", path=str(path), error=error)


def _encode(saved: SavedBlock) -> bytes:
    # the hex of a whole block goes in as it is: a JSON encoder would look for something to escape in all of
    # it, which takes milliseconds that a found block does not have
    text = json.dumps({**_to_json(saved), "block": ""}, indent=1)
    return text.removesuffix('""\n}').encode() + b'"' + binascii.hexlify(saved.block) + b'"\n}'


def _to_json(saved: SavedBlock) -> dict[str, Any]:
    header = parse_header(saved.block[:HEADER_BYTES])
    return {
        "format": FORMAT,
        "hash": saved.hash,
        "height": saved.height,
        "prev_hash": saved.prev_hash,
        "nbits": f"{header.nbits:08x}",
        "ntime": header.time_s,
        "job_id": saved.job_id,
        "address": saved.address,
        "found_ms": saved.found_ms,
        "account": saved.account,
        "worker": saved.worker,
        "pot": saved.pot,
        "share": None if saved.share is None else _share_to_json(saved.share),
    }


def _share_to_json(share: Share) -> dict[str, Any]:
    return {
        "account": share.account,
        "worker": share.worker,
        "target": f"{share.target:064x}",
        "nbits": share.nbits,
        "height": share.height,
        "time_ms": share.time_ms,
        "job_id": share.job_id,
    }


def _from_json(document: Any) -> SavedBlock:
    if document["format"] != FORMAT:
        raise ValueError(f"a saved block of format {document['format']}: update sluice")
    share = document["share"]
    pot = str(document.get("pot", POOL))  # a file of a pool that had but one does not name it
    return SavedBlock(
        hash=str(document["hash"]),
        height=Height(int(document["height"])),
        prev_hash=str(document["prev_hash"]),
        address=str(document["address"]),
        account=str(document["account"]),
        worker=str(document["worker"]),
        found_ms=int(document["found_ms"]),
        job_id=str(document["job_id"]),
        share=None if share is None else _share_from_json(share, str(document["hash"]), pot),
        block=bytes.fromhex(document["block"]),
        pot=pot,
    )


def _share_from_json(document: Any, found_hash: str, pot: str) -> Share:
    return Share(
        account=str(document["account"]),
        worker=str(document["worker"]),
        target=Target(int(document["target"], 16)),
        nbits=int(document["nbits"]),
        height=Height(int(document["height"])),
        time_ms=int(document["time_ms"]),
        job_id=str(document["job_id"]),
        block_hash=found_hash,
        pot=pot,
        hash_value=int(found_hash, 16),
    )
