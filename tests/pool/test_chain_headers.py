"""Headers: what a tip is worth is proved by hashes, on mainnet's own first blocks."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from pool.chain.bitcoind import header_evidence
from pool.chain.headers import Evidence, Headers, fault
from pool.chain.networks import RULES
from stratum.units import Height
from tests.fakes_chain import sha256d
from tests.fakes_mining import Blocks
from tests.pool.chain_samples import GENESIS_HASH

MAIN = RULES["mainnet"]
FIRST_HASH = "00000000839a8e6886ab5951d76f411475428afc90947ee320161bbf18eb6048"
ROOTS = (
    "4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b",
    "0e3e2357e806b6cdb1f70b54c3a3a17b6714ee1f0e68bebb44a74b1efd512098",
)


def said(height: int, **changes: Any) -> dict[str, Any]:
    """What getblockheader answers about one of mainnet's first two blocks."""
    document: dict[str, Any] = {
        "hash": (GENESIS_HASH, FIRST_HASH)[height],
        "height": height,
        "version": 1,
        "merkleroot": ROOTS[height],
        "time": (1231006505, 1231469665)[height],
        "mediantime": (1231006505, 1231469665)[height],
        "nonce": (2083236893, 2573394689)[height],
        "bits": "1d00ffff",
        "chainwork": f"{0x100010001 * (height + 1):064x}",
    }
    if height:
        document["previousblockhash"] = GENESIS_HASH
    return document | changes


def test_real_headers_are_put_together_again_and_have_no_fault() -> None:
    for height in (0, 1):
        assert fault(header_evidence(said(height))) is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"nonce": 1}, "another hash"),
        ({"bits": "1d00fffe"}, "another hash"),
        ({"version": 2}, "another hash"),
        ({"previousblockhash": "00" * 32}, "another hash"),
    ],
)
def test_a_header_with_anything_changed_has_another_hash(changes: dict[str, Any], words: str) -> None:
    assert words in (fault(header_evidence(said(1, **changes))) or "")


def test_a_header_that_hashes_well_but_misses_its_target_is_none() -> None:
    unsolved = header_evidence(said(1, nonce=1))
    own = attrs.evolve(unsolved, hash=hash_of(unsolved))

    assert fault(own) == "its header does not meet its own target"


def hash_of(header: Evidence) -> str:
    return sha256d(header.raw)[::-1].hex()


def test_work_is_counted_from_the_first_header_on_that_was_seen() -> None:
    headers = Headers(MAIN)
    assert headers.learn([header_evidence(said(0, chainwork="64"))]) is None
    assert headers.learn([header_evidence(said(1, chainwork="ff" * 32))]) is None

    assert headers.work(GENESIS_HASH) == 0x64
    assert headers.work(FIRST_HASH) == 0x64 + 0x100010001  # by its own hash, whatever the node says
    assert headers.work("ab" * 32) is None


def test_nothing_of_a_branch_with_one_wrong_header_is_kept() -> None:
    headers = Headers(MAIN)
    wrong = headers.learn(
        [header_evidence(said(0)), attrs.evolve(header_evidence(said(1)), height=Height(2))]
    )

    assert wrong == f"its height is not that of the block before (0) and one ({FIRST_HASH} at height 2)"
    assert len(headers) == 0


def test_easier_work_between_two_changes_of_difficulty_is_none() -> None:
    blocks = Blocks(height=99)
    headers = Headers(MAIN)
    before = attrs.evolve(blocks.known[blocks.first], nbits=0x207FFFFF)
    assert headers.learn([before]) is None
    easy = blocks.known[blocks.after(blocks.first)]
    headers._known[before.hash] = attrs.evolve(headers._known[before.hash], nbits=0x1D00FFFF)

    assert "differs from that of the block before" in (headers.learn([easy]) or "")


def test_only_the_last_thousands_of_headers_are_kept() -> None:
    blocks = Blocks()
    headers = Headers(RULES["regtest"])
    tip = blocks.first
    headers.learn([blocks.known[tip]])
    for _ in range(4200):
        tip = blocks.after(tip)
        headers.learn([blocks.known[tip]])

    assert len(headers) == 4096
    assert headers.work(blocks.first) is None
    assert headers.work(tip) == 2 * 499 + 2 * 4200
