"""Rewards that were credited early are told wherever people look: commands, statements, exports, the site."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import attrs
import pytest
from beancount import loader
from twisted.internet.task import Clock

from payouts.money import Msat, Sat, floor_sat
from pool import config as configuration
from pool.advances import exposure
from pool.check_early import early_credit
from pool.claims import Desk
from pool.config import LightningConfig
from pool.errors import ConfigError
from pool.store.assertions import DAY_MS, AssertionTable
from pool.store.claims import ClaimReader
from pool.store.database import connect, connect_to_read
from pool.store.inbox import InboxStore
from pool.store.ledger import NewAccount
from pool.store.payments import SqliteBook
from pool.store.queries import Queries
from pool.web.withdraw import nothing_now
from tests.pool.cli_tools import CONFIG, configure, invoke, json_of, text_of
from tests.pool.test_advances import TERMS, deposit, find_another, pay, see
from tests.pool.test_settle import BOB, HASH, NOW_MS, G, Pool, pool
from tests.pool.test_store_queries import ADDRESS
from tests.pool.test_web_withdraw import POOR
from tests.pool.web_site import FACTS, Running

__all__ = ["pool"]  # a fixture: a block in the share log, and a chain to show it in

OTHER = "cd" * 32
OURS = (G - G // 100) // 2
ON = CONFIG + "[rewards]\ncredit_confirmations = 6\ncredit_cap_sat = {cap}\n"


@pytest.fixture
def lent(pool: Pool) -> Pool:
    """A block that was credited in part, under a low cap, and one that was credited whole."""
    deposit(pool, G)
    find_another(pool, OTHER, ADDRESS)
    see(pool, 10, OTHER, attrs.evolve(TERMS, cap=Msat(2_000_000)))
    see(pool, 40)
    configure(pool.directory, ON.format(cap=5_000_000_000))
    return pool


def early(directory: Path) -> str:
    try:
        early_credit(configuration.load(directory / "sluice.toml", secrets=())).send(None)
    except StopIteration as done:
        return str(done.value)
    raise AssertionError("it waited")


def test_status_and_check_tell_what_is_out_and_how_much_may_be(pool: Pool) -> None:
    directory = pool.directory
    configure(directory)
    assert json_of(directory, "status")["early_credit"] is None
    assert "wait until they mature" in early(directory)
    configure(directory, ON.format(cap=7_000_000_000))
    with pytest.raises(ConfigError, match="owns nothing at hand"):
        early(directory)
    deposit(pool, G)
    see(pool, 6)
    words = "4,950,000,000 of at most 5,000,000,000 sat credited before maturity (all it owns)"
    assert early(directory).startswith(f"{words}: rewards.credit_cap_sat, 7,000,000,000, is more")
    assert f"early       {words}" in text_of(directory, "status").splitlines()
    configure(directory, ON.format(cap=4_999_999_999))
    assert early(directory) == "4,950,000,000 of at most 4,999,999,999 sat credited before maturity"
    configure(directory)
    known = json_of(directory, "status")
    assert known["early_credit"] == "4,950,000,000 sat credited before maturity; early credit is off now"
    assert known["early_credit_exposure_msat"] == str(G - G // 100)


def test_a_block_s_life_tells_when_it_was_credited_early_and_how_much(lent: Pool) -> None:
    (credit,) = json_of(lent.directory, "blocks", "show", HASH)["credited_early"]
    assert credit == {"n": 0, "amount_msat": str(G - G // 100), "at_ms": NOW_MS}
    assert "credited early: 4950000000.000 sat" in text_of(lent.directory, "blocks", "show", HASH)
    see(lent, -1)
    see(lent, 6)
    assert [each["n"] for each in json_of(lent.directory, "blocks", "show", HASH)["credited_early"]] == [0, 1]


def test_a_statement_says_advance_and_mature_for_what_was_left(lent: Pool) -> None:
    pay(lent, "bob", 1_000)
    see(lent, 100)
    see(lent, 100, OTHER)
    lines = json_of(lent.directory, "ledger", "statement", "bob")
    assert [(line["kind"], line["part"], line["amount_msat"]) for line in lines[:3]] == [
        ("reward", "immature", BOB),
        ("advance", "available", BOB),
        ("advance", "immature", -BOB),
    ]
    assert lines[1]["about"] == "block 200"
    assert lines[-1]["owed_msat"] == BOB - 1_000
    assert not any(line["kind"] == "mature" for line in lines)  # nothing was left
    rows = csv.DictReader(invoke(lent.directory, "ledger", "statement", ADDRESS, "--csv").output.splitlines())
    parts = [(row["kind"], row["part"], int(row["amount_msat"])) for row in rows]
    early_msat = {kind: amount for kind, part, amount in parts if part == "available"}
    assert 0 < early_msat["advance"] < early_msat["mature"] == OURS - early_msat["advance"]
    assert " advance " in text_of(lent.directory, "ledger", "statement", "bob")
    lent.verified()


def test_beancount_and_the_day_s_assertion_know_the_account(lent: Pool, tmp_path: Path) -> None:
    said = AssertionTable(lent.books).write(NOW_MS + DAY_MS)
    assert said is not None
    assert said.sums["assets"] == sum(
        amount for name, amount in lent.store.balances().items() if name.startswith("assets:")
    )
    exported = invoke(lent.directory, "ledger", "export", "--format", "beancount").output
    assert loader.load_string(exported)[1] == []
    assert f"balance Assets:Advanced {exposure(lent.store.balances())} MSAT" in exported
    assert "Assets:Advanced" in exported
    file = tmp_path / "books.beancount"
    file.write_text(exported)
    subprocess.run([Path(sys.executable).with_name("bean-check"), file], check=True, timeout=60)
    lent.verified()


def test_the_site_says_credited_early_until_it_is_mature(lent: Pool) -> None:
    running = Running(lent.directory, attrs.evolve(FACTS, early=6))
    page = running.ask("/blocks").text
    assert page.count("credited early") == 2
    account = running.ask(f"/u/{ADDRESS}").text
    (reward,) = Queries(lent.directory).rewards(ADDRESS, 9)
    assert reward.early_msat == lent.of(ADDRESS)
    assert 0 < reward.early_msat < reward.amount_msat == OURS
    assert "credited early: " in account
    assert "from 6 on, the pool credits them early" in account
    document = running.ask(f"/api/v1/account/{ADDRESS}").json
    assert document["rewards"][0]["credited_early_msat"] == str(reward.early_msat)
    blocks = {each["hash"]: each for each in running.ask("/api/v1/blocks").json["blocks"]}
    assert blocks[HASH]["credited_early_msat"] == str(G - G // 100)
    assert running.ask("/api/v1/pool").json["credit_confirmations"] == 6
    see(lent, 100)
    see(lent, -1, OTHER)
    assert "credited early" not in running.ask("/blocks").text


def test_a_page_promises_nothing_of_rewards_that_came_early_already(lent: Pool) -> None:
    queries = Queries(lent.directory)
    (ours,) = queries.rewards(ADDRESS, 9)
    balances = queries.balances(ADDRESS)
    whole = attrs.evolve(ours, early_msat=ours.amount_msat, confirmations=99)
    reason = nothing_now(FACTS, POOR, balances, [whole, ours], stopped=False)
    assert reason is not None
    assert "in 90 blocks, about 15 hours." in reason.when
    lending = attrs.evolve(FACTS, early=6)
    reason = nothing_now(lending, POOR, balances, [whole, ours], stopped=False)
    assert reason is not None
    assert reason.when.endswith("about 15 hours, or earlier.")


def test_a_wallet_and_the_next_batch_may_have_it_like_any_other_balance(lent: Pool) -> None:
    lent.store.take_over_accounts([NewAccount("bob", "hash of bob", 1)])
    book = SqliteBook(lent.books, lambda account: account == ADDRESS)
    connection = connect_to_read(lent.directory, "ledger")
    inbox = InboxStore(connect(lent.directory, "inbox"))
    limits = LightningConfig(user="u", password="p", maximum_sat=10_000_000_000)
    terms = Desk(ClaimReader(connection), inbox, limits, Clock(), lambda: NOW_MS).terms("bob")
    assert terms is not None
    assert terms.balance == lent.of("bob") > 0
    assert 0 < terms.maximum <= floor_sat(terms.balance)
    assert [(each.account, each.amount) for each in book.payable_onchain(Sat(1), NOW_MS)] == [
        (ADDRESS, floor_sat(Msat(lent.of(ADDRESS))))
    ]
    connection.close()
