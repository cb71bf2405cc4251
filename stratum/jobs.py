"""A job: everything that a connection needs to hand out work and to rebuild a header from a submission."""

from __future__ import annotations

import attrs

from stratum.units import Height, Target


@attrs.frozen(eq=False)
class Job:
    """One unit of work, the same for all connections; only the extranonces differ between miners.

    Attributes:
        id: short lower-case hex, never repeated while the process lives.
        height: of the block this job would make.
        prev_hash: 32 bytes in header (internal) order; two jobs with the same one are on the same tip.
        version: block version without rolled bits.
        nbits: compact network target as in the header.
        ntime: the time told to the miner; a submission's time lies in min_ntime … max_ntime.
        min_ntime: the least time the network takes (median time past + 1).
        max_ntime: the greatest that we take (job time + 7000 s at most).
        coinb1: coinbase without witness, up to extranonce1.
        coinb2: the same from behind extranonce2 (which is 8 bytes, behind 4 of extranonce1).
        branches: merkle branch, 32-byte internal-order hashes, from the leaf upwards.
        network_target: decoded nbits: a header at or below it is a block.
        clean: the miner must drop what it was doing.
    """

    id: str
    height: Height
    prev_hash: bytes
    version: int
    nbits: int
    ntime: int
    min_ntime: int
    max_ntime: int
    coinb1: bytes
    coinb2: bytes
    branches: tuple[bytes, ...]
    network_target: Target
    clean: bool
