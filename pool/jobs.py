"""Jobs: what is made of a template for miners, and what is kept of each to make its block."""

from __future__ import annotations

import binascii
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

import attrs
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from pool.chain import block, coinbase
from pool.chain.coinbase import EXTRANONCE_BYTES, Mark, Payee, root_from_branch, sha256d
from pool.chain.headers import Evidence
from pool.chain.networks import Rules, subsidy, times_for
from pool.chain.persistence import Trouble
from pool.chain.template import EMPTY_COMMITMENT, Template
from pool.config import Network
from pool.errors import ChainError, PoolError
from stratum.jobs import Job
from stratum.units import Height

MAX_NTIME_AHEAD_S = 7000
"""How far miners may roll the time; the network takes two hours beyond its own clock."""
KEEP_JOBS_S = 900.0
"""How long a block can still be put together from a job; longer than any submission of it is looked at."""
_CRC_NEIGHBOURS = 256
"""Of a miner's last four jobs, as many may lie apart when others got extra ones in between."""

log = Logger()


@attrs.frozen
class Settings:
    """How a front makes its work.

    Attributes:
        front_id: 0 … 255.
        boot: number of this start of the front, from the store; below 2^32.
        tag: what the coinbase says.
        directory: of the store; blocks are saved below it.
        network: of the pool; a node on another one is not mined on.
        poll_s: how often each node is asked for its tip.
        job_interval_s: how often miners get a fresh job on the same tip.
        silent_s: after so long without a word from any node, no work is handed out.
        failover_s: after so long without a word from a node, another one is mined on.
        return_s: a preferred node is mined on again when it has been well for so long.
        empty_after_s: a new tip gets a job without transactions when its template is so late; None: never.
    """

    front_id: int
    boot: int
    tag: str
    directory: Path
    network: Network = "regtest"
    poll_s: float = 1.0
    job_interval_s: float = 30.0
    silent_s: float = 60.0
    failover_s: float = 5.0
    return_s: float = 30.0
    empty_after_s: float | None = None


@attrs.frozen(eq=False)
class Made:
    """A job, and what is needed to make its block.

    Attributes:
        job: the job.
        template: what it was made of.
        parent: the header of its tip, if known.
        address: that its coinbase pays.
        at_s: when it was made, Unix seconds.
    """

    job: Job
    template: Template
    parent: Evidence | None
    address: str
    at_s: float


