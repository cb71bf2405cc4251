"""Work: what jobs are made when, what is kept for their blocks, and how it behaves when node or disk fail."""

from __future__ import annotations

import binascii
from pathlib import Path
from typing import Any, cast

import attrs
import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import ILogObserver, globalLogPublisher

from pool.chain import saved
from pool.chain.block import block_hash, parse_header
from pool.chain.coinbase import Payee, root_from_branch, sha256d
from pool.chain.node import Accepted, Refused, SubmitResult, Unanswered
from pool.chain.template import Template
from pool.errors import StoreError
from pool.jobs import KEEP_JOBS_S, Settings
from pool.work import Work
from stratum.jobs import Job
from stratum.ports import Share, Solution
from stratum.units import Target
from tests.fakes_mining import WordedNode

ADDRESS = ("bcrt1qpool", b"\x00\x14" + b"\x09" * 20)
NOW_S = 1_700_000_000.0


@attrs.define
class Bench:
    """A Work with everything around it in the test's hands."""

    node: WordedNode
    clock: Clock
    work: Work
    jobs: list[Job]
    recorded: list[tuple[str, str, SubmitResult]]
    addresses: list[tuple[str, bytes] | Exception | None]
    directory: Path

    def pass_s(self, seconds: float) -> None:
        """Time in steps small enough for every timer."""
        for _ in range(round(seconds * 2)):
            self.clock.advance(0.5)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    node, clock = WordedNode(), Clock()
    clock.advance(NOW_S)
    recorded: list[tuple[str, str, SubmitResult]] = []
    addresses: list[tuple[str, bytes] | Exception | None] = [ADDRESS]

    def pays() -> tuple[Payee, ...] | None:
        if isinstance(addresses[-1], Exception):
            raise addresses[-1]
        return None if addresses[-1] is None else (Payee(*addresses[-1]),)

    def record(block: str, name: str, result: SubmitResult) -> None:
        recorded.append((block, name, result))

    settings = Settings(front_id=1, boot=0x105, tag="/t/", directory=tmp_path)
    work = Work([node], pays, record, settings, clock)
    jobs: list[Job] = []
    work.watch(jobs.append)
    return Bench(node, clock, work, jobs, recorded, addresses, tmp_path)


@pytest.fixture
def events() -> Any:
    seen: list[dict[str, Any]] = []
    note = cast(ILogObserver, seen.append)
    globalLogPublisher.addObserver(note)
    yield seen
    globalLogPublisher.removeObserver(note)


def said(events: list[dict[str, Any]], level: str) -> list[str]:
    return [event["log_format"] for event in events if event["log_level"].name == level]


def solution(job: Job, *, earned: bool = True) -> Solution:
    coinbase = job.coinb1 + b"\x01\x02\x03\x04" + bytes(8) + job.coinb2
    head = (
        job.version.to_bytes(4, "little") + job.prev_hash + root_from_branch(sha256d(coinbase), job.branches)
    )
    header = head + job.ntime.to_bytes(4, "little") + job.nbits.to_bytes(4, "little") + bytes(4)
    found = block_hash(header)
    share = Share(
        "alice",
        "rig1",
        Target(2**250),
        job.nbits,
        job.height,
        1_700_000_000_456,
        job.id,
        found,
        hash_value=int(found, 16),
    )
    return Solution(job, header, coinbase, found, share if earned else None, "alice", "rig1")


def test_the_first_template_becomes_a_clean_job(bench: Bench) -> None:
    assert bench.work.current() is None

    bench.work.start()

    (job,) = bench.jobs
    assert bench.work.current() is job
    template = bench.node.build()
    assert (job.height, job.prev_hash, job.clean) == (500, template.prev_hash, True)
    assert (job.ntime, job.min_ntime, job.max_ntime) == (1700000600, 1700000000, 1700007600)
    assert (job.version, job.nbits, job.network_target) == (0x20000000, 0x207FFFFF, template.network_target)
    assert ADDRESS[1] in job.coinb2
    assert bench.work.template_s == NOW_S


