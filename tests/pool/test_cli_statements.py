"""`sluice account statement` and `receipt`: what they write is what `sluice verify` proves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from pool.chain.block import block_hash
from pool.errors import PoolError
from pool.store.database import connect
from tests.pool.cli_tools import configure, invoke, json_of, run, text_of
from tests.pool.proven_pool import ProvenPool


@pytest.fixture
def proven(tmp_path: Path) -> Iterator[ProvenPool]:
    configure(tmp_path)
    with closing(connect(tmp_path, "shares")) as shares, closing(connect(tmp_path, "ledger")) as books:
        books.execute("INSERT INTO account VALUES ('anna', 'x', 0), ('zoe', 'y', 0)")
        yield ProvenPool(tmp_path, shares, books)


def test_what_an_operator_makes_for_a_miner_is_proven_with_only_the_block(proven: ProvenPool) -> None:
    proven.mine(["anna", "bob", "anna"])
    raw = proven.find("bob")
    name, directory = block_hash(raw), proven.directory
    (directory / "block.hex").write_text(raw.hex())

    invoke(directory, "account", "statement", "anna", "--block", name[-12:], "-o", str(directory / "s.json"))
    said = run(directory, "verify", "s.json", "--block", "block.hex", status=0).stdout
    assert "everything that can be proven from this is proven" in said
    shown = json_of(directory, "blocks", "show", name)
    assert shown["fixes"]["shares"] == 3
    assert f"fixes shares 1 to 3 of the log, as {shown['fixes']['root']}" in text_of(
        directory, "blocks", "show", name
    )
    receipt = invoke(directory, "account", "receipt", "anna").output
    (directory / "r.json").write_text(receipt)
    assert "share 3" in run(directory, "verify", "r.json", "--block", name, status=0).stdout
    assert invoke(directory, "account", "receipt", "anna", "--share", "3").output == receipt


def test_what_cannot_be_made_is_one_sentence_and_no_file(proven: ProvenPool) -> None:
    proven.mine(["anna"])
    name = block_hash(proven.find("bob"))
    path = proven.directory / "none.json"
    for arguments, why in (
        (("statement", "zoe", "--block", name), "zoe has no part in block"),
        (("statement", "anna", "--block", "ab" * 32), "no block, or more than one"),
        (("receipt", "zoe", "--share", "1"), "zoe has no such share"),
        (("receipt", "anna", "--share", "2"), "anna has no such share"),
    ):
        with pytest.raises(PoolError, match=why):
            invoke(proven.directory, "account", *arguments, "-o", str(path))
    assert not path.exists()
