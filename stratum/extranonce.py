"""Which extranonce1 belongs to which live connection: never the same to two at once."""

from __future__ import annotations

from stratum.errors import StratumError

_SUFFIXES = 1 << 24


class Extranonces:
    """Hands out 4-byte extranonce1 values: the front's id, then 24 bits that count up and wrap around.

    Counting up, rather than taking the lowest free one, keeps a value that was just given back out of use
    for as long as possible: a miner that reconnects does not land in the search space it has just left.
    """

    def __init__(self, front_id: int) -> None:
        if not 0 <= front_id <= 255:
            raise ValueError("a front id is a byte")
        self._prefix = front_id << 24
        self._next = 0
        self._live: set[int] = set()

    @property
    def exhausted(self) -> bool:
        """Whether all 2^24 are in use."""
        return len(self._live) >= _SUFFIXES

    def take(self) -> bytes:
        """A value that no live connection has.

        Raises:
            StratumError: all 2^24 are in use.
        """
        if self.exhausted:
            raise StratumError("every extranonce1 of this front is in use")
        while self._next in self._live:
            self._next = (self._next + 1) % _SUFFIXES
        taken = self._next
        self._live.add(taken)
        self._next = (taken + 1) % _SUFFIXES
        return (self._prefix | taken).to_bytes(4, "big")

    def owns(self, extranonce1: bytes) -> bool:
        """Whether the value is of this front's range."""
        return len(extranonce1) == 4 and extranonce1[0] == self._prefix >> 24

    def reserve(self, extranonce1: bytes) -> bool:
        """Take this very value; False when it is another front's or somebody has it."""
        suffix = int.from_bytes(extranonce1[1:], "big")
        if not self.owns(extranonce1) or suffix in self._live:
            return False
        self._live.add(suffix)
        return True

    def give_back(self, extranonce1: bytes) -> None:
        """The connection is gone; its value may be used again (doing it twice is harmless)."""
        if self.owns(extranonce1):
            self._live.discard(int.from_bytes(extranonce1[1:], "big"))
