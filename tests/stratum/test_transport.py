"""Replies go straight to the kernel only over plain TCP and only when nothing is waiting."""

from __future__ import annotations

from twisted.internet import tcp
from twisted.internet.testing import StringTransport

from stratum.transport import BACKLOG, lengthen_queue, plain_tcp, send_now


class Kernel(tcp.Server):
    """A TCP connection, and its own socket, that takes so many bytes, is full or broken."""

    def __init__(self, takes: int | OSError, *, waiting: bytes = b"") -> None:
        self.socket = self  # type: ignore[assignment]
        self.dataBuffer = waiting
        self._tempDataLen = 0
        self.disconnecting = False
        self.takes = takes
        self.taken = b""

    def send(self, data: bytes) -> int:
        if isinstance(self.takes, OSError):
            raise self.takes
        self.taken += data[: self.takes]
        return min(self.takes, len(data))


def test_what_the_kernel_does_not_take_is_left() -> None:
    assert send_now(Kernel(10), b"abc") == b""
    assert send_now(Kernel(2), b"abc") == b"c"
    assert send_now(Kernel(0), b"abc") == b"abc"
    assert send_now(Kernel(BlockingIOError()), b"abc") == b"abc"
    assert send_now(Kernel(BrokenPipeError()), b"abc") == b"abc"


def test_nothing_overtakes_what_waits() -> None:
    kernel = Kernel(10, waiting=b"earlier")
    assert send_now(kernel, b"abc") == b"abc"
    assert kernel.taken == b""


def test_only_plain_tcp_goes_the_short_way() -> None:
    kernel = Kernel(0)
    assert plain_tcp(kernel) is kernel
    kernel.TLS = True
    assert plain_tcp(kernel) is None
    assert plain_tcp(StringTransport()) is None  # type: ignore[no-untyped-call]


class Listening(tcp.Port):
    """A port that remembers how long its queue was made; it is its own socket."""

    def __init__(self) -> None:
        self.socket = self
        self.backlog = 50

    def listen(self, backlog: int) -> None:
        self.backlog = backlog


def test_a_port_lets_a_whole_pool_of_miners_wait() -> None:
    port = Listening()
    lengthen_queue(port)
    assert port.backlog == BACKLOG
