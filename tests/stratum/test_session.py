"""One connection's conversation, without a socket and with the clock's readings passed in."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stratum.board import Board
from stratum.effects import Credit, Effect, Refusal
from stratum.options import MAX_LINE_BYTES, MAX_WORKERS, Options
from stratum.ports import Solution
from stratum.session import Session
from stratum.units import Difficulty, target_from_difficulty
from tests.stratum.fakes import NTIME, REGTEST_NBITS, FakeAuthorizer, easier, find_nonce, job, line, lines

EN1 = b"\x00\x00\x00\x01"
TINY: Any = Fraction(1, 2**28)  # difficulty: about one hash in sixteen meets it
EASY = Options(start_difficulty=TINY, minimum_difficulty=Difficulty(Fraction(1, 2**40)))


class Miner:
    """A session and both ends' view of it."""

    def __init__(
        self, options: Options = EASY, *, board: Board | None = None, extranonce1: bytes = EN1
    ) -> None:
        self.board = board or Board()
        self.session = Session(options, self.board, FakeAuthorizer(), extranonce1)
        self.now = 0.0
        self.effects: list[Effect] = []

    def send(self, data: bytes) -> list[dict[str, Any]]:
        """Feed bytes; the lines that come back at once."""
        self.effects = self.session.receive(data, self.now, int(self.now * 1000))
        said = [
            effect if isinstance(effect, bytes) else effect.line
            for effect in self.effects
            if isinstance(effect, bytes | Refusal)
        ]
        return lines(b"".join(said))

    def call(self, method: str, *params: Any) -> list[dict[str, Any]]:
        return self.send(line(method, *params))

    def greet(self, password: str = "x") -> list[dict[str, Any]]:
        return self.call("mining.subscribe", "test/1") + self.call("mining.authorize", "bob.rig", password)

    def new_job(self, name: str, **changes: Any) -> list[dict[str, Any]]:
        return lines(self.session.offer(self.board.post(job(name, **changes), self.now), self.now))

    def submit(self, name: str, nonce: str, *, worker: str = "bob.rig", extra: tuple[str, ...] = ()) -> Any:
        """Submit; the error code, or 0 when it was accepted."""
        replies = self.call("mining.submit", worker, name, "00" * 8, f"{NTIME:08x}", nonce, *extra)
        return replies[0]["error"][0] if replies else 0

    def nonce_below(self, notified: dict[str, Any], difficulty: Difficulty, start: int = 0) -> str:
        return find_nonce(
            notified["params"],
            self.session.extranonce1.hex(),
            easier(target_from_difficulty(difficulty)),
            start=start,
        )

    def broken(self) -> str | None:
        return self.session.broken

    def shares(self) -> list[Credit]:
        return [effect for effect in self.effects if isinstance(effect, Credit)]


def ready(options: Options = EASY, **changes: Any) -> tuple[Miner, dict[str, Any]]:
    """A miner at work and the notify it got."""
    miner = Miner(options)
    miner.board.post(job(**changes), 0)
    return miner, miner.greet()[-1]


def test_work_comes_right_after_authorize_difficulty_first() -> None:
    miner = Miner()
    miner.board.post(job(), 0)
    assert [reply["id"] for reply in miner.call("mining.subscribe", "x")] == [1]
    replies = miner.call("mining.authorize", "bob", "x")
    assert replies[0] == {"id": 1, "result": True, "error": None}
    assert [reply.get("method") for reply in replies[1:]] == ["mining.set_difficulty", "mining.notify"]
    assert replies[2]["params"][8] is True
    assert miner.session.authorized


def test_the_other_order_works_too() -> None:
    miner = Miner()
    miner.board.post(job(), 0)
    miner.call("mining.suggest_difficulty", 0.25)
    assert len(miner.call("mining.authorize", "bob", "x")) == 1
    replies = miner.call("mining.subscribe", "x")
    assert [reply.get("method") for reply in replies] == [None, "mining.set_difficulty", "mining.notify"]
    assert replies[1]["params"] == [0.25]


