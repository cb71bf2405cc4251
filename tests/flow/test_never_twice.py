"""No header is credited twice: on one connection, over several, over jobs, restarts and fronts."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from pool.miner_task import Task, task_from_notify
from stratum.board import Board
from stratum.effects import Credit, Effect, Refusal
from stratum.options import Options
from stratum.session import Session
from tests.fakes_node import StandIn
from tests.flow.conftest import MakeFront
from tests.flow.front import Front, query
from tests.flow.miner import Miner
from tests.stratum.fakes import FakeAuthorizer, find_nonce, job, line, lines

HARD_TO_HIT = 1 << 16
"""Expected hashes per share: of another header's nonces, one in so many would be a share too."""
STALE, DUPLICATE, LOW_DIFFICULTY = 21, 22, 23
EXTRANONCE1 = bytes.fromhex("00000007")


def log_size(front: Front) -> int:
    return len(query(front.store, "SELECT id FROM share"))


def test_a_share_is_credited_once_whoever_sends_it_again_and_however_often(
    node: StandIn, make_front: MakeFront
) -> None:
    front = make_front(hashes_per_share=HARD_TO_HIT, job_interval_s=1.0)
    front.start()
    with Miner(front.port, "alpha.rig") as miner:
        share = miner.share()
        old_job = share[1]
        assert miner.submit(share) is None
        assert miner.submit(share) == DUPLICATE
        as_somebody_else = [*share[:2], share[2].upper(), *share[3:]]
        assert miner.submit(as_somebody_else) == DUPLICATE

        miner.wait_for_jobs(1)
        assert miner.jobs[-1][0] != old_job
        assert miner.jobs[-1][1] == miner.jobs[0][1], "the tip is the same"
        assert miner.submit(share) == DUPLICATE
        # under the new job's name it is another header
        assert miner.submit([share[0], miner.jobs[-1][0], *share[2:]]) == LOW_DIFFICULTY
        extranonce1 = miner.extranonce1
    with Miner(front.port, "alpha.rig") as again:
        assert again.extranonce1 != extranonce1
        assert again.submit(share) == LOW_DIFFICULTY

    front.kill()
    front.start()
    with Miner(front.port, "alpha.rig") as after:
        assert after.extranonce1 == extranonce1, "of the same extranonces, but of another start"
        assert after.submit(share) == STALE
        assert after.submit([share[0], after.jobs[-1][0], *share[2:]]) == LOW_DIFFICULTY
        fresh = after.share()
        assert after.submit(fresh) is None
        tip = after.jobs[-1][1]
        node.chain.grow()
        after.wait_for_tip_other_than(tip)
        assert after.submit(fresh) == STALE
    front.terminate()

    assert log_size(front) == 2


def notified(front: Front, node: StandIn) -> list[list[Any]]:
    """Every job of one start of a front, on three tips."""
    front.start()
    with Miner(front.port, "bravo.rig") as miner:
        for _ in range(2):
            miner.wait_for_jobs(3)
            tip = miner.jobs[-1][1]
            node.chain.grow()
            miner.wait_for_tip_other_than(tip)
        miner.wait_for_jobs(2)
        jobs = miner.jobs
    front.kill()
    return jobs


def root_of(task: Task) -> bytes:
    return task.head(task.version, bytes(8))[36:68]


def test_no_header_of_one_job_can_be_one_of_any_other_job_start_or_front(
    node: StandIn, make_front: MakeFront
) -> None:
    first, second = (make_front(front_id=number, job_interval_s=0.2) for number in (0, 1))

    starts = [notified(front, node) for front in (first, second, first, second)]

    jobs = [each for start in starts for each in start]
    assert len(jobs) >= 4 * 9
    assert len({each[2] for each in jobs}) == len(jobs), "a coinbase was told twice"
    # the most dangerous case: the same extranonces everywhere
    roots = {root_of(task_from_notify(each, 1, EXTRANONCE1, 8)) for each in jobs}
    assert len(roots) == len(jobs)
    for start in starts:
        assert len({each[0] for each in start}) == len(start), "a job id was used twice"


def said(effects: list[Effect]) -> list[int | None]:
    """Codes of refusals, None for a credit; replies of other kinds left out."""
    found: list[int | None] = []
    for effect in effects:
        match effect:
            case Credit():
                found.append(None)
            case Refusal(reply):
                found.append(lines(reply)[0]["error"][0])
    return found


def test_a_connection_that_inherits_an_extranonce_cannot_be_credited_for_its_predecessor_s_share() -> None:
    # a front gives a value out again after 2^24 others only: here both sessions are simply given the same
    board = Board()
    easiest = Fraction(1, 1 << 40)
    options = Options(start_difficulty=easiest, minimum_difficulty=easiest)
    posted = board.post(job("1"), 0.0)
    before, after = (Session(options, board, FakeAuthorizer(), EXTRANONCE1) for _ in range(2))
    for session in (before, after):
        session.receive(line("mining.subscribe") + line("mining.authorize", "alice.rig", "x"), 0.0, 0)
    notify = lines(posted.notify)[0]["params"]
    nonce = find_nonce(notify, EXTRANONCE1.hex(), lambda value: True)
    submit = line("mining.submit", "alice.rig", "1", "00" * 8, notify[7], nonce)

    assert said(before.receive(submit, 0.0, 0)) == [None]
    assert said(after.receive(submit, 1.0, 1)) == [DUPLICATE]

    board.post(job("2"), 2.0)
    assert said(after.receive(submit, 3.0, 3)) == [DUPLICATE]
    board.post(job("3", tip=2), 4.0)
    assert said(after.receive(submit, 5.0, 5)) == [STALE]
    # the old tip comes back: what was seen on it has not been forgotten
    board.post(job("4"), 6.0)
    assert said(after.receive(submit, 7.0, 7)) in ([STALE], [DUPLICATE])
