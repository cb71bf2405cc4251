"""What follows from a verdict: the share that is credited, the block to submit, the line that is said."""

from __future__ import annotations

from stratum import wire
from stratum.board import Posted
from stratum.effects import Refusal
from stratum.ports import Authorized, Share, Solution
from stratum.shares import JOB_NOT_FOUND, NOT_SUBSCRIBED, UNAUTHORIZED, Accepted, Block, Rejected


def share_of(posted: Posted, verdict: Accepted, who: Authorized, time_ms: int) -> Share:
    """The share as it is credited; the time is in Unix milliseconds."""
    block, job = verdict.block, posted.job
    block_hash = None if block is None else block.block_hash
    return Share(
        who.account,
        who.worker,
        verdict.target,
        job.nbits,
        job.height,
        time_ms,
        job.id,
        block_hash,
        who.pot,
        verdict.value,
    )


def solution_of(posted: Posted, block: Block, who: Authorized, share: Share | None) -> Solution:
    """The block and who found it; without a share when it earns nothing."""
    return Solution(
        posted.job, block.header, block.coinbase, block.block_hash, share, who.account, who.worker, who.pot
    )


def premature(authorized: bool, subscribed: bool) -> Rejected:  # noqa: FBT001 (what is missing)
    """What a submission lacks that cannot be judged at all."""
    if not authorized:
        return UNAUTHORIZED
    return JOB_NOT_FOUND if subscribed else NOT_SUBSCRIBED


def refusal_of(submit: wire.Submit, why: Rejected) -> Refusal:
    """The answer to a submission that is not credited."""
    return Refusal(wire.error(submit.id, why.code, why.message), why.code)
