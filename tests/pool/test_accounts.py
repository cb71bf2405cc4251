"""Usernames: addresses of the network, pool accounts, and everything else refused with a reason."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pool import accounts
from pool.accounts import Doorkeeper, payable_address
from stratum.ports import Authorized, Refused

P2WPKH = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
P2TR = "bcrt1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqc8gma6"
ANCHOR = "bcrt1pfeesnyr2tx"


def door(*names: str) -> Doorkeeper:
    return Doorkeeper("regtest", set(names).__contains__)


@pytest.mark.parametrize("address", [P2WPKH, P2TR, "mipcBbFg9gMiCh81Kj8tqqdgoZub1ZJRfn"])
def test_an_address_of_the_network_needs_no_account(address: str) -> None:
    assert door().authorize(f"{address}.rig1") == Authorized(address, "rig1")


def test_an_upper_case_bech32_address_is_the_same_account_as_the_lower_case_one() -> None:
    assert door().authorize(P2WPKH.upper()) == Authorized(P2WPKH, "")


@pytest.mark.parametrize(
    "address",
    [
        ANCHOR,  # anyone can spend it
        "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",  # mainnet's
        P2WPKH[:-1] + "q",  # wrong checksum
        "bcrt1sw50qt2uwha",  # a future witness version, too short as well
        "",
        "1",
        "é",
    ],
)
def test_what_we_would_not_pay_to_is_no_address(address: str) -> None:
    assert payable_address(address, "regtest") is None
    assert isinstance(door().authorize(address), Refused)


def test_a_pool_account_is_let_in_with_any_worker() -> None:
    assert door("m-23456789").authorize("M-23456789.bitaxe.kitchen") == Authorized(
        "m-23456789", "bitaxe.kitchen"
    )


def test_a_stranger_is_told_what_to_do() -> None:
    refused = door("alice").authorize("bob.rig")
    assert isinstance(refused, Refused)
    assert "/start" in refused.reason


def test_a_worker_name_with_a_line_break_is_refused() -> None:
    assert isinstance(door("alice").authorize("alice.x\ny"), Refused)


@given(st.text(max_size=200))
def test_no_username_raises(username: str) -> None:
    assert isinstance(door("alice").authorize(username), Authorized | Refused)


@given(st.binary(min_size=8, max_size=8))
def test_a_made_up_name_is_always_a_valid_one(entropy: bytes) -> None:
    name = accounts.new_name(entropy)
    assert accounts.NAME.fullmatch(name)
    assert payable_address(name, "mainnet") is None


def test_a_secret_is_kept_as_its_hash_only() -> None:
    secret = accounts.new_secret(bytes(range(32)))
    assert len(secret) == 43
    assert secret not in accounts.hash_secret(secret)
    assert len(accounts.hash_secret(secret)) == 64
