"""Jobs: what one without transactions must be, which times keep it valid, and what cannot be made."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
from twisted.internet.task import Clock
from twisted.logger import capturedLogs

from pool.chain.block import coinbase_outputs, parse_header
from pool.chain.coinbase import Payee, root_from_branch, sha256d
from pool.chain.headers import Evidence
from pool.chain.networks import RULES
from pool.chain.template import EMPTY_COMMITMENT, Template, parse
from pool.jobs import Jobs, Settings, ahead_of_template, unsolved_block
from stratum.units import Height
from tests.fakes_mining import Blocks
from tests.pool.chain_samples import answer

PAYEE = Payee("bcrt1qpool", b"\x00\x14" + b"\x09" * 20)
BLOCKS = Blocks()
TIP = BLOCKS.after(BLOCKS.first)


def template(**changes: Any) -> Template:
    return parse(answer(previousblockhash=BLOCKS.first, height=500, bits="207fffff") | changes)


def jobs(
    directory: Path,
    network: Any = "regtest",
    tag: str = "/t/",
    fixes: Callable[[], bytes] | None = None,
) -> Jobs:
    settings = Settings(front_id=1, boot=1, tag=tag, directory=directory, network=network)
    return Jobs(lambda: [PAYEE], settings, RULES[network], Clock(), fixes)


def test_a_block_ahead_of_its_template_has_all_that_the_new_tip_tells() -> None:
    made = ahead_of_template(template(), BLOCKS.known[TIP], 1_700_000_700, RULES["regtest"])

    assert made is not None
    assert (made.height, made.prev_hash[::-1].hex()) == (501, TIP)
    assert (made.transactions, made.txids, made.branches) == ((), (), ())
    assert (made.value, made.witness_commitment) == (5_000_000_000 >> 3, EMPTY_COMMITMENT)
    assert (made.mintime_s, made.curtime_s) == (1_699_999_401, 1_700_000_700)


@pytest.mark.parametrize(
    ("network", "changes"),
    [
        ("regtest", {"prev_hash": "ab" * 32}),
        ("regtest", {"nbits": 0x1D00FFFF}),
        ("testnet4", {}),
        ("mainnet", {"height": Height(2015)}),
    ],
)
def test_there_is_none_ahead_where_the_difficulty_cannot_be_told(
    network: str, changes: dict[str, Any]
) -> None:
    parent: Evidence = attrs.evolve(BLOCKS.known[TIP], **changes)

    assert ahead_of_template(template(), parent, 1_700_000_700, RULES[network]) is None


def test_a_coinbase_that_cannot_be_made_makes_no_job_and_ends_nothing(tmp_path: Path) -> None:
    assert jobs(tmp_path, tag="x" * 99).make(template(), None, clean=True) is None


def test_times_of_a_job_stay_where_its_difficulty_is_valid(tmp_path: Path) -> None:
    parent = attrs.evolve(BLOCKS.known[BLOCKS.first], time_s=1_700_000_000)
    made = jobs(tmp_path, "testnet4").make(template(), parent, clean=True)

    assert made is not None
    assert (made.job.ntime, made.job.max_ntime) == (1_700_000_600, 1_700_001_200)


def test_the_unsolved_block_of_a_job_has_its_coinbase_and_transactions(tmp_path: Path) -> None:
    made = jobs(tmp_path).make(template(), None, clean=True)
    assert made is not None
    block = unsolved_block(made)

    header = parse_header(block[:80])
    coinbase = made.job.coinb1 + bytes(12) + made.job.coinb2
    assert header.merkle_root == root_from_branch(sha256d(coinbase), made.template.branches)
    assert (header.nonce, header.prev_hash.hex()) == (0, bytes.fromhex(BLOCKS.first)[::-1].hex())
    assert block[80] == 3
    assert block.endswith(bytes.fromhex("0200aa" + "0200bbcc"))


def test_each_coinbase_fixes_what_is_newest_and_there_are_jobs_before_there_is_anything(
    tmp_path: Path,
) -> None:
    newest = [b"SLCE" + b"\x02" * 32, b"SLCE" + b"\x01" * 32, b"", b""]
    working = jobs(tmp_path, fixes=newest.pop)

    with capturedLogs() as events:
        made = [working.make(template(), None, clean=True) for _ in range(4)]
    blocks = [unsolved_block(each) for each in made if each is not None]
    found = [[output.script for output in coinbase_outputs(block)][2:] for block in blocks]
    assert found == [[], [], [b"\x6a\x24SLCE" + b"\x01" * 32], [b"\x6a\x24SLCE" + b"\x02" * 32]]
    assert [event["log_level"].name for event in events if "Fixing" in str(event.get("what"))] == [
        "error",
        "info",
    ]
