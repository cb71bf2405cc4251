"""Solved jobs: the block is put together, saved to disk and only then handed to the nodes."""

from __future__ import annotations

from pathlib import Path

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from pool.chain import block, saved
from pool.chain.saved import SavedBlock
from pool.chain.submission import Submitter
from pool.jobs import Jobs
from stratum.ports import Solution

log = Logger()


class Solver:
    """Makes blocks of solutions."""

    def __init__(self, jobs: Jobs, submitter: Submitter, directory: Path, clock: IReactorTime) -> None:
        """Wire it up.

        Args:
            jobs: knows what each job was made of.
            submitter: gets the blocks.
            directory: of the store; blocks are saved below it.
            clock: the reactor; its seconds are Unix seconds.
        """
        self._jobs = jobs
        self._submitter = submitter
        self._directory = directory
        self._clock = clock

    def solve(self, solution: Solution) -> SavedBlock | None:
        """Save the block of a solution to disk, synchronously, and begin to submit it.

        Never raises.

        Returns:
            What was saved (or should have been: a full disk is logged with the block's hex, and the block is
            still submitted); None when the job is not known any more.
        """
        made = self._jobs.find(solution.job.id)
        if made is None:
            log.critical(
                "Block {hash} was found on a job that is gone: header {header} coinbase {coinbase}",
                hash=solution.block_hash,
                header=solution.header.hex(),
                coinbase=solution.coinbase.hex(),
            )
            return None
        whole = block.assemble(solution.header, solution.coinbase, made.template.transactions)
        found = saved.from_solution(solution, made.address, whole, int(self._clock.seconds() * 1000))
        log.info("Block {hash} was found at height {height}", hash=found.hash, height=found.height)
        self._save(found, whole)
        self._submitter.submit(found)
        return found

    def _save(self, found: SavedBlock, whole: bytes) -> None:
        try:
            saved.write(self._directory, found)
        except OSError as error:
            log.critical(
                "Block {hash} could not be saved ({why}); by hand: submitblock {block}",
                hash=found.hash,
                why=error.strerror,
                block=whole.hex(),
            )
