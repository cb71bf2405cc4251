"""Whatever arrives becomes a message, and what leaves is what firmware expects."""

from __future__ import annotations

import json
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stratum import wire
from stratum.errors import Code
from stratum.units import DIFFICULTY_1_TARGET, Difficulty
from tests.stratum.fakes import line

MESSAGES = wire.Message.__args__
SUBMIT = ("bob.rig", "1a", "00" * 8, "6553f100", "0000002a")

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
methods = st.sampled_from(
    [*wire._READERS, "mining.submit", "mining.ping", "mining.extranonce.subscribe", "nonsense"]
)


@given(st.binary(max_size=300))
def test_random_bytes_never_raise(data: bytes) -> None:
    assert isinstance(wire.parse(data), MESSAGES)


@given(json_values, methods, st.lists(json_values, max_size=7) | json_values)
def test_random_json_in_the_shape_of_a_request_never_raises(
    request_id: object, method: str, params: object
) -> None:
    text = json.dumps({"id": request_id, "method": method, "params": params}).encode()
    assert isinstance(wire.parse(text), MESSAGES)


@given(
    st.lists(
        st.sampled_from([*SUBMIT, "", "zz", "0x1", "_1_2_3_4", "é" * 8, "00000000"]) | json_values, max_size=7
    )
)
def test_a_submission_of_anything_never_raises(params: list[object]) -> None:
    assert isinstance(wire.parse(line("mining.submit", *params)), wire.Submit | wire.Malformed)


@pytest.mark.parametrize(
    "text",
    [
        b"[" * 100_000,
        b'{"id":1,"method":"mining.ping","params":' + b"[" * 5000 + b"]" * 5000 + b"}",
        b'{"id":' + b"9" * 10_000 + b',"method":"mining.ping"}',
        b'{"id":1,"method":"mining.suggest_difficulty","params":[' + b"9" * 10_000 + b"]}",
        b'{"id":1,"method":"mining.suggest_difficulty","params":[NaN]}',
        b'{"id":1,"method":"mining.suggest_difficulty","params":[1e999]}',
        b'{"id":"\xff\xfe","method":"mining.ping"}',
        b'{"id":1,"method":"\xff"}',
        b'{"id":"\\ud800","method":"mining.ping","params":["\\ud800"]}',
        b"\x00",
        b"",
        b"[]",
        b"3",
        b"GET / HTTP/1.1\r",
        b'{"id":1,"method":7}',
        b'{"id":{},"method":"mining.ping"}',
        b'{"id":true,"method":"mining.ping"}',
        b'{"id":1,"method":"mining.subscribe","params":{"a":1}}',
    ],
)
def test_what_is_no_request_becomes_malformed_with_an_id_that_is_json(text: bytes) -> None:
    message = wire.parse(text)
    assert isinstance(message, wire.Malformed)
    assert json.loads(wire.error(message.id, Code.OTHER, message.reason))["error"][0] == 20


@pytest.mark.parametrize("text", ["7", "-1", '"abc"', "null", "1.50", "1e3", '"\\u00e9"'])
def test_ids_are_echoed_letter_by_letter(text: str) -> None:
    message = wire.parse(b'{"id": ' + text.encode() + b' , "method":"mining.ping","params":[]}')
    assert isinstance(message, wire.Plain)
    assert message.id == text.encode()
    assert wire.accepted(message.id) == b'{"id":' + text.encode() + b',"result":true,"error":null}\n'


def test_the_id_of_a_request_that_is_wrong_elsewhere_is_still_echoed() -> None:
    assert wire.parse(b'{"id":9,"method":7}') == wire.Malformed(b"9", "Not a JSON-RPC request")
    assert wire.parse(b'{"id":[9],"method":7}') == wire.Malformed(b"null", "Not a JSON-RPC request")


def test_an_id_that_is_absent_is_null_and_one_that_is_long_is_refused() -> None:
    assert wire.parse(b'{"method":"mining.ping"}') == wire.Plain(b"null", "mining.ping")
    assert isinstance(wire.parse(line("mining.ping", request_id="x" * 100)), wire.Malformed)


def test_an_answer_of_the_miner_is_no_request() -> None:
    assert wire.parse(b'{"id":1,"result":true,"error":null}') == wire.Answer()


def test_a_submission_is_read_into_numbers() -> None:
    assert wire.parse(line("mining.submit", *SUBMIT)) == wire.Submit(
        b"1", "bob.rig", "1a", bytes(8), 0x6553F100, 42, None
    )
    rolled = wire.parse(line("mining.submit", *SUBMIT, "1fffe000"))
    assert isinstance(rolled, wire.Submit)
    assert rolled.version_bits == 0x1FFFE000


