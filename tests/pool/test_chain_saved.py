"""Saved blocks: they come back whole, a broken file is left aside, and none is half written."""

from __future__ import annotations

import json
import os
from pathlib import Path

import attrs
import pytest

from pool.chain import saved
from pool.chain.saved import SavedBlock
from stratum.ports import Share
from stratum.units import Height, Target
from tests.pool.chain_samples import GENESIS, GENESIS_HASH

SHARE = Share(
    "alice",
    "rig1",
    Target(2**200),
    0x1D00FFFF,
    Height(7),
    1700000000123,
    "0500000a",
    GENESIS_HASH,
    hash_value=int(GENESIS_HASH, 16),
)
BLOCK = SavedBlock(
    hash=GENESIS_HASH,
    height=Height(7),
    prev_hash="00" * 32,
    address="bcrt1qpool",
    account="alice",
    worker="rig1",
    found_ms=1700000000123,
    job_id="0500000a",
    share=SHARE,
    block=GENESIS,
)


@pytest.mark.parametrize("block", [BLOCK, attrs.evolve(BLOCK, share=None)])
def test_a_block_comes_back_as_it_was_saved(block: SavedBlock, tmp_path: Path) -> None:
    path = saved.write(tmp_path, block)

    assert path == tmp_path / "blocks" / f"7-{GENESIS_HASH}.json"
    assert saved.read_all(tmp_path) == [block]


def test_a_person_can_submit_the_block_from_its_file(tmp_path: Path) -> None:
    document = json.loads(saved.write(tmp_path, BLOCK).read_text())

    assert document["block"] == GENESIS.hex()
    assert (document["nbits"], document["ntime"]) == ("1d00ffff", 1231006505)
    assert document["share"]["target"] == f"{2**200:064x}"


def test_blocks_come_back_lowest_first(tmp_path: Path) -> None:
    for height in (30, 9, 100):
        saved.write(tmp_path, attrs.evolve(BLOCK, height=Height(height)))

    assert [block.height for block in saved.read_all(tmp_path)] == [9, 30, 100]


def test_files_of_blocks_for_which_nothing_is_left_to_do_are_not_even_opened(tmp_path: Path) -> None:
    saved.write(tmp_path, BLOCK)
    done = tmp_path / "blocks" / f"6-{'cd' * 32}.json"
    done.write_text("would be complained about")
    asked: list[str] = []

    def is_done(block_hash: str) -> bool:
        asked.append(block_hash)
        return block_hash != BLOCK.hash

    assert saved.read_all(tmp_path, is_done) == [BLOCK]
    assert sorted(asked) == sorted([BLOCK.hash, "cd" * 32])


def test_no_folder_means_no_blocks(tmp_path: Path) -> None:
    assert saved.read_all(tmp_path) == []


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"format": 2}', json.dumps({"format": 1, "hash": "aa"})],
)
def test_a_broken_file_is_left_aside_and_the_others_are_read(text: str, tmp_path: Path) -> None:
    saved.write(tmp_path, BLOCK)
    broken = tmp_path / "blocks" / "8-broken.json"
    broken.write_text(text)

    assert saved.read_all(tmp_path) == [BLOCK]
    assert broken.exists()


def test_a_file_whose_block_has_another_hash_is_refused(tmp_path: Path) -> None:
    path = saved.write(tmp_path, attrs.evolve(BLOCK, hash="ab" * 32))

    with pytest.raises(ValueError, match="another block"):
        saved.read(path)


def test_what_a_crash_left_half_written_is_not_read(tmp_path: Path) -> None:
    path = saved.write(tmp_path, BLOCK)
    path.rename(path.with_suffix(".tmp"))

    assert saved.read_all(tmp_path) == []


def test_the_bytes_are_synced_before_the_name_and_the_name_before_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    sync, rename = os.fsync, Path.rename

    def note_sync(descriptor: int) -> None:
        done.append("folder" if os.path.isdir(f"/proc/self/fd/{descriptor}") else "file")
        sync(descriptor)

    def note_rename(path: Path, target: Path) -> Path:
        done.append("rename")
        return rename(path, target)

    monkeypatch.setattr(os, "fsync", note_sync)
    monkeypatch.setattr(Path, "rename", note_rename)
    saved.write(tmp_path, BLOCK)

    assert done == ["file", "rename", "folder"]
