"""Whatever is wrong with a message has its code and its text for people, as docs/stratum.md lists them."""

from __future__ import annotations

import json
import re
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stratum.board import Board
from stratum.effects import Credit, FreshJob, Refusal
from stratum.extranonce import Extranonces
from stratum.options import MAX_LINE_BYTES, Options
from stratum.ports import Solution
from stratum.returning import Returning
from stratum.session import Session
from stratum.units import Difficulty, target_from_difficulty
from tests.stratum.fakes import NTIME, FakeAuthorizer, find_nonce, job, line, lines

DOCUMENT: Final = Path(__file__).parents[2] / "docs" / "stratum.md"
TINY: Any = Fraction(1, 2**28)
GREETING: Final = line("mining.subscribe", "test") + line("mining.authorize", "bob.rig", "x")
SUBMIT: Final = ("bob.rig", "1", "00" * 8, f"{NTIME:08x}")


def session() -> Session:
    board = Board()
    board.post(job("0", tip=3), 0)
    board.post(job("1"), 1)
    seats = Returning(Extranonces(0), bytes)
    options = Options(start_difficulty=TINY, minimum_difficulty=TINY)
    return Session(options, board, FakeAuthorizer(), seats.take(), seats)


def says(target: Session, data: bytes) -> list[dict[str, Any]]:
    """The lines that come back, accepted shares among them."""
    said: list[dict[str, Any]] = []
    for effect in target.receive(data, 2, 2000):
        match effect:
            case bytes():
                said += lines(effect)
            case Refusal():
                said += lines(effect.line)
            case Credit():
                said.append({"id": json.loads(effect.request_id), "result": True, "error": None})
            case FreshJob() | Solution():
                pass
    return said


def nonce(*, good: bool) -> str:
    """A nonce of job 1 for extranonce1 0 that is a share, or is none."""
    target = target_from_difficulty(TINY)
    started = session()
    notified = says(started, GREETING)[-1]["params"]
    return find_nonce(notified, "00" * 4, lambda value: (value <= target) is good)


GOOD, BAD = nonce(good=True), nonce(good=False)


def submit(**changes: Any) -> bytes:
    """A share, with something else in it."""
    fields: dict[str, Any] = dict(
        zip(("worker", "job", "extranonce2", "ntime", "nonce"), (*SUBMIT, GOOD), strict=True)
    )
    return line("mining.submit", *(fields | changes).values())


def raw(method: str, params: str) -> bytes:
    return f'{{"id":1,"method":"{method}","params":{params}}}\n'.encode()


ANY: Final = "any"
CASES: Final[dict[tuple[str, str], bytes]] = {
    (ANY, "no JSON"): b"GET / HTTP/1.1\r\n",
    (ANY, "JSON, but no object"): b"[1,2,3]\n",
    (ANY, "NUL among it"): b'{"id":1,"method":"mining.ping"\x00}\n',
    (ANY, "invalid UTF-8"): b'{"id":1,"method":"\xff\xfe","params":[]}\n',
    (ANY, "NaN or Infinity"): raw("mining.ping", "[NaN]"),
    (ANY, "a number beyond a double"): raw("mining.ping", "[1e999]"),
    (ANY, "an integer of 10,000 digits"): raw("mining.ping", f"[{'9' * 10_000}]"),
    (ANY, "nesting 5,000 deep"): raw("mining.ping", "[" * 5000 + "]" * 5000),
    (ANY, "a method that is no string"): b'{"id":1,"method":7,"params":[]}\n',
    (ANY, "an id that is a list, an object or a boolean"): b'{"id":[1],"method":"mining.ping"}\n',
    (ANY, "an id above 64 bytes"): line("mining.ping", request_id="x" * 64),
    (ANY, "params that are no array"): raw("mining.ping", '{"a":1}'),
    (ANY, "a method that nobody knows"): line("mining.dance"),
    ("mining.configure", "no parameters"): line("mining.configure"),
    ("mining.configure", "extensions that are no list of strings"): line("mining.configure", [1]),
    ("mining.authorize", "no username"): line("mining.authorize"),
    ("mining.authorize", "a username that is no string, empty or above 127"): line("mining.authorize", ""),
    ("mining.authorize", "a username that may not mine here"): line("mining.authorize", "banned.rig", "x"),
    ("mining.suggest_difficulty", "no difficulty"): line("mining.suggest_difficulty"),
    ("mining.suggest_difficulty", "zero, negative or no number"): line("mining.suggest_difficulty", "many"),
    ("mining.suggest_target", "no target"): line("mining.suggest_target"),
    ("mining.suggest_target", "zero, above 64 digits or no hex"): line("mining.suggest_target", "0x12"),
    ("mining.submit", "fewer than five parameters"): line("mining.submit", *SUBMIT),
    ("mining.submit", "a worker or job that is no string"): submit(job=1),
    ("mining.submit", "extranonce2 of another length"): submit(extranonce2="00" * 4),
    ("mining.submit", "extranonce2 that is no hex"): submit(extranonce2=" " * 15 + "1"),
    ("mining.submit", "ntime that is not 8 hex digits"): submit(ntime="0x123456"),
    ("mining.submit", "a nonce that is not 8 hex digits"): submit(nonce="1234567"),
    ("mining.submit", "version bits that are not 8 hex digits"): submit(bits="1fff"),
    ("mining.submit", "an unknown job"): submit(job="ffff"),
    ("mining.submit", "a job of another tip"): submit(job="0"),
    ("mining.submit", "an unknown worker"): submit(worker="carol"),
    ("mining.submit", "ntime out of bounds"): submit(ntime=f"{NTIME + 7001:08x}"),
    ("mining.submit", "version bits out of bounds"): submit(bits="00002000"),
    ("mining.submit", "a share that was credited already"): submit() + submit(),
    ("mining.submit", "a hash above the share's target"): submit(nonce=BAD),
}