@pytest.mark.parametrize(
    ("at", "value"),
    [
        (0, 5),
        (1, None),
        (2, "00" * 4),
        (2, "zz" * 8),
        (2, 7),
        (3, "6553f10"),
        (3, " 553f100"),
        (4, "0x00002a"),
        (4, "+000002a"),
        (5, "1fffe00"),
        (5, "1fff_000"),
        (5, 0),
    ],
)
def test_a_submission_with_one_wrong_field_is_malformed(at: int, value: object) -> None:
    params: list[object] = [*SUBMIT, "00000000"]
    params[at] = value
    assert isinstance(wire.parse(line("mining.submit", *params)), wire.Malformed)


def test_a_short_submission_is_malformed() -> None:
    assert isinstance(wire.parse(line("mining.submit", *SUBMIT[:4])), wire.Malformed)


def test_a_suggested_target_is_turned_into_its_difficulty() -> None:
    text = f"{DIFFICULTY_1_TARGET // 4:064x}"
    assert wire.parse(line("mining.suggest_target", text)) == wire.Suggest(b"1", Difficulty(Fraction(4)))


@pytest.mark.parametrize("params", [[], [1], [""], ["zz"], ["0" * 64], ["f" * 65], ["1_0"], ["٣"]])
def test_a_suggested_target_that_is_none_is_malformed(params: list[object]) -> None:
    assert isinstance(wire.parse(line("mining.suggest_target", *params)), wire.Malformed)


@pytest.mark.parametrize(
    "params", [[], ["x"], [0], [-1], ["nan"], ["inf"], ["9" * 400], [True], [None], [[1]]]
)
def test_a_suggested_difficulty_that_is_none_is_malformed(params: list[object]) -> None:
    assert isinstance(wire.parse(line("mining.suggest_difficulty", *params)), wire.Malformed)


@pytest.mark.parametrize("params", [[], [1], [""], ["x" * 128]])
def test_an_unusable_username_is_malformed(params: list[object]) -> None:
    assert isinstance(wire.parse(line("mining.authorize", *params)), wire.Malformed)


def test_the_password_is_in_no_repr() -> None:
    message = wire.parse(line("mining.authorize", "bob", "hunter2"))
    assert isinstance(message, wire.Authorize)
    assert message.password == "hunter2"
    assert "hunter2" not in repr(message)
    assert wire.parse(line("mining.authorize", "bob", None)) == wire.Authorize(b"1", "bob", "")


def test_configure_is_read_with_and_without_parameters() -> None:
    assert wire.parse(line("mining.configure", ["info"])) == wire.Configure(b"1", ("info",), {})
    assert wire.parse(line("mining.configure", ["info"], {"a": 1})) == wire.Configure(
        b"1", ("info",), {"a": 1}
    )
    assert isinstance(wire.parse(line("mining.configure", [1])), wire.Malformed)
    assert isinstance(wire.parse(line("mining.configure")), wire.Malformed)


def test_subscribe_takes_any_user_agent_or_none_and_a_session_id_of_ours() -> None:
    assert wire.parse(line("mining.subscribe", "cgminer/4.12", "session")) == wire.Subscribe(
        b"1", "cgminer/4.12"
    )
    known = wire.parse(line("mining.subscribe", "cgminer/4.12", "ab" * 16))
    assert known == wire.Subscribe(b"1", "cgminer/4.12", b"\xab" * 16)
    assert wire.parse(line("mining.subscribe", "x", "zz" * 16)) == wire.Subscribe(b"1", "x")
    assert wire.parse(line("mining.subscribe", "NiceHash/1.0.0", None, "h", 3333)) == wire.Subscribe(
        b"1", "NiceHash/1.0.0"
    )
    assert wire.parse(line("mining.subscribe", None)) == wire.Subscribe(b"1", "")
    assert wire.parse(b'{"id":1,"method":"mining.subscribe"}') == wire.Subscribe(b"1", "")


def test_the_reply_to_subscribe_names_extranonce1_and_eight_bytes() -> None:
    reply = json.loads(wire.subscribed(b"1", b"\x01\x02\x03\x04", b"\xaa" * 16, 8))
    assert reply["result"][1:] == ["01020304", 8]
    assert {pair[1] for pair in reply["result"][0]} == {"aa" * 16}
    assert [pair[0] for pair in reply["result"][0]] == ["mining.set_difficulty", "mining.notify"]
