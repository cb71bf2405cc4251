"""One connection's difficulty: what was told, what is wanted next, and what older jobs are judged at."""

from __future__ import annotations

from stratum import vardiff, wire
from stratum.board import Posted
from stratum.firmware import start_difficulty
from stratum.options import Options
from stratum.units import Difficulty, Target, target_from_difficulty
from stratum.wishes import Wishes


class Steering:
    """Difficulty changes only together with a job.

    Attributes:
        shares: accepted in vardiff's window; the session counts them here.
    """

    __slots__ = (
        "_floor",
        "_network",
        "_older_targets",
        "_options",
        "_pinned",
        "_since",
        "_suggested",
        "_target",
        "_told",
        "_wanted",
        "_wish_pending",
        "shares",
    )

    def __init__(self, options: Options) -> None:
        self._options = options
        self._wanted: Difficulty = options.start_difficulty
        self._floor: Difficulty = options.minimum_difficulty
        self._suggested: Difficulty | None = None
        self._pinned = False
        self._wish_pending = False
        # the network's difficulty that the told one was clamped to, by identity
        self._network: Difficulty | None = None
        self._told: Difficulty | None = None
        self._target = Target(0)
        # (number of the first job that this target no longer held for, target), oldest first
        self._older_targets: tuple[tuple[int, Target], ...] = ()
        self.shares = 0
        self._since = 0.0

    @property
    def started(self) -> bool:
        """Whether the miner was ever given work."""
        return self._told is not None

    def introduce(self, user_agent: str) -> None:
        """The miner says what it is: a small machine starts lower, unless it wished for something itself."""
        if not self._wish_pending and self._told is None:
            self._wanted = start_difficulty(user_agent, self._options.start_difficulty)

    def heed(self, wishes: Wishes) -> None:
        """Take the password's wishes, for the next job."""
        self.raise_floor(wishes.minimum)
        if wishes.fixed is not None:
            self._pinned = self._wish_pending = True
            self._wanted = wishes.fixed

    def raise_floor(self, value: Difficulty | None) -> None:
        """A minimum that the miner set; never below the pool's."""
        if value is not None:
            self._floor = max(value, self._options.minimum_difficulty)
            # whatever was clamped to the old floor is worked out anew with the next job
            self._network = None

    def suggest(self, wished: Difficulty) -> None:
        """Go there with the next job, unless the password fixed the difficulty."""
        # NerdMiner repeats its suggestion every 30 s: only a new one is a wish, else vardiff never leaves it
        if wished != self._suggested and not self._pinned:
            self._suggested = self._wanted = wished
            self._wish_pending = True

    def offer(self, posted: Posted, now: float) -> bytes:
        """The lines that put the miner on a job, with the difficulty if it changes."""
        if posted.new_tip:
            self._older_targets = ()
        changed = self._wish_pending or self._retarget(now)
        # comparing fractions for ten thousand miners would hold up the new block
        if not changed and posted.network_difficulty is self._network:
            return posted.notify
        self._wish_pending, self._network = False, posted.network_difficulty
        wanted = vardiff.clamp(self._wanted, self._floor, posted.network_difficulty)
        if wanted == self._told:
            return posted.notify
        if self._told is not None:
            self._older_targets = (*self._older_targets[-7:], (posted.number, self._target))
        self._told = wanted
        self._target = target_from_difficulty(wanted)
        self.shares, self._since = 0, now
        return wire.set_difficulty(wanted) + posted.notify_clean

    def _retarget(self, now: float) -> bool:
        if self._told is None or self._pinned or not self._options.vardiff:
            return False
        elapsed = now - self._since
        found = vardiff.retarget(self._told, self.shares, elapsed, self._options.shares_per_minute)
        if found is not None:
            self._wanted = found
            self.shares, self._since = 0, now
        return found is not None

    def target_for(self, posted: Posted) -> Target:
        """The easiest target that held since the job went out (public-pool#114, ESP-Miner#212)."""
        target = self._target
        for until, older in self._older_targets:
            if posted.number < until and older > target:
                target = older
        return target
