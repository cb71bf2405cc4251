"""News of new tips: who told which one first, how much later the others did, and who has stopped telling."""

from __future__ import annotations

from collections import deque
from typing import Final, Protocol

import attrs
from twisted.logger import Logger

ZMQ, LONGPOLL, POLL = "zmq", "longpoll", "poll"
LATE_AFTER_S: Final = 15.0
"""A source that is this much behind another one of the same node is not coming any more."""
_RECENT: Final = 64

log = Logger()


class NewsObserver(Protocol):
    """Who counts news and keeps an eye on nodes, for metrics; every method is quick and never raises."""

    def told_first(self, source: str) -> None:
        """This source (``zmq``, ``longpoll``, ``poll``) was the first to tell a new tip."""
        ...

    def told_late(self, source: str, seconds: float) -> None:
        """This source told a tip so long after the first one."""
        ...

    def stalled(self, node: str, source: str, *, is_so: bool) -> None:
        """A node's source tells nothing any more, or does so again."""
        ...

    def node_is(self, node: str, *, well: bool, mined_on: bool) -> None:
        """What a node is now."""
        ...

    def proposed(self, word: str) -> None:
        """What a node said to a block to be made of its template: ``accepted``, ``refused`` …."""
        ...


class UnobservedNews:
    """An observer for whoever counts nothing."""

    def told_first(self, source: str) -> None:
        """Nobody counts."""

    def told_late(self, source: str, seconds: float) -> None:
        """Nobody counts."""

    def stalled(self, node: str, source: str, *, is_so: bool) -> None:
        """Nobody counts."""

    def node_is(self, node: str, *, well: bool, mined_on: bool) -> None:
        """Nobody counts."""

    def proposed(self, word: str) -> None:
        """Nobody counts."""


class Moments:
    """When each of the last tips was told first."""

    def __init__(self) -> None:
        self._at_s: dict[str, float] = {}

    def note(self, tip: str, now_s: float) -> None:
        """It was told now; if it was told before, that stays."""
        self._at_s.setdefault(tip, now_s)
        if len(self._at_s) > _RECENT:
            del self._at_s[next(iter(self._at_s))]

    def get(self, tip: str) -> float | None:
        """When, or None for a tip that nobody told."""
        return self._at_s.get(tip)


@attrs.define
class _Source:
    """One way in which one node tells.

    Attributes:
        tip: that it told last.
        behind_since_s: since when it has not told what others have; None when it has.
        stalled: whether that was said.
        mended_s: when it was last set up anew.
    """

    tip: str = ""
    behind_since_s: float | None = None
    stalled: bool = False
    mended_s: float = 0.0


class Race:
    """One node's ways of telling a new tip, against each other; the first one to tell a tip wins it."""

    def __init__(self, node: str, observer: NewsObserver) -> None:
        """Args: node: its name; observer: told what happens."""
        self._node = node
        self._observer = observer
        self._sources: dict[str, _Source] = {}
        self._tip = ""
        self._first_s = 0.0
        self._recent: deque[str] = deque(maxlen=_RECENT)

    def join(self, source: str) -> None:
        """From now on this source is expected to tell."""
        self._sources.setdefault(source, _Source(tip=self._tip))

    def leave(self, source: str) -> None:
        """Nothing is expected of this source any more."""
        self._sources.pop(source, None)

    def is_stalled(self, source: str) -> bool:
        """Whether it told nothing for too long while others did, or never joined."""
        found = self._sources.get(source)
        return found is None or found.stalled

    def told(self, source: str, tip: str, now_s: float) -> bool:
        """A source told a tip (again).

        Args:
            source: which.
            tip: any name of it that is the same from all sources.
            now_s: of the clock.

        Returns:
            Whether nobody had told it before.
        """
        teller = self._sources.setdefault(source, _Source())
        if teller.tip == tip:  # no news: a poll repeats itself, and a longpoll brings new transactions
            return False
        teller.tip = tip
        first = tip not in self._recent  # an older one may still come by a source that is behind
        if first:
            self._begin(source, tip, now_s)
        elif tip == self._tip:
            self._catch_up(source, teller, now_s)
        return first

    def _begin(self, source: str, tip: str, now_s: float) -> None:
        if self._tip:  # the tip that a front starts with is no news
            self._observer.told_first(source)
            for name, other in self._sources.items():
                if name != source and other.behind_since_s is None:
                    other.behind_since_s = now_s
        self._tip, self._first_s = tip, now_s
        self._recent.append(tip)
        self._catch_up(source, self._sources[source], now_s)

    def _catch_up(self, source: str, teller: _Source, now_s: float) -> None:
        if teller.behind_since_s is not None:
            self._observer.told_late(source, now_s - self._first_s)
        teller.behind_since_s = None
        if teller.stalled:
            teller.stalled = False
            self._observer.stalled(self._node, source, is_so=False)
            log.info("News from {node} by {source} came again", node=self._node, source=source)

    def check(self, now_s: float) -> list[str]:
        """The sources to be set up anew: those that have stalled, and do so still after another while."""
        found = []
        for name, source in self._sources.items():
            since_s = source.behind_since_s
            if since_s is None or now_s - max(since_s, source.mended_s) <= LATE_AFTER_S:
                continue
            source.mended_s = now_s
            found.append(name)
            if not source.stalled:
                self._say_stalled(name, source, now_s - since_s)
        return found

    def _say_stalled(self, name: str, source: _Source, seconds: float) -> None:
        source.stalled = True
        self._observer.stalled(self._node, name, is_so=True)
        log.warn(
            "News from {node} by {source} stalled: {seconds} s behind the others",
            node=self._node,
            source=name,
            seconds=round(seconds),
        )