class Jobs:
    """Makes jobs, and knows those of the last minutes."""

    def __init__(
        self,
        payees: Callable[[], Sequence[Payee] | None],
        settings: Settings,
        rules: Rules,
        clock: IReactorTime,
        fixes: Callable[[], bytes] | None = None,
    ) -> None:
        """Make none yet.

        Args:
            payees: whom the next job's coinbase pays; None: an address is missing.
            settings: see there.
            rules: of the network.
            clock: the reactor; its seconds are Unix seconds.
            fixes: what the next coinbase says for all times behind OP_RETURN, empty while there is nothing;
                None: coinbases say nothing there.
        """
        self._payees = payees
        self._fixes = fixes
        self._settings = settings
        self._rules = rules
        self._clock = clock
        self._made: dict[str, Made] = {}
        self._recent_crcs: deque[int] = deque(maxlen=_CRC_NEIGHBOURS - 1)
        self._number = 0
        self._address_trouble = Trouble("Taking a payout address")
        self._coinbase_trouble = Trouble("Making a coinbase")
        self._fixing_trouble = Trouble("Fixing the share log in coinbases")

    def find(self, job_id: str) -> Made | None:
        """What a job was made of; None when it is too old."""
        return self._made.get(job_id)

    def make(self, template: Template, parent: Evidence | None, *, clean: bool) -> Made | None:
        """A job on a template; None when there is no address to pay, which the log says.

        Args:
            template: the block to be made.
            parent: the header of its tip; some networks' times depend on it.
            clean: the miner must drop what it was doing.
        """
        paid = self._address()
        if paid is None:
            return None
        try:
            job = self._build(template, parent, paid, clean=clean)
        except ChainError as error:
            self._coinbase_trouble.failed(error)
            return None
        self._coinbase_trouble.worked()
        now_s = self._clock.seconds()
        addresses = " ".join(payee.address for payee in paid)
        made = self._made[job.id] = Made(job, template, parent, addresses, now_s)
        for old in [each.job.id for each in self._made.values() if now_s - each.at_s > KEEP_JOBS_S]:
            del self._made[old]
        log.debug("Made job {job} at height {height}", job=job.id, height=job.height, clean=job.clean)
        return made

    def _address(self) -> Sequence[Payee] | None:
        try:
            paid = self._payees()
        except PoolError as error:
            self._address_trouble.failed(error)
            return None
        if paid is None:
            self._address_trouble.failed(
                "there is none in the store: is the payer running (for the treasury, the book)?"
            )
            return None
        self._address_trouble.worked()
        return paid

    def _data(self) -> bytes:
        if self._fixes is None:
            return b""
        data = self._fixes()
        if data:
            self._fixing_trouble.worked()
        else:  # a block is worth more than what it would have fixed
            self._fixing_trouble.failed("the book has not written a commitment yet: is it running?")
        return data

    def _build(
        self, template: Template, parent: Evidence | None, paid: Sequence[Payee], *, clean: bool
    ) -> Job:
        job_id = self._next_id()
        settings = self._settings
        mark = Mark(settings.front_id, settings.boot, self._number)
        outputs = coinbase.outputs_for(template.value, paid)
        tag, data = settings.tag.encode("ascii"), self._data()
        coinb1, coinb2 = coinbase.build_paying(template, outputs, mark, tag, data=data)
        told_s = template.curtime_s
        least_s, told_s, most_s = times_for(
            (template.mintime_s, told_s, told_s + MAX_NTIME_AHEAD_S),
            None if parent is None else parent.time_s,
            self._rules,
        )
        return Job(
            id=job_id,
            height=template.height,
            prev_hash=template.prev_hash,
            version=template.version,
            nbits=template.nbits,
            ntime=told_s,
            min_ntime=least_s,
            max_ntime=most_s,
            coinb1=coinb1,
            coinb2=coinb2,
            branches=template.branches,
            network_target=template.network_target,
            clean=clean,
        )

    def _next_id(self) -> str:
        """Short hex, never the same again; no CRC-16 in common with its neighbours (Canaan matches by it)."""
        while True:
            self._number += 1
            job_id = f"{self._settings.boot & 0xFF:02x}{self._number:06x}"
            crc = binascii.crc_hqx(job_id.encode("ascii"), 0xFFFF)
            if crc not in self._recent_crcs:
                self._recent_crcs.append(crc)
                return job_id


def ahead_of_template(before: Template, parent: Evidence, now_s: int, rules: Rules) -> Template | None:
    """The block without transactions on a tip whose template has not come yet.

    Args:
        before: the template on the tip before; version and difficulty are taken from it.
        parent: the new tip, proven.
        now_s: Unix seconds.
        rules: of the network.

    Returns:
        The template; None where the difficulty cannot be told from the block before.
    """
    height = Height(parent.height + 1)
    follows = parent.prev_hash == before.prev_hash[::-1].hex()
    if (
        not follows
        or not rules.steady
        or parent.nbits != before.nbits
        or (height % 2016 == 0 and not rules.quiet)
    ):
        return None
    mintime_s = parent.median_s + 1  # consensus: later than the median of eleven
    return attrs.evolve(
        before,
        height=height,
        prev_hash=bytes.fromhex(parent.hash)[::-1],
        curtime_s=max(now_s, mintime_s),
        mintime_s=mintime_s,
        value=subsidy(height, rules),
        transactions=(),
        txids=(),
        branches=(),
        witness_commitment=EMPTY_COMMITMENT,
        longpoll_id=None,
    )


def unsolved_block(made: Made) -> bytes:
    """The block of a job with extranonces and nonce of zeros: all of it but the proof of work."""
    job = made.job
    whole = job.coinb1 + bytes(EXTRANONCE_BYTES) + job.coinb2
    header = job.version.to_bytes(4, "little") + job.prev_hash
    header += root_from_branch(sha256d(whole), job.branches)
    header += b"".join(part.to_bytes(4, "little") for part in (job.ntime, job.nbits, 0))
    return block.assemble(header, whole, made.template.transactions)
