"""What the pool says by itself is what firmware reads."""

from __future__ import annotations

import json
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stratum import announce
from stratum.units import Difficulty
from tests.stratum.fakes import job


@pytest.mark.parametrize(
    ("line", "method", "params"),
    [
        (announce.GET_VERSION, "client.get_version", []),
        (announce.RECONNECT, "client.reconnect", []),
        (announce.show_message("Zürich: “soon”"), "client.show_message", ["Zürich: “soon”"]),
        (announce.set_version_mask(0x1FFFE000), "mining.set_version_mask", ["1fffe000"]),
        (announce.set_extranonce(b"\x00\xff\x01\x02", 8), "mining.set_extranonce", ["00ff0102", 8]),
        (announce.set_version_mask(0xE000), "mining.set_version_mask", ["0000e000"]),
    ],
)
def test_each_is_one_line_of_json(line: bytes, method: str, params: list[object]) -> None:
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    message = json.loads(line)
    assert (message["method"], message["params"]) == (method, params)


def test_only_the_request_has_an_id_and_it_is_a_number() -> None:
    assert isinstance(json.loads(announce.GET_VERSION)["id"], int)
    assert json.loads(announce.RECONNECT)["id"] is None


@given(st.fractions(min_value=Fraction(1, 10**12), max_value=10**15))
def test_the_told_difficulty_is_never_below_the_judged_one(value: Fraction) -> None:
    told = json.loads(announce.set_difficulty(Difficulty(value)))["params"][0]
    assert value <= Fraction(told) <= value * (1 + Fraction(1, 2**50))


def test_whole_difficulties_are_told_as_integers() -> None:
    assert b"[16384]" in announce.set_difficulty(Difficulty(Fraction(16384)))


def test_notify_has_nine_parameters_with_prevhash_in_swapped_words() -> None:
    params = json.loads(announce.notify(job("a1"), clean=True))["params"]
    assert len(params) == 9
    assert params[0] == "a1"
    assert params[1].startswith("03020101" + "07060504")
    assert params[4] == [branch.hex() for branch in job().branches]
    assert params[5:] == ["20000000", "1d00ffff", "6553f100", True]