def documented() -> dict[tuple[str, str], tuple[int, str]]:
    """(message, fault) → (code, text), from the document's table."""
    text = DOCUMENT.read_text(encoding="utf-8")
    section = text[text.index("## Bad input") :]
    rows = re.findall(r"^\| (?:`(mining\.\w+)`|(any)) \| (.+?) \| (\d+) \| (.+?) \|$", section, re.MULTILINE)
    return {(method or anything, fault): (int(code), said) for method, anything, fault, code, said in rows}


def test_the_document_lists_every_fault_and_no_other() -> None:
    assert set(documented()) == set(CASES)


@pytest.mark.parametrize(("message", "fault"), list(CASES))
def test_a_fault_has_the_code_and_the_text_of_the_document(message: str, fault: str) -> None:
    started = session()
    says(started, GREETING)
    reply = says(started, CASES[message, fault])[-1]
    assert reply["result"] is None
    code, text = documented()[message, fault]
    assert reply["error"][0] == code
    # the authorizer's words are its own
    assert reply["error"][1] == text or text == "*the reason*"
    assert started.broken is None
    assert says(started, line("mining.ping")) == [{"id": 1, "result": "pong", "error": None}]


@pytest.mark.parametrize(("message", "fault"), list(CASES))
def test_a_fault_before_the_greeting_raises_nothing_either(message: str, fault: str) -> None:
    started = session()
    reply = says(started, CASES[message, fault])[-1]
    assert reply["error"] is not None or reply["result"] is True
    assert len(says(started, GREETING)) == 4


@pytest.mark.parametrize(
    "data",
    [
        line("mining.subscribe", {"a": 1}, [2], None),
        line("mining.subscribe", "x" * 10_000),
        line("mining.authorize", "bob", {"d": 1}),
        line("mining.authorize", "bob", "d=nan,md=inf,d=1e999"),
        line("mining.configure", ["version-rolling"], ["no object"]),
        line("mining.configure", ["version-rolling"], {"version-rolling.min-bit-count": 10**30}),
        line("mining.configure", ["minimum-difficulty"], {"minimum-difficulty.value": "inf"}),
        line("mining.extranonce.subscribe", *range(100)),
        line("mining.suggest_difficulty", 10**18, "and more"),
    ],
)
def test_what_is_only_odd_is_answered(data: bytes) -> None:
    assert says(session(), data)[0]["error"] is None


def test_one_byte_at_a_time_is_the_same_conversation() -> None:
    started, whole = session(), b"".join([GREETING, *CASES.values()])
    slowly = [said for at in range(len(GREETING)) for said in says(started, whole[at : at + 1])]
    assert slowly == says(session(), GREETING)


def test_a_thousand_messages_in_one_packet_are_all_answered_in_order() -> None:
    started = session()
    replies = says(started, b"".join(line("mining.ping", request_id=number) for number in range(1000)))
    assert [reply["id"] for reply in replies] == list(range(1000))


def test_a_line_of_a_megabyte_ends_the_connection_without_a_reply() -> None:
    for data in (b"x" * 2**20, b"x" * 2**20 + b"\n", raw("mining.ping", json.dumps(["x" * 2**20]))):
        started = session()
        assert says(started, data) == []
        assert started.broken == "line too long"
        assert says(started, line("mining.ping")) == []


def test_a_line_just_short_enough_is_read() -> None:
    padding = MAX_LINE_BYTES - len(raw("mining.ping", '[""]')) + 1
    assert says(session(), raw("mining.ping", json.dumps(["x" * padding])))[0]["result"] == "pong"


mutations = st.sampled_from(
    [GREETING, *CASES.values(), submit(), line("mining.configure", ["version-rolling"], {})]
)


@given(st.lists(st.tuples(mutations, st.integers(0, 200), st.binary(max_size=2)), max_size=12))
def test_broken_messages_in_any_order_never_raise(pieces: list[tuple[bytes, int, bytes]]) -> None:
    started = session()
    for data, at, noise in pieces:
        place = at % len(data)
        for said in says(started, data[:place] + noise + data[place + len(noise) :]):
            assert set(said) >= {"id"}


@given(st.integers(-30, 40), st.floats(0.5, 1))
@example(40, 1.0)
@example(0, 1e-9)
def test_difficulties_from_a_billionth_to_two_to_the_forty_are_judged_exactly(
    power: int, part: float
) -> None:
    told = part * 2.0**power
    board = Board()
    options = Options(minimum_difficulty=Difficulty(Fraction(1, 2**60)))
    started = Session(options, board, FakeAuthorizer(), bytes(4))
    assert says(started, line("mining.suggest_difficulty", told))[0]["result"] is True
    hard = job("9", network_target=target_from_difficulty(Difficulty(Fraction(2**50))))
    posted = board.post(hard, 0)
    said = says(started, GREETING)
    assert said[-2]["params"] == [told]
    wanted = Fraction(told)
    expected = (0xFFFF << 208) * wanted.denominator // wanted.numerator
    assert started.steering.target_for(posted) == min(expected, 2**256 - 1)
