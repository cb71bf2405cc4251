"""The door under the same rules as in ``make fuzz``, with what Hypothesis and the seeds come up with."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.door import (
    AGAIN,
    CUT,
    GREETED,
    HELLO,
    JOB,
    NEXT,
    PROXIED,
    PROXY,
    PROXY_2,
    SEEDS,
    TELL_ME,
    play,
    submission,
)

METHODS = st.sampled_from(
    [
        "mining.subscribe",
        "mining.authorize",
        "mining.submit",
        "mining.configure",
        "mining.suggest_difficulty",
        "mining.suggest_target",
        "mining.extranonce.subscribe",
        "mining.get_transactions",
        "mining.ping",
        "",
    ]
)
WORDS = st.sampled_from(
    ["bob.rig", "1", "00" * 8, "6553f100", "1fffe000", "version-rolling", "d=1", "NaN", "\x00"]
)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | WORDS
JSON = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=7) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=12,
)
REQUESTS = st.builds(
    lambda number, method, params: (
        json.dumps({"id": number, "method": method, "params": params}).encode() + b"\n"
    ),
    JSON,
    METHODS | LEAVES,
    st.lists(JSON, max_size=7) | JSON,
)
SHARES = st.builds(submission, st.integers(0, 5), job_id=st.sampled_from(["1", "2"]))
TURNS = st.sampled_from([HELLO, CUT, NEXT, JOB, AGAIN, TELL_ME, PROXY, PROXY_2])
PACKETS = st.lists(REQUESTS | SHARES | st.binary(max_size=60) | TURNS, max_size=20)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_rules_hold_for_every_seed(seed: bytes) -> None:
    play(seed)
    play(b"\x01" + seed)


@settings(max_examples=200)
@given(st.sampled_from([b"", GREETED, PROXIED]), PACKETS)
def test_the_rules_hold_whatever_is_said_in_whatever_packets(start: bytes, parts: list[bytes]) -> None:
    play(start + b"".join(parts))


@settings(max_examples=50)
@given(REQUESTS | SHARES)
def test_one_byte_in_each_packet_is_as_good_as_one_packet(message: bytes) -> None:
    play(b"\x01" + CUT.join(bytes([byte]) for byte in message))


def test_a_thousand_messages_in_one_packet_are_all_answered() -> None:
    play(b"\x01" + b"".join(submission(number) for number in range(1_000)))


def deep(depth: int) -> bytes:
    return b'{"id":1,"method":"mining.submit","params":' + b"[" * depth + b"]" * depth + b"}\n"


@pytest.mark.parametrize(
    "line",
    [
        b"x" * 1_000_000,
        b"x" * 1_000_000 + b"\n",
        deep(50),
        deep(5_000),
        b"\n" * 60_000,
        b'{"id":' + b"9" * 9_000,
    ],
)
def test_long_and_deep_lines_end_in_a_reply_or_a_hang_up(line: bytes) -> None:
    play(line)
    play(b"\x01" + line)
