"""A token bucket: how many of something may come at once, and how often one more."""

from __future__ import annotations

import attrs


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