def test_a_pipelined_greeting_is_answered_in_order() -> None:
    miner = Miner()
    miner.board.post(job(), 0)
    replies = miner.send(
        line("mining.configure", ["version-rolling"], {}, request_id=1)
        + line("mining.subscribe", "bitaxe", request_id="two")
        + line("mining.authorize", "bob", "x", request_id=3)
    )
    assert [reply["id"] for reply in replies] == [1, "two", 3, None, None]


def test_before_the_first_job_there_is_silence_and_submissions_find_no_job() -> None:
    miner = Miner()
    assert len(miner.greet()) == 2
    assert miner.submit("1", "00000000") == 21
    assert [each["method"] for each in miner.new_job("1")] == ["mining.set_difficulty", "mining.notify"]


def test_a_job_goes_to_nobody_who_is_not_both_subscribed_and_authorized() -> None:
    miner = Miner()
    assert miner.new_job("1") == []
    miner.call("mining.subscribe")
    assert miner.new_job("2") == []


@pytest.mark.parametrize(
    ("extensions", "parameters", "result"),
    [
        (
            ["version-rolling"],
            {"version-rolling.mask": "ffffffff", "version-rolling.min-bit-count": 2},
            {"version-rolling": True, "version-rolling.mask": "1fffe000"},
        ),
        (["version-rolling"], {}, {"version-rolling": True, "version-rolling.mask": "1fffe000"}),
        (
            ["version-rolling"],
            {"version-rolling.mask": "00c00000", "version-rolling.bit-count": 2},
            {"version-rolling": True, "version-rolling.mask": "00c00000"},
        ),
        (
            ["version-rolling"],
            {"version-rolling.mask": "00c00000", "version-rolling.bit-count": 3},
            {"version-rolling": False},
        ),
        (["version-rolling"], {"version-rolling.mask": "00000001"}, {"version-rolling": False}),
        (["version-rolling"], {"version-rolling.mask": 7}, {"version-rolling": False}),
        (["minimum-difficulty"], {"minimum-difficulty.value": 16}, {"minimum-difficulty": True}),
        (["minimum-difficulty"], {}, {"minimum-difficulty": False}),
        (["subscribe-extranonce", "info"], {}, {"subscribe-extranonce": True, "info": True}),
        (["blake3"], {}, {"blake3": False}),
        ([], {}, {}),
    ],
)
def test_configure_answers_what_was_asked_and_nothing_else(
    extensions: list[str], parameters: dict[str, object], result: dict[str, object]
) -> None:
    assert Miner().call("mining.configure", extensions, parameters)[0]["result"] == result


@pytest.mark.parametrize(
    ("method", "params", "result"),
    [
        ("mining.extranonce.subscribe", [], True),
        ("mining.multi_version", [1], True),
        ("mining.get_transactions", ["1"], []),
        ("mining.ping", [], "pong"),
        ("ping", [], "pong"),
        ("client.get_version", [], "sluice"),
        ("mining.suggest_difficulty", [16], True),
        ("mining.suggest_difficulty", [0.004], True),
        ("mining.suggest_difficulty", ["0.5"], True),
        ("mining.suggest_target", ["00" * 4 + "ff" * 28], True),
    ],
)
def test_lesser_requests_are_answered(method: str, params: list[Any], result: object) -> None:
    assert Miner().call(method, *params) == [{"id": 1, "result": result, "error": None}]


def test_an_unknown_method_is_error_20_and_the_connection_lives() -> None:
    miner = Miner()
    assert miner.call("mining.dance")[0]["error"] == [20, "Unknown method", None]
    assert miner.broken() is None


def test_an_answer_from_the_miner_is_passed_over() -> None:
    assert Miner().send(b'{"id":4,"result":true}\n\n  \r\n') == []


def test_a_refused_username_is_error_24_with_the_reason_and_others_may_follow() -> None:
    miner = Miner()
    miner.board.post(job(), 0)
    miner.call("mining.subscribe", "test")
    refused = miner.call("mining.authorize", "banned.x", "x")
    assert refused[0]["error"] == [24, "this account is banned: “ask”", None]
    assert not miner.session.authorized
    assert len(miner.call("mining.authorize", "bob", "x")) == 3


