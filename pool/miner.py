"""A CPU miner: an independent Stratum V1 client for trying out a pool; nothing of the door is used in it."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from fractions import Fraction
from threading import Event
from typing import Any
from urllib.parse import urlsplit

import attrs

from pool.errors import PoolError
from pool.miner_link import ANSWER_TIMEOUT_S, Link, Lost
from pool.miner_task import Task, hex_int, scan, task_from_notify

USER_AGENT = "sluice-miner/0.1"
BATCH = 20_000  # nonces between two looks at the socket: about 30 ms
SILENCE_S = 300.0  # a pool sends a job at least every minute or so
_IDLE_S = 0.2
_LONGEST_PAUSE_S = 30.0
_WANTED_MASK = 0x1FFFE000  # BIP 320
_DIFFICULTY_1 = 0xFFFF << 208


class Kind(StrEnum):
    """What a miner has to tell."""

    CONNECTED = "connected"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    LOST = "lost"  # the connection; it is tried again
    REFUSED = "refused"  # the pool does not let this user mine; nothing is tried again


@attrs.frozen
class Totals:
    """What has happened so far.  Attributes: shares accepted and rejected, hashes made."""

    accepted: int = 0
    rejected: int = 0
    hashes: int = 0


@attrs.frozen
class Happened:
    """One event.  Attributes: kind; detail: the pool's or the system's words, may be empty; totals so far."""

    kind: Kind
    detail: str
    totals: Totals


class MinerError(PoolError):
    """The URL cannot be used."""


class _Refused(Exception):
    """The pool said no to the user."""


def mine(
    url: str,
    user: str,
    password: str = "x",  # noqa: S107  no secret: the protocol wants something here
    *,
    clock: Callable[[], float],
    stop: Event,
    report: Callable[[Happened], None],
    pace: float | None = None,
    count: int | None = None,
) -> Totals:
    """Mine in this thread until stopped, done or refused; lost connections are made again, ever slower.

    Args:
        url: ``stratum+tcp://host:port``.
        user: ``account.worker``.
        password: as the pool understands it.
        clock: monotonic seconds.
        stop: set from elsewhere to end.
        report: called from this thread with everything that happens.
        pace: at most so many shares a second are sent; None: as many as are found.
        count: end when so many shares have been accepted; None: go on.

    Returns:
        The totals.

    Raises:
        MinerError: the URL is not one of Stratum over TCP.
    """
    address = _address(url)
    miner = _Miner(user, password, clock, stop, report, pace, count)
    pause_s = 1.0
    while not stop.is_set() and not miner.done():
        before = miner.totals.accepted
        try:
            with Link(address) as link:
                miner.run(link)
        except _Refused as error:
            miner.tell(Kind.REFUSED, str(error))
            break
        except (Lost, OSError) as error:
            miner.tell(Kind.LOST, str(error))
            pause_s = 1.0 if miner.totals.accepted > before else min(2 * pause_s, _LONGEST_PAUSE_S)
            stop.wait(pause_s)
    return miner.totals


def _address(url: str) -> tuple[str, int]:
    split = urlsplit(url)
    try:
        port = split.port
    except ValueError:
        port = None
    if split.scheme != "stratum+tcp" or not split.hostname or port is None:
        raise MinerError(f"{url!r} is not of the form stratum+tcp://host:port")
    return split.hostname, port


class _Miner:
    """Goes through the handshake, then takes turns at listening and hashing."""

    def __init__(
        self,
        user: str,
        password: str,
        clock: Callable[[], float],
        stop: Event,
        report: Callable[[Happened], None],
        pace: float | None,
        count: int | None,
    ) -> None:
        self.totals = Totals()
        self._user, self._password = user, password
        self._clock, self._stop, self._report = clock, stop, report
        self._interval_s = 1 / pace if pace else 0.0
        self._count = count
        self._next_send_s = 0.0
        self._number = 0
        self._extranonce2 = self._rolls = 0

    def done(self) -> bool:
        """As many shares have been accepted as were asked for."""
        return self._count is not None and self.totals.accepted >= self._count

    def tell(self, kind: Kind, detail: str = "") -> None:
        self._report(Happened(kind, detail, self.totals))

    def run(self, link: Link) -> None:
        """One connection, until stopped or done."""
        self._open(link)
        wait_s = _IDLE_S
        while not self._stop.is_set() and not self.done():
            self._listen(link, wait_s)
            now_s = self._clock()
            if now_s - self._heard_s > SILENCE_S:
                raise Lost("the pool fell silent")
            if self._task is None or self._all_sent():
                wait_s = _IDLE_S
            elif now_s < self._next_send_s:
                wait_s = min(self._next_send_s - now_s, _IDLE_S)
            else:
                self._hash(link, self._task, now_s)
                wait_s = 0.0

    def _all_sent(self) -> bool:
        return self._count is not None and self.totals.accepted + len(self._submitted) >= self._count

    def _open(self, link: Link) -> None:
        """Configure, subscribe and authorize, in the order and with the patience of common firmware."""
        self._mask, self._target, self._heard_s = 0, _DIFFICULTY_1, self._clock()
        self._task: Task | None = None
        self._extranonce1, self._size = b"", 0
        self._nonce = 0
        self._submitted: set[int] = set()
        options = {"version-rolling.mask": f"{_WANTED_MASK:08x}", "version-rolling.min-bit-count": 2}
        configured = self._ask(link, "mining.configure", [["version-rolling"], options])
        if isinstance(configured, dict) and configured.get("version-rolling") is True:
            self._mask = hex_int(configured.get("version-rolling.mask")) & _WANTED_MASK
        subscribed = self._ask(link, "mining.subscribe", [USER_AGENT])
        try:
            _, extranonce1, size = subscribed
            self._extranonce1, self._size = bytes.fromhex(extranonce1), int(size)
        except (TypeError, ValueError):
            raise Lost("the pool did not take the subscription") from None
        if self._ask(link, "mining.authorize", [self._user, self._password]) is not True:
            raise _Refused("the pool does not know this user")
        self.tell(Kind.CONNECTED)

    def _ask(self, link: Link, method: str, params: list[Any]) -> Any:
        """Send a request of the handshake and wait for its answer; an error ends the attempt."""
        self._number += 1
        number, until_s = self._number, self._clock() + ANSWER_TIMEOUT_S
        link.send(number, method, params)
        answer: list[dict[str, Any]] = []
        while not answer:
            if self._clock() > until_s or self._stop.is_set():
                raise Lost(f"the pool did not answer {method}")
            answer = [message for message in self._heard(link, _IDLE_S) if message.get("id") == number]
        error = answer[0].get("error")
        if error and method == "mining.authorize":
            raise _Refused(_words(error))
        return answer[0].get("result")

    def _heard(self, link: Link, wait_s: float) -> list[dict[str, Any]]:
        """Act on what the pool tells, return what it answers."""
        messages = link.receive(wait_s)
        if messages:
            self._heard_s = self._clock()
        for message in messages:
            if message.get("method"):
                self._told(str(message["method"]), message.get("params"))
        return [message for message in messages if not message.get("method")]

    def _listen(self, link: Link, wait_s: float) -> None:
        for message in self._heard(link, wait_s):
            if message.get("id") not in self._submitted:
                continue
            self._submitted.discard(message["id"])
            if message.get("result") is True:
                self.totals = attrs.evolve(self.totals, accepted=self.totals.accepted + 1)
                self.tell(Kind.ACCEPTED)
            else:
                self.totals = attrs.evolve(self.totals, rejected=self.totals.rejected + 1)
                self.tell(Kind.REJECTED, _words(message.get("error")))

    def _told(self, method: str, params: Any) -> None:
        try:
            match method:
                case "mining.set_difficulty":
                    self._target = min(int(_DIFFICULTY_1 / Fraction(params[0])), 2**256 - 1)
                case "mining.set_version_mask":
                    self._mask = hex_int(params[0]) & _WANTED_MASK
                case "mining.set_extranonce":
                    self._extranonce1, self._size = bytes.fromhex(params[0]), int(params[1])
                case "mining.notify":
                    self._task = task_from_notify(params, self._target, self._extranonce1, self._size)
                    self._nonce = 0
                case "client.reconnect":
                    raise Lost("the pool asked to connect again")
        except (TypeError, ValueError, IndexError, ZeroDivisionError):
            raise Lost(f"the pool sent a {method} that makes no sense") from None

    def _hash(self, link: Link, task: Task, now_s: float) -> None:
        """Try a batch of nonces; send the first share among them."""
        extranonce2 = (self._extranonce2 % (1 << 8 * task.size)).to_bytes(task.size, "big")
        bits = self._rolls * (self._mask & -self._mask) & self._mask
        version = (task.version & ~self._mask) | bits
        head = task.head(version, extranonce2)
        found = scan(head, task.target, self._nonce, BATCH)
        end = self._nonce + BATCH if found is None else found + 1
        self.totals = attrs.evolve(self.totals, hashes=self.totals.hashes + end - self._nonce)
        self._nonce = end
        if end + BATCH > 1 << 32:
            self._nonce, self._extranonce2 = 0, self._extranonce2 + 1
        if found is None:
            return
        # ASICs roll the version all the time; here each share has another one, so that pools see it
        self._rolls += 1
        params = [self._user, task.job_id, extranonce2.hex(), task.ntime, f"{found:08x}"]
        self._number += 1
        self._submitted.add(self._number)
        link.send(self._number, "mining.submit", params + ([f"{bits:08x}"] if self._mask else []))
        self._next_send_s = now_s + self._interval_s


def _words(error: Any) -> str:
    if isinstance(error, list) and len(error) > 1:
        return f"{error[1]} (code {error[0]})"
    return str(error) if error else "no reason given"
