"""The coinbase: vectors from mainnet and by hand, and what holds for all heights, marks and tags."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payouts.money import Sat
from pool.chain.block import assemble, coinbase_outputs
from pool.chain.coinbase import (
    EXTRANONCE_BYTES,
    RESERVED_CHECKS,
    Mark,
    Payee,
    build,
    build_paying,
    compact_size,
    outputs_for,
    push_height,
    root_from_branch,
    sha256d,
    size_bytes,
    too_long_for,
    weight,
)
from pool.chain.merkle import branch_beside_coinbase
from pool.chain.node import CoinbaseOutput
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
    branch = branch_beside_coinbase(BLOCK_100000[1:])

    assert len(branch) == 2
    assert root_from_branch(BLOCK_100000[0], branch)[::-1].hex() == (
        "f3e94742aca4b5ef85488dc37c06c3282295ffec960994b2c0d5ac2a25a95766"
    )


def test_without_transactions_the_root_is_the_coinbase_s_own_hash() -> None:
    assert root_from_branch(BLOCK_100000[0], branch_beside_coinbase([])) == BLOCK_100000[0]


def plain_root(row: list[bytes]) -> bytes:
    while len(row) > 1:
        row = row + row[-1:] * (len(row) % 2)
        row = [sha256d(left + right) for left, right in zip(row[::2], row[1::2], strict=True)]
    return row[0]


@given(st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=40))
def test_a_branch_gives_the_root_of_the_whole_tree(txids: list[bytes]) -> None:
    assert root_from_branch(txids[0], branch_beside_coinbase(txids[1:])) == plain_root(txids)


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


def paid_by(parts: tuple[bytes, bytes]) -> tuple[CoinbaseOutput, ...]:
    return coinbase_outputs(assemble(bytes(80), parts[0] + bytes(EXTRANONCE_BYTES) + parts[1], ()))


@given(
    st.lists(st.integers(1, 2000), min_size=1, max_size=5),
    st.integers(0, 21_000_000 * 100_000_000).map(Sat),
    st.binary(max_size=80),
)
def test_several_payees_get_exactly_the_block_s_value(parts: list[int], value: Sat, data: bytes) -> None:
    payees = [Payee(f"a{n}", bytes([0, 20, *[n] * 20]), bps) for n, bps in enumerate(parts)]
    payees.append(Payee("rest", SCRIPT, 10_000 - sum(parts)))
    template = parse(answer(coinbasevalue=value))
    if payees[-1].bps < 0:
        with pytest.raises(ChainError, match="the whole"):
            outputs_for(value, payees)
        return

    built = build_paying(template, outputs_for(value, payees), MARK, b"/t/", data=data)

    outputs = paid_by(built)
    assert sum(output.value for output in outputs) == value
    by_script = {output.script: output.value for output in outputs}
    for payee in payees[1:]:
        assert by_script.get(payee.script, 0) == value * payee.bps // 10_000
    free = [output for output in outputs if output.script[0] == 0x6A]
    assert free[0].script == template.witness_commitment
    assert [output.script[-len(data) :] for output in free[1:]] == ([data] if data else [])


def test_no_coinbase_pays_more_or_less_than_its_block_is_worth() -> None:
    for wrong in (312500149, 312500151):
        with pytest.raises(ChainError, match="do not pay the block's value"):
            build_paying(parse(answer()), [CoinbaseOutput(SCRIPT, Sat(wrong))], MARK, b"")


def test_data_is_one_push_that_every_node_relays() -> None:
    template = parse(answer())
    whole = outputs_for(template.value, [Payee("a", SCRIPT)])

    for size, head in ((1, "6a01"), (75, "6a4b"), (76, "6a4c4c"), (80, "6a4c50")):
        data = b"\x07" * size
        assert (
            paid_by(build_paying(template, whole, MARK, b"", data=data))[-1].script.hex() == head + data.hex()
        )
    with pytest.raises(ChainError, match="81 bytes"):
        build_paying(template, whole, MARK, b"", data=b"x" * 81)


def many(count: int, script: bytes = SCRIPT) -> list[CoinbaseOutput]:
    value = parse(answer()).value
    return [CoinbaseOutput(script, Sat(value - count + 1)), *[CoinbaseOutput(script, Sat(1))] * (count - 1)]


def test_a_coinbase_keeps_to_what_the_node_reserves_for_it() -> None:
    template = parse(answer())
    fits = build_paying(template, many(50), MARK, b"")
    assert weight(fits) <= 8000
    assert weight(fits) == 4 * (80 + 3 + size_bytes(fits)) + 36

    with pytest.raises(ChainError, match="blockreservedweight"):
        build_paying(template, many(63), MARK, b"")
    assert len(paid_by(build_paying(template, many(300), MARK, b"", reserved_weight=40_000))) == 301
    old = b"\x76\xa9\x14" + bytes(20) + b"\x88\xac"
    with pytest.raises(ChainError, match="P2PKH"):
        build_paying(template, many(RESERVED_CHECKS + 1, old), MARK, b"", reserved_weight=40_000)


def test_the_machines_that_do_not_take_a_long_coinbase_are_named() -> None:
    one, two = (size_bytes(build_paying(parse(answer()), many(count), MARK, b"/t/")) for count in (1, 8))

    assert too_long_for(one) == ()
    assert too_long_for(two) == ("NerdMiner",)
    assert "unknown" in too_long_for(756)


def test_whatever_is_configured_every_known_machine_takes_the_coinbase() -> None:
    template = parse(answer(height=8_388_607))
    taproot = bytes.fromhex("5120") + b"\x07" * 32

    longest = build_paying(template, many(2, taproot), MARK, b"t" * 40)

    assert size_bytes(longest) == 252
    assert too_long_for(size_bytes(longest)) == ()