def test_several_workers_share_a_connection_up_to_a_limit() -> None:
    miner, notified = ready()
    assert miner.call("mining.authorize", "eve.2", "x") == [{"id": 1, "result": True, "error": None}]
    assert miner.submit("1", miner.nonce_below(notified, TINY), worker="eve.2") == 0
    assert (miner.shares()[0].share.account, miner.shares()[0].share.worker) == ("eve", "2")
    miner.send(b"".join(line("mining.authorize", f"bob.{n}", "x") for n in range(MAX_WORKERS - 2)))
    assert miner.call("mining.authorize", "one.more", "x")[0]["error"][0] == 24
    assert miner.call("mining.authorize", "eve.2", "x")[0]["result"] is True


def test_submissions_need_authorize_and_subscribe() -> None:
    miner = Miner()
    miner.board.post(job(), 0)
    assert miner.submit("1", "00000000") == 24
    miner.call("mining.authorize", "bob.rig", "x")
    assert miner.submit("1", "00000000") == 25


def test_every_fault_of_a_submission_has_its_code() -> None:
    miner, notified = ready()
    good = miner.nonce_below(notified, TINY)
    assert miner.submit("none", good) == 21
    assert miner.submit("1", "xyz") == 20
    assert miner.submit("1", good, extra=("00002000",)) == 20
    assert miner.submit("1", good, worker="stranger") == 24
    assert miner.submit("1", good) == 0
    assert miner.submit("1", good) == 22
    bad = find_nonce(notified["params"], EN1.hex(), lambda value: value > target_from_difficulty(TINY))
    assert miner.submit("1", bad) == 23
    miner.new_job("2", tip=2)
    assert miner.submit("1", good) == 21


def test_an_accepted_share_says_all_that_is_credited() -> None:
    miner, notified = ready()
    miner.now = 12.5
    assert miner.submit("1", miner.nonce_below(notified, TINY)) == 0
    (credit,) = miner.shares()
    share = credit.share
    assert credit.request_id == b"1"
    assert (share.account, share.worker, share.job_id, share.height) == ("bob", "rig", "1", 101)
    assert (share.target, share.time_ms) == (target_from_difficulty(TINY), 12_500)
    assert share.block_hash is None


def test_rolled_version_bits_count_within_the_negotiated_mask() -> None:
    miner = Miner(
        Options(start_difficulty=Difficulty(Fraction(1, 2**40)), minimum_difficulty=Fraction(1, 2**40))
    )
    miner.board.post(job(), 0)
    miner.call("mining.configure", ["version-rolling"], {"version-rolling.mask": "00ffe000"})
    miner.greet()
    assert miner.submit("1", "00000000", extra=("00002000",)) == 0
    assert miner.submit("1", "00000000", extra=("01000000",)) == 20


def test_a_block_is_a_solution_before_it_is_a_share() -> None:
    miner, notified = ready(nbits=REGTEST_NBITS)
    nonce = find_nonce(notified["params"], EN1.hex(), easier(job(nbits=REGTEST_NBITS).network_target))
    assert miner.submit("1", nonce) == 0
    solution, credit = miner.effects
    assert isinstance(solution, Solution)
    assert isinstance(credit, Credit)
    assert solution.share is credit.share
    assert credit.share.block_hash == solution.block_hash
    assert (solution.account, solution.worker) == ("bob", "rig")


@pytest.mark.parametrize("fault", ["stale", "duplicate", "stranger"])
def test_a_block_that_earns_nothing_is_a_solution_all_the_same(fault: str) -> None:
    miner, notified = ready(nbits=REGTEST_NBITS)
    nonce = find_nonce(notified["params"], EN1.hex(), easier(job(nbits=REGTEST_NBITS).network_target))
    if fault == "duplicate":
        miner.submit("1", nonce)
    if fault == "stale":
        miner.new_job("2", tip=2)
    code = miner.submit("1", nonce, worker="stranger" if fault == "stranger" else "bob.rig")
    assert code == {"stale": 21, "duplicate": 22, "stranger": 24}[fault]
    solution = miner.effects[0]
    assert isinstance(solution, Solution)
    assert solution.share is None
    assert solution.account == "bob"