def test_a_new_tip_found_by_polling_is_a_clean_job_within_two_seconds(bench: Bench) -> None:
    bench.work.start()
    bench.node.grow()
    bench.pass_s(2)

    assert [(job.height, job.clean) for job in bench.jobs] == [(500, True), (501, True)]


def test_a_new_tip_told_by_longpoll_is_a_job_at_once_and_only_once(bench: Bench) -> None:
    bench.work.start()
    bench.node.grow()
    bench.node.longpolls[0].callback(bench.node.build())

    assert [job.height for job in bench.jobs] == [500, 501]
    bench.pass_s(5)
    assert len(bench.jobs) == 2
    assert len(bench.node.longpolls) == 2


def test_on_the_same_tip_a_fresh_job_comes_every_interval_and_is_not_clean(bench: Bench) -> None:
    bench.work.start()
    bench.node.changes["curtime"] = 1700000700
    bench.pass_s(29)
    assert len(bench.jobs) == 1
    bench.pass_s(1.5)

    assert [(job.ntime, job.clean) for job in bench.jobs] == [(1700000600, True), (1700000700, False)]
    bench.pass_s(60)
    assert len(bench.jobs) == 4
    assert bench.node.templates_asked <= 6  # templates are large: the tip is what is polled


def test_an_extra_job_is_told_to_nobody_and_has_a_coinbase_of_its_own(bench: Bench) -> None:
    assert bench.work.extra() is None
    bench.work.start()
    bench.pass_s(1)
    first = bench.jobs[0]
    extra = bench.work.extra()
    assert extra is not None
    assert bench.jobs == [first]
    assert bench.work.current() is first
    assert (extra.prev_hash, extra.clean) == (first.prev_hash, False)
    assert extra.id != first.id
    assert extra.coinb1 != first.coinb1
    bench.pass_s(30)
    assert len(bench.jobs) == 2


def test_there_is_no_extra_job_without_an_address_or_a_node_that_answers(bench: Bench) -> None:
    bench.work.start()
    bench.addresses.append(None)
    assert bench.work.extra() is None
    bench.addresses.pop()
    bench.work.heard_s = bench.clock.seconds() - 1000
    assert bench.work.extra() is None


def test_new_transactions_told_by_longpoll_wait_for_the_interval(bench: Bench) -> None:
    bench.work.start()
    bench.pass_s(10)
    bench.node.longpolls[-1].callback(bench.node.build())

    assert len(bench.jobs) == 1


def test_a_node_whose_longpoll_answers_without_news_is_not_asked_in_a_circle(bench: Bench) -> None:
    bench.work.start()
    for _ in range(20):
        waiting = bench.node.longpolls[-1]
        if not waiting.called:
            waiting.callback(bench.node.build())
        bench.clock.advance(0.1)

    assert len(bench.node.longpolls) <= 3


def test_a_template_that_was_overtaken_by_the_longpoll_is_dropped(bench: Bench) -> None:
    bench.work.start()
    late: Deferred[Template] = Deferred()
    old = bench.node.build()

    async def slow(longpoll_id: str | None) -> Template:
        return await late

    ask, bench.node.template = bench.node.template, slow  # type: ignore[method-assign]
    bench.node.grow()
    bench.pass_s(2)
    bench.node.template = ask  # type: ignore[method-assign]
    bench.node.longpolls[0].callback(bench.node.build())
    late.callback(old)

    assert [job.height for job in bench.jobs] == [500, 501]


def test_job_ids_are_short_hex_that_never_repeats_nor_shares_a_crc_with_its_neighbours(bench: Bench) -> None:
    bench.work.start()
    for _ in range(600):
        bench.node.grow()
        bench.node.answer_longpoll()
        bench.clock.advance(0)

    ids = [job.id for job in bench.jobs]
    assert len(ids) == len(set(ids)) == 601
    assert all(len(job_id) == 8 and int(job_id, 16) for job_id in ids)
    crcs = [binascii.crc_hqx(job_id.encode(), 0) for job_id in ids]
    assert all(len(set(crcs[at : at + 256])) == 256 for at in range(len(crcs) - 255))


def test_jobs_that_differ_only_in_time_have_different_coinbases(bench: Bench) -> None:
    bench.work.start()
    bench.pass_s(31)

    first, second = bench.jobs
    assert first.prev_hash == second.prev_hash
    assert first.coinb1 != second.coinb1


