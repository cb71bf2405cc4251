"""The group commit alone: what waits, what is refused, and that it never stops."""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from stratum import commit
from stratum.commit import NOT_STORED, GroupCommit
from stratum.effects import Credit
from stratum.errors import Code
from stratum.ports import Share
from stratum.units import Height, Target
from tests.stratum.fakes import FakeObserver, FakeSink, lines

SHARE = Share("bob", "rig", Target(1), 0x1D00FFFF, Height(1), 0, "1")


class FakePeer:
    """Keeps what was released to it, or breaks."""

    def __init__(self) -> None:
        self.waiting = 0
        self.released: list[bytes] = []
        self.breaks = False

    def release(self, data: bytes) -> None:
        if self.breaks:
            raise RuntimeError("a bug in the connection")
        self.released.append(data)


class Desk:
    """A group commit between fakes."""

    def __init__(self) -> None:
        self.clock, self.sink, self.observer = Clock(), FakeSink(), FakeObserver()
        self.forgotten: list[bytes] = []
        self.commit = GroupCommit(self.sink, self.clock, 0.005, self.forgotten.append, self.observer)

    def share(self, peer: FakePeer, number: int) -> None:
        self.commit.share(peer, Credit(b"%d" % number, SHARE, b"digest %d" % number))


def test_all_replies_of_a_connection_leave_in_one_write() -> None:
    desk, peer = Desk(), FakePeer()
    desk.share(peer, 1)
    desk.commit.reply(peer, b'{"id":"x"}\n')
    desk.share(peer, 2)
    assert peer.waiting == 3
    desk.clock.advance(0.005)
    assert peer.waiting == 0
    assert [[each["id"] for each in lines(data)] for data in peer.released] == [[1, "x", 2]]


def test_draining_does_not_wait_for_the_timer() -> None:
    desk, peer = Desk(), FakePeer()
    desk.share(peer, 1)
    assert desk.commit.drained().called
    assert len(desk.sink.stored) == 1
    assert desk.clock.getDelayedCalls() == []


def test_draining_waits_for_the_batch_on_its_way_and_all_that_follows() -> None:
    desk, peer = Desk(), FakePeer()
    desk.sink.slow = True
    desk.share(peer, 1)
    desk.clock.advance(0.005)
    desk.share(peer, 2)
    drained = desk.commit.drained()
    desk.sink.finish()
    assert not drained.called
    desk.sink.finish()
    assert desk.sink.stored == [SHARE, SHARE]
    assert len(peer.released) == 2
    desk.commit.drained()


def test_a_reply_behind_the_last_share_needs_no_write_of_its_own() -> None:
    desk, peer = Desk(), FakePeer()
    desk.sink.slow = True
    desk.share(peer, 1)
    desk.clock.advance(0.005)
    desk.commit.reply(peer, b'{"id":"late"}\n')
    desk.sink.finish()
    assert [each["id"] for data in peer.released for each in lines(data)] == [1, "late"]
    assert len(desk.sink.batches) == 1


def test_shares_beyond_what_may_wait_are_refused_and_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commit, "MOST_WAITING", 1)
    desk, peer = Desk(), FakePeer()
    desk.share(peer, 1)
    desk.share(peer, 2)
    assert desk.forgotten == [b"digest 2"]
    assert desk.observer.refused == [Code.OTHER]
    desk.clock.advance(0.005)
    assert [each["error"] for each in lines(peer.released[0])] == [None, [20, NOT_STORED, None]]
    assert desk.observer.shares == 1


def test_a_bug_in_one_release_does_not_stop_the_next_batch() -> None:
    desk, broken, peer = Desk(), FakePeer(), FakePeer()
    broken.breaks = True
    desk.share(broken, 1)
    desk.clock.advance(0.005)
    desk.share(peer, 2)
    desk.clock.advance(0.005)
    assert len(peer.released) == 1
