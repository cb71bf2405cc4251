"""The difficulties that workers settled at, for the time when they connect again."""

from __future__ import annotations

from typing import Final

import attrs

from stratum.units import Difficulty

REMEMBER_S: Final = 86_400.0
MOST_REMEMBERED: Final = 50_000

Key = tuple[str, str, str, Difficulty]
"""Account, worker, user agent and the port's starting difficulty: many machines may share a username."""


@attrs.frozen
class Remembered:
    """What was known when a connection ended.

    Attributes:
        difficulty: at which shares were accepted.
        suggested: what the miner had suggested: hearing it again is no new wish.
        until: reading of the clock up to which it is worth something.
    """

    difficulty: Difficulty
    suggested: Difficulty | None
    until: float


class Memory:
    """Bounded: the longest forgotten make room."""

    def __init__(self) -> None:
        self._known: dict[Key, Remembered] = {}

    def note(self, key: Key, difficulty: Difficulty, suggested: Difficulty | None, now: float) -> None:
        """A connection of this key ended at this difficulty."""
        self._known.pop(key, None)
        self._known[key] = Remembered(difficulty, suggested, now + REMEMBER_S)
        if len(self._known) > MOST_REMEMBERED:
            del self._known[next(iter(self._known))]

    def recall(self, key: Key, now: float) -> Remembered | None:
        """What the last connection of this key ended at, unless that is too long ago."""
        found = self._known.get(key)
        return found if found is not None and now <= found.until else None
