"""The CPU miner against a pool that the test plays, line by line: handshake, hashing, pace, reconnects."""

from __future__ import annotations

import json
import select
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import pytest

from pool.miner import Happened, Kind, MinerError, Totals, mine
from pool.miner_task import scan, sha256d, task_from_notify

EASY = 1e-9  # in difficulty: a share every few hashes
NOTIFY = [
    "07000001",
    "".join(f"{word:08x}" for word in range(1, 9)),
    "aa",
    "bb",
    ["11" * 32, "22" * 32],
    "20000000",
    "207fffff",
    "6553f100",
    True,
]


class Pool:
    """One listening socket; the test reads what the miner says and answers in its own words."""

    def __init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self._server.settimeout(20)
        self.url = f"stratum+tcp://127.0.0.1:{self._server.getsockname()[1]}"
        self._peer: socket.socket | None = None

    def accept(self) -> None:
        self.hang_up()
        self._peer, _ = self._server.accept()
        self._peer.settimeout(20)
        self._file = self._peer.makefile("rb")

    def hear(self) -> dict[str, Any]:
        line = self._file.readline()
        assert line, "the miner hung up"
        message: dict[str, Any] = json.loads(line)
        return message

    def say(self, *messages: dict[str, Any]) -> None:
        assert self._peer is not None
        self._peer.sendall(b"".join(json.dumps(message).encode() + b"\n" for message in messages))

    def is_quiet(self) -> bool:
        """The miner says nothing for a while that is long against its own pauses."""
        assert self._peer is not None
        return not select.select([self._peer], [], [], 0.1)[0]

    def answer(self, request: dict[str, Any], result: Any, error: Any = None) -> None:
        self.say({"id": request["id"], "result": result, "error": error})

    def tell(self, method: str, params: list[Any]) -> None:
        self.say({"id": None, "method": method, "params": params})

    def open(self, *, mask: str | None = "1fffe000", difficulty: float = EASY) -> list[dict[str, Any]]:
        """Take a miner through the handshake and give it a job; returns what it asked."""
        self.accept()
        asked = [self.hear()]
        self.answer(asked[0], {"version-rolling": bool(mask), "version-rolling.mask": mask} if mask else {})
        asked.append(self.hear())
        self.answer(asked[1], [[["mining.notify", "1"]], "0badcafe", 8])
        asked.append(self.hear())
        self.answer(asked[2], True)
        self.tell("mining.set_difficulty", [difficulty])
        self.tell("mining.notify", NOTIFY)
        return asked

    def hang_up(self) -> None:
        if self._peer is not None:
            self._file.close()
            self._peer.close()
            self._peer = None

    def close(self) -> None:
        self.hang_up()
        self._server.close()


@pytest.fixture
def pool() -> Iterator[Pool]:
    playing = Pool()
    yield playing
    playing.close()


@attrs.define
class Running:
    """A miner in a thread; `time_s` is its clock."""

    stop: threading.Event = attrs.field(factory=threading.Event)
    events: list[Happened] = attrs.field(factory=list)
    totals: list[Totals] = attrs.field(factory=list)
    time_s: float = 0.0
    thread: threading.Thread | None = None

    def ended(self) -> Totals:
        assert self.thread is not None
        self.thread.join(20)
        assert not self.thread.is_alive(), "the miner does not end"
        return self.totals[0]

    def kinds(self) -> list[Kind]:
        return [event.kind for event in self.events]


Start = Callable[..., Running]


@pytest.fixture
def start(pool: Pool) -> Iterator[Start]:
    started: list[Running] = []

    def run(**options: Any) -> Running:
        running = Running()

        def work() -> None:
            running.totals.append(
                mine(
                    pool.url,
                    "alice.rig1",
                    "d=1",
                    clock=lambda: running.time_s,
                    stop=running.stop,
                    report=running.events.append,
                    **options,
                )
            )

        running.thread = threading.Thread(target=work, daemon=True)
        running.thread.start()
        started.append(running)
        return running

    yield run
    for running in started:
        running.stop.set()
        running.ended()


def header_of(submit: list[Any], mask: int) -> bytes:
    """The header as a pool puts it together, written apart from the miner's own code."""
    _, _, extranonce2, ntime, nonce = submit[:5]
    root = sha256d(bytes.fromhex("aa" + "0badcafe" + extranonce2 + "bb"))
    for branch in ("11" * 32, "22" * 32):
        root = sha256d(root + bytes.fromhex(branch))
    version = 0x20000000 & ~mask | (int(submit[5], 16) & mask if len(submit) > 5 else 0)
    prev_hash = b"".join(word.to_bytes(4, "little") for word in range(1, 9))
    numbers = b"".join(bytes.fromhex(text)[::-1] for text in (ntime, "207fffff", nonce))
    return version.to_bytes(4, "little") + prev_hash + root + numbers


def test_it_introduces_itself_as_common_firmware_does(pool: Pool, start: Start) -> None:
    start()

    configure, subscribe, authorize = pool.open()

    assert configure["method"] == "mining.configure"
    assert configure["params"][0] == ["version-rolling"]
    assert subscribe["method"] == "mining.subscribe"
    assert (authorize["method"], authorize["params"]) == ("mining.authorize", ["alice.rig1", "d=1"])


@pytest.mark.parametrize("mask", ["1fffe000", None])
def test_its_shares_meet_the_target_when_a_pool_rebuilds_the_header(
    pool: Pool, start: Start, mask: str | None
) -> None:
    start()
    pool.open(mask=mask)

    submit = pool.hear()

    assert (submit["method"], submit["params"][:2]) == ("mining.submit", ["alice.rig1", "07000001"])
    assert len(submit["params"]) == (6 if mask else 5)
    share = int.from_bytes(sha256d(header_of(submit["params"], int(mask or "0", 16))), "little")
    assert share <= (0xFFFF << 208) * 10**9


