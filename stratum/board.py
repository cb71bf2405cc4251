"""The jobs that miners may be working on, and the headers that were credited on the tip."""

from __future__ import annotations

import math
from typing import Final

import attrs

from stratum import announce
from stratum.jobs import Job
from stratum.options import STALE_GRACE_S
from stratum.units import Difficulty, difficulty_from_target

_MOST_JOBS: Final = 512


@attrs.define(eq=False)
class Posted:
    """A job as it went out.

    Attributes:
        job: the job.
        number: counts up; a job with a lower one is older.
        tip_number: counts the changes of tip; jobs with the same one may be mined at the same time.
        new_tip: the first job on its tip.
        network_difficulty: of the job's nbits.
        notify: the line for miners that go on as they are (clean only if the job or a new tip demands it).
        notify_clean: the same with clean = true, for miners whose difficulty changes with it.
        until: shares count up to this moment of the clock; infinite while no newer job has replaced it.
    """

    job: Job
    number: int
    tip_number: int
    new_tip: bool
    network_difficulty: Difficulty
    notify: bytes
    notify_clean: bytes
    until: float = math.inf


def _network_difficulty(job: Job, before: Posted | None) -> Difficulty:
    """The same object as long as it is the same number: sessions compare it by identity."""
    if before is not None and before.job.network_target == job.network_target:
        return before.network_difficulty
    return difficulty_from_target(job.network_target)


class Board:
    """Shared by all connections of a front, since the same header may come in through any of them.

    Attributes:
        current: what everybody is to work on; None before the first job.
        idle: there is no work: nobody is given the current job, and nothing of it counts.
        extra: the newest job beside it on the same tip, for those who needed one of their own.
        seen: digests of the headers that were credited on this tip.
    """

    def __init__(self) -> None:
        self.current: Posted | None = None
        self.extra: Posted | None = None
        self.idle = False
        self._extras: list[Posted] = []
        self._posted: dict[str, Posted] = {}
        self._numbers = 0
        self.seen: set[bytes] = set()
        # of the tip before: when two tips compete, the old one may come back
        self._seen_before: tuple[bytes, set[bytes]] = (b"", set())

    def post(self, job: Job, now: float) -> Posted:
        """Put up a new job; the ones before it go stale, at once on another tip, else after the grace."""
        before = self.current
        posted = self._make(job)
        for replaced in (before, *self._extras):
            if replaced is not None:
                replaced.until = min(replaced.until, now + STALE_GRACE_S)
        self._extras, self.extra = [], None
        if before is not None and posted.new_tip:
            self._change_tip(before.job.prev_hash, job.prev_hash)
        self.current, self.idle = posted, False
        self._keep(posted)
        return posted

    def withdraw(self) -> None:
        """There is no work any more: what was handed out stops counting at once, until the next post."""
        self.idle = True
        for posted in (self.current, *self._extras):
            if posted is not None:
                posted.until = -math.inf

    def post_extra(self, job: Job) -> Posted | None:
        """Put up a job beside the current one; None when it is on another tip."""
        if self.current is None or self.current.job.prev_hash != job.prev_hash:
            return None
        self.extra = posted = self._make(job)
        self._extras.append(posted)
        self._keep(posted)
        return posted

    def _make(self, job: Job) -> Posted:
        before = self.current
        new_tip = before is None or before.job.prev_hash != job.prev_hash
        self._numbers += 1
        clean = announce.notify(job, clean=True)
        return Posted(
            job=job,
            number=self._numbers,
            tip_number=(before.tip_number if before else 0) + new_tip,
            new_tip=new_tip,
            network_difficulty=_network_difficulty(job, before),
            notify=clean if job.clean or new_tip else announce.notify(job, clean=False),
            notify_clean=clean,
        )

    def _keep(self, posted: Posted) -> None:
        self._posted[posted.job.id] = posted
        if len(self._posted) > _MOST_JOBS:
            del self._posted[next(iter(self._posted))]

    def _change_tip(self, old: bytes, new: bytes) -> None:
        kept_for, kept = self._seen_before
        self._seen_before = (old, self.seen)
        self.seen = kept if kept_for == new else set()
        # jobs of the tip before stay a while: a block on it is still worth submitting
        oldest = self.current.tip_number if self.current else 0
        self._posted = {name: item for name, item in self._posted.items() if item.tip_number >= oldest}

    def find(self, job_id: str) -> Posted | None:
        """The job of this id, as long as anything about it matters."""
        return self._posted.get(job_id)

    def is_stale(self, posted: Posted, now: float) -> bool:
        """Whether shares of the job have stopped counting."""
        current = self.current
        return current is None or posted.tip_number != current.tip_number or now > posted.until

    def forget(self, digest: bytes) -> None:
        """The share of this header was not stored: it may be sent again."""
        self.seen.discard(digest)
        self._seen_before[1].discard(digest)
