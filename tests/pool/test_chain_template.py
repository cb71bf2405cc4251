"""Templates: what is kept of them, and that nothing wrong gets through unnamed."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payouts.money import Sat
from pool.chain.merkle import branch_beside_coinbase
from pool.chain.networks import RULES
from pool.chain.template import TemplateError, parse, without_transactions
from stratum.units import target_from_nbits
from tests.pool.chain_samples import answer


def test_a_template_keeps_what_a_job_needs() -> None:
    template = parse(answer())

    assert template.height == 840000
    assert template.prev_hash == bytes.fromhex("efbeadde") + bytes(28)
    assert (template.version, template.nbits) == (0x20000000, 0x17034219)
    assert template.network_target == target_from_nbits(0x17034219)
    assert (template.mintime_s, template.curtime_s) == (1700000000, 1700000600)
    assert template.value == 312500150
    assert template.transactions == (bytes.fromhex("0200aa"), bytes.fromhex("0200bbcc"))
    assert template.txids == (b"\x02" + b"\x01" * 31, b"\x05" + b"\x04" * 31)
    assert template.witness_commitment.hex() == "6a24aa21a9ed" + "77" * 32
    assert template.longpoll_id == "ab12"


def test_a_node_without_longpoll_is_taken() -> None:
    assert parse(answer(longpollid=None)).longpoll_id is None


def test_a_rule_that_must_be_kept_and_is_not_known_is_refused_by_name() -> None:
    with pytest.raises(TemplateError, match="'!covenants'"):
        parse(answer(rules=["!segwit", "!covenants"]))


def test_a_signet_whose_blocks_anyone_may_make_is_mined_on_and_no_other() -> None:
    rules = ["csv", "!segwit", "!signet", "taproot"]

    assert parse(answer(rules=rules, signet_challenge="51")).height == 840000
    for challenge in (None, "512103ad5e0edad18cb1f0fc0d28a3d4f1f3e445640337489abb10404f2d1e086be43051ae"):
        with pytest.raises(TemplateError, match="signet_challenge: only the signet's owner"):
            parse(answer(rules=rules, signet_challenge=challenge))


def test_the_branch_beside_the_coinbase_is_the_plain_tree_s() -> None:
    txids = [bytes([number]) * 32 for number in range(1, 14)]
    entries = [{"data": "02", "txid": txid[::-1].hex()} for txid in txids]

    assert parse(answer(transactions=entries)).branches == branch_beside_coinbase(txids)
    assert parse(answer(transactions=[])).branches == ()


def test_a_block_without_transactions_commits_to_nothing_but_its_coinbase() -> None:
    empty = without_transactions(parse(answer()), Sat(312500000))

    assert (empty.transactions, empty.txids, empty.branches, empty.value) == ((), (), (), 312500000)
    # the commitment that Bitcoin Core makes for every block without segwit transactions
    assert empty.witness_commitment.hex() == (
        "6a24aa21a9ede2f61c3f71d1defd3fa999dfa36953755c690689799962b48bebd836974e8cf9"
    )


@pytest.mark.parametrize(("height", "subsidy"), [(839_999, 625_000_000), (840_000, 312_500_000)])
def test_the_value_is_subsidy_and_fees_also_where_the_subsidy_halves(height: int, subsidy: int) -> None:
    main = RULES["mainnet"]

    assert parse(answer(height=height, coinbasevalue=subsidy + 150), main).value == subsidy + 150
    for wrong in (subsidy + 151, subsidy + 149):
        with pytest.raises(TemplateError, match=f"coinbasevalue: is {wrong} sat, but .* {subsidy + 150}"):
            parse(answer(height=height, coinbasevalue=wrong), main)


def test_the_value_of_transactions_with_unknown_fees_is_taken_as_the_node_says() -> None:
    entry = {"data": "0200aa", "txid": "01" * 32}

    assert parse(answer(transactions=[entry]), RULES["mainnet"]).value == 312500150


def test_an_unknown_rule_that_need_not_be_kept_is_ignored() -> None:
    assert parse(answer(rules=["!segwit", "covenants"])).height == 840000


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("height", 0),
        ("height", "840000"),
        ("height", True),
        ("previousblockhash", "00" * 31),
        ("previousblockhash", "zz" * 32),
        ("version", 2**32),
        ("bits", "1d00"),
        ("bits", "00000000"),
        ("bits", "ff7fffff"),
        ("curtime", -1),
        ("mintime", None),
        ("coinbasevalue", -1),
        ("coinbasevalue", 21_000_001 * 10**8),
        ("coinbasevalue", 1.5),
        ("transactions", {}),
        ("transactions", [1]),
        ("rules", "segwit"),
        ("default_witness_commitment", None),
        ("default_witness_commitment", "6a24aa21a9ee" + "77" * 32),
        ("longpollid", 5),
        ("mintime", 1700000601),
        ("target", "00" * 32),
        ("workid", "w"),
        ("weightlimit", 27),
        ("weightlimit", 4_000_001),
        ("sigoplimit", "80000"),
        ("sizelimit", 6),
        ("vbrequired", 1),
        ("vbrequired", 0x20000000 | 1 << 14),
    ],
)
def test_a_wrong_field_is_named(key: str, value: object) -> None:
    with pytest.raises(TemplateError, match=f"getblocktemplate: {key}"):
        parse(answer(**{key: value}))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("data", "xy"),
        ("data", ""),
        ("txid", "01" * 31),
        ("txid", 7),
        ("fee", -1),
        ("sigops", 80_001),
        ("weight", 5),
        ("weight", 0),
        ("depends", [1]),
    ],
)
def test_a_wrong_transaction_is_named(key: str, value: object) -> None:
    entry = {"data": "02", "txid": "01" * 32, key: value}

    with pytest.raises(TemplateError, match=key if key != "depends" else "depends on none"):
        parse(answer(transactions=[entry]))


def test_sums_that_pass_the_network_s_limits_are_refused() -> None:
    entry = {"data": "02" * 1000, "txid": "01" * 32, "sigops": 500}

    with pytest.raises(TemplateError, match="weightlimit"):
        parse(answer(transactions=[entry] * 1001))
    with pytest.raises(TemplateError, match="sigoplimit"):
        parse(answer(transactions=[entry] * 161))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@given(document=JSON)
def test_no_answer_raises_anything_else_than_a_template_error(document: Any) -> None:
    with pytest.raises(TemplateError):
        parse(document)


@given(key=st.sampled_from(sorted(answer())), value=JSON)
def test_a_surprise_in_any_field_is_taken_or_a_template_error(key: str, value: Any) -> None:
    with suppress(TemplateError):
        assert parse({**answer(), key: value}).height >= 1
