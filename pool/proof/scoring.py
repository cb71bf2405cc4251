"""What an account's own shares score in a window, counted from nothing but their records."""

from __future__ import annotations

from fractions import Fraction
from typing import Final

from pool.chain.block import parse_header
from pool.errors import ProofError
from pool.proof.blockproof import BlockProof
from pool.proof.claims import Window
from pool.proof.record import ShareRecord
from pool.rewards.policy import Scheme
from stratum.units import Target, Work, difficulty_from_target, target_from_nbits, work_from_target

MAX_DIFFICULTIES: Final = 1000
"""Of the network, in one window: it has another one every two weeks."""
BY_THE_BLOCK: Final = frozenset({Scheme.TIDES, Scheme.PROP})
"""Schemes that measure every share by the difficulty of the block, and not by that of its own time."""


class Tally:
    """Adds up shares of one window.

    Args:
        scheme: of the policy.
        window: as the pool says.
        block: whose difficulty counts in some schemes.
    """

    def __init__(self, scheme: Scheme, window: Window, block: BlockProof) -> None:
        self._window = window
        self._by_block = parse_header(block.header).nbits if scheme in BY_THE_BLOCK else None
        self._counts: dict[tuple[int, bytes], int] = {}
        self._border = Fraction(0)
        self._networks: set[int] = set()

    def add(self, share: ShareRecord) -> bool:
        """Count a share if it lies in the window.

        Raises:
            ProofError: its nBits are those of no header, or it is on the border and worth less than what is
                counted of it, or one more difficulty of the network than there can be.
        """
        if not self._window.has(share.id):
            return False
        border = self._window.border
        if border is not None and share.id == border.share_id:
            if border.part >= self._worth(share.nbits, share.target):
                raise ProofError(f"share {share.id}: more of it is counted than it is worth")
            self._border = border.part
        else:
            key = (self._by_block or share.nbits, share.target)
            self._networks.add(key[0])
            if len(self._networks) > MAX_DIFFICULTIES:  # sums over more denominators would never end
                raise ProofError(f"shares of more than {MAX_DIFFICULTIES} network difficulties in one window")
            self._counts[key] = self._counts.get(key, 0) + 1
        return True

    @property
    def score(self) -> Fraction:
        """What they score together, in units of network work.

        Raises:
            ProofError: a share's nBits are those of no header.
        """
        works: dict[int, int] = {}
        for (nbits, target), count in self._counts.items():
            works[nbits] = works.get(nbits, 0) + count * _work(target)
        whole = (Fraction(work, _network(nbits)) for nbits, work in works.items())
        return sum(whole, self._border)

    def groups(self) -> list[tuple[int, Fraction, Fraction]]:
        """How many whole shares of which difficulty at which of the network, as a miner knows it."""
        found = [
            (count, difficulty_from_target(_target(target)), difficulty_from_target(target_from_nbits(nbits)))
            for (nbits, target), count in self._counts.items()
        ]
        return sorted(found, reverse=True)

    def _worth(self, nbits: int, target: bytes) -> Fraction:
        return Fraction(_work(target), _network(self._by_block or nbits))


def _target(target: bytes) -> Target:
    return Target(int.from_bytes(target, "big"))


def _work(target: bytes) -> Work:
    return work_from_target(_target(target))


def _network(nbits: int) -> Work:
    try:
        return work_from_target(target_from_nbits(nbits))
    except ValueError as error:
        raise ProofError(f"there is no network difficulty with nBits {nbits:08x}") from error
