"""Work: a node's templates become jobs, and solved jobs become blocks, on disk and then at the node."""

from __future__ import annotations

import binascii
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

import attrs
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from pool.chain import block, coinbase, saved
from pool.chain.coinbase import Mark, Payee
from pool.chain.node import Node, SubmitResult
from pool.chain.persistence import Trouble, for_ever
from pool.chain.saved import SavedBlock
from pool.chain.submission import Submitter
from pool.chain.template import Template
from pool.errors import PoolError
from stratum.jobs import Job
from stratum.ports import Solution

MAX_NTIME_AHEAD_S = 7000
"""How far miners may roll the time; the network takes two hours beyond its own clock."""
KEEP_JOBS_S = 900.0
"""How long a block can still be put together from a job; longer than any submission of it is looked at."""
_CRC_NEIGHBOURS = 256
"""Of a miner's last four jobs, as many may lie apart when others got extra ones in between."""

log = Logger()


@attrs.frozen
class Settings:
    """How a front makes its work.

    Attributes:
        front_id: 0 … 255.
        boot: number of this start of the front, from the store; below 2^32.
        tag: what the coinbase says.
        poll_s: how often the node is asked for its tip.
        job_interval_s: how often miners get a fresh job on the same tip.
        silent_s: after so long without a word from the node, no work is handed out.
        directory: of the store; blocks are saved below it.
    """

    front_id: int
    boot: int
    tag: str
    directory: Path
    poll_s: float = 1.0
    job_interval_s: float = 30.0
    silent_s: float = 60.0


@attrs.frozen(eq=False)
class _Made:
    """A job, and what is needed to make its block."""

    job: Job
    template: Template
    address: str
    at_s: float


