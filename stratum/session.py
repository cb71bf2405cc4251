"""One miner's connection without its socket: bytes in, effects out; the clock's readings are passed in."""

from __future__ import annotations

from typing import Final, assert_never

from stratum import shares, wire
from stratum.board import Board, Posted
from stratum.effects import Credit, Effect, Refusal
from stratum.errors import Code
from stratum.options import MAX_LINE_BYTES, MAX_MALFORMED_LINES, MAX_WORKERS, Options
from stratum.ports import Authorized, Authorizer, Refused, Share, Solution
from stratum.rolling import negotiate
from stratum.shares import Accepted, Block, Rejected, Seat, judge
from stratum.steering import Steering
from stratum.wishes import difficulty, from_password

_PLAIN: Final[dict[str, object]] = {
    "mining.extranonce.subscribe": True,
    "mining.multi_version": True,
    # what pools have answered for years; the miner has the merkle branch
    "mining.get_transactions": [],
    "mining.ping": "pong",
    "ping": "pong",
}


class Session:
    """The conversation: configure, subscribe, authorize in any order, then jobs and submissions.

    Attributes:
        broken: why the connection must be closed, or None; the session is not to be used after that.
    """

    __slots__ = (
        "_authorizer",
        "_board",
        "_malformed",
        "_rest",
        "_seat",
        "_steering",
        "_subscribed",
        "_workers",
        "broken",
    )

    def __init__(self, options: Options, board: Board, authorizer: Authorizer, extranonce1: bytes) -> None:
        self._seat = Seat(extranonce1)
        self.broken: str | None = None
        self._board = board
        self._authorizer = authorizer
        self._rest = b""
        self._malformed = 0
        self._subscribed = False
        self._workers: dict[str, Authorized] = {}
        self._steering = Steering(options)

    @property
    def extranonce1(self) -> bytes:
        """4 bytes, this connection's own."""
        return self._seat.extranonce1

    @property
    def authorized(self) -> bool:
        """Whether somebody was authorized on this connection."""
        return bool(self._workers)

    def receive(self, data: bytes, now: float, time_ms: int) -> list[Effect]:
        """Take what was read from the socket, cut anywhere.

        Args:
            data: the bytes.
            now: seconds of the clock that jobs are posted by.
            time_ms: Unix milliseconds, for the shares.

        Returns:
            What to do, in this order.  Afterwards ``broken`` tells whether the connection is to be closed.
        """
        lines = (self._rest + data if self._rest else data).split(b"\n")
        self._rest = lines.pop()
        effects: list[Effect] = []
        for line in lines:
            if len(line) > MAX_LINE_BYTES:
                self.broken = "line too long"
                return effects
            if line and not line.isspace():
                self._line(line, now, time_ms, effects)
                if self._malformed > MAX_MALFORMED_LINES:
                    self.broken = "too many malformed requests"
                    return effects
        if len(self._rest) > MAX_LINE_BYTES:
            self.broken = "line too long"
        return effects

    def _line(self, line: bytes, now: float, time_ms: int, effects: list[Effect]) -> None:
        message = wire.parse(line)
        if isinstance(message, wire.Submit):
            self._submit(message, now, time_ms, effects)
            return
        reply = self._reply(message)
        if reply:
            effects.append(reply)
        if not self._steering.started:
            current = self._board.current
            start = b"" if current is None else self.offer(current, now)
            if start:
                effects.append(start)

    def _reply(self, message: wire.Request) -> bytes:
        match message:
            case wire.Configure():
                reply = self._configure(message)
            case wire.Subscribe():
                self._subscribed = True
                self._steering.introduce(message.user_agent)
                reply = wire.subscribed(message.id, self.extranonce1)
            case wire.Authorize():
                reply = self._authorize(message)
            case wire.Suggest():
                self._steering.suggest(message.difficulty)
                reply = wire.accepted(message.id)
            case wire.Plain():
                reply = _plain(message)
            case wire.Malformed():
                self._malformed += 1
                reply = wire.error(message.id, Code.OTHER, message.reason)
            case wire.Answer():
                reply = b""
            case _:
                assert_never(message)
        return reply

    def _configure(self, message: wire.Configure) -> bytes:
        """Answer exactly the extensions that were asked for (an unrequested key makes Whatsminers drop)."""
        answer: dict[str, object] = {}
        for name in message.extensions:
            match name:
                case "version-rolling":
                    self._seat.version_mask = negotiate(message.parameters)
                    answer[name] = self._seat.version_mask != 0
                    if self._seat.version_mask:
                        answer["version-rolling.mask"] = f"{self._seat.version_mask:08x}"
                case "minimum-difficulty":
                    value = difficulty(message.parameters.get("minimum-difficulty.value"))
                    answer[name] = value is not None
                    self._steering.raise_floor(value)
                case "subscribe-extranonce" | "info":
                    answer[name] = True
                case _:
                    answer[name] = False
        return wire.result(message.id, answer)

    def _authorize(self, message: wire.Authorize) -> bytes:
        if message.username not in self._workers and len(self._workers) >= MAX_WORKERS:
            return wire.error(message.id, Code.UNAUTHORIZED, "Too many workers on one connection")
        judged = self._authorizer.authorize(message.username)
        match judged:
            case Refused():
                return wire.error(message.id, Code.UNAUTHORIZED, judged.reason)
            case Authorized():
                self._workers[message.username] = judged
                self._steering.heed(from_password(message.password))
                return wire.accepted(message.id)
        assert_never(judged)

    def offer(self, posted: Posted, now: float) -> bytes:
        """The lines that put the miner on a job; empty while it is not both subscribed and authorized."""
        if not self._subscribed or not self._workers:
            return b""
        return self._steering.offer(posted, now)

    def _submit(self, submit: wire.Submit, now: float, time_ms: int, effects: list[Effect]) -> None:
        workers = self._workers
        posted = self._board.find(submit.job_id)
        if not workers:
            effects.append(_refusal(submit, shares.UNAUTHORIZED))
            return
        if not self._subscribed:
            effects.append(_refusal(submit, shares.NOT_SUBSCRIBED))
            return
        if posted is None:
            effects.append(_refusal(submit, shares.JOB_NOT_FOUND))
            return
        who = workers.get(submit.worker)
        verdict = judge(
            self._board,
            posted,
            submit,
            self._seat,
            self._steering.target_for(posted),
            now,
            authorized=who is not None,
        )
        # a block of a name that nobody authorized is submitted under the connection's first one
        finder = who or next(iter(workers.values()))
        if isinstance(verdict, Accepted):
            self._credit(submit, posted, verdict, finder, time_ms, effects)
            return
        if verdict.block is not None:
            effects.append(_solution(posted, verdict.block, finder, None))
        effects.append(_refusal(submit, verdict))

    def _credit(
        self,
        submit: wire.Submit,
        posted: Posted,
        verdict: Accepted,
        who: Authorized,
        time_ms: int,
        effects: list[Effect],
    ) -> None:
        self._steering.shares += 1
        self._malformed = 0
        block, job = verdict.block, posted.job
        block_hash = None if block is None else block.block_hash
        share = Share(
            who.account, who.worker, verdict.target, job.nbits, job.height, time_ms, job.id, block_hash
        )
        if block is not None:
            effects.append(_solution(posted, block, who, share))
        effects.append(Credit(submit.id, share, verdict.digest))


def _solution(posted: Posted, block: Block, who: Authorized, share: Share | None) -> Solution:
    return Solution(
        posted.job, block.header, block.coinbase, block.block_hash, share, who.account, who.worker
    )


def _refusal(submit: wire.Submit, why: Rejected) -> Refusal:
    return Refusal(wire.error(submit.id, why.code, why.message), why.code)


def _plain(message: wire.Plain) -> bytes:
    if message.method in _PLAIN:
        return wire.result(message.id, _PLAIN[message.method])
    return wire.error(message.id, Code.OTHER, "Unknown method")
