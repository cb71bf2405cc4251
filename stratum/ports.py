"""What a Stratum server needs from the pool around it: jobs, a durable share log, and who may mine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import attrs
import msgspec
from twisted.internet.defer import Deferred

from stratum.errors import Code
from stratum.jobs import Job
from stratum.options import POOL
from stratum.units import MAX_TARGET, Height, Target


class Share(msgspec.Struct, frozen=True, gc=False):
    """An accepted submission, as it is credited.

    Attributes:
        account: account name (what precedes the first dot of the username, normalised by the authorizer).
        worker: worker name, may be empty.
        target: the share target it was judged and is credited at; its work is derived from it.
        nbits: of the job's template: fixes the network's work at the time of the share.
        height: of the block that was being sought.
        time_ms: when it was judged, Unix milliseconds.
        job_id: the job.
        block_hash: display-order hex hash when the header also is a block, else None.
        pot: of the port that it came through: shares of different pots never meet in a block's division.
        hash_value: its header's hash as a number, the smaller the luckier; MAX_TARGET for an unknown one.
    """

    account: str
    worker: str
    target: Target
    nbits: int
    height: Height
    time_ms: int
    job_id: str
    block_hash: str | None = None
    pot: str = POOL
    hash_value: int = MAX_TARGET


@attrs.frozen
class Solution:
    """A submission whose header meets the network target: a block, to be saved before anything else.

    Attributes:
        job: the job it was made from.
        header: 80 bytes.
        coinbase: the coinbase transaction without witness, extranonces filled in.
        block_hash: display-order hex.
        share: the share that will be credited with it (the same object that goes to ``append``), or None when
            the submission is too late or a duplicate and earns nothing.
        account: who found it.
        worker: with which machine.
        pot: of the port that it came through.
    """

    job: Job
    header: bytes
    coinbase: bytes
    block_hash: str
    share: Share | None
    account: str
    worker: str
    pot: str = POOL


class JobFeed(Protocol):
    """Where jobs come from."""

    def current(self) -> Job | None:
        """The newest job, or None while there is nothing to mine on."""
        ...

    def watch(self, listener: Callable[[Job], None]) -> None:
        """Call the listener with each new job, from now on."""
        ...

    def extra(self) -> Job | None:
        """One more job like the current one, but with a coinbase of its own, told to no listener.

        For miners whose difficulty has to change at once.  None when there is none to be had.
        """
        ...


class ShareSink(Protocol):
    """Where judged work goes."""

    def append(self, batch: Sequence[Share]) -> Deferred[None]:
        """Write the batch; fires once all of it is on disk, fails if none of it is.

        Nothing of a batch may be acknowledged to its miner before this fires.
        """
        ...

    def solved(self, solution: Solution) -> None:
        """Save the block to disk (synchronously, fsync) and start submitting it.

        Called before the solution's share is appended.  Never raises: what fails here is logged with all
        that is needed to submit by hand.
        """
        ...


class Authorized(msgspec.Struct, frozen=True, gc=False):
    """This username may mine.

    Attributes:
        account: as it is credited.
        worker: as it is credited.
        pot: of the port; the session fills it in.
    """

    account: str
    worker: str
    pot: str = POOL


@attrs.frozen
class Refused:
    """This username may not mine.  Attributes: a reason that a person understands."""

    reason: str


class Authorizer(Protocol):
    """Who may mine."""

    def authorize(self, username: str) -> Authorized | Refused:
        """Judge a Stratum username (``account`` or ``account.worker``); quick, called in the reactor."""
        ...


class Observer(Protocol):
    """Who counts what happens, for metrics; every method is quick and never raises."""

    def accepted(self, shares: int) -> None:
        """So many shares are on disk and were acknowledged."""
        ...

    def rejected(self, code: Code) -> None:
        """A submission was refused (also one that could not be stored: code 20)."""
        ...

    def connections(self, live: int) -> None:
        """The number of connections has changed to this."""
        ...

    def job_told(self, connections: int, seconds: float) -> None:
        """A job was written to all connections, which took so long."""
        ...


class Unobserved:
    """An observer for whoever counts nothing."""

    def accepted(self, shares: int) -> None:
        """Nobody counts."""

    def rejected(self, code: Code) -> None:
        """Nobody counts."""

    def connections(self, live: int) -> None:
        """Nobody counts."""

    def job_told(self, connections: int, seconds: float) -> None:
        """Nobody counts."""
