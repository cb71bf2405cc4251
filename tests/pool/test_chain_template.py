"""Templates: what is kept of them, and that nothing wrong gets through unnamed."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pool.chain.template import TemplateError, parse
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
    with pytest.raises(TemplateError, match="'!signet'"):
        parse(answer(rules=["!segwit", "!signet"]))


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
    ],
)
def test_a_wrong_field_is_named(key: str, value: object) -> None:
    with pytest.raises(TemplateError, match=f"getblocktemplate: {key}"):
        parse(answer(**{key: value}))


@pytest.mark.parametrize(("key", "value"), [("data", "xy"), ("data", ""), ("txid", "01" * 31), ("txid", 7)])
def test_a_wrong_transaction_is_named(key: str, value: object) -> None:
    entry = {"data": "02", "txid": "01" * 32, key: value}

    with pytest.raises(TemplateError, match=key):
        parse(answer(transactions=[entry]))


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