def test_jobs_on_the_same_tip_are_not_clean_and_on_a_new_one_they_are() -> None:
    miner, _ = ready()
    (same,) = miner.new_job("2")
    (other,) = miner.new_job("3", tip=2)
    (forced,) = miner.new_job("4", tip=2, clean=True)
    assert [each["params"][8] for each in (same, other, forced)] == [False, True, True]


def test_a_new_difficulty_comes_with_the_next_job_which_is_clean_then() -> None:
    miner, _ = ready()
    assert len(miner.call("mining.suggest_difficulty", 0.5)) == 1
    told, notified = miner.new_job("2")
    assert told["params"] == [0.5]
    assert notified["params"][8] is True


def test_shares_of_jobs_before_a_rise_are_judged_at_the_old_difficulty() -> None:
    miner, notified = ready()
    miner.call("mining.suggest_difficulty", 1024)
    miner.new_job("2")
    easy = miner.nonce_below(notified, TINY)
    assert miner.submit("1", easy) == 0
    assert miner.shares()[0].share.target == target_from_difficulty(TINY)
    assert miner.submit("2", easy) == 23


def test_shares_of_jobs_before_a_fall_are_judged_at_the_new_difficulty() -> None:
    miner, notified = ready()
    lower = Difficulty(TINY / 4)
    miner.call("mining.suggest_difficulty", float(lower))
    miner.new_job("2")
    assert miner.submit("1", miner.nonce_below(notified, lower)) == 0
    assert miner.shares()[0].share.target == target_from_difficulty(lower)


def test_a_fixed_difficulty_stays_whatever_is_suggested_or_sent() -> None:
    miner = Miner()
    miner.board.post(job(), 0)
    assert miner.greet("d=0.001")[2]["params"] == [0.001]
    miner.call("mining.suggest_difficulty", 5)
    miner.now = 1000
    assert [each["method"] for each in miner.new_job("2")] == ["mining.notify"]


def test_a_minimum_is_a_floor_that_difficulty_falls_back_to_but_not_through() -> None:
    miner = Miner(Options(start_difficulty=Difficulty(Fraction(1, 4))))
    miner.board.post(job(), 0)
    assert miner.greet("md=0.125")[2]["params"] == [0.25]
    miner.now = 600
    assert miner.new_job("2")[0]["params"] == [0.125]
    miner.now = 1200
    assert len(miner.new_job("3")) == 1


def test_no_wish_goes_below_the_pools_minimum() -> None:
    miner = Miner(Options(minimum_difficulty=Difficulty(Fraction(2))))
    miner.board.post(job(nbits=0x1A00FFFF), 0)
    assert miner.greet("d=0.1,md=0.1")[2]["params"] == [2]


def test_no_difficulty_is_above_the_networks() -> None:
    miner = Miner(Options())
    miner.board.post(job(), 0)
    assert miner.greet()[2]["params"] == [1]
    assert miner.new_job("2", tip=2, nbits=0x1C00FFFF)[0]["params"] == [256]


def test_a_small_machine_starts_low_unless_it_says_where() -> None:
    nerd, wishing = Miner(Options()), Miner(Options())
    for miner in (nerd, wishing):
        miner.board.post(job(nbits=0x1A00FFFF), 0)
    nerd.call("mining.subscribe", "NerdMinerV2")
    assert nerd.call("mining.authorize", "bob", "x")[1]["params"] == [1 / 256]
    wishing.call("mining.suggest_difficulty", 2)
    wishing.call("mining.subscribe", "NerdMinerV2")
    assert wishing.call("mining.authorize", "bob", "x")[1]["params"] == [2]
    wishing.call("mining.subscribe", "NerdMinerV2")
    assert len(wishing.new_job("2", nbits=0x1A00FFFF)) == 1


def test_a_minimum_set_at_work_holds_from_the_next_job() -> None:
    miner, _ = ready()
    miner.call("mining.configure", ["minimum-difficulty"], {"minimum-difficulty.value": 0.5})
    assert miner.new_job("2")[0]["params"] == [0.5]


