"""What each machine says, and what it must hear: the conversations in transcripts/*.txt, played to a session.

A transcript is read from the top:

- ``# machine:`` and ``# facts:`` say who speaks, and where that is known from; other comments are comments.
- ``job ID [tip=N] [nbits=HEX]`` puts up a job; ``wait S`` lets time pass; ``reconnect`` opens another
  connection.
- ``> JSON`` is a packet from the machine, ``+ JSON`` one more line in the same packet.  In it stand
  ``$ntime`` (and ``$ntime+N``), ``$nonce`` (a share at the difficulty of its job), ``$bad`` (not a share),
  ``$short`` (a share whose nonce is written without leading zeros) and ``$session`` (the session id).
- ``< JSON`` is the next line from the pool, ``*`` in place of any value; ``< difficulty N``,
  ``< notify ID clean`` and ``< notify ID same`` are the pool's own messages.
- ``credits N`` is how many shares were credited in all.

Nothing may come from the pool that is not written down.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from stratum.board import Board
from stratum.effects import Credit, FreshJob, Refusal
from stratum.extra import ExtraJobs
from stratum.extranonce import Extranonces
from stratum.options import Options
from stratum.ports import Solution
from stratum.returning import Returning
from stratum.session import Session
from stratum.units import Difficulty, target_from_difficulty, target_from_nbits
from tests.stratum.fakes import FakeAuthorizer, FakeFeed, hash_value, header_of, job, lines

FILES = sorted((Path(__file__).parent / "transcripts").glob("*.txt"))
TINY: Any = Fraction(1, 2**28)
OPTIONS = Options(start_difficulty=TINY, minimum_difficulty=TINY, shares_per_minute=4)


class Stage:
    """A session, and a machine that remembers what it was told."""

    def __init__(self) -> None:
        self.now = 0.0
        self.board = Board()
        self.feed = FakeFeed()
        self.extras = ExtraJobs(self.feed, self.board)
        self.tokens = 0
        self.returning = Returning(Extranonces(1), self.token)
        self.session = self.connection()
        self.heard: list[Any] = []
        self.credits = 0
        self.notified: dict[str, list[Any]] = {}
        self.told = Fraction(0)
        self.difficulties: dict[str, Fraction] = {}
        self.names = {"$session": "", "$extranonce1": ""}
        self.used = 0

    def token(self, size: int) -> bytes:
        self.tokens += 1
        return (0xABCD << 64 | self.tokens).to_bytes(size, "big")

    def connection(self) -> Session:
        return Session(OPTIONS, self.board, FakeAuthorizer(), self.returning.take(), self.returning)

    def reconnect(self) -> None:
        self.session.leave(self.now)
        self.session = self.connection()

    def job(self, name: str, **changes: str) -> None:
        tip = int(changes.get("tip", "1"))
        nbits = int(changes.get("nbits", "1d00ffff"), 16)
        fresh = job(name, tip=tip, nbits=nbits, network_target=target_from_nbits(nbits))
        self.feed.new(fresh)
        self.hear(self.session.offer(self.board.post(fresh, self.now), self.now))

    def packet(self, texts: list[str]) -> None:
        data = b"".join(self.filled(text).encode() + b"\n" for text in texts)
        for effect in self.session.receive(data, self.now, int(self.now * 1000)):
            match effect:
                case Credit():
                    self.credits += 1
                    self.hear(b'{"id":' + effect.request_id + b',"result":true,"error":null}')
                case Refusal():
                    self.hear(effect.line)
                case FreshJob():
                    posted = self.extras.newer_than(self.session.steering.last_number, self.now)
                    assert posted is not None
                    self.hear(self.session.offer(posted, self.now))
                case bytes():
                    self.hear(effect)
                case Solution():
                    raise AssertionError("no transcript finds a block")
        assert self.session.broken is None

    def hear(self, data: bytes) -> None:
        for message in lines(data):
            self.heard.append(message)
            if message.get("method") == "mining.set_difficulty":
                self.told = Fraction(message["params"][0])
            if message.get("method") == "mining.notify":
                self.notified[message["params"][0]] = message["params"]
                self.difficulties[message["params"][0]] = self.told
            if isinstance(message.get("result"), list) and message["result"]:
                (_, (_, self.names["$session"])), self.names["$extranonce1"], _ = message["result"]

    def filled(self, text: str) -> str:
        """The line with its names replaced by what a real machine would send there."""
        message = json.loads(text)
        if message.get("method") != "mining.submit":
            return text.replace("$session", self.names["$session"])
        params = message["params"]
        notified = self.notified[params[1]]
        params[3] = f"{int(notified[7], 16) + int(params[3].partition('+')[2] or 0):08x}"
        params[4] = self.nonce(params[4], notified, params)
        return json.dumps(message)

    def nonce(self, kind: str, notified: list[Any], params: list[str]) -> str:
        bits = int(params[5], 16) if len(params) > 5 else 0
        version = int(notified[5], 16) | bits
        target = target_from_difficulty(Difficulty(self.difficulties[params[1]]))
        for nonce in range(self.used, self.used + 100_000):
            text = f"{nonce:08x}"
            header = header_of(notified, self.names["$extranonce1"], params[2], params[3], text, version)
            if (hash_value(header) <= target) is (kind != "$bad"):
                self.used = nonce + 1
                return f"{nonce:x}" if kind == "$short" else text
        raise AssertionError("no such nonce")

    def expect(self, text: str) -> None:
        for name, value in self.names.items():
            text = text.replace(name, value)
        assert self.heard, f"silence instead of {text}"
        message = self.heard.pop(0)
        match text.split():
            case ["difficulty", value]:
                assert message["method"] == "mining.set_difficulty"
                assert Fraction(message["params"][0]) == Fraction(value)
            case ["notify", name, how]:
                assert message["method"] == "mining.notify"
                assert (message["params"][0], message["params"][8]) == (name, how == "clean")
            case _:
                assert fits(message, json.loads(text)), f"{message} instead of {text}"


def fits(found: Any, pattern: Any) -> bool:
    """Whether what was said is what is written, ``*`` standing for anything."""
    if pattern == "*":
        return True
    if isinstance(pattern, dict) and isinstance(found, dict):
        return list(found) == list(pattern) and all(fits(found[key], pattern[key]) for key in pattern)
    if isinstance(pattern, list) and isinstance(found, list):
        return len(found) == len(pattern) and all(map(fits, found, pattern))
    return type(found) is type(pattern) and found == pattern


def steps(text: str) -> Iterator[tuple[str, list[str]]]:
    """Commands with their arguments; the lines of a packet together."""
    packet: list[str] = []
    for line in text.splitlines():
        mark, _, rest = line.partition(" ")
        if mark == "+":
            packet.append(rest)
            continue
        if packet:
            yield ">", packet
            packet = []
        if mark == ">":
            packet = [rest]
        elif mark not in ("#", ""):
            yield mark, [rest]
    if packet:
        yield ">", packet


def play(text: str) -> Stage:
    """Everything that the transcript says, checked."""
    stage = Stage()
    for mark, rest in steps(text):
        if mark == "<":
            stage.expect(rest[0])
            continue
        assert stage.heard == [], f"unexpected before {mark} {rest}"
        match mark, rest[0].split():
            case ">", _:
                stage.packet(rest)
            case "job", [name, *changes]:
                stage.job(name, **dict(each.split("=", 1) for each in changes))
            case "wait", [seconds]:
                stage.now += float(seconds)
            case "reconnect", _:
                stage.reconnect()
            case "credits", [count]:
                assert stage.credits == int(count)
            case _:
                raise AssertionError(f"no such command: {mark}")
    assert stage.heard == []
    return stage


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_machine_hears_what_it_needs(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# machine: ")
    assert "\n# facts: " in text
    assert "\ncredits " in text
    assert play(text).session.authorized or "reconnect" in text


def test_every_family_of_machines_has_its_transcript() -> None:
    assert {path.stem for path in FILES} == {
        "antminer_s19",
        "antminer_s21",
        "antminer_s9",
        "avalon",
        "bfgminer",
        "bitaxe",
        "braiins",
        "cgminer",
        "ckproxy",
        "cpuminer",
        "mining_rig_rentals",
        "nameless",
        "nerdminer",
        "nicehash",
        "whatsminer",
    }


def test_a_transcript_that_is_wrong_fails() -> None:
    right = (FILES[0].parent / "cpuminer.txt").read_text(encoding="utf-8")
    for before, after in (("credits 2", "credits 3"), ("notify 1 clean", "notify 1 same"), ("[23,", "[21,")):
        with pytest.raises(AssertionError):
            play(right.replace(before, after))
    with pytest.raises(AssertionError):
        play(right.replace("< notify 1 clean\n", ""))
