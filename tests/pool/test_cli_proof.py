"""`sluice verify`, as a miner runs it: anywhere, with two files or a file and a hash."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

from pool.cli import sluice
from pool.proof.building import receipt
from pool.proof.document import text_of
from pool.rewards.policy import Term
from tests.pool.cli_tools import run
from tests.pool.proof_samples import found, policy, share

FOUND = found([share(n, ["ada", "bob"][n % 2]) for n in range(1, 13)], [Term(policy(), 0)], fixed=10)
STATEMENT = text_of(FOUND.statement("ada"))
RECEIPT = text_of(receipt(FOUND.records[4], FOUND.block, FOUND.commitment, FOUND.node))


def verify(text: str | bytes, block: str, *options: str) -> Result:
    runner = CliRunner()
    return runner.invoke(
        sluice, ["verify", "-", "--block", block, *options], input=text, catch_exceptions=False
    )


def test_a_statement_is_proven_where_no_pool_ever_was(tmp_path: Path) -> None:
    (tmp_path / "statement.json").write_text(STATEMENT, encoding="utf-8")
    (tmp_path / "block.hex").write_text(FOUND.raw.hex() + "\n", encoding="ascii")
    done = run(tmp_path, "verify", "statement.json", "--block", "block.hex", status=0)
    assert "PROVEN  weight in part 1: 4 of 8 units" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 100
    assert done.stdout.endswith("everything that can be proven from this is proven\n")


def test_a_block_that_is_neither_hash_nor_file_is_wrong_usage() -> None:
    done = verify(STATEMENT, "no-block.hex")
    assert done.exit_code == 2
    assert "neither a block's hash of 64 hex digits nor a file" in done.stderr


@pytest.mark.parametrize("text", [STATEMENT, RECEIPT])
def test_a_hash_is_enough_of_a_block(text: str) -> None:
    done = verify(text, FOUND.hash.upper(), "--json")
    assert done.exit_code == 0
    assert json.loads(done.output)["ok"] is True


def test_a_block_is_read_as_bytes_too(tmp_path: Path) -> None:
    path = tmp_path / "block"
    path.write_bytes(FOUND.raw)
    assert verify(RECEIPT, str(path)).exit_code == 0
    path.write_bytes(FOUND.raw[:-1])
    done = verify(RECEIPT, str(path))
    assert done.exit_code == 2
    assert done.stderr == f"sluice: {path}: the block ends in the middle of a transaction\n"


def test_receipts_are_held_against_a_statement(tmp_path: Path) -> None:
    path = tmp_path / "receipt.json"
    path.write_text(RECEIPT, encoding="utf-8")
    done = verify(STATEMENT, FOUND.hash, "--receipt", str(path))
    assert done.exit_code == 0
    assert "share 5: its receipt" in done.output
    path.write_text(STATEMENT, encoding="utf-8")
    done = verify(STATEMENT, FOUND.hash, "--receipt", str(path))
    assert (done.exit_code, done.stderr) == (2, f"sluice: {path}: this is a statement, and no receipt\n")
    path.write_text("{}", encoding="utf-8")
    assert verify(STATEMENT, FOUND.hash, "--receipt", str(path)).exit_code == 2


def test_what_is_wrong_ends_with_one_and_is_named_first() -> None:
    done = verify(STATEMENT.replace('"rig2"', '"rig1"', 1), FOUND.hash)
    assert done.exit_code == 1
    assert done.output.startswith("WRONG  shares 6 to 10: ")
    assert verify(STATEMENT, "00" * 32).exit_code == 1


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[]", "\0", b"\xff\xfe", "[" * 100_000, '{"format":"sluice-statement-1"}', '{"a":1e999}'],
)
def test_what_cannot_be_read_ends_with_two_and_one_line(text: str | bytes) -> None:
    done = verify(text, FOUND.hash)
    assert done.exit_code == 2
    assert done.stderr.startswith("sluice: ")
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout == ""


@settings(max_examples=40, deadline=None)
@given(st.sampled_from([STATEMENT, RECEIPT]), st.data())
def test_no_flipped_bit_of_a_file_ends_with_zero(good: str, data: st.DataObject) -> None:
    flipped = bytearray(good.encode())
    at = data.draw(st.integers(0, len(flipped) - 2))  # the last is the end of the line
    flipped[at] ^= 1 << data.draw(st.integers(0, 7))
    done = verify(bytes(flipped), FOUND.hash)
    assert done.exit_code in {1, 2}
