"""One connection's difficulty: what was told, what is wanted next, and what older jobs are judged at."""

from __future__ import annotations

from copy import copy
from typing import Final

from stratum import announce, vardiff
from stratum.board import Posted
from stratum.firmware import Firmware
from stratum.memory import Key, Memory
from stratum.options import Options
from stratum.units import Difficulty, Target, target_from_difficulty
from stratum.wishes import Wishes

URGENT_EVERY: Final = 32
"""After so many shares of one difficulty it is looked whether they come far too fast."""


class Steering:
    """Difficulty changes only together with a job.

    Attributes:
        shares: accepted in vardiff's window; the session counts them here.
        since_number: of the job that the difficulty was told with; shares of older ones tell nothing of it.
        last_number: of the newest job that the miner was given.
        started: whether the miner was given work on this connection.
    """

    __slots__ = (
        "_floor",
        "_network",
        "_older_targets",
        "_options",
        "_pinned",
        "_proven",
        "_since",
        "_suggested",
        "_target",
        "_told",
        "_wanted",
        "_wish_pending",
        "last_number",
        "shares",
        "since_number",
        "started",
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
        # the last difficulty that shares were accepted at
        self._proven: Difficulty | None = None
        self.shares = 0
        self._since = 0.0
        self.since_number = self.last_number = 0
        self.started = False

    def introduce(self, firmware: Firmware) -> None:
        """The miner says what it is, which moves the start, unless it wished for something itself."""
        if not self._wish_pending and self._told is None:
            self._wanted = firmware.start_difficulty(self._options.start_difficulty)

    @property
    def told(self) -> Difficulty | None:
        """The difficulty that the miner was told last."""
        return self._told

    def resumed(self, before: Steering | None, difficulty: Difficulty | None) -> Steering:
        """What a connection goes on with when its miner comes back: its steering, if that is left.

        After a restart only the difficulty is; what the miner wishes for now goes first.
        """
        if before is not None:
            before.come_back(self)
            return before
        if difficulty is not None and not self._wish_pending and self._options.vardiff:
            self._wanted = difficulty
        return self

    def come_back(self, newcomer: Steering) -> None:
        """The same miner on a new connection: it is told everything again.

        Port, minimum and wishes are those of the new connection; a suggestion that was heard before is none.
        """
        self._options, self._floor = newcomer._options, newcomer._floor
        self._pinned = newcomer._pinned
        known = newcomer._suggested == self._suggested and not newcomer._pinned
        if newcomer._wish_pending and not known:
            self._wanted, self._suggested = newcomer._wanted, newcomer._suggested
            self._wish_pending = True
        self.started = False
        self._network = None

    def twin(self) -> Steering:
        """The same for a second connection: this one goes with the miner that came back."""
        return copy(self)

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

    def recall(self, memory: Memory, key: Key, now: float) -> None:
        """Start where the worker's last connection ended, unless it asks for something else now."""
        found = memory.recall(key, now)
        if found is None or self._told is not None or self._pinned or not self._options.vardiff:
            return
        if self._suggested is None or self._suggested == found.suggested:
            self._wanted, self._suggested, self._wish_pending = found.difficulty, found.suggested, False

    def remember(self, memory: Memory, key: Key, now: float) -> None:
        """Note where the connection ended, for ``recall``, unless the miner had fixed it."""
        proven = self._told if self.shares else self._proven
        if proven is not None and not self._pinned:
            memory.note(key, proven, self._suggested, now)

    def offer(self, posted: Posted, now: float) -> bytes:
        """The lines that put the miner on a job, with the difficulty if it changes."""
        self.last_number = posted.number
        if posted.new_tip:
            self._older_targets = ()
        changed = self._wish_pending or self._retarget(now)
        # comparing fractions for ten thousand miners would hold up the new block
        if not changed and posted.network_difficulty is self._network:
            return posted.notify
        self._wish_pending, self._network = False, posted.network_difficulty
        wanted = vardiff.clamp(self._wanted, self._floor, posted.network_difficulty)
        first, self.started = not self.started, True
        if wanted == self._told and not first:
            return posted.notify
        if self._told is not None and wanted != self._told:
            self._older_targets = (*self._older_targets[-7:], (posted.number, self._target))
        self._settle()
        self._told = wanted
        self._target = target_from_difficulty(wanted)
        self.since_number, self._since = posted.number, now
        return announce.set_difficulty(wanted) + posted.notify_clean

    def _settle(self) -> None:
        if self.shares:
            self._proven = self._told
        self.shares = 0

    def _retarget(self, now: float) -> bool:
        if not self.started or self._pinned or not self._options.vardiff or self._told is None:
            return False
        found = vardiff.retarget(self._told, self.shares, now - self._since, self._options.shares_per_minute)
        if found is not None:
            self._wanted = found
            self._settle()
            self._since = now
        return found is not None

    def is_urgent(self, now: float) -> bool:
        """Whether the miner is so fast that its difficulty must not wait for the next periodic job."""
        told, network = self._told, self._network
        if self._pinned or not self._options.vardiff or told is None or network is None:
            return False
        elapsed = now - self._since
        if elapsed < vardiff.URGENT_AFTER_S:
            return False
        found = vardiff.urgent(told, self.shares, elapsed, self._options.shares_per_minute)
        if found is None or vardiff.clamp(found, self._floor, network) <= told:
            return False
        self._wanted, self._wish_pending = found, True
        return True

    def target_for(self, posted: Posted) -> Target:
        """The easiest target that held since the job went out (public-pool#114, ESP-Miner#212)."""
        target = self._target
        for until, older in self._older_targets:
            if posted.number < until and older > target:
                target = older
        return target
