"""How moments are written on the command line: a day, or a day and a time, UTC unless a zone is named."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

import click

DAY_MS: Final = 86_400_000
_DAY: Final = len("2026-11-24")


class Moment(click.ParamType[int]):
    """A moment in Unix milliseconds.

    Args:
        end: a day alone stands for its last millisecond, not for its first.
    """

    name = "day"

    def __init__(self, *, end: bool) -> None:
        self._end = end

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """See click."""
        text = str(value)
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            self.fail(f"{text!r} is no day such as 2026-11-24, nor 2026-11-24T18:00", param, ctx)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        whole_day = len(text) <= _DAY
        return int(moment.timestamp()) * 1000 + (DAY_MS - 1 if whole_day and self._end else 0)


AT: Final = click.option(
    "--at", "at_ms", type=Moment(end=True), help="The balances then: at the end of a day, or at a time (UTC)."
)