@pytest.mark.parametrize("nothing", [None, StoreError("the store cannot be read")])
def test_without_an_address_there_are_no_jobs_and_the_log_says_so_once(
    bench: Bench, events: list[dict[str, Any]], nothing: Exception | None
) -> None:
    bench.addresses.append(nothing)
    bench.work.start()
    bench.pass_s(5)
    assert bench.work.current() is None
    assert said(events, "error") == ["{what} failed, trying again: {why}"]

    bench.addresses.append(ADDRESS)
    bench.pass_s(1)

    assert [job.clean for job in bench.jobs] == [True]
    assert said(events, "info")[-1] == "{what} works again"


def test_an_exhausted_stock_takes_the_old_job_back(bench: Bench) -> None:
    bench.work.start()
    bench.addresses.append(None)
    bench.node.grow()
    bench.pass_s(2)

    assert bench.work.current() is None


def test_a_node_that_is_silent_for_too_long_means_no_work(bench: Bench) -> None:
    bench.work.start()
    bench.node.down = "refused"
    bench.pass_s(59)
    assert bench.work.current() is not None
    bench.pass_s(10)

    assert bench.work.current() is None


def test_work_goes_on_when_the_node_is_back(bench: Bench, events: list[dict[str, Any]]) -> None:
    bench.work.start()
    bench.node.down = "Connection refused"
    bench.pass_s(300)
    bench.node.down = None
    bench.node.grow()
    bench.pass_s(10)

    assert [job.height for job in bench.jobs] == [500, 501]
    assert bench.work.current() is bench.jobs[-1]
    assert len(said(events, "error")) == 1
    assert said(events, "info")[-1] == "{what} works again"


def test_work_starts_while_the_node_is_still_down(bench: Bench) -> None:
    bench.node.down = "Connection refused"
    bench.work.start()
    bench.pass_s(60)
    bench.node.down = None
    bench.pass_s(11)

    assert len(bench.jobs) == 1


def test_a_bug_in_one_round_is_logged_and_does_not_end_the_work(
    bench: Bench, events: list[dict[str, Any]]
) -> None:
    bench.work.start()
    bench.node.bug = True
    bench.pass_s(2)
    bench.node.bug = False
    bench.node.grow()
    bench.pass_s(12)

    assert said(events, "critical") == ["{what} met a bug, trying again"]
    assert [job.height for job in bench.jobs] == [500, 501]


def test_after_stop_nothing_is_asked_any_more(bench: Bench) -> None:
    bench.work.start()
    bench.work.stop()
    bench.node.grow()
    bench.pass_s(5)

    assert len(bench.jobs) == 1
    assert bench.clock.getDelayedCalls() == []


def test_a_solution_is_on_disk_before_it_is_submitted(bench: Bench) -> None:
    bench.work.start()
    on_disk: list[int] = []
    submit = bench.node.submit

    async def watched(block_hex: str) -> SubmitResult:
        on_disk.append(len(saved.read_all(bench.directory)))
        return await submit(block_hex)

    bench.node.submit = watched  # type: ignore[method-assign]
    found = solution(bench.jobs[0])

    kept = bench.work.solve(found)

    assert on_disk == [1]
    assert saved.read_all(bench.directory) == [kept]
    assert bench.recorded == [(found.block_hash, "fake:8332", Accepted())]


def test_the_saved_block_has_all_of_job_address_share_and_bytes(bench: Bench) -> None:
    bench.work.start()
    found = solution(bench.jobs[0])

    kept = bench.work.solve(found)

    assert kept is not None
    assert (kept.address, kept.height, kept.job_id) == (ADDRESS[0], 500, bench.jobs[0].id)
    assert (kept.share, kept.found_ms) == (found.share, 1_700_000_000_456)
    assert kept.prev_hash == bench.node.best
    assert block_hash(kept.block) == kept.hash == found.block_hash
    assert parse_header(kept.block[:80]).merkle_root == parse_header(found.header).merkle_root
    assert kept.block.endswith(bytes.fromhex("0200aa" + "0200bbcc"))
    assert bench.node.submitted == [kept.block.hex()]


