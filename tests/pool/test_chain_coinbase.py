"""The coinbase: vectors from mainnet and by hand, and what holds for all heights, marks and tags."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pool.chain.block import assemble, coinbase_outputs
from pool.chain.coinbase import (
    EXTRANONCE_BYTES,
    Mark,
    build,
    compact_size,
    merkle_branch,
    push_height,
    root_from_branch,
    sha256d,
)
from pool.chain.template import parse
from pool.errors import ChainError
from tests.pool.chain_samples import answer

SCRIPT = bytes.fromhex("0014") + b"\x55" * 20
MARK = Mark(front_id=3, boot=7, job=258)
BLOCK_100000 = [
    bytes.fromhex(txid)[::-1]
    for txid in (
        "8c14f0db3df150123e6f3dbbf30f8b955a8249b62ac1d1ff16284aefa3d06d87",
        "fff2525b8931402dd09222c50775608f75787bd2b87e56995a7bdd30f79702c4",
        "6359f0868171b1d194cbee1af2f16ea598ae8fad666d9b012c8ed2b79a236ec4",
        "e9a66845e05d5abc0ad04ec80f774a7e585c6e8db975962d069a522137b80c1d",
    )
]


@pytest.mark.parametrize(
    ("height", "script"),
    [
        (1, "51"),
        (16, "60"),
        (17, "0111"),
        (127, "017f"),
        (128, "028000"),
        (255, "02ff00"),
        (256, "020001"),
        (32767, "02ff7f"),
        (32768, "03008000"),
        (840000, "0340d10c"),
        (8388608, "0400008000"),
    ],
)
def test_heights_are_pushed_as_consensus_wants_them(height: int, script: str) -> None:
    assert push_height(height).hex() == script


def test_the_coinbase_of_a_template_is_what_was_made_by_hand() -> None:
    coinb1, coinb2 = build(parse(answer()), SCRIPT, MARK, b"/sluice/")

    assert coinb1.hex() == (
        "02000000" + "01" + "00" * 32 + "ffffffff" + "24"
        "0340d10c" + "09" + "03" + "00000007" + "00000102" + "0c"
    )
    assert coinb2.hex() == (
        "08" + b"/sluice/".hex() + "feffffff" + "02"
        "b65fa01200000000"
        + "16"
        + SCRIPT.hex()
        + "0000000000000000"
        + "26"
        + "6a24aa21a9ed"
        + "77" * 32
        # lock time: 839999
        + "3fd10c00"
    )


def test_value_and_scripts_read_back_as_they_were_given() -> None:
    template = parse(answer())
    coinb1, coinb2 = build(template, SCRIPT, MARK, b"")

    paid, commitment = coinbase_outputs(assemble(bytes(80), coinb1 + bytes(EXTRANONCE_BYTES) + coinb2, ()))

    assert (paid.script, paid.value) == (SCRIPT, 312500150)
    assert (commitment.script, commitment.value) == (template.witness_commitment, 0)


@given(
    height=st.integers(1, 2**31 - 1),
    front_id=st.integers(0, 255),
    boot=st.integers(0, 2**32 - 1),
    job=st.integers(0, 2**32 - 1),
    tag=st.binary(max_size=40),
)
def test_any_tag_that_the_configuration_allows_fits(
    height: int, front_id: int, boot: int, job: int, tag: bytes
) -> None:
    coinb1, _ = build(parse(answer(height=height)), SCRIPT, Mark(front_id, boot, job), tag)

    assert 2 <= coinb1[41] <= 100


@given(
    st.lists(st.tuples(st.integers(0, 255), st.integers(0, 9), st.integers(0, 9)), unique=True, min_size=2)
)
def test_two_jobs_never_have_the_same_coinbase(marks: list[tuple[int, int, int]]) -> None:
    template = parse(answer())

    assert len({build(template, SCRIPT, Mark(*mark), b"/t/")[0] for mark in marks}) == len(marks)


def test_a_tag_that_is_too_long_is_refused_with_the_mend() -> None:
    with pytest.raises(ChainError, match=r"stratum\.tag"):
        build(parse(answer()), SCRIPT, MARK, b"x" * 76)


def test_the_branch_of_a_mainnet_block_leads_to_its_root() -> None:
    branch = merkle_branch(BLOCK_100000[1:])

    assert len(branch) == 2
    assert root_from_branch(BLOCK_100000[0], branch)[::-1].hex() == (
        "f3e94742aca4b5ef85488dc37c06c3282295ffec960994b2c0d5ac2a25a95766"
    )


def test_without_transactions_the_root_is_the_coinbase_s_own_hash() -> None:
    assert root_from_branch(BLOCK_100000[0], merkle_branch([])) == BLOCK_100000[0]


def plain_root(row: list[bytes]) -> bytes:
    while len(row) > 1:
        row = row + row[-1:] * (len(row) % 2)
        row = [sha256d(left + right) for left, right in zip(row[::2], row[1::2], strict=True)]
    return row[0]


@given(st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=40))
def test_a_branch_gives_the_root_of_the_whole_tree(txids: list[bytes]) -> None:
    assert root_from_branch(txids[0], merkle_branch(txids[1:])) == plain_root(txids)


@pytest.mark.parametrize(
    ("number", "encoded"),
    [
        (0, "00"),
        (252, "fc"),
        (253, "fdfd00"),
        (65535, "fdffff"),
        (65536, "fe00000100"),
        (2**32, "ff0000000001000000"),
    ],
)
def test_counts_have_their_shortest_form(number: int, encoded: str) -> None:
    assert compact_size(number).hex() == encoded