class Work:
    """A stratum.ports.JobFeed that follows a node; and where its solutions go.

    Attributes:
        template_s: when the newest template came, Unix seconds; None before the first.
        heard_s: when the node last confirmed that our work is on its tip, Unix seconds.
    """

    def __init__(
        self,
        node: Node,
        payees: Callable[[], Sequence[Payee] | None],
        recorded: Callable[[str, str, SubmitResult], None],
        settings: Settings,
        clock: IReactorTime,
    ) -> None:
        """Wire it up; nothing is asked before start().

        Args:
            node: where templates come from and blocks go.
            payees: whom the next job's coinbase pays; None: an address is missing.
            recorded: told (block hash, node name, result); see pool.chain.submission.
            settings: see there.
            clock: the reactor; its seconds are Unix seconds.
        """
        self._node = node
        self._payees = payees
        self._submitter = Submitter([node], recorded, clock)
        self._settings = settings
        self._clock = clock
        self._listeners: list[Callable[[Job], None]] = []
        self._running: list[Deferred[None]] = []
        self._made: dict[str, _Made] = {}
        self._newest: _Made | None = None
        self._template: Template | None = None
        self._recent_crcs: deque[int] = deque(maxlen=_CRC_NEIGHBOURS - 1)
        self._number = 0
        self._address_trouble = Trouble("Taking a payout address")
        self.template_s: float | None = None
        self.heard_s: float | None = None

    # jobs

    def start(self) -> None:
        """Begin to follow the node."""
        self._spawn(self._poll_for_ever())
        self._spawn(self._longpoll_for_ever())

    def stop(self) -> None:
        """Stop following and submitting; blocks that no node has answered for are on disk."""
        running, self._running = self._running, []
        for task in running:
            task.cancel()
        self._submitter.stop()

    def current(self) -> Job | None:
        """The newest job, or None: no template yet, no address to pay, or a node silent for too long."""
        if self._newest is None or self.heard_s is None:
            return None
        silence_s = self._clock.seconds() - self.heard_s
        return self._newest.job if silence_s <= self._settings.silent_s else None

    def watch(self, listener: Callable[[Job], None]) -> None:
        """Call the listener with each new job, from now on."""
        self._listeners.append(listener)

    def _spawn(self, task: Coroutine[Deferred[Any], Any, None]) -> None:
        running = Deferred.fromCoroutine(task)
        self._running.append(running)
        running.addErrback(_log_unless_cancelled)
        running.addBoth(lambda _: self._running.remove(running) if running in self._running else None)

    async def _poll_for_ever(self) -> None:
        await for_ever(self._clock, "Asking the node for its tip", self._poll, self._settings.poll_s)

    async def _longpoll_for_ever(self) -> None:
        await for_ever(self._clock, "Waiting for the node's next template", self._longpoll, 0.0)

    async def _longpoll(self) -> None:
        if self._template is None:
            await self._fetch()
        known = self._template.longpoll_id if self._template is not None else None
        if known is None:  # the node offers no longpoll: the poll alone has to do
            await deferLater(self._clock, self._settings.poll_s, lambda: None)
            return
        template = await self._node.template(known)
        self._take(template)
        if template.longpoll_id == known:  # it answers without news: asking on at once would never end
            await deferLater(self._clock, self._settings.poll_s, lambda: None)

    async def _poll(self) -> None:
        tip = await self._node.tip()
        template = self._template
        if template is None or template.prev_hash[::-1].hex() != tip:
            await self._fetch()
            return
        self.heard_s = self._clock.seconds()
        if self._newest is None:
            self._make_job(template)  # an address may have come
        elif self._is_due(self._newest):
            await self._fetch()

    async def _fetch(self) -> None:
        before = self._template
        template = await self._node.template(None)
        if self._template is before:  # else the longpoll was quicker, and this answer may be older than its
            self._take(template)

    def _take(self, template: Template) -> None:
        self._template = template
        self.template_s = self.heard_s = self._clock.seconds()
        newest = self._newest
        moved = newest is None or newest.job.prev_hash != template.prev_hash
        if moved or (newest and self._is_due(newest)):
            self._make_job(template)

    def _is_due(self, newest: _Made) -> bool:
        """Whether a fresh job is due; half a poll early, since the next one would be more than that late."""
        age_s = self._clock.seconds() - newest.at_s
        return age_s >= self._settings.job_interval_s - self._settings.poll_s * 0.5

    def extra(self) -> Job | None:
        """One more job on the newest template, told to nobody; None when there is no work to hand out."""
        if self._template is None or self.current() is None:
            return None
        made = self._make(self._template, clean=False)
        return None if made is None else made.job

    def _make_job(self, template: Template) -> None:
        before = self._newest
        clean = before is None or before.job.prev_hash != template.prev_hash
        self._newest = self._make(template, clean=clean)
        if self._newest is not None:
            for listener in self._listeners:
                listener(self._newest.job)

    def _make(self, template: Template, *, clean: bool) -> _Made | None:
        try:
            paid = self._payees()
        except PoolError as error:
            self._address_trouble.failed(error)
            return None
        if paid is None:
            self._address_trouble.failed("there is none in the store: is the payer running?")
            return None
        self._address_trouble.worked()
        job = self._build(template, paid, clean=clean)
        now_s = self._clock.seconds()
        made = self._made[job.id] = _Made(job, template, " ".join(payee.address for payee in paid), now_s)
        for old in [each.job.id for each in self._made.values() if now_s - each.at_s > KEEP_JOBS_S]:
            del self._made[old]
        log.debug("Made job {job} at height {height}", job=job.id, height=job.height, clean=job.clean)
        return made

    def _build(self, template: Template, paid: Sequence[Payee], *, clean: bool) -> Job:
        job_id = self._next_id()
        settings = self._settings
        mark = Mark(settings.front_id, settings.boot, self._number)
        outputs = coinbase.outputs_for(template.value, paid)
        coinb1, coinb2 = coinbase.build_paying(template, outputs, mark, settings.tag.encode("ascii"))
        return Job(
            id=job_id,
            height=template.height,
            prev_hash=template.prev_hash,
            version=template.version,
            nbits=template.nbits,
            ntime=template.curtime_s,
            min_ntime=template.mintime_s,
            max_ntime=template.curtime_s + MAX_NTIME_AHEAD_S,
            coinb1=coinb1,
            coinb2=coinb2,
            branches=coinbase.merkle_branch(template.txids),
            network_target=template.network_target,
            clean=clean,
        )

    def _next_id(self) -> str:
        """Short hex, never the same again; no CRC-16 in common with its neighbours (Canaan matches by it)."""
        while True:
            self._number += 1
            job_id = f"{self._settings.boot & 0xFF:02x}{self._number:06x}"
            crc = binascii.crc_hqx(job_id.encode("ascii"), 0xFFFF)
            if crc not in self._recent_crcs:
                self._recent_crcs.append(crc)
                return job_id

    # blocks

    def solve(self, solution: Solution) -> SavedBlock | None:
        """Save the block of a solution to disk, synchronously, and begin to submit it.

        Never raises.

        Returns:
            What was saved (or should have been: a full disk is logged with the block's hex, and the block is
            still submitted); None when the job is not known any more.
        """
        made = self._made.get(solution.job.id)
        if made is None:
            log.critical(
                "Block {hash} was found on a job that is gone: header {header} coinbase {coinbase}",
                hash=solution.block_hash,
                header=solution.header.hex(),
                coinbase=solution.coinbase.hex(),
            )
            return None
        whole = block.assemble(solution.header, solution.coinbase, made.template.transactions)
        found = saved.from_solution(solution, made.address, whole, int(self._clock.seconds() * 1000))
        log.info("Block {hash} was found at height {height}", hash=found.hash, height=found.height)
        try:
            saved.write(self._settings.directory, found)
        except OSError as error:
            log.critical(
                "Block {hash} could not be saved ({why}); by hand: submitblock {block}",
                hash=found.hash,
                why=error.strerror,
                block=whole.hex(),
            )
        self.submit(found)
        return found

    def submit(self, found: SavedBlock) -> None:
        """Hand a block to the node again and again until it answers; also for saved ones at start."""
        self._submitter.submit(found)


def _log_unless_cancelled(failure: Any) -> None:
    if failure.check(CancelledError) is None:
        log.failure("Following the node ended", failure)
