"""What the log says of connections: told at once, then counted."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.logger import Logger, capturedLogs, formatEvent

from stratum.notices import QUIET_S, Notices


def test_an_event_is_told_at_once_and_those_like_it_are_counted_until_a_while_is_over() -> None:
    clock = Clock()
    notices = Notices(clock, Logger())
    with capturedLogs() as events:
        for host in ("192.0.2.1", "192.0.2.2", "192.0.2.3"):
            notices.tell("Cut off a connection: does not read", host)
        notices.tell("Closed a connection: line too long", "")
        clock.advance(QUIET_S)
        notices.tell("Cut off a connection: does not read", "192.0.2.4")
        clock.advance(QUIET_S)
        notices.tell("Cut off a connection: does not read", "192.0.2.5")
    assert [formatEvent(event) for event in events] == [
        "Cut off a connection: does not read (192.0.2.1)",
        "Closed a connection: line too long (no address)",
        "Cut off a connection: does not read (192.0.2.4), and 2 more since that was last said",
        "Cut off a connection: does not read (192.0.2.5)",
    ]