def test_a_solution_that_earns_nothing_is_submitted_all_the_same(bench: Bench) -> None:
    bench.work.start()

    kept = bench.work.solve(solution(bench.jobs[0], earned=False))

    assert kept is not None
    assert (kept.share, kept.found_ms) == (None, int(NOW_S * 1000))
    assert len(bench.node.submitted) == 1


def test_a_block_of_an_older_job_is_made_of_that_job_s_transactions(bench: Bench) -> None:
    bench.work.start()
    bench.node.grow()
    bench.node.changes["transactions"] = []
    bench.pass_s(1)

    kept = bench.work.solve(solution(bench.jobs[0]))

    assert kept is not None
    assert kept.block.endswith(bytes.fromhex("0200aa" + "0200bbcc"))


def test_a_full_disk_is_logged_with_the_block_which_is_still_submitted(
    bench: Bench, events: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.work.start()

    def full(*_: object) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(saved, "write", full)
    kept = bench.work.solve(solution(bench.jobs[0]))

    assert kept is not None
    assert bench.node.submitted == [kept.block.hex()]
    (loud,) = [event for event in events if event["log_level"].name == "critical"]
    assert loud["block"] == kept.block.hex()


def test_a_solution_of_a_forgotten_job_is_logged_with_what_there_is(
    bench: Bench, events: list[dict[str, Any]]
) -> None:
    bench.work.start()
    old = bench.jobs[0]
    bench.pass_s(KEEP_JOBS_S + 60)
    found = solution(old)

    assert bench.work.solve(found) is None

    (loud,) = [event for event in events if event["log_level"].name == "critical"]
    assert (loud["header"], loud["coinbase"]) == (found.header.hex(), found.coinbase.hex())


def test_an_unanswered_block_is_submitted_until_the_node_answers(bench: Bench) -> None:
    bench.work.start()
    bench.node.results = [Unanswered("down"), Unanswered("down"), Unanswered("down"), Accepted()]
    found = solution(bench.jobs[0])
    bench.work.solve(found)
    bench.pass_s(10)

    results = [result for _, _, result in bench.recorded]
    assert results == [Unanswered("down"), Accepted()]
    assert len(bench.node.submitted) == 4


def test_a_store_that_cannot_record_answers_does_not_keep_the_block_from_the_node(
    bench: Bench, events: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.work.start()
    bench.node.results = [Unanswered("down"), Accepted()]
    monkeypatch.setattr(bench.work._submitter, "_recorded", lambda *_: 1 // 0)
    bench.work.solve(solution(bench.jobs[0]))
    bench.pass_s(5)

    assert len(bench.node.submitted) == 2
    assert len(said(events, "critical")) == 2


def test_a_refused_block_is_not_submitted_again(bench: Bench) -> None:
    bench.work.start()
    bench.node.results = [Refused("bad-cb-amount")]
    bench.work.solve(solution(bench.jobs[0]))
    bench.pass_s(60)

    assert [result for _, _, result in bench.recorded] == [Refused("bad-cb-amount")]
    assert len(bench.node.submitted) == 1


def test_a_block_that_nobody_answers_for_is_given_up_after_hours(bench: Bench) -> None:
    bench.work.start()
    bench.node.results = [Unanswered("down")] * 1000
    bench.work.solve(solution(bench.jobs[0]))
    bench.pass_s(7300)
    asked = len(bench.node.submitted)
    bench.pass_s(300)

    assert len(bench.node.submitted) == asked


def test_a_block_saved_by_an_earlier_process_can_be_submitted_again(bench: Bench) -> None:
    bench.work.start()
    bench.work.solve(solution(bench.jobs[0]))
    bench.recorded.clear()

    for block in saved.read_all(bench.directory):
        bench.work.submit(block)

    assert [result for _, _, result in bench.recorded] == [Accepted()]


def test_stopping_gives_up_what_is_unanswered(bench: Bench) -> None:
    bench.work.start()
    bench.node.results = [Unanswered("down")] * 5
    bench.work.solve(solution(bench.jobs[0]))
    bench.work.stop()

    assert bench.clock.getDelayedCalls() == []
