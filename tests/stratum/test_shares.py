"""The judge against an independent header builder; and no header is ever credited twice."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from stratum import shares, wire
from stratum.board import Board, Posted
from stratum.errors import Code
from stratum.shares import Accepted, Rejected, Seat, Verdict, judge
from stratum.units import MAX_TARGET, Target
from tests.stratum.fakes import HARD_NBITS, NTIME, REGTEST_NBITS, hash_value, header_of, job

EN1 = b"\x01\x02\x03\x04"
MASK = 0x1FFFE000


def submission(job_id: str = "1", **changes: Any) -> wire.Submit:
    fields: dict[str, Any] = {
        "id": b"1",
        "worker": "bob",
        "job_id": job_id,
        "extranonce2": bytes(8),
        "ntime": NTIME,
        "nonce": 0,
        "version_bits": None,
    }
    return wire.Submit(**(fields | changes))


def value_of(posted: Posted, submit: wire.Submit, extranonce1: bytes = EN1) -> int:
    """The hash that a miner would see, worked out from the notify line."""
    params = json.loads(posted.notify)["params"]
    bits = 0 if submit.version_bits is None else submit.version_bits
    version = (int(params[5], 16) & ~MASK) | bits
    header = header_of(
        params,
        extranonce1.hex(),
        submit.extranonce2.hex(),
        f"{submit.ntime:08x}",
        f"{submit.nonce:08x}",
        version,
    )
    return hash_value(header)


def verdict(
    board: Board, submit: wire.Submit, *, target: int = MAX_TARGET, now: float = 0, **rest: Any
) -> Verdict:
    posted = board.find(submit.job_id)
    assert posted is not None
    return judge(board, posted, submit, Seat(EN1, MASK), Target(target), now, **rest)


@given(
    st.integers(0, 2**32 - 1),
    st.integers(NTIME - 600, NTIME + 7000),
    st.binary(min_size=8, max_size=8),
    st.binary(min_size=4, max_size=4),
    st.none() | st.integers(0, 0xFFFF).map(lambda bits: bits << 13),
)
def test_the_hash_agrees_with_an_independent_builder(
    nonce: int, ntime: int, extranonce2: bytes, extranonce1: bytes, bits: int | None
) -> None:
    board = Board()
    posted = board.post(job(), 0)
    submit = submission(nonce=nonce, ntime=ntime, extranonce2=extranonce2, version_bits=bits)
    value = value_of(posted, submit, extranonce1)
    below = judge(board, posted, submit, Seat(extranonce1, MASK), Target(value - 1), 0)
    assert below == shares.LOW_DIFFICULTY
    exactly = judge(board, posted, submit, Seat(extranonce1, MASK), Target(value), 0)
    assert exactly == Accepted(Target(value), value.to_bytes(32, "little"), value)
    assert judge(board, posted, submit, Seat(extranonce1, MASK), Target(value), 0) == shares.DUPLICATE


def block_nonce(posted: Posted) -> int:
    return next(n for n in range(1000) if value_of(posted, submission(nonce=n)) <= posted.job.network_target)


def test_a_block_is_a_share_even_when_the_target_asked_for_more() -> None:
    board = Board()
    posted = board.post(job(nbits=REGTEST_NBITS), 0)
    found = verdict(board, submission(nonce=block_nonce(posted)), target=0)
    assert isinstance(found, Accepted)
    assert found.target == posted.job.network_target
    assert found.block is not None
    assert found.block.block_hash == found.digest[::-1].hex()
    assert len(found.block.header) == 80
    assert found.block.coinbase == posted.job.coinb1 + EN1 + bytes(8) + posted.job.coinb2


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("stale", Code.STALE),
        ("duplicate", Code.DUPLICATE),
        ("unauthorized", Code.UNAUTHORIZED),
        ("time", Code.OTHER),
    ],
)
def test_a_block_is_reported_whatever_else_is_wrong_with_it(fault: str, code: Code) -> None:
    board = Board()
    posted = board.post(job(nbits=REGTEST_NBITS, max_ntime=NTIME - (fault == "time")), 0)
    submit = submission(nonce=block_nonce(posted))
    if fault == "duplicate":
        verdict(board, submit)
    if fault == "stale":
        board.post(job("2", tip=2), 0)
    found = verdict(board, submit, authorized=fault != "unauthorized")
    assert isinstance(found, Rejected)
    assert found.code == code
    assert found.block is not None


def test_a_share_of_the_tip_before_is_stale_at_once() -> None:
    board = Board()
    board.post(job("1", tip=1), 0)
    board.post(job("2", tip=2), 0)
    assert verdict(board, submission("1")) == shares.STALE
    assert isinstance(verdict(board, submission("2")), Accepted)


def test_a_replaced_job_on_the_same_tip_counts_for_two_minutes() -> None:
    board = Board()
    board.post(job("1"), 0)
    board.post(job("2"), 1000)
    board.post(job("3"), 1030)
    assert isinstance(verdict(board, submission("1"), now=1120), Accepted)
    assert verdict(board, submission("1", nonce=1), now=1120.1) == shares.STALE
    assert isinstance(verdict(board, submission("2"), now=1150), Accepted)


def test_times_and_version_bits_outside_their_range_are_refused() -> None:
    board = Board()
    board.post(job(), 0)
    assert verdict(board, submission(ntime=NTIME - 601)) == shares.BAD_TIME
    assert verdict(board, submission(ntime=NTIME + 7001)) == shares.BAD_TIME
    assert verdict(board, submission(version_bits=0x2000_0000)) == shares.BAD_VERSION
    assert verdict(board, submission(version_bits=0x1000)) == shares.BAD_VERSION


def test_a_share_that_was_not_stored_may_come_again() -> None:
    board = Board()
    board.post(job(), 0)
    first = verdict(board, submission())
    assert isinstance(first, Accepted)
    board.forget(first.digest)
    assert verdict(board, submission()) == first


def test_a_tip_that_comes_back_remembers_its_headers() -> None:
    board = Board()
    board.post(job("1", tip=1), 0)
    assert isinstance(verdict(board, submission("1")), Accepted)
    board.post(job("2", tip=2), 0)
    board.post(job("1b", tip=1, coinb1=job("1").coinb1), 0)
    assert board.find("1") is None
    assert verdict(board, submission("1b")) == shares.DUPLICATE


def test_old_jobs_are_forgotten_after_two_tips_or_five_hundred_jobs() -> None:
    board = Board()
    for tip in (1, 2, 3):
        board.post(job(str(tip), tip=tip), 0)
    assert board.find("1") is None
    assert board.find("2") is not None
    for number in range(600):
        board.post(job(f"n{number}", tip=3), 0)
    assert board.find("2") is None
    assert board.find("n0") is None
    assert board.find("n599") is not None


def test_nothing_counts_on_an_empty_board() -> None:
    board = Board()
    posted = Board().post(job(), 0)
    assert board.is_stale(posted, 0)


def test_a_seat_that_stays_hashes_like_one_that_is_new() -> None:
    board, seat = Board(), Seat(EN1, MASK)
    one = board.post(job("1", coinb1=b"same"), 0)
    two = board.post(job("2", coinb1=b"same", branches=()), 0)
    for posted, extranonce2 in [(one, 0), (one, 0), (one, 1), (two, 1), (one, 1), (one, 1)]:
        submit = submission(posted.job.id, extranonce2=bytes([extranonce2] * 8))
        value = value_of(posted, submit)
        found = judge(Board(), posted, submit, seat, MAX_TARGET, 0)
        assert found == shares.STALE
        board.forget(value.to_bytes(32, "little"))
        assert judge(board, posted, submit, seat, Target(value), 0) == Accepted(
            Target(value), value.to_bytes(32, "little"), value
        )


class NoHeaderTwice(RuleBasedStateMachine):
    """Jobs that differ in nothing but their time, two tips that compete, miners that resubmit anything."""

    def __init__(self) -> None:
        super().__init__()
        self.board = Board()
        self.names: list[str] = []
        self.credited: list[int] = []
        self.clock = 0.0
        self.post(1, 0)

    @rule(tip=st.integers(1, 2), later=st.integers(0, 2))
    def post(self, tip: int, later: int) -> None:
        name = f"{len(self.names):x}"
        self.names.append(name)
        # the same coinbase each time: ntime rolling can then make the same header out of different jobs
        self.board.post(job(name, tip=tip, coinb1=b"same", ntime=NTIME + later), self.clock)

    @rule(seconds=st.sampled_from([1, 119, 121]))
    def wait(self, seconds: float) -> None:
        self.clock += seconds

    @rule(
        which=st.integers(0, 5),
        miner=st.integers(0, 1),
        ntime=st.integers(0, 2),
        bits=st.sampled_from([None, 0]),
    )
    def submit(self, which: int, miner: int, ntime: int, bits: int | None) -> None:
        posted = self.board.find(self.names[-1 - which % len(self.names)])
        if posted is None:
            return
        sent = submission(posted.job.id, ntime=NTIME + ntime, version_bits=bits)
        extranonce1 = EN1 if miner else b"\x00\x00\x00\x09"
        found = judge(self.board, posted, sent, Seat(extranonce1, MASK), MAX_TARGET, self.clock)
        if isinstance(found, Accepted):
            self.credited.append(value_of(posted, sent, extranonce1))

    @invariant()
    def every_credited_header_is_credited_once(self) -> None:
        assert len(self.credited) == len(set(self.credited))


TestNoHeaderIsEverCreditedTwice = NoHeaderTwice.TestCase
TestNoHeaderIsEverCreditedTwice.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)


def test_the_hard_network_target_stays_harder_than_the_shares() -> None:
    assert job(nbits=HARD_NBITS).network_target < MAX_TARGET