def test_each_share_has_another_version_within_the_mask(pool: Pool, start: Start) -> None:
    start()
    pool.open(mask="00006000")
    bits = [pool.hear()["params"][5] for _ in range(5)]
    assert bits == ["00000000", "00002000", "00004000", "00006000", "00000000"]


def test_it_counts_what_is_accepted_and_rejected_and_ends_after_so_many_accepted(
    pool: Pool, start: Start
) -> None:
    running = start(count=2)
    pool.open()
    pool.answer(pool.hear(), True)
    pool.answer(pool.hear(), None, [21, "Job not found", None])
    pool.answer(pool.hear(), True)

    totals = running.ended()

    assert (totals.accepted, totals.rejected) == (2, 1)
    assert totals.hashes > 0
    assert running.kinds() == [Kind.CONNECTED, Kind.ACCEPTED, Kind.REJECTED, Kind.ACCEPTED]
    assert running.events[2].detail == "Job not found (code 21)"


def test_it_never_sends_more_than_its_count(pool: Pool, start: Start) -> None:
    running = start(count=1)
    pool.open()
    first = pool.hear()
    pool.tell("mining.notify", ["07000002", *NOTIFY[1:]])
    pool.answer(first, True)

    assert running.ended().accepted == 1


def test_it_sends_no_faster_than_its_pace(pool: Pool, start: Start) -> None:
    running = start(pace=2, count=3)
    pool.open()
    for at_s in (0.0, 0.5, 1.0):
        running.time_s = at_s
        submit = pool.hear()
        assert pool.is_quiet()
        pool.answer(submit, True)

    assert running.ended().accepted == 3


def test_a_new_job_replaces_the_old_one(pool: Pool, start: Start) -> None:
    start(pace=1)
    pool.open(difficulty=1e12)  # nothing is found on the first job
    pool.tell("mining.set_difficulty", [EASY])
    pool.tell("mining.notify", ["07000002", *NOTIFY[1:]])

    assert pool.hear()["params"][1] == "07000002"


def test_a_difficulty_holds_from_the_next_job_on(pool: Pool, start: Start) -> None:
    start()
    pool.open(difficulty=1e12)
    pool.tell("mining.set_difficulty", [EASY])
    assert pool.is_quiet()
    pool.tell("mining.notify", ["07000009", *NOTIFY[1:]])

    assert pool.hear()["params"][1] == "07000009"


def test_a_mask_told_later_is_kept_to(pool: Pool, start: Start) -> None:
    start()
    pool.open(difficulty=1e12)
    pool.tell("mining.set_version_mask", ["00006000"])
    pool.tell("mining.set_difficulty", [EASY])
    pool.tell("mining.notify", NOTIFY)

    assert int(pool.hear()["params"][5], 16) & ~0x6000 == 0


def test_a_refused_user_is_final_and_the_pool_s_words_are_told(pool: Pool, start: Start) -> None:
    running = start()
    pool.accept()
    pool.answer(pool.hear(), {})
    pool.answer(pool.hear(), [[], "0badcafe", 8])
    pool.answer(pool.hear(), None, [24, "no such account", None])

    running.ended()

    assert running.kinds() == [Kind.REFUSED]
    assert running.events[0].detail == "no such account (code 24)"


def test_a_lost_connection_is_made_again(pool: Pool, start: Start) -> None:
    running = start(count=2)
    pool.open()
    pool.answer(pool.hear(), True)
    pool.hear()
    pool.hang_up()
    pool.open()
    pool.answer(pool.hear(), True)

    assert running.ended().accepted == 2
    assert running.kinds() == [Kind.CONNECTED, Kind.ACCEPTED, Kind.LOST, Kind.CONNECTED, Kind.ACCEPTED]


@pytest.mark.parametrize(
    "line",
    [
        b"HTTP/1.1 400 Bad Request\n",
        b"[1, 2]\n",
        b'{"id": null, "method": "mining.notify", "params": ["1", "22"]}\n',
        b'{"id": null, "method": "mining.set_difficulty", "params": [0]}\n',
        b'{"id": null, "method": "client.reconnect", "params": []}\n',
    ],
)
def test_a_pool_that_makes_no_sense_is_left_and_tried_again(pool: Pool, start: Start, line: bytes) -> None:
    running = start()
    pool.accept()
    assert pool._peer is not None
    pool._peer.sendall(line)
    while Kind.LOST not in running.kinds():
        threading.Event().wait(0.001)

    assert running.kinds() == [Kind.LOST]


def test_stopping_ends_it_in_the_middle_of_hashing(pool: Pool, start: Start) -> None:
    running = start()
    pool.open(difficulty=1e12)
    running.stop.set()

    assert running.ended().accepted == 0


@pytest.mark.parametrize(
    "url", ["http://pool:1", "stratum+tcp://pool", "stratum+tcp://:3333", "stratum+tcp://p:x"]
)
def test_a_url_of_another_kind_is_refused(url: str) -> None:
    with pytest.raises(MinerError, match="stratum"):
        mine(url, "alice", clock=lambda: 0.0, stop=threading.Event(), report=lambda _: None)


def test_scanning_finds_the_first_nonce_that_meets_the_target() -> None:
    task = task_from_notify(NOTIFY, 2**252, b"\x01" * 4, 8)
    head = task.head(0x20000000, bytes(8))
    hashes = [int.from_bytes(sha256d(head + n.to_bytes(4, "little")), "little") for n in range(500)]
    expected = next(n for n, value in enumerate(hashes) if value <= task.target)

    assert scan(head, task.target, 0, 500) == expected
    assert scan(head, task.target, expected + 1, 0) is None
    assert scan(head, 0, 0, 500) is None
