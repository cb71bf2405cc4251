"""Jobs between the periodic ones, for miners that need one at once."""

from __future__ import annotations

import math
from typing import Final

from stratum.board import Board, Posted
from stratum.ports import JobFeed

EVERY_S: Final = 1.0
"""No more than one in this time: all miners that need one meanwhile share it."""


class ExtraJobs:
    """One front's.

    A job that a miner has seen already will not do: told to start afresh, it would search the same
    extranonce2 again and send duplicates (ESP-Miner#1587).
    """

    def __init__(self, feed: JobFeed, board: Board) -> None:
        self._feed = feed
        self._board = board
        self._made_at = -math.inf

    def newer_than(self, number: int, now: float) -> Posted | None:
        """A job on the current tip with a higher number than this; the current one if no other can be had.

        None without work.
        """
        board = self._board
        if board.idle:
            return None
        if board.current is not None and board.current.number > number:
            return board.current
        if board.extra is not None and board.extra.number > number:
            return board.extra
        if now - self._made_at < EVERY_S:
            return board.current
        job = self._feed.extra()
        posted = None if job is None else board.post_extra(job)
        if posted is None:
            return board.current
        self._made_at = now
        return posted
