"""What a submission is worth: rebuilt, hashed and judged exactly, a block before anything else."""

from __future__ import annotations

from struct import Struct as Layout

import attrs
import msgspec

from stratum.board import Board, Posted
from stratum.errors import Code
from stratum.hashing import merkle_root, sha256d
from stratum.jobs import Job
from stratum.units import Target
from stratum.wire import Submit

_HEADER = Layout("<I32s32sIII")


@attrs.frozen
class Block:
    """A header that meets the network's target.

    Attributes:
        header: 80 bytes.
        coinbase: without witness, extranonces filled in.
        block_hash: display-order hex.
    """

    header: bytes
    coinbase: bytes
    block_hash: str


class Accepted(msgspec.Struct, frozen=True, gc=False):
    """To be credited.

    Attributes:
        target: judged and credited at.
        digest: 32-byte hash of the header, internal order; it is now among the seen.
        value: the same as a number, which the target was compared with.
        block: when it also is one.
    """

    target: Target
    digest: bytes
    value: int
    block: Block | None = None


@attrs.frozen
class Rejected:
    """Not to be credited, but ``block``, if there is one, is to be submitted all the same."""

    code: Code
    message: str
    block: Block | None = None


Verdict = Accepted | Rejected

JOB_NOT_FOUND = Rejected(Code.STALE, "Job not found")
STALE = Rejected(Code.STALE, "Stale: a newer block has been found or the job is too old")
DUPLICATE = Rejected(Code.DUPLICATE, "Duplicate share")
LOW_DIFFICULTY = Rejected(Code.LOW_DIFFICULTY, "Low difficulty share")
BAD_TIME = Rejected(Code.OTHER, "ntime out of range")
BAD_VERSION = Rejected(Code.OTHER, "Version bits outside the mask")
NOT_SUBSCRIBED = Rejected(Code.NOT_SUBSCRIBED, "Not subscribed")
UNAUTHORIZED = Rejected(Code.UNAUTHORIZED, "Unauthorized worker")


class Seat:
    """What of a connection goes into its headers, and the merkle root of its last submission.

    A machine below some 10 TH/s rolls nonce and version for a long time before it takes the next extranonce2;
    the root, most of a share's hashing, is then the same again.

    Attributes:
        extranonce1: 4 bytes.
        version_mask: the version bits it negotiated (BIP 310), 0 for none.
    """

    __slots__ = ("_coinbase", "_job", "_root", "extranonce1", "version_mask")

    def __init__(self, extranonce1: bytes, version_mask: int = 0) -> None:
        self.extranonce1 = extranonce1
        self.version_mask = version_mask
        self._job: Job | None = None
        self._coinbase = self._root = b""

    def root(self, job: Job, coinbase: bytes) -> bytes:
        """The merkle root (32 bytes, internal order) of the job's block with this coinbase."""
        if job is self._job and coinbase == self._coinbase:
            return self._root
        root = merkle_root(coinbase, job.branches)
        self._job, self._coinbase, self._root = job, coinbase, root
        return root


def judge(
    board: Board,
    posted: Posted,
    submit: Submit,
    seat: Seat,
    target: Target,
    now: float,
    *,
    authorized: bool = True,
) -> Verdict:
    """Judge a submission; an accepted one is noted as seen.

    Args:
        board: where the job was posted.
        posted: the job that the submission names.
        submit: the submission.
        seat: the connection's.
        target: the easiest target that the miner was entitled to for this job; the network's, if easier,
            takes its place.
        now: reading of the clock that the board was fed with.
        authorized: False judges for a block only.
    """
    job = posted.job
    coinbase = job.coinb1 + seat.extranonce1 + submit.extranonce2 + job.coinb2
    root = seat.root(job, coinbase)
    bits = submit.version_bits
    version = job.version if bits is None else (job.version & ~seat.version_mask) | bits
    header = _HEADER.pack(version, job.prev_hash, root, submit.ntime, job.nbits, submit.nonce)
    digest = sha256d(header)
    value = int.from_bytes(digest, "little")
    block = Block(header, coinbase, digest[::-1].hex()) if value <= job.network_target else None

    fault = UNAUTHORIZED if not authorized else _fault(board, posted, submit, seat.version_mask, now)
    if fault is None:
        target = max(target, job.network_target)
        if digest in board.seen:
            fault = DUPLICATE
        elif value > target:
            fault = LOW_DIFFICULTY
        else:
            board.seen.add(digest)
            return Accepted(target, digest, value, block)
    return fault if block is None else attrs.evolve(fault, block=block)


def _fault(board: Board, posted: Posted, submit: Submit, version_mask: int, now: float) -> Rejected | None:
    """What is wrong with a submission before its hash is looked at."""
    if board.is_stale(posted, now):
        return STALE
    if not posted.job.min_ntime <= submit.ntime <= posted.job.max_ntime:
        return BAD_TIME
    if submit.version_bits is not None and submit.version_bits & ~version_mask:
        return BAD_VERSION
    return None