def test_a_fast_machine_is_raised_and_a_silent_one_eased() -> None:
    miner, notified = ready()
    nonce = "00000000"
    for _ in range(12):
        nonce = miner.nonce_below(notified, TINY, start=int(nonce, 16) + 1)
        assert miner.submit("1", nonce) == 0
    miner.now = 6
    assert miner.new_job("2")[0]["params"][0] == float(TINY) * 10
    miner.now = 66
    assert miner.new_job("3")[0]["params"][0] < float(TINY)


def test_without_vardiff_difficulty_stays() -> None:
    miner = Miner(Options(start_difficulty=TINY, minimum_difficulty=TINY, vardiff=False))
    miner.board.post(job(), 0)
    miner.greet()
    miner.now = 1000
    assert len(miner.new_job("2")) == 1


def test_a_repeated_suggestion_does_not_undo_vardiff() -> None:
    miner = Miner()
    miner.board.post(job(), 0)
    miner.call("mining.suggest_difficulty", 0.5)
    assert miner.greet()[2]["params"] == [0.5]
    miner.now = 120
    eased = miner.new_job("2")[0]["params"][0]
    assert eased < 0.5
    miner.call("mining.suggest_difficulty", 0.5)
    miner.now = 121
    assert len(miner.new_job("3")) == 1


def test_a_steady_window_changes_nothing() -> None:
    miner = Miner(Options(start_difficulty=TINY, minimum_difficulty=TINY, shares_per_minute=1))
    miner.board.post(job(), 0)
    notified = miner.greet()[-1]
    nonce = "00000000"
    for _ in range(4):
        nonce = miner.nonce_below(notified, TINY, start=int(nonce, 16) + 1)
        miner.submit("1", nonce)
    miner.now = 240
    assert len(miner.new_job("2")) == 1


def test_a_line_too_long_breaks_the_connection() -> None:
    for data in (b"x" * (MAX_LINE_BYTES + 1), b"x" * (MAX_LINE_BYTES + 1) + b"\n"):
        miner = Miner()
        assert miner.send(data) == []
        assert miner.broken() == "line too long"


def test_malformed_lines_are_answered_ten_times_and_a_share_makes_up_for_them() -> None:
    miner, notified = ready()
    for _ in range(10):
        assert miner.send(b"nonsense\n")[0]["error"][0] == 20
    assert miner.submit("1", miner.nonce_below(notified, TINY)) == 0
    for _ in range(10):
        miner.send(b"nonsense\n")
    assert miner.broken() is None
    miner.send(b"nonsense\n" + line("mining.ping"))
    assert miner.broken() == "too many malformed requests"
    assert len(miner.effects) == 1


CONVERSATION = (
    line("mining.configure", ["version-rolling"], {}, request_id=1)
    + line("mining.subscribe", "é", request_id=2)
    + b"junk\r\n\n"
    + line("mining.authorize", "bob.rig", "x", request_id=3)
    + line("mining.submit", "bob.rig", "1", "00" * 8, f"{NTIME:08x}", "00000000", request_id=4)
    + line("mining.submit", "bob.rig", "1", "00" * 8, f"{NTIME:08x}", "00000000", request_id=5)
)


@given(st.lists(st.integers(0, len(CONVERSATION)), max_size=12))
def test_how_the_bytes_are_cut_changes_nothing(cuts: list[int]) -> None:
    whole, cut = Miner(Options(start_difficulty=TINY)), Miner(Options(start_difficulty=TINY))
    whole.board.post(job(nbits=REGTEST_NBITS), 0)
    cut.board.post(job(nbits=REGTEST_NBITS), 0)
    expected = whole.session.receive(CONVERSATION, 0, 0)
    edges = [0, *sorted(cuts), len(CONVERSATION)]
    effects: list[Effect] = []
    for start, end in pairwise(edges):
        effects += cut.session.receive(CONVERSATION[start:end], 0, 0)
    assert str(effects) == str(expected)


@given(st.lists(st.binary(max_size=80), max_size=20))
def test_junk_never_raises(chunks: list[bytes]) -> None:
    miner = Miner()
    for chunk in chunks:
        if miner.broken() is None:
            miner.send(chunk)
