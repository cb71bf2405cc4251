"""One miner's connection without its socket: bytes in, effects out; the clock's readings are passed in."""

from __future__ import annotations

from typing import assert_never

import attrs

from stratum import announce, firmware, wire
from stratum.board import Board, Posted
from stratum.effects import Credit, Effect, FreshJob, Prompt
from stratum.errors import Code
from stratum.extensions import configure, courtesy
from stratum.memory import Key
from stratum.options import MAX_LINE_BYTES, MAX_MALFORMED_LINES, MAX_WORKERS, Options
from stratum.outcomes import premature, refusal_of, share_of, solution_of
from stratum.ports import Authorized, Authorizer, Refused
from stratum.returning import Returning
from stratum.seating import Seating
from stratum.shares import Accepted, judge
from stratum.steering import URGENT_EVERY, Steering
from stratum.wishes import from_password


class Session:
    """The conversation: configure, subscribe, authorize in any order, then jobs and submissions.

    Args:
        options: of the port that the miner came through.
        board: the jobs.
        authorizer: who may mine.
        extranonce1: 4 bytes, until the miner comes back to a session that it had.
        returning: where it can come back to; None when nobody is to.

    Attributes:
        options: as given.
        steering: its difficulty.
        broken: why the connection must be closed, or None; the session is not to be used after that.
    """

    __slots__ = (
        "_agent",
        "_authorizer",
        "_awaits_fresh",
        "_board",
        "_firmware",
        "_malformed",
        "_rest",
        "_returning",
        "_seating",
        "_subscribed",
        "_workers",
        "broken",
        "options",
        "steering",
    )

    def __init__(
        self,
        options: Options,
        board: Board,
        authorizer: Authorizer,
        extranonce1: bytes,
        returning: Returning | None = None,
    ) -> None:
        self.options = options
        self._returning = returning
        self._awaits_fresh = False
        self._agent = ""
        self._firmware = firmware.UNKNOWN
        self._seating = Seating(extranonce1, returning)
        self.broken: str | None = None
        self._board = board
        self._authorizer = authorizer
        self._rest = b""
        self._malformed = 0
        self._subscribed = False
        self._workers: dict[str, Authorized] = {}
        self.steering = Steering(options)

    @property
    def extranonce1(self) -> bytes:
        """4 bytes, this connection's own."""
        return self._seating.extranonce1

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
        if self.broken is not None:
            return []
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
        message = wire.parse(line, self._firmware)
        if isinstance(message, wire.Submit):
            self._submit(message, now, time_ms, effects)
            return
        reply = self._reply(message, now)
        if reply:
            effects.append(reply)
        if self._subscribed and self._workers and not (self.steering.started or self._awaits_fresh):
            self._start(now, effects)

    def _start(self, now: float, effects: list[Effect]) -> None:
        current = self._board.current
        if current is None or self._board.idle:
            return
        mask = self._seating.seat.version_mask
        if self._firmware.mask_after_authorize and mask:
            effects.append(announce.set_version_mask(mask))
        if self.steering.last_number:
            # the miner came back: the job that it had would be searched from the beginning once more
            self._awaits_fresh = True
            effects.append(FreshJob())
        else:
            effects.append(self.offer(current, now))
        if not self._agent:
            effects.append(announce.GET_VERSION)

    def _reply(self, message: wire.Request, now: float) -> bytes:
        match message:
            case wire.Configure():
                # some firmware takes the next line for the reply to these two
                return Prompt(configure(message, self._seating, self.steering))
            case wire.Subscribe():
                return Prompt(self._subscribe(message, now))
            case wire.Authorize():
                reply = self._authorize(message, now)
            case wire.Suggest():
                self.steering.suggest(message.difficulty)
                reply = wire.accepted(message.id)
            case wire.Plain():
                reply = courtesy(message, self._seating)
            case wire.Malformed():
                self._malformed += 1
                reply = wire.error(message.id, Code.OTHER, message.reason)
            case wire.Answer():
                self._introduce(message.text)
                reply = b""
            case _:
                assert_never(message)
        return reply

    def _introduce(self, agent: str) -> None:
        """The miner's name, known at last; the size of its extranonce2 has been told and stays."""
        if agent and not self._agent:
            size, self._agent = self._firmware.extranonce2_bytes, agent
            self._firmware = attrs.evolve(firmware.of(agent), extranonce2_bytes=size)

    def _subscribe(self, message: wire.Subscribe, now: float) -> bytes:
        if not self._subscribed:
            self._subscribed = True
            self._agent = message.user_agent
            self._firmware = firmware.of(message.user_agent)
            self.steering.introduce(self._firmware)
            found = self._seating.sit_down(message.session_id, self, self._firmware, now)
            if found is not None:
                self.steering = self.steering.resumed(found.steering, found.difficulty)
        seating = self._seating
        return wire.subscribed(
            message.id, seating.seat.extranonce1, seating.session_id, self._firmware.extranonce2_bytes
        )

    def displaced(self) -> None:
        """The miner's session goes on over another connection, so that this one moves, or ends."""
        if self._seating.give_way():
            self.steering = self.steering.twin()
        else:
            self.broken = "the session goes on over another connection"

    def overstays(self, open_s: float, silent_s: float) -> str | None:
        """Why the connection is to be closed, open and silent for so long; None if it may stay."""
        if self.broken is None and not self._workers and open_s >= self.options.handshake_timeout_s:
            self.broken = "nobody authorized in time"
        elif self.broken is None and silent_s >= self.options.idle_timeout_s:
            return "silent for too long"
        return self.broken

    def leave(self, now: float) -> None:
        """The connection is gone: keep what the miner may come back to."""
        if self._returning is not None and self._workers:
            self.steering.remember(self._returning.memory, self._key(), now)
        self._seating.leave(self, now, keep=self.authorized and self.broken is None)

    def _key(self) -> Key:
        first = next(iter(self._workers.values()))
        return (first.account, first.worker, self._agent, self.options.start_difficulty)

    def farewell(self) -> bytes:
        """The lines that send the miner here again; empty for whoever has no work."""
        return announce.farewell(shown=self._firmware.shows_messages) if self.steering.started else b""

    def go_elsewhere(self, host: str, port: int) -> bytes:
        """The line that sends the miner to another pool; empty for whoever has no work."""
        return announce.reconnect(host, port) if self.steering.started else b""

    def _authorize(self, message: wire.Authorize, now: float) -> bytes:
        if message.username not in self._workers and len(self._workers) >= MAX_WORKERS:
            return wire.error(message.id, Code.UNAUTHORIZED, "Too many workers on one connection")
        judged = self._authorizer.authorize(message.username)
        match judged:
            case Refused():
                return wire.error(message.id, Code.UNAUTHORIZED, judged.reason)
            case Authorized():
                own = Authorized(judged.account, judged.worker, self.options.pot)
                self._workers[message.username] = own
                self.steering.heed(from_password(message.password))
                if self._returning is not None:
                    self.steering.recall(self._returning.memory, self._key(), now)
                return wire.accepted(message.id)
        assert_never(judged)

    def offer(self, posted: Posted, now: float) -> bytes:
        """The lines that put the miner on a job; empty while it is not both subscribed and authorized."""
        if not self._subscribed or not self._workers or self.broken is not None:
            return b""
        if posted.number <= self.steering.last_number and self.steering.started:
            return b""
        if not self._seating.moving:
            return self.steering.offer(posted, now)
        moved, work = self._seating.move(posted.number), self.steering.offer(posted, now)
        return moved + (posted.notify_clean if work is posted.notify else work)

    def _submit(self, submit: wire.Submit, now: float, time_ms: int, effects: list[Effect]) -> None:
        workers = self._workers
        posted = self._board.find(submit.job_id)
        if posted is None or not workers or not self._subscribed:
            effects.append(refusal_of(submit, premature(self.authorized, self._subscribed)))
            return
        who, seating = workers.get(submit.worker), self._seating
        verdict = judge(
            self._board,
            posted,
            submit,
            seating.seat if posted.number >= seating.since_number else seating.older(posted.number),
            self.steering.target_for(posted),
            now,
            authorized=who is not None,
        )
        # a block of a name that nobody authorized is submitted under the connection's first one
        finder = who or next(iter(workers.values()))
        if isinstance(verdict, Accepted):
            self._credit(submit, posted, verdict, finder, time_ms, effects)
            if self._counts(posted, now):
                effects.append(FreshJob())
            return
        if verdict.block is not None:
            effects.append(solution_of(posted, verdict.block, finder, None))
        effects.append(refusal_of(submit, verdict))

    def _counts(self, posted: Posted, now: float) -> bool:
        """Count a share for vardiff; tells whether the difficulty cannot wait for the next job."""
        steering = self.steering
        if posted.number < steering.since_number:
            return False
        steering.shares += 1
        return steering.shares % URGENT_EVERY == 0 and steering.is_urgent(now)

    def _credit(
        self,
        submit: wire.Submit,
        posted: Posted,
        verdict: Accepted,
        who: Authorized,
        time_ms: int,
        effects: list[Effect],
    ) -> None:
        self._malformed = 0
        block, share = verdict.block, share_of(posted, verdict, who, time_ms)
        if block is not None:
            effects.append(solution_of(posted, block, who, share))
        effects.append(Credit(submit.id, share, verdict.digest))
