"""Token buckets: how many of something may come at once, and when one more; in all, and of each address."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

import attrs

ADDRESSES: Final = 10_000
"""Of so many addresses it is remembered how much they have asked for; whoever was away for longest goes."""


@attrs.define
class Bucket:
    """Bounds what strangers can make the site write.

    Attributes:
        size: how many in a row.
        every_ms: after how long one more.
    """

    size: int
    every_ms: int
    _tokens: int = attrs.field(init=False, default=attrs.Factory(lambda self: self.size, takes_self=True))
    _filled_ms: int = attrs.field(init=False, default=0)

    def take(self, now_ms: int) -> bool:
        """Take one, at a Unix millisecond; False when there is none."""
        gained = (now_ms - self._filled_ms) // self.every_ms
        if gained > 0:
            self._tokens = min(self.size, self._tokens + gained)
            self._filled_ms = now_ms
        if self._tokens == 0:
            return False
        self._tokens -= 1
        return True


@attrs.frozen
class Rate:
    """How many in a row, and after how many milliseconds one more."""

    size: int
    every_ms: int


@attrs.define
class Gate:
    """Lets in so many in all, and so many of each address, so that one visitor does not use up everyone's.

    Attributes:
        whole: for all together.
        each: for one address.
    """

    whole: Rate
    each: Rate
    _all: Bucket = attrs.field(init=False)
    _of: OrderedDict[str, Bucket] = attrs.field(init=False, factory=OrderedDict)

    def __attrs_post_init__(self) -> None:
        self._all = Bucket(self.whole.size, self.whole.every_ms)

    def take(self, now_ms: int, who: str | None) -> bool:
        """Let one in, at a Unix millisecond; False when it is too many.

        Args:
            now_ms: Unix milliseconds.
            who: the visitor's address; None when it cannot be told from others': it counts in all only.
        """
        if who is not None:
            bucket = self._of.pop(who, None) or Bucket(self.each.size, self.each.every_ms)
            self._of[who] = bucket
            if len(self._of) > ADDRESSES:
                self._of.popitem(last=False)
            if not bucket.take(now_ms):
                return False
        return self._all.take(now_ms)
