"""treasury: import, addresses, check and move, for people and for programs; a private key never gets in."""

from __future__ import annotations

from pathlib import Path

import pytest
from bdkpython import NetworkKind

from pool.errors import ConfigError, PoolError
from pool.store.database import FILES, connect
from pool.store.treasury import TreasuryTable
from pool.treasury import derive
from tests.pool.cli_tools import CONFIG, configure, invoke, json_of, text_of
from tests.pool.test_treasury import public, secret

DESCRIPTOR = public(network=NetworkKind.TEST)


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    configure(tmp_path, CONFIG + "[onchain]\ntreasury_bps = 9000\n")
    for name in FILES:
        connect(tmp_path, name).close()
    (tmp_path / "cold.txt").write_text(DESCRIPTOR, encoding="utf-8")
    return tmp_path


def stock(pool: Path, count: int) -> None:
    """What the running book does."""
    connection = connect(pool, "ledger")
    TreasuryTable(connection).stock(1, list(derive(DESCRIPTOR, 0, count, "regtest")), 1)
    connection.close()


def test_a_descriptor_is_imported_once_and_shows_what_to_compare(pool: Path) -> None:
    file = str(pool / "cold.txt")
    imported = json_of(pool, "treasury", "import", file)
    assert imported["imported"] is True
    assert imported["first"] == [each.address for each in derive(DESCRIPTOR, 0, 3, "regtest")]
    assert "imported before" in text_of(pool, "treasury", "import", file)


def test_a_private_key_is_refused_and_nothing_of_it_is_kept(pool: Path) -> None:
    text = secret(network=NetworkKind.TEST).to_string_with_secret()
    (pool / "cold.txt").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match="PRIVATE"):
        invoke(pool, "treasury", "import", str(pool / "cold.txt"))
    for path in pool.glob("*.db*"):
        assert b"tprv" not in path.read_bytes()


def test_without_a_descriptor_the_commands_say_how_to_get_one(pool: Path) -> None:
    for command in ("addresses", "check"):
        with pytest.raises(PoolError, match="treasury import"):
            invoke(pool, "treasury", command)


def test_addresses_are_listed_with_the_blocks_that_pay_them(pool: Path) -> None:
    invoke(pool, "treasury", "import", str(pool / "cold.txt"))
    assert "No addresses yet" in text_of(pool, "treasury", "addresses")
    stock(pool, 2)
    first = next(derive(DESCRIPTOR, 0, 1, "regtest")).address
    shares = connect(pool, "shares")
    shares.execute(
        "INSERT INTO found (hash, prev_hash, height, account, worker, address, found_ms, file)"
        " VALUES ('ab', 'p', 7, 'a', 'w', ?, 1, 'f')",
        (f"{first} hot",),
    )
    rows = json_of(pool, "treasury", "addresses")
    assert [(row["index"], row["height"]) for row in rows] == [(0, 7), (1, None)]
    assert "unused" in text_of(pool, "treasury", "check")


def test_an_address_that_somebody_put_into_the_database_is_found_out(pool: Path) -> None:
    invoke(pool, "treasury", "import", str(pool / "cold.txt"))
    stock(pool, 3)
    assert json_of(pool, "treasury", "check")["ok"] is True
    ledger = connect(pool, "ledger")
    ledger.execute("UPDATE address_stock SET address = 'bcrt1qthief', script = x'00' WHERE number = 1")
    result = invoke(pool, "treasury", "check")
    assert result.return_value == 1
    assert "WRONG: index 1" in result.output
    assert "bcrt1qthief" in result.output


def test_coins_that_moved_are_booked_once_and_only_if_they_were_there(pool: Path) -> None:
    move = ["treasury", "move", "--reference", "tx1", "--fee-sat", "2", "--from"]
    with pytest.raises(PoolError, match="overdraw"):
        invoke(pool, *move, "treasury", "5")
    invoke(pool, "ledger", "deposit", "--asset", "hot", "--reference", "opening", "100")
    assert "moved out of hot" in text_of(pool, *move, "hot", "50")
    assert json_of(pool, *move, "hot", "50")["booked"] is False
    assert json_of(pool, "ledger", "balances") == {
        "assets:hot": "48000",
        "assets:treasury": "50000",
        "equity:deposits": "-100000",
        "expense:chain_fees": "2000",
    }
    assert json_of(pool, "ledger", "verify")["ok"] is True
